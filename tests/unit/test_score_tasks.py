"""A file shared by tasks: the same rows as by one task, whoever dies, and whoever does it twice."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from shared import paths, runs
from shared.adapters.memory import FixedClock
from shared.boundary import Task as DoorTask
from shared.boundary import run_task
from shared.documents import require
from shared.errors import Retryable
from shared.spec.model import Source
from shared.tabular.reading.ranges import look
from shared.usecases.score import Task, score_file
from tests.support.crashing import Crash, Fuse
from tests.unit.test_score import HEADER, RUN, World

QUIET = 10**9
LINES = [f"{n},{'x' if n % 5 == 0 else n},{n}.5,c{n % 3},{n % 2}\n" for n in range(1, 61)]
GOOD, FEW = (HEADER + "".join(LINES[:count]) for count in (60, 30))


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ranges and steps of a few lines."""
    monkeypatch.setattr("shared.usecases.scoring.plan.RANGE_BYTES", 200)
    monkeypatch.setattr("shared.tabular.reading.ranges.STEP_BYTES", 50)


def task(world: World, index: int = 0, count: int = 1, *, attempt: int = 1, **ports: Any) -> None:
    """One task of an execution, as its door starts it."""
    lake = ports.get("lake", world.lake)
    publisher = ports.get("publisher", world.cloud.publisher)

    def work(_: DoorTask) -> None:
        score_file(
            world.request,
            lake=lake,
            publisher=publisher,
            clock=world.cloud.clock,
            task=Task(index, count, pause=lambda _: None),
        )

    door = DoorTask("adult", RUN, attempt, f"score-s-{attempt}", index, count)
    run_task(door, work, lake=lake, publisher=publisher, clock=world.cloud.clock)


def left(world: World) -> dict[str, Any]:
    """What a finished run leaves."""
    lake = world.lake
    summary = require(lake, paths.predictions("adult", RUN, "summary.json"))
    names = [info.name for info in lake.list("predictions/")]
    objects = [name for name in names if not name.endswith(("summary.json", "latest.json"))]
    return {
        "names": names,
        "objects": [lake.read(name).data for name in objects],
        "counts": (summary["rows"], summary["errors"]),
        "latest": require(lake, paths.latest_predictions("adult"))["run_id"],
        "said": {json.loads(item.data)["id"] for item in world.cloud.publisher.published},
        "state": runs.state("adult", RUN, lake=lake).state,
    }


def ranges(world: World) -> int:
    return len(require(world.lake, paths.run_stage("adult", RUN, "score-plan.json"))["ranges"])


def alone(data: bytes, **more: Any) -> dict[str, Any]:
    world = World(data, **more)
    task(world)
    return left(world)


FILES: dict[str, tuple[bytes, dict[str, Any], bool]] = {
    "plain": (GOOD.encode(), {}, True),
    "no line end at the end": (GOOD.rstrip("\n").encode(), {}, True),
    "CR LF": (GOOD.replace("\n", "\r\n").encode(), {}, True),
    "blank lines": (GOOD.replace("0,", "0,", 1).replace("\n1", "\n\n ,,\n1").encode(), {}, True),
    "ragged": (GOOD.replace("c1,", "c1,9,").encode(), {}, True),
    "quotes that end": (GOOD.replace("c1", '"c, ""1"""').encode(), {}, True),
    "a quote that is a character": (GOOD.replace("c1", 'c"1').encode(), {}, True),
    "leading blanks": (GOOD.replace(",c", ",  c").encode(), {}, True),
    "UTF-8 with a mark": (b"\xef\xbb\xbf" + GOOD.replace("c2", "Köln").encode(), {}, True),
    "latin-1": (GOOD.replace("c2", "Köln").encode("latin-1"), {"encoding": "latin-1"}, True),
    "semicolons": (GOOD.replace(",", ";").encode(), {"delimiter": ";"}, True),
    "no header": (GOOD.removeprefix(HEADER).encode(), {"header": False}, True),
    "blanks of another alphabet": (GOOD.replace("\n2", "\n\u3000,\u00a0\n2").encode(), {}, True),
    "a line end in quotes": (GOOD.replace("31,31,", '31,31,"\n1"').encode(), {}, False),
    "a quote left open": (GOOD.replace("59,59,", '59,59,"').encode(), {}, False),
    "an open quote at a range's end": (GOOD.replace("59.5,c2,1", '59.5,c2,"1').encode(), {}, False),
    "cp1252 from its first bytes": (GOOD.encode() + b"61,1,1,K\xf6ln,1\n", {}, True),
    "lone carriage returns": (GOOD.replace("c1", "c\r1").encode(), {}, True),
    "one in quotes": (GOOD.replace("c1", '"c\r1"').encode(), {}, False),
}


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("count", [2, 3])
def test_tasks_together_give_the_same_file(name: str, count: int) -> None:
    """Apart where every line is a record, else by one; byte for byte what one task gives."""
    data, source, apart = FILES[name]
    world = World(data, source=source)
    for index in (2, 0, 1)[-count:] if count == 3 else (1, 0):
        task(world, index, count)
    assert left(world) == alone(data, source=source)
    assert (ranges(world) > 4) is apart


