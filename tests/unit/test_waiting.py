"""Files and specs in any order, with crashes between: one run or one refusal, never both."""

from __future__ import annotations

import pytest

from shared import documents, paths
from shared.spec.load import load_spec
from shared.spec.registry import register
from tests.support.crashing import Crash, Fuse, Story, crash_everywhere
from tests.support.promises import check_promises
from tests.support.system import CSV, EVERY_FUNCTION, SPEC, System

both = pytest.mark.parametrize("after", [False, True], ids=["before", "after"])


@both
def test_data_first_and_spec_later_survive_any_crash(after: bool) -> None:
    """Two files wait, one of them useless; whatever call the processes die in, registering the
    spec starts the good one once and refuses the other once."""

    def tell(story: Story) -> None:
        system = story.system
        story.arm()
        good = system.drop("m/train/a.csv", CSV)
        story.drain()
        bad = system.drop("m/score/b.csv", b"nothing\n1\n")
        story.drain()
        spec = system.drop("_specs/m.yaml", SPEC)
        story.drain()
        story.check(good, bad, spec)
        assert [system.state(item) for item in (good, bad)] == ["running", "rejected"]
        assert list(system.lake.list("waiting/")) == []
        assert len({item["id"] for item in system.published("DataRejected")}) == 1

    assert crash_everywhere(tell, after=after) > 3


@both
def test_giving_up_on_a_spec_survives_any_crash_and_a_late_spec(after: bool) -> None:
    """Nobody registered the model in time: whatever call sweep dies in, the file is refused once,
    also when the spec comes right after the crash."""

    def tell(story: Story) -> None:
        system = story.system
        source = system.drop("m/train/a.csv", CSV)
        story.drain()
        system.clock.advance(700)
        story.arm()
        try:
            system.tick()
        except Crash:
            system.fresh_doors()
        story.fuse.armed = False
        decided = any(
            documents.require(system.lake, info.name)["decision"]
            for info in system.lake.list("waiting/")
        )
        refused = decided or system.state(source) == "rejected"
        system.drop("_specs/m.yaml", SPEC)
        story.drain()
        system.tick()
        story.check(source)
        assert system.state(source) == ("rejected" if refused else "running")
        assert list(system.lake.list("waiting/")) == []

    assert crash_everywhere(tell, after=after) > 3


def _crash_before_completion(system: System, fuse: Fuse) -> None:
    """Deliver until the claim of an upload is about to be completed, and die there."""
    with pytest.raises(Crash):
        system.drain()
    assert fuse.trail[-1].startswith("lake.write claims/")
    system.fresh_doors()


def _last_call_of_intake(name: str, data: bytes, *before: tuple[str, str]) -> int:
    fuse = Fuse(10_000, after=False, armed=False)
    system = System(fuse.wrap, EVERY_FUNCTION)
    for earlier in before:
        system.drop(*earlier)
    system.drain()
    fuse.armed = True
    system.drop(name, data)
    system.drain(only=("intake",))
    return fuse.calls - 1


@pytest.mark.parametrize("change", ["spec", "delete"])
def test_what_changes_after_the_request_does_not_touch_the_run(change: str) -> None:
    """A run was requested and intake died before it completed the claim. A new spec that the file
    does not fit, or a deleted upload, make no second ending of that run."""
    at = _last_call_of_intake("m/train/a.csv", CSV, ("_specs/m.yaml", SPEC))
    fuse = Fuse(at, after=False, armed=False)
    system = System(fuse.wrap, EVERY_FUNCTION)
    system.drop("_specs/m.yaml", SPEC)
    system.drain()
    fuse.armed = True
    source = system.drop("m/train/a.csv", CSV)
    _crash_before_completion(system, fuse)
    if change == "spec":
        system.drop("_specs/m.yaml", SPEC.replace("  b: {}", "  other: {}"))
    else:
        system.cloud.storage.delete(
            "inbox", "m/train/a.csv", generation=int(source.rpartition("#")[2])
        )
    system.drain(advance=True)
    assert system.state(source) == "running"
    system.train()
    system.drain()
    check_promises(system, source)
    assert system.state(source) == "promoted"


