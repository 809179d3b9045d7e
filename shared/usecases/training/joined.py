"""The rows of a training made of several sources: the primary's, with what the others add.

    other sources -> join (a file of its own) -> features/<model>/<version>/<source>.sqlite
    primary (1st time): its keys   -'        `-> datasets/<model>/<run_id>/join.json, note `joined`
    primary (again and again) -> its blocks, with the new columns beside them

The primary is read from the lake each time instead of being kept: what a job writes to its disk is
memory. A retry makes the same bytes; what is written here is created once or overwritten alike.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from shared import paths, runs
from shared.documents import dumps
from shared.errors import BadSource, HeaderMismatch, PreconditionFailed
from shared.ports import Bucket
from shared.runs import InputRef
from shared.serving.cells import CellRules
from shared.serving.sources.aggregates import SnapshotRef, SourceAggregates, sources_of
from shared.serving.sources.snapshot import SnapshotMeta, write_snapshot
from shared.serving.times import text_of
from shared.spec.model import Spec
from shared.tabular.joins.joining import Beside, Join
from shared.tabular.joins.report import facts_of, report_of
from shared.tabular.reading.blocks import Block, Ragged
from shared.tabular.reading.sheets import open_input
from shared.tabular.validating.row_reasons import BadRow
from shared.usecases.training.columns_needed import check_columns
from shared.usecases.training.stages import Training

if TYPE_CHECKING:
    from shared.usecases.training.corrections import Corrections

REPORT = "join.json"
_SQLITE = "application/vnd.sqlite3"


class JoinedRows:
    """`shared.usecases.training.rows.Rows` of several sources. `sources` is what the package says
    of them, with their snapshots."""

    def __init__(self, primary: Primary, join: Join) -> None:
        self._primary, self._join = primary, join
        self.file_names = primary.names
        self.names = (*primary.names, *join.columns)
        self.report: dict[str, Any] | None = None
        self.sources: list[dict[str, Any]] = []

    def blocks(self) -> Iterator[tuple[str, Block]]:
        """The primary's blocks with the columns of all sources; rows that the join cannot use are
        in `Block.ragged`."""
        reading = self._join.read()
        for origin, block in self._primary.blocks():
            yield origin, together(block, reading.beside(block))

    def bad(self) -> Iterable[BadRow]:
        return self._join.bad()


class Primary:
    """The file (or files) whose rows are learned, read anew each time."""

    def __init__(self, run: Training, mended: Corrections) -> None:
        self._run, self._mended = run, mended
        self._inputs = inputs_of(run.request.inputs, run.spec.primary)
        if not self._inputs:
            raise BadSource(f"the batch has no file of {run.spec.primary}, whose rows are learned")
        self.names = self._check_names()

    def blocks(self) -> Iterator[tuple[str, Block]]:
        for item in self._inputs:
            names = [self._run.spec.file_columns(with_target=True)]
            source = self._run.spec.main_source
            yield from read_blocks(self._run.lake, item, source, names, self._mended)

    def _check_names(self) -> tuple[str, ...]:
        found: tuple[str, ...] = ()
        for item in self._inputs:
            names = [self._run.spec.file_columns(with_target=True)]
            with open_input(
                self._run.lake, item, self._run.spec.main_source, names=names, expected=names[0]
            ) as sheet:
                if found and sheet.names != found:
                    raise HeaderMismatch(f"{item.source} has other columns than the file before it")
                found = sheet.names
        check_columns(found, self._run.spec)
        twice = [name for name in self._run.spec.derived if name in found]
        if twice:
            raise HeaderMismatch(
                f"{self._run.spec.primary} has {', '.join(twice)} already, which another source "
                "adds; give one of them another name"
            )
        return found


@contextmanager
def open_joined(run: Training, mended: Corrections) -> Iterator[JoinedRows]:
    """The joined rows of a run, while the context lasts. `mended` are rows of its quarantine.

    Raises Rejected: BadSource, BadSql, and what a file can be refused for.
    """
    spec = run.spec
    sources = sources_of(spec)
    with TemporaryDirectory() as folder:
        join = Join(Path(folder), sources, _rules(spec), sql=_sql(spec))
        with closing(join):
            for source in sources:
                items = inputs_of(run.request.inputs, source.name)
                if items:
                    join.load(source.name, _origins(run, items, source, mended))
            primary = Primary(run, mended)
            join.place(block for _, block in primary.blocks())
            join.compute()
            rows = JoinedRows(primary, join)
            rows.report = report_of(join, primary=spec.primary, dated_target=_is_dated(spec))
            rows.sources = [_source(run, join, source, Path(folder)) for source in sources]
            _keep_report(run, rows.report)
            yield rows


# --- shared with scoring -------------------------------------------------------------------------


def inputs_of(inputs: Sequence[InputRef], role: str) -> list[InputRef]:
    """The inputs that belong to a source."""
    return [item for item in inputs if item.role == role]


def read_blocks(
    lake: Bucket,
    item: InputRef,
    source: Any,
    names: Sequence[Sequence[str]],
    mended: Corrections | None = None,
) -> Iterator[tuple[str, Block]]:
    """The blocks of one input with what it is called, mended where somebody mended rows."""
    with open_input(lake, item, source, names=names, expected=names[0]) as sheet:
        for block in sheet.blocks:
            if mended is not None:
                yield item.source, mended.apply(item.source, sheet.names, block)
            else:
                yield item.source, block


def together(block: Block, beside: Beside) -> Block:
    """A block with its new columns; rows without any go to `ragged`, at their place."""
    cells = {**block.cells, **beside.cells}
    if not beside.unusable:
        return Block(cells, block.record, block.ragged)
    good = np.ones(len(block), np.bool_)
    good[list(beside.unusable)] = False
    mask = pa.array(good)
    refused = [
        Ragged(
            record=int(block.record[row]),
            cells=tuple(texts[row].as_py() for texts in block.cells.values()),
            reason=why.sentence,
            code=why.code,
        )
        for row, why in beside.unusable.items()
    ]
    return Block(
        {name: texts.filter(mask) for name, texts in cells.items()},
        block.record[good],
        sorted([*block.ragged, *refused], key=lambda ragged: ragged.record),
    )


# --- pieces --------------------------------------------------------------------------------------


def _rules(spec: Spec) -> CellRules:
    """How the cells of the primary are written."""
    source = spec.main_source
    return CellRules(missing=source.missing, strip=source.strip, decimal=source.decimal)


def _sql(spec: Spec) -> dict[str, str]:
    return {name: source.sql for name, source in spec.sources.items() if source.sql is not None}


def _origins(
    run: Training, items: Sequence[InputRef], source: SourceAggregates, mended: Corrections
) -> Iterator[tuple[str, Block]]:
    about = run.spec.sources[source.name]
    names = [about.columns or source.columns_needed]
    for item in items:
        yield from read_blocks(run.lake, item, about, names, mended)


def _is_dated(spec: Spec) -> bool:
    """Whether something says when the target of a row happened."""
    derived = spec.derived
    own = {column.type for name, column in spec.columns.items() if name not in derived}
    return any(
        (
            spec.training.time_column is not None,
            "time" in own,
            all(source.as_of_column is not None for source in sources_of(spec)),
        )
    )


def _source(run: Training, join: Join, source: SourceAggregates, folder: Path) -> dict[str, Any]:
    """What the record keeps of a source: the package's part, and the SQL for scoring."""
    stored = replace(source, snapshot=_snapshot(run, join, source, folder))
    return {**stored.to_json(), "sql": run.spec.sources[source.name].sql}


def _snapshot(
    run: Training, join: Join, source: SourceAggregates, folder: Path
) -> SnapshotRef | None:
    """Store what is known of each key; None for a source that did not come."""
    side = join.side(source.name)
    if not side.there:
        return None
    last = side.last_seen()
    meta = SnapshotMeta(
        model=run.model,
        version=run.version,
        source=source.name,
        features_as_of=run.request.requested_at if last is None else text_of(last),
        columns=tuple(source.types),
    )
    path = folder / f"{source.name}.sqlite"
    ref = write_snapshot(path, join.known(source.name), meta)
    try:
        run.lake.upload(ref.object, path, if_generation=0, content_type=_SQLITE)
    except PreconditionFailed:  # by an attempt that died after this: the first one counts
        run.lake.download(ref.object, path)
        with path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        ref = replace(ref, sha256=sha256, size_bytes=path.stat().st_size)
    path.unlink()
    return ref


def _keep_report(run: Training, report: dict[str, Any]) -> None:
    name = paths.dataset(run.model, run.version, REPORT)
    run.lake.write(name, dumps(report), content_type="application/json")
    facts = facts_of(report)
    runs.note(run.model, run.version, "joined", lake=run.lake, clock=run.clock, **facts)