def test_bytes_of_another_encoding_are_read_in_order() -> None:
    """Where UTF-8 was found at the start and something else comes late, one task has to decide."""
    data = b"a,b\n1,x\n2,K\xf6ln\n"
    written = Source.model_validate({"format": "csv", "delimiter": ",", "encoding": "utf-8"})
    assert not look(data, (0, len(data)), len(data), written).sound
    ended = look(data[:8], (0, 8), 8, written)
    assert (ended.sound, ended.records) == (True, 2)


@pytest.mark.parametrize("output", ["jsonl", "parquet"])
def test_other_forms_are_shared_as_well(output: str) -> None:
    """The same rows; of Parquet a file per range."""
    world, by_one = (World(GOOD.encode(), scoring={"output": output}) for _ in range(2))
    task(world, 0, 2)
    task(world, 1, 2)
    task(by_one)
    if output == "jsonl":
        assert left(world) == left(by_one)
        return
    manifest = require(world.lake, paths.predictions("adult", RUN, "predictions.json"))
    assert (manifest["rows"], len(manifest["parts"])) == (60, ranges(world))


def test_only_what_is_missing_is_done_again() -> None:
    """Another attempt leaves the parts that are there as they are, byte and generation."""
    world = World(GOOD.encode())
    task(world, 0, 2)
    folder = paths.predictions("adult", RUN, "parts-1/")
    first = {info.name: info.generation for info in world.lake.list(folder)}
    assert sum(name.endswith(".csv") for name in first) > 2
    seen: dict[str, int] = {}
    keep = Fuse(QUIET, after=False)
    lake = keep.wrap("lake", world.lake)
    task(world, 0, 2, attempt=2, lake=lake)
    written = [line for line in keep.trail if line.startswith("lake.write") and ".csv" in line]
    seen = {info.name: info.generation for info in world.lake.list(folder)}
    assert (seen, written) == (first, [])
    task(world, 1, 2, attempt=2)
    assert left(world) == alone(GOOD.encode())


def test_parts_of_other_rows_are_done_again() -> None:
    """As an attempt by a version that cuts in other places may leave them: never a file with rows
    twice or not at all."""
    world = World(GOOD.encode())
    name = paths.predictions("adult", RUN, "parts-1/00000.csv")
    world.lake.write(name, b"half", metadata={"rows": "1", "errors": "0"})
    task(world, 0, 2)
    with pytest.raises(Retryable, match="hold"):
        task(world, 1, 2)
    task(world, 0, 2)
    task(world, 1, 2)
    assert left(world) == alone(GOOD.encode())


def test_ranges_of_short_lines_are_smaller(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is written about them is longer than they are, and has to fit into memory."""
    monkeypatch.setattr("shared.usecases.scoring.plan.RANGE_ROWS", 2)
    world = World(GOOD.encode())
    task(world, 0, 2)
    task(world, 1, 2)
    assert left(world) == alone(GOOD.encode())
    assert ranges(world) >= 20


def test_many_parts_are_composed_in_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """More parts than one compose takes."""
    monkeypatch.setattr("shared.usecases.scoring.parts.COMPOSED", 3)
    world = World(GOOD.encode())
    task(world, 0, 2)
    task(world, 1, 2)
    assert left(world) == alone(GOOD.encode())


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("dying", [0, 1])
def test_a_task_that_dies_anywhere_is_made_up_for(after: bool, dying: int) -> None:
    """The other task goes on, and the next attempt ends it."""
    expected = alone(FEW.encode())
    at = 0
    while True:
        world = World(FEW.encode())
        fuse = Fuse(at, after=after)
        ports = {
            "lake": fuse.wrap("lake", world.lake),
            "publisher": fuse.wrap("publisher", world.cloud.publisher),
        }
        for index in (0, 1):
            try:
                task(world, index, 2, **(ports if index == dying else {}))
            except Crash:
                assert isinstance(world.cloud.clock, FixedClock)
                world.cloud.clock.advance(60)
        for index in (0, 1):
            task(world, index, 2, attempt=2)
        assert left(world) == expected, fuse.where
        if not fuse.blown:
            break
        at += 1
    assert at > 20


class Interrupted:
    """A port in the middle of whose n-th call something else happens."""

    def __init__(self, port: Any, at: int, then: Callable[[], None]) -> None:
        self._port, self.left, self._then = port, at, then

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._port, name)
        if not callable(found):
            return found

        def call(*args: Any, **more: Any) -> Any:
            self.left -= 1
            if self.left == -1:
                self._then()
            return found(*args, **more)

        return call


def test_two_executions_at_once_end_as_one() -> None:
    """A second attempt that does everything while the first waits at any of its calls."""
    expected = alone(FEW.encode())
    at = 0
    while True:
        world = World(FEW.encode())

        def everything(world: World = world) -> None:
            task(world, 0, 2, attempt=2)
            task(world, 1, 2, attempt=2)

        lake = Interrupted(world.lake, at, everything)
        task(world, 0, 2, lake=lake)
        task(world, 1, 2)
        assert left(world) == expected, at
        if lake.left >= 0:
            break
        at += 1
    assert at > 20


def test_a_file_that_cannot_be_scored_is_refused_by_any_task() -> None:
    """With the reason, and nothing is left."""
    world = World(GOOD.replace("grade", "class").encode())
    task(world, 1, 2)
    task(world, 0, 2)
    assert runs.state("adult", RUN, lake=world.lake).state == "rejected"
    assert list(world.lake.list("predictions/")) == []
