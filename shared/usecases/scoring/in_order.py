"""A file that is read from its start to its end by one task, part by part.

Where a part ends is decided by what is read, never by what is written, so that every attempt cuts
at the same rows. Parts that are there are read over, not answered again.
"""

from __future__ import annotations

import io
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.parquet

from shared.errors import Retryable
from shared.tabular.reading.blocks import Block
from shared.tabular.reading.sheets import Sheet
from shared.tabular.scored.writing import ScoredWriter
from shared.usecases.scoring.inputs import Scoring
from shared.usecases.scoring.parts import Part, Parts
from shared.usecases.scoring.rows import answer

_Result = TypeVar("_Result")

PART_BYTES = 16 * 1024 * 1024  # of cells that were read, and of answers
_ANSWER_BYTES = 100  # about so many for each row


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
    """The parts in order, once all are there with the rows that were read; None before. Raises
    Retryable for other rows, and takes the parts away."""
    known = parts.found()
    if not set(range(len(expected))) <= known.keys():
        return None
    found = [known[number] for number in range(len(expected))]
    rows = [part.rows for part in found]
    if rows != expected:
        # Of another version of this code, which reads in other steps: to be done again.
        parts.discard(all_of_them=True)
        raise Retryable(f"parts of {parts.target} hold {rows} rows, {expected} were read")
    return found


def make_part(scoring: Scoring, sheet: Sheet, blocks: Iterable[Block], *, with_head: bool) -> Made:
    """The rows of some blocks with their answers."""
    kept = scoring.kept(sheet)
    champion = scoring.champion
    writer = ScoredWriter(
        output=scoring.spec.scoring.output,
        names=tuple(kept.values()),
        task=champion.task,
        version=champion.version,
        run_id=scoring.request.run_id,
    )
    write = writer.table if writer.output == "parquet" else writer.body

    def work(block: Block) -> tuple[Any, int, int]:
        found = answer(block, sheet.names, kept, champion)
        return write(found), len(found), len(found.errors)

    pieces, rows, errors = [], 0, 0
    for piece, more_rows, more_errors in _in_turn(work, blocks, scoring.workers):
        pieces.append(piece)
        rows, errors = rows + more_rows, errors + more_errors
    if writer.output == "parquet":
        return Made(_parquet(pieces), rows, errors)
    return Made(b"".join([writer.head(), *pieces] if with_head else pieces), rows, errors)


def _in_turn(
    work: Callable[[Block], _Result], blocks: Iterable[Block], workers: int
) -> Iterator[_Result]:
    """The work on all blocks by some threads, in the order of the blocks. Few are read ahead."""
    if workers == 1:
        yield from map(work, blocks)
        return
    with ThreadPoolExecutor(workers) as pool:
        waiting: deque[Future[_Result]] = deque()
        for block in blocks:
            waiting.append(pool.submit(work, block))
            if len(waiting) > workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _parquet(tables: Sequence[pa.Table]) -> bytes:
    if not tables:
        return b""
    out = io.BytesIO()
    with pa.parquet.ParquetWriter(out, tables[0].schema) as file:
        for table in tables:
            file.write_table(table)
    return out.getvalue()


def _numbered(blocks: Iterable[Block]) -> Iterator[tuple[int, Block]]:
    """Blocks with the number of their part."""
    number = size = 0
    for block in blocks:
        yield number, block
        size += sum(column.nbytes for column in block.cells.values())
        size += (len(block) + len(block.ragged)) * _ANSWER_BYTES
        if size >= PART_BYTES:
            number, size = number + 1, 0
