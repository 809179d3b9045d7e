"""Ranges of a file that are scored apart, each into the part of its number."""

from __future__ import annotations

from collections.abc import Callable

from shared.tabular.reading import ranges
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
    known = parts.found()
    (ref,) = scoring.request.inputs
    with scoring.open() as sheet:
        pass  # names and dialect; the rows come by range
    header = int(sheet.source.header)
    wanted = Wanted(sheet.names, sheet.source, scoring.block_rows, scoring.enough)
    expected = [one.records - (0 if number else header) for number, one in enumerate(plan.looks)]
    count = len(plan.looks)
    for number, one in enumerate(plan.looks):
        mine = number * task.count // count == task.index
        if not mine or number in known:
            continue
        if is_over():
            return None
        data = scoring.lake.read(
            ref.object, generation=ref.generation, start=one.start, end=one.end
        ).data
        before = plan.before(number) - header if number else None
        blocks = ranges.blocks(data, wanted, before=before)
        made = make_part(scoring, sheet, blocks, with_head=number == 0)
        parts.keep(number, made.data, rows=made.rows, errors=made.errors)
    return complete(parts, expected)
