"""Mended rows of quarantines, put in the place of the records that they mend.

    inputs with role `corrected` -> (source, record) -> cells, the later input having the last word
                                    only what is in the quarantine of the run they name

A row that was deleted from the corrected file, and one that still has another number of fields,
stays in quarantine as it was. A row that was never in quarantine is refused: good rows are not
changed by this way. Memory is that of the corrected files.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from shared import paths, runs
from shared.errors import BadReplay, HeaderMismatch
from shared.ports import Bucket
from shared.runs import InputRef, RunRequest
from shared.spec.model import Source
from shared.tabular.reading.blocks import BLOCK_ROWS, Block, Ragged
from shared.tabular.reading.lines import Text
from shared.tabular.reading.records import column_names
from shared.tabular.reading.sheets import open_input
from shared.tabular.reading.sheets_csv import CsvReader
from shared.usecases.training.stages import Training

CORRECTED = "corrected"
LEADING = ("quarantine_run", "quarantine_source", "quarantine_record", "quarantine_reasons")
_KEYS = LEADING[:3]
_NUMBER = re.compile(r" *[0-9]{1,18} *")
# As they were written; what blanks mean is the spec's business, later.
_AS_WRITTEN = Source(strip=False)
_OURS = Source(strip=False, format="csv", delimiter=",", encoding="utf-8")
Records = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class _Mended:
    """The mended rows of one source by record number, ascending."""

    record: Records
    cells: dict[str, pa.Array]


class Corrections:
    """Mended rows of all sources. None at all is the usual case."""

    def __init__(self, mended: dict[str, _Mended]) -> None:
        self._mended = mended

    def __len__(self) -> int:
        return sum(len(found.record) for found in self._mended.values())

    def apply(self, source: str, names: Sequence[str], block: Block) -> Block:
        """The block with every record that was mended as it is now; `names` are the columns wanted.
        Raises HeaderMismatch when a corrected file lacks one of them."""
        mended = self._mended.get(source)
        if mended is None:
            return block
        missing = [name for name in names if name not in mended.cells]
        if missing:
            raise HeaderMismatch(
                f"the corrected rows of {source} lack {', '.join(missing)}; keep all columns of "
                f"the quarantine file"
            )
        torn = {item.record: item for item in block.ragged}
        here = [
            place
            for place in _within(mended.record, block, torn)
            if not _is_as_it_was(mended, place, names, torn.get(int(mended.record[place])))
        ]
        if not here:
            return block
        records = mended.record[here]
        left = ~np.isin(block.record, records)
        everything = np.concatenate([block.record[left], records])
        order = pa.array(np.argsort(everything))
        cells = {
            name: pa.concat_arrays(
                [block.cells[name].filter(pa.array(left)), mended.cells[name].take(pa.array(here))]
            ).take(order)
            for name in names
        }
        gone = set(records.tolist())
        ragged = [item for item in block.ragged if item.record not in gone]
        return Block(cells, np.sort(everything), ragged)


def corrections(run: Training) -> Corrections:
    """Mended rows by (source, record), from inputs with role `corrected`. Raises BadReplay for
    files that do not fit the quarantine they name, HeaderMismatch, UnreadableText."""
    parts: dict[str, list[_Mended]] = {}
    ancestors = {request.run_id for request in replayed(run)}
    for item in run.request.inputs:
        if item.role == CORRECTED:
            for source, found in _read(run, item, ancestors):
                parts.setdefault(source, []).append(found)
    return Corrections({source: _joined(found) for source, found in parts.items()})


def replayed(run: Training) -> Iterator[RunRequest]:
    """The requests that this run replays, one after the other; the last one has the file that
    arrived first."""
    before, seen = run.request.replays, {run.version}
    while before is not None and before not in seen:
        seen.add(before)
        request = runs.read_work(run.model, before, lake=run.lake)
        yield request
        before = request.replays


def _within(records: Records, block: Block, torn: dict[int, Ragged]) -> list[int]:
    """Places of the mended rows whose records are in this block."""
    there = np.isin(records, block.record)
    if torn:
        there |= np.isin(records, list(torn))
    found: list[int] = np.flatnonzero(there).tolist()
    return found


def _is_as_it_was(mended: _Mended, place: int, names: Sequence[str], torn: Ragged | None) -> bool:
    """Whether a torn row is what it was, or only got empty fields where it had too few: a
    spreadsheet does that by itself."""
    if torn is None:
        return False
    now = [mended.cells[name][place].as_py() for name in names]
    was = [*torn.cells, *[""] * len(names)][: len(names)]
    return len(torn.cells) <= len(names) and now == was


# --- reading -------------------------------------------------------------------------------------


def _read(run: Training, item: InputRef, ancestors: set[str]) -> Iterator[tuple[str, _Mended]]:
    """The rows of one corrected file by source."""
    records: list[Records] = []
    tables: list[dict[str, pa.Array]] = []
    with open_input(run.lake, item, _AS_WRITTEN, expected=LEADING) as sheet:
        missing = [name for name in _KEYS if name not in sheet.names]
        if missing:
            raise HeaderMismatch(
                f"{item.source} lacks {', '.join(missing)}: corrected rows keep these columns"
            )
        # A spreadsheet gives the header as many cells as the longest row has.
        nameless = [name for place, name in enumerate(sheet.names, 1) if name == f"column_{place}"]
        for block in sheet.blocks:
            kept = _without(block.cells, nameless)
            records.append(_numbers(kept["quarantine_record"], item))
            tables.append(kept)
    cells = {name: pa.concat_arrays([table[name] for table in tables]) for name in tables[0]}
    record = np.concatenate(records)
    of = _one_run(cells["quarantine_run"], item, ancestors)
    known = _quarantined(run.model, of, run.lake) if of else {}
    for source in cells["quarantine_source"].unique().to_pylist():
        mine = np.flatnonzero(
            np.array([found == source for found in cells["quarantine_source"].to_pylist()], bool)
        )
        order = mine[np.argsort(record[mine], kind="stable")]
        _check_known(record[order], known.get(source), source, of, item)
        picked = pa.array(order)
        columns = {name: column.take(picked) for name, column in cells.items()}
        yield source, _Mended(record[order], columns)


def _without(cells: dict[str, pa.Array], nameless: Sequence[str]) -> dict[str, pa.Array]:
    """The rows that have nothing under columns without a name: the others have too many fields."""
    keep = np.ones(len(cells["quarantine_record"]), bool)
    for name in nameless:
        keep &= pc.equal(pc.utf8_trim_whitespace(cells[name]), "").to_numpy(zero_copy_only=False)
    return {name: column.filter(pa.array(keep)) for name, column in cells.items()}


def _numbers(column: pa.Array, item: InputRef) -> Records:
    """The record numbers in a block. Raises BadReplay."""
    texts = column.to_pylist()
    wrong = next((text for text in texts if not _NUMBER.fullmatch(text)), None)
    if wrong is not None:
        raise BadReplay(
            f"{item.source}: quarantine_record {wrong[:40]!r} is no record number; leave that "
            f"column as it was"
        )
    return np.array([int(text) for text in texts], np.int64)


def _one_run(column: pa.Array, item: InputRef, ancestors: set[str]) -> str:
    """The run whose quarantine was mended. Raises BadReplay."""
    named = column.unique().to_pylist()
    if len(named) > 1:
        raise BadReplay(
            f"{item.source} has rows of {len(named)} runs ({', '.join(named)[:100]}); drop the "
            f"rows of one run at a time"
        )
    if named and named[0] not in ancestors:
        raise BadReplay(f"{item.source} mends rows of run {named[0][:60]!r}, which is not replayed")
    return named[0] if named else ""


def _quarantined(model: str, run_id: str, lake: Bucket) -> dict[str, Records]:
    """Which records of which sources are in a run's quarantine."""
    found: dict[str, list[Records]] = {}
    for info in lake.list(paths.quarantine(model, run_id, "rows")):
        with lake.open_reader(info.name, generation=info.generation) as stream:
            # Whatever the cells hold: NUL characters that JSON spelled make a CSV look binary.
            reader = CsvReader(Text(stream, _OURS), block_rows=BLOCK_ROWS)
            for block in reader.blocks(column_names(reader.first), header=True):
                for source, numbers in _keys(block):
                    found.setdefault(source, []).append(numbers)
    return {source: np.sort(np.concatenate(parts)) for source, parts in found.items()}


