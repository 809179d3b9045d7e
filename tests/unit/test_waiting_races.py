"""A file that waits for its spec, and everybody who may settle it at the same moment: one run or
one refusal, and what people were told stays true."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from typing import Any

import pytest

from shared import documents, paths, runs
from tests.support.batching import bodies_of, calm, within
from tests.support.crashing import Crash, Fuse
from tests.support.promises import check_promises
from tests.support.system import CSV, EVERY_FUNCTION, SPEC, System

NAME, DATA = "_specs/m.yaml", "m/train/a.csv"
UNFIT = SPEC.replace("  b: {}", "  other: {}")  # a spec that the file does not fit


def _check_one_end(system: System, source: str) -> None:
    """It runs and nobody was told that it is refused, or it is refused and does not run."""
    check_promises(system, source)
    refused = system.state(source) == "rejected"
    told = {item["id"] for item in system.published("DataRejected") if item["source"] == source}
    asked = {item["run_id"] for item in system.published("TrainingRequested")}
    assert (len(told), len(asked)) == ((1, 0) if refused else (0, 1))
    model, run_id = "m", system.claim(source)["run_id"]
    assert documents.read(system.lake, paths.rejection(model, run_id)).exists == refused
    assert runs.has_request(model, run_id, lake=system.lake) != refused


@pytest.mark.parametrize("dies", [False, True], ids=["lives", "dies"])
@pytest.mark.parametrize("texts", [(SPEC, UNFIT), (UNFIT, SPEC)], ids=["fits first", "fits last"])
def test_two_specs_at_once_release_a_file_once(texts: tuple[str, str], dies: bool) -> None:
    """The file fits one of them. While the first is taken in the second comes and goes, at every
    call, and maybe the first dies then: the file runs or is refused, by one of them."""
    at = 0
    while _release(at, texts, dies=dies):
        at += 1
    assert at > 15


def _release(at: int, texts: tuple[str, str], *, dies: bool) -> bool:
    system = System(functions=EVERY_FUNCTION)
    source = system.drop(DATA, CSV)
    system.drain()
    first, second = bodies_of(system, [system.drop(NAME, text) for text in texts])

    def other() -> None:
        system.post("intake", second)
        if dies:
            raise Crash("gone")

    met = within(system, "intake", at, lambda: system.post("intake", first), other)
    calm(system, first, second)
    _check_one_end(system, source)
    assert list(system.lake.list("waiting/")) == []
    return met


@pytest.mark.parametrize("outer", ["intake", "sweep"])
def test_a_redelivery_and_sweep_settle_a_file_once(outer: str) -> None:
    """Intake died after it had left the file waiting. Its redelivery finds the spec in the inbox
    while sweep gives the file up, at every call of either."""
    at = 0
    while _give_up(at, outer):
        at += 1
    assert at > 8


def _give_up(at: int, outer: str) -> bool:
    fuse = Fuse(_last_call(), after=False)
    system = System(fuse.wrap, EVERY_FUNCTION)
    source = system.drop(DATA, CSV)
    with pytest.raises(Crash):
        system.drain()
    system.fresh_doors()
    system.clock.advance(700)
    spec = system.drop(NAME, SPEC)
    held = _held(system)
    system.publisher.publish("ticks", b'{"type":"SweepDue"}', {"type": "SweepDue"})
    works: dict[str, Callable[[], object]] = {
        "intake": lambda: system.post("intake", held[source]),
        "sweep": lambda: system.drain(only=("sweep",)),
    }
    (inner,) = works.keys() - {outer}
    met = within(system, outer, at, works[outer], works[inner])
    calm(system, held[source], held[spec])
    _check_one_end(system, source)
    assert list(system.lake.list("waiting/")) == []
    return met


def _last_call() -> int:
    """The number of the call that completes the claim of a file without a spec."""
    fuse = Fuse(10_000, after=False)
    system = System(fuse.wrap, EVERY_FUNCTION)
    system.drop(DATA, CSV)
    system.drain(only=("intake",))
    return fuse.calls - 1


def _held(system: System) -> dict[str, bytes]:
    """All finalize events that are due, by the upload; they are not delivered."""
    found: dict[str, bytes] = {}

    def keep(body: dict[str, Any]) -> int:
        of = body["message"]["attributes"]
        source = f"gs://inbox/{of['objectId']}#{of['objectGeneration']}"
        found[source] = json.dumps(body).encode()
        return 204

    system.cloud.drain({"intake": keep})
    return found


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_refusal_that_was_begun_is_finished(after: bool) -> None:
    """Intake dies at any call of refusing a file, then a spec comes that the file fits: once the
    refusal is written down it stays, whatever the redelivery would find now."""
    at, ends = 0, set()
    while (end := _refuse(at, after=after)) is not None:
        ends.add(end)
        at += 1
    assert ends == {"running", "rejected"}


def _refuse(at: int, *, after: bool) -> str | None:
    fuse = Fuse(at, after=after, armed=False)
    system = System(fuse.wrap, EVERY_FUNCTION)
    system.drop(NAME, UNFIT)
    system.drain()
    source = system.drop(DATA, CSV)
    fuse.armed = True
    with contextlib.suppress(Crash):
        system.drain(only=("intake",))
    fuse.armed = False
    system.fresh_doors()
    system.drop(NAME, SPEC)
    system.drain(advance=True)
    system.tick()
    _check_one_end(system, source)
    return system.state(source) if fuse.blown else None
