"""A file that is read from its start to its end by one task, part by part.

Where a part ends is decided by what is read, never by what is written, so that every attempt cuts
at the same rows. Parts that are there are read over, not answered again.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter

import pyarrow as pa
import pyarrow.parquet

from shared.tabular.reading.blocks import Block
from shared.tabular.reading.sheets import Sheet
from shared.tabular.scored.answered import Answered
from shared.tabular.scored.writing import ScoredWriter
from shared.usecases.scoring.inputs import Scoring
from shared.usecases.scoring.parts import Part, Parts
from shared.usecases.scoring.rows import answer

PART_BYTES = 16 * 1024 * 1024  # of cells that were read


@dataclass(frozen=True, slots=True)
class Made:
    """The bytes of a part."""

    data: bytes
    rows: int
    errors: int


def score_in_order(scoring: Scoring, parts: Parts) -> list[Part] | None:
    """All parts of the file, None where another task took them away, having finished. Raises
    Rejected for what can never be scored."""
    known = parts.found()
    expected: list[int] = []
    with scoring.open() as sheet:
        for number, group in groupby(_numbered(sheet.blocks), itemgetter(0)):
            blocks = (block for _, block in group)
            if number in known:
                expected.append(sum(len(block) + len(block.ragged) for block in blocks))
                continue
            made = make_part(scoring, sheet, blocks, with_head=number == 0)
            parts.keep(number, made.data, rows=made.rows, errors=made.errors)
            expected.append(made.rows)
    return complete(parts, expected)


def complete(parts: Parts, expected: list[int]) -> list[Part] | None:
    """The parts in order, once all are there with the rows that were read; None before."""
    known = parts.found()
    if not set(range(len(expected))) <= known.keys():
        return None
    found = [known[number] for number in range(len(expected))]
    rows = [part.rows for part in found]
    if rows != expected:
        raise RuntimeError(f"parts of {parts.target} hold {rows} rows, {expected} were read")
    return found


def make_part(scoring: Scoring, sheet: Sheet, blocks: Iterable[Block], *, with_head: bool) -> Made:
    """The rows of some blocks with their answers."""
    kept = scoring.kept(sheet)
    writer = ScoredWriter(
        output=scoring.spec.scoring.output,
        names=tuple(kept.values()),
        task=scoring.champion.task,
        version=scoring.champion.version,
        run_id=scoring.request.run_id,
    )
    answered = (answer(block, sheet.names, kept, scoring.champion) for block in blocks)
    if writer.output == "parquet":
        return _parquet(writer, answered)
    pieces = [writer.head()] if with_head else []
    rows = errors = 0
    for found in answered:
        pieces.append(writer.body(found))
        rows, errors = rows + len(found), errors + len(found.errors)
    return Made(b"".join(pieces), rows, errors)


def _parquet(writer: ScoredWriter, answered: Iterable[Answered]) -> Made:
    out = io.BytesIO()
    file, rows, errors = None, 0, 0
    for found in answered:
        table = writer.table(found)
        file = file or pa.parquet.ParquetWriter(out, table.schema)
        file.write_table(table)
        rows, errors = rows + len(found), errors + len(found.errors)
    if file is not None:
        file.close()
    return Made(out.getvalue(), rows, errors)


def _numbered(blocks: Iterable[Block]) -> Iterator[tuple[int, Block]]:
    """Blocks with the number of their part."""
    number = size = 0
    for block in blocks:
        yield number, block
        size += sum(column.nbytes for column in block.cells.values())
        if size >= PART_BYTES:
            number, size = number + 1, 0
