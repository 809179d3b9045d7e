"""Who reads what: ranges of a CSV file where a look at all of it proves that they can be read
apart, else one task from start to end.

    task i looks at its share of the ranges --> parts-1/look-<i>-of-<n>.json (create-only)
    whoever has seen all looks              --> runs/.../score-plan.json (create-only)

The looks count records, so that a range knows the number of its first one. A look that is missing
is waited for as long as one's own took, then taken over: nobody depends on a task that never ran.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from itertools import pairwise

from shared import documents, paths
from shared.files.dialect import GZIP, HEAD_BYTES
from shared.runs import InputRef
from shared.spec.model import Source
from shared.tabular.reading.ranges import TAIL_BYTES, Look, look
from shared.usecases.scoring.inputs import Scoring
from shared.usecases.scoring.parts import FOLDER

PLAN = "score-plan.json"
RANGE_BYTES = 8 * 1024 * 1024
# Of short lines fewer bytes: what is written about a row is longer than they are.
RANGE_ROWS = 100_000
_WAITS = 20

Pause = Callable[[float], object]


@dataclass(frozen=True, slots=True)
class Task:
    """One of `count` tasks that share a file. `pause` waits for that many seconds."""

    index: int = 0
    count: int = 1
    pause: Pause = time.sleep


@dataclass(frozen=True, slots=True)
class Plan:
    """The ranges of the file in order, none where one task reads it whole. The header counts among
    the records of the first one."""

    looks: tuple[Look, ...] = ()

    def before(self, number: int) -> int:
        """How many records stand before a range."""
        return sum(one.records for one in self.looks[:number])


def plan_of(scoring: Scoring, task: Task) -> Plan:
    """The run's plan, made once. Raises Rejected for what can never be scored."""
    request, lake = scoring.request, scoring.lake
    name = paths.run_stage(request.model, request.run_id, PLAN)
    found = documents.read(lake, name)
    if not found.exists:
        if task.count == 1:
            return Plan()  # in one go, as it would be anyway
        plan = _made(scoring, task)
        documents.create(lake, name, {"ranges": [asdict(one) for one in plan.looks]})
        found = documents.read(lake, name)
    return Plan(tuple(Look(**one) for one in found.body["ranges"]))


def _made(scoring: Scoring, task: Task) -> Plan:
    source = _divisible(scoring)
    if source is None:
        return Plan()
    ranges = _nominal(scoring, task.count)
    shares: dict[int, list[Look]] = {}
    patience = 0.0
    for turn in range(task.count):
        who = (task.index + turn) % task.count
        share = [ranges[n] for n in range(len(ranges)) if n * task.count // len(ranges) == who]
        name = f"{FOLDER}look-{who}-of-{task.count}.json"
        name = paths.predictions(scoring.request.model, scoring.request.run_id, name)
        found = documents.read(scoring.lake, name).body
        for _ in range(_WAITS if turn and not found else 0):
            task.pause(patience / _WAITS)
            if found := documents.read(scoring.lake, name).body:
                break
        if not found:
            started = time.monotonic()
            taken = _look_at(scoring, source, share)
            patience = max(patience, time.monotonic() - started, 1.0)
            found = {"ranges": [asdict(one) for one in taken]}
            documents.create(scoring.lake, name, found)
        shares[who] = [Look(**one) for one in found["ranges"]]
        if not all(one.sound for one in shares[who]):
            return Plan()
    looks = [one for who in range(task.count) for one in shares[who]]
    with_header = int(source.header)
    if sum(one.records for one in looks) <= with_header or looks[0].records < with_header:
        return Plan()  # nothing to score, or a header that nobody sees at the start
    return Plan(tuple(looks))


def _look_at(scoring: Scoring, source: Source, share: list[tuple[int, int]]) -> list[Look]:
    """Looks until the first that is unsound, which decides."""
    (ref,) = scoring.request.inputs
    found: list[Look] = []
    for first, last in share:
        start, end = max(first - 1, 0), min(last + TAIL_BYTES, ref.size_bytes)
        data = scoring.lake.read(ref.object, generation=ref.generation, start=start, end=end).data
        found.append(look(data, (first, last), ref.size_bytes, source))
        if not found[-1].sound:
            break
    return found


def _divisible(scoring: Scoring) -> Source | None:
    """How the file is written, where it may have ranges at all."""
    request = scoring.request
    if scoring.is_joined or len(request.inputs) != 1:
        return None
    ref: InputRef = request.inputs[0]
    head = scoring.lake.read(ref.object, generation=ref.generation, end=len(GZIP)).data
    if head == GZIP or ref.size_bytes < 2 * RANGE_BYTES:
        return None
    with scoring.open() as sheet:
        return sheet.source if sheet.source.format == "csv" else None


def _nominal(scoring: Scoring, tasks: int) -> list[tuple[int, int]]:
    """Ranges of about RANGE_BYTES or RANGE_ROWS, as far as the file's first lines tell, all of
    nearly the same size, the same number for each task."""
    (ref,) = scoring.request.inputs
    size = ref.size_bytes
    head = scoring.lake.read(ref.object, generation=ref.generation, end=HEAD_BYTES).data
    row_bytes = len(head) // (head.count(b"\n") + 1) + 1
    wanted = min(RANGE_BYTES, max(RANGE_BYTES // 8, RANGE_ROWS * row_bytes))
    count = -(-size // (wanted * tasks)) * tasks
    ends = [size * number // count for number in range(count + 1)]
    return list(pairwise(ends))
