"""Ranges of a file that are scored apart, each into the part of its number.

read 1 | read 2  | read 3  | ...      the next range is read and the last part written
       | score 1 | score 2 | ...      while one is scored
                 | write 1 | ...
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import zip_longest

from shared.tabular.reading import ranges
from shared.tabular.reading.sheets import Sheet
from shared.tabular.reading.sheets_csv import Wanted
from shared.usecases.scoring.in_order import complete, make_part
from shared.usecases.scoring.inputs import Scoring
from shared.usecases.scoring.parts import Part, Parts
from shared.usecases.scoring.plan import Plan, Task


def score_apart(
    scoring: Scoring, plan: Plan, parts: Parts, task: Task, is_over: Callable[[], bool]
) -> list[Part] | None:
    """Score this task's share of the ranges, as far as it is not done; all parts once the last one
    is there, None before. Looks at `is_over` before each range. Raises Rejected."""
    known, count = parts.found(), len(plan.looks)
    with scoring.open() as sheet:
        pass  # names and dialect; the rows come by range
    mine = [
        number
        for number in range(count)
        if number * task.count // count == task.index and number not in known
    ]
    work = _Work(scoring, sheet, plan, parts)
    if mine and not work.do(mine, is_over):
        return None
    return complete(parts, [work.rows(number) for number in range(count)])


@dataclass(frozen=True, slots=True)
class _Work:
    """Ranges by their numbers, and where their rows go."""

    scoring: Scoring
    sheet: Sheet
    plan: Plan
    parts: Parts

    def do(self, mine: Sequence[int], is_over: Callable[[], bool]) -> bool:
        """Score these ranges; False where the run is over before they are done."""
        with ThreadPoolExecutor(2) as beside:
            written: list[Future[None]] = []
            reading = beside.submit(self._read, mine[0])
            for number, following in zip_longest(mine, mine[1:]):
                if is_over():
                    return False
                data = reading.result()
                if following is not None:
                    reading = beside.submit(self._read, following)
                keep = self._score(number, data)
                while written:
                    written.pop().result()
                written.append(beside.submit(keep))
            while written:
                written.pop().result()
        return True

    def rows(self, number: int) -> int:
        """How many rows a range has: the header is a record, but no row."""
        return self.plan.looks[number].records - (0 if number else self._header)

    @property
    def _header(self) -> int:
        return int(self.sheet.source.header)

    def _read(self, number: int) -> bytes:
        (ref,) = self.scoring.request.inputs
        one = self.plan.looks[number]
        lake = self.scoring.lake
        return lake.read(ref.object, generation=ref.generation, start=one.start, end=one.end).data

    def _score(self, number: int, data: bytes) -> Callable[[], None]:
        """Score a range; what stores it comes back."""
        scoring, sheet = self.scoring, self.sheet
        wanted = Wanted(sheet.names, sheet.source, scoring.block_rows, scoring.enough)
        before = self.plan.before(number) - self._header if number else None
        blocks = ranges.blocks(data, wanted, before=before)
        made = make_part(scoring, sheet, blocks, with_head=number == 0)
        return lambda: self.parts.keep(number, made.data, rows=made.rows, errors=made.errors)