def test_a_late_redelivery_of_a_refused_file_stays_refused() -> None:
    """Intake died after it left the waiting marker; the file was refused for want of a spec, then
    the spec came: the redelivery does not run what people were told is refused."""
    at = _last_call_of_intake("m/train/a.csv", CSV)
    fuse = Fuse(at, after=False)
    system = System(fuse.wrap, EVERY_FUNCTION)
    source = system.drop("m/train/a.csv", CSV)
    _crash_before_completion(system, fuse)
    system.clock.advance(700)
    system.publisher.publish("ticks", b'{"type":"SweepDue"}', {"type": "SweepDue"})
    system.drain(only=("sweep",))
    assert system.state(source) == "rejected"
    system.drop("_specs/m.yaml", SPEC)
    system.drain(advance=True)
    check_promises(system, source)
    assert system.state(source) == "rejected"
    assert system.running() == []


def test_an_unreadable_spec_is_not_the_data_files_fault() -> None:
    """The data file's delivery comes before that of a spec which is no text: only the spec is
    refused, the file waits for a better one."""
    system = System()
    source = system.drop("m/train/a.csv", CSV)
    spec = system.drop("_specs/m.yaml", b"\xff\xfe\x00")
    system.drain()
    assert system.state(source) == "waiting_for_spec"
    assert system.state(spec) == "rejected"
    system.drop("_specs/m.yaml", SPEC)
    system.drain()
    assert system.state(source) == "running"


OTHER, THIRD = SPEC + "size: m\n", SPEC + "size: l\n"


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0), (0, 2, 1), (1, 0, 2)])
@pytest.mark.parametrize("texts", [(SPEC, OTHER, SPEC), (OTHER, SPEC, OTHER), (SPEC, OTHER, THIRD)])
def test_the_newest_spec_is_in_force_whatever_comes_last(
    order: tuple[int, ...], texts: tuple[str, ...]
) -> None:
    """Finalize events of one spec arrive in any order, and again: an older upload never replaces
    a newer one."""
    system = System()
    bodies = []

    def keep(body: dict[str, object]) -> int:
        bodies.append(documents.dumps(body))
        return 204

    for text in texts:
        system.drop("_specs/m.yaml", text)
        system.cloud.drain({"intake": keep})
    for number in (*order, *order):
        assert system.post("intake", bodies[number])[1] == 204
    spec = documents.require(system.lake, paths.spec("m"))["spec"]
    assert spec["size"] == {SPEC: "s", OTHER: "m", THIRD: "l"}[texts[2]]


def test_a_spec_as_big_as_a_data_file_is_refused_unread() -> None:
    """A file of many megabytes dropped as a spec is refused by its size."""
    system = System()
    spec = system.drop("_specs/m.yaml", b"a,b\n" * 1_000_000)
    system.drain()
    assert system.state(spec) == "rejected"
    assert system.published("DataRejected")[0]["reason"] == "BadSpec"


def test_a_name_too_long_to_be_copied_is_refused() -> None:
    """Object names end at 1,024 bytes, and our copies add to the name."""
    system = System()
    system.drop("_specs/m.yaml", SPEC)
    system.drop(f"m/train/{'é' * 480}.csv", CSV)
    system.drain()
    (alert,) = system.published("DataRejected")
    assert "bytes" in alert["message"]


@pytest.mark.parametrize("intent", ["train", "score"])
def test_sweep_releases_what_the_spec_left_behind(intent: str) -> None:
    """The spec came into force and nobody released the file (its function died for good): sweep
    does, with the rights it has."""
    system = System(functions=EVERY_FUNCTION)
    source = system.drop(f"m/{intent}/a.csv", CSV)
    system.drain()
    register("m", load_spec(SPEC, "m.yaml"), "by hand", lake=system.lake, clock=system.clock)
    system.tick()
    assert system.state(source) in ("running", "waiting_for_champion")
    check_promises(system, source)
