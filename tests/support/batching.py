"""A model of three sources, its files, and what must hold once they are all there."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from typing import Any

from shared import runs
from tests.support.crashing import Crash
from tests.support.promises import check_promises
from tests.support.system import EVERY_FUNCTION, System

BATCHES = """
task: binary
target: y
sources:
  customers: {key: k}
  orders: {key: k, aggregates: {orders_n: count}, wait_hours: 24}
  visits: {key: k, aggregates: {visits_n: count}, wait_hours: 12, on_timeout: without}
promotion: {approval: auto}
"""
FILES = {
    "customers": b"k,y\n1,yes\n2,no\n",
    "orders": b"k,price\n1,10\n1,20\n",
    "visits": b"k,page\n2,home\n",
}
SOURCES = tuple(FILES)
HOUR = 3600


def name_of(source: str, batch: str = "2026-11", intent: str = "train") -> str:
    return f"m/{intent}/{batch}/{source}.csv"


def new_system(spec: str = BATCHES) -> System:
    system = System(functions=EVERY_FUNCTION)
    if spec:
        system.drop("_specs/m.yaml", spec)
        system.drain()
    return system


def drop(system: System, *sources: str, batch: str = "2026-11", **metadata: str) -> list[str]:
    return [system.drop(name_of(source, batch), FILES[source], **metadata) for source in sources]


def requested(system: System) -> list[str]:
    """Runs that were asked for, each once however often its message was published."""
    return sorted({item["run_id"] for item in system.published("TrainingRequested")})


def roles_of(system: System, run_id: str) -> dict[str, str]:
    return {item.role: item.source for item in system.request(run_id).inputs}


def check_one_run(system: System, sources: list[str]) -> str:
    """One run of the newest file of each source; every upload says that it is part of it."""
    (run_id,) = requested(system)
    assert roles_of(system, run_id) == dict(zip(SOURCES, sources, strict=True))
    for source in sources:
        upload = system.claim(source)["run_id"]
        state = runs.state("m", upload, lake=system.lake)
        assert (state.state, state.facts["run_id"]) == ("joined", run_id)
    for item in system.request(run_id).inputs:
        assert system.lake.read(item.object, generation=item.generation).data == FILES[item.role]
    assert [item.env["RUN_ID"] for item in system.jobs.executions("train-s")] == [run_id]
    assert list(system.lake.list("batches-open/")) == []
    check_promises(system, *sources)
    return run_id


def bodies_of(system: System, sources: list[str]) -> list[bytes]:
    """The finalize events of dropped files, taken out of the queue."""
    found: dict[str, bytes] = {}

    def keep(body: dict[str, Any]) -> int:
        raw = json.dumps(body).encode()
        attributes = body["message"]["attributes"]
        found[f"gs://inbox/{attributes['objectId']}#{attributes['objectGeneration']}"] = raw
        return 204

    system.cloud.drain({"intake": keep})
    return [found[source] for source in sources]


class Meeting:
    """Does something in the middle of another delivery, before its call number `at`."""

    def __init__(self, at: int, work: Callable[[], object]) -> None:
        self.at, self.work, self.calls, self.happened = at, work, 0, False

    def wrap(self, port: Any) -> Any:
        meeting = self

        class Port:
            def __getattr__(self, name: str) -> Any:
                found = getattr(port, name)
                return meeting.call(found) if callable(found) else found

        return Port()

    def call(self, found: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            number, self.calls = self.calls, self.calls + 1
            if number == self.at:
                self.happened = True
                self.work()
            return found(*args, **kwargs)

        return call


def within(
    system: System, door: str, at: int, outer: Callable[[], object], inner: Callable[[], object]
) -> bool:
    """Do `inner` before call `at` that `outer` makes to the lake, which may die of it; whether
    there were so many."""
    meeting = Meeting(at, inner)
    system.doors[door].wiring.__dict__["lake"] = meeting.wrap(system.lake)
    with contextlib.suppress(Crash):
        outer()
    system.fresh_doors()
    return meeting.happened


def calm(system: System, *bodies: bytes) -> None:
    """Everything comes once more, twice, and all that waits for a delivery or a sweep gets them."""
    for body in bodies * 2:
        system.clock.advance(100)
        assert system.post("intake", body)[1] == 204
    for _ in range(2):
        system.drain(advance=True)
        system.tick()
    system.drain(advance=True)
