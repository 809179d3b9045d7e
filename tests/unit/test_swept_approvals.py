"""Sweep and the approvals of years: they are kept for good, and what is settled costs nothing."""

from __future__ import annotations

from typing import Any

from shared import paths
from shared.ports import Bucket
from tests.support.system import EVERY_FUNCTION, System
from tests.support.working import ASKING, state_of, trained


class Counting:
    """A bucket that notes which objects are read."""

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket
        self.names: list[str] = []

    def read(self, name: str, **options: Any) -> Any:
        self.names.append(name)
        return self._bucket.read(name, **options)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._bucket, name)


def test_a_settled_approval_is_not_read_again() -> None:
    """After its end one sweep looks at it for the last time; one that is open is read each time."""
    lakes: list[Counting] = []

    def wrap(name: str, port: Any) -> Any:
        if name != "lake":
            return port
        lakes.append(Counting(port))
        return lakes[-1]

    system = System(wrap, functions=EVERY_FUNCTION)

    def read_by_a_sweep() -> list[str]:
        for lake in lakes:
            lake.names.clear()
        system.tick()
        names = {name for lake in lakes for name in lake.names}
        return sorted(name for name in names if name.startswith(paths.APPROVALS))

    first = trained(system, ASKING)
    assert read_by_a_sweep() == [paths.approval("m", first)]
    system.decide(model="m", version=first, action="approve")
    system.drain()
    assert read_by_a_sweep() == [paths.approval("m", first)]
    assert read_by_a_sweep() == []
    second = trained(system, evidence="insufficient_evidence")
    assert state_of(system, second) == "awaiting_approval"
    assert read_by_a_sweep() == [paths.approval("m", second)]
    assert read_by_a_sweep() == [paths.approval("m", second)]