def _keys(block: Block) -> Iterator[tuple[str, Records]]:
    """Sources and records of a quarantine file, of rows with another number of fields too."""
    sources = block.cells["quarantine_source"].to_pylist()
    numbers = list(map(int, block.cells["quarantine_record"].to_pylist()))
    sources += [item.cells[1] for item in block.ragged]
    numbers += [int(item.cells[2]) for item in block.ragged]
    all_numbers = np.array(numbers, np.int64)
    for source in dict.fromkeys(sources):
        yield source, all_numbers[np.array([found == source for found in sources], bool)]


def _check_known(
    records: Records, known: Records | None, source: str, run_id: str, item: InputRef
) -> None:
    """Raises BadReplay."""
    twice = records[1:][records[1:] == records[:-1]]
    if len(twice):
        raise BadReplay(f"{item.source} has record {twice[0]} of {source} more than once")
    strange = records if known is None else records[~np.isin(records, known)]
    if len(strange):
        shown = ", ".join(map(str, strange[:5].tolist())) + (", ..." if len(strange) > 5 else "")
        raise BadReplay(
            f"{item.source} names records of {source} that are not in the quarantine of run "
            f"{run_id}: {shown}. Only quarantined rows can be mended; drop other changes as a "
            f"new file"
        )


def _joined(parts: list[_Mended]) -> _Mended:
    """Several corrections of one source; of a record's, the last one stays."""
    if len(parts) == 1:
        return parts[0]
    names = [name for name in parts[0].cells if all(name in part.cells for part in parts)]
    records = np.concatenate([part.record for part in parts])
    # The last occurrence of each number: `unique` gives the first one, so look from the end.
    found, first = np.unique(records[::-1], return_index=True)
    picked = pa.array(len(records) - 1 - first)
    cells = {
        name: pa.concat_arrays([part.cells[name] for part in parts]).take(picked) for name in names
    }
    return _Mended(found, cells)
