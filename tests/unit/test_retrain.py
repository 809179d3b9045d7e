"""The guarded retrain loop: guard, policy, one run per incident, one note, whatever happens."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from shared import documents, paths, runs
from shared.errors import InProgress
from shared.events import AutomationNoted, DriftDetected, PerformanceDropped, TrainingRequested
from shared.manifests import read_manifest, set_pinned
from shared.usecases.retrain import RetrainPorts, consider
from tests.support.crashing import Crash, Fuse
from tests.unit.monitoring.world import DAY, HOUR, MODEL, MONDAY, VERSION, World, spec_of

FREE: dict[str, Any] = {"cooldown": "0s", "max_per_week": 100, "min_new_labels": 100}


def world_of(**retrain: Any) -> World:
    return World(spec_of(retrain={**FREE, **retrain}))


def ports_of(world: World, wrap: Callable[[str, Any], Any] = lambda _, port: port) -> RetrainPorts:
    return RetrainPorts(
        lake=wrap("lake", world.lake),
        publisher=wrap("publisher", world.cloud.publisher),
        clock=world.clock,
        claim_seconds=90,
        inbox="inbox",
    )


def dropped(number: int = 0, *, version: str = VERSION) -> PerformanceDropped:
    return PerformanceDropped(**fields("performance", number, version))


def drifted(number: int = 0) -> DriftDetected:
    return DriftDetected(**fields("drift", number, VERSION))


def fields(kind: str, number: int, version: str) -> dict[str, Any]:
    start = MONDAY + DAY * number
    return {
        "model": MODEL,
        "version": version,
        "incident_id": f"{MODEL}-batch-{kind}-{number}",
        "revision": 0,
        "channel": "batch",
        "window_start": start,
        "window_end": start + DAY,
        "sentence": "...",
        "facts": [],
        "report": "reports/...",
        "asks": "act now",
    }


def give_labels(world: World, rows: int = 200, seed: int = 0) -> str:
    run_id, truths = world.score(rows, seed=seed)
    world.clock.advance(60)
    task = world.label(run_id, truths)
    world.clock.advance(60)
    return paths.labels(MODEL, world.clock.now().date(), task.run_id)


def notes(world: World) -> list[AutomationNoted]:
    return [item for item in world.events() if isinstance(item, AutomationNoted)]


def requested(world: World) -> list[TrainingRequested]:
    return [item for item in world.events() if isinstance(item, TrainingRequested)]


def end(world: World, run_id: str, how: str) -> None:
    runs.note(MODEL, run_id, how, lake=world.lake, clock=world.clock)


# --- guard and policy ----------------------------------------------------------------------------


def test_nothing_new_to_learn_from_is_said_once() -> None:
    """Drift without labels: the note says guard and policy and what to drop where."""
    world = World(spec_of())
    assert consider(drifted(), ports_of(world)) == "note"
    (note,) = notes(world)
    assert note.sentence == (
        "0 new labelled rows (500 needed); drift asks a person. Nothing to retrain on yet: drop "
        "labels into gs://inbox/m/labels/."
    )
    assert (note.source, note.subject, note.asks) == ("retrain", drifted().incident_id, "know")
    assert requested(world) == []


def test_a_performance_drop_with_new_labels_trains() -> None:
    """The request names the incident, the champion and exactly the new label files."""
    world = world_of()
    labels = give_labels(world)
    assert consider(dropped(), ports_of(world)) == "training"
    (event,) = requested(world)
    request = runs.read_request(MODEL, event.run_id, lake=world.lake)
    assert request.kind == "train"
    assert request.requested_by == "retrain"
    assert request.inputs == ()
    assert request.retrain == runs.RetrainCause(dropped().incident_id, VERSION, (labels,))
    assert dropped().incident_id in request.content_key
    assert runs.state(MODEL, event.run_id, lake=world.lake).state == "requested"
    (note,) = notes(world)
    assert note.sentence.startswith("200 new labelled rows (100 needed); performance may train")
    assert event.run_id in note.sentence


def test_drift_with_new_labels_asks_a_person_by_default() -> None:
    """There is something to learn from, and the policy still wants a person."""
    world = world_of()
    give_labels(world)
    assert consider(drifted(), ports_of(world)) == "note"
    (note,) = notes(world)
    assert note.asks == "decide"
    assert note.sentence.startswith("200 new labelled rows (100 needed); drift asks a person.")


@pytest.mark.parametrize(("policy", "action"), [("train", "training"), ("never", "note")])
def test_the_policy_of_a_kind_is_the_specs(policy: str, action: str) -> None:
    """`retrain.on_drift` decides what drift may do once the guard is content."""
    world = world_of(on_drift=policy)
    give_labels(world)
    assert consider(drifted(), ports_of(world)) == action


def test_only_labels_the_champion_has_not_seen_are_new() -> None:
    """Labels of the champion's own training, older ones and unmatched ones do not count."""
    world = world_of()
    old = give_labels(world)
    young = "20260105T120000-cccccccc"
    world.store_version(young, labels_used=[old])
    world.promote(young)
    world.clock.advance(60)
    unknown = "".join(f"nobody-{row},yes\n" for row in range(300))
    world.run_labels(world.request_labels("prediction_id,label\n" + unknown))
    assert consider(dropped(version=young), ports_of(world)) == "note"
    assert notes(world)[0].sentence.startswith("0 new labelled rows (100 needed)")


def test_labels_that_arrived_while_the_champion_trained_are_new() -> None:
    """Recorded after its training was requested and not among its labels: it did not see them."""
    world = world_of()
    young = "20260105T120000-cccccccc"
    world.store_version(young)
    world.clock.advance(60)
    give_labels(world)
    world.promote(young)
    assert consider(dropped(version=young), ports_of(world)) == "training"


def test_a_pinned_model_is_held() -> None:
    """After a rollback automation waits for a person to unpin."""
    world = world_of()
    give_labels(world)
    manifest = read_manifest(MODEL, lake=world.lake)
    assert manifest is not None
    set_pinned(manifest, True, by="ada", reason="so", lake=world.lake, clock=world.clock)
    assert consider(dropped(), ports_of(world)) == "note"
    (note,) = notes(world)
    assert note.asks == "decide"
    assert "./millrace unpin m" in note.sentence


def test_an_alert_about_a_former_champion_starts_nothing() -> None:
    """Who served then does not serve now."""
    world = world_of()
    give_labels(world)
    assert consider(dropped(version="20250101T000000-dddddddd"), ports_of(world)) == "note"
    assert "serves by now" in notes(world)[0].sentence


def test_the_loop_cools_down_and_keeps_a_weekly_budget() -> None:
    """After a training the next alert waits for the cooldown; then the week's budget holds."""
    world = world_of(cooldown="1d", max_per_week=2, give_up_after=10)
    give_labels(world)
    assert consider(dropped(0), ports_of(world)) == "training"
    world.clock.advance(HOUR)
    assert consider(dropped(1), ports_of(world)) == "note"
    assert "cools down until 2026-01-06T00:02:00Z" in notes(world)[-1].sentence
    world.clock.advance(DAY)
    assert consider(dropped(2), ports_of(world)) == "training"
    world.clock.advance(2 * DAY)
    assert consider(dropped(3), ports_of(world)) == "note"
    assert "2 retrainings were asked for within a week (2 allowed)" in notes(world)[-1].sentence
    world.clock.advance(7 * DAY)
    assert consider(dropped(4), ports_of(world)) == "training"


def test_the_loop_gives_up_after_fruitless_trainings_until_a_champion_changes() -> None:
    """Three trainings in a row that were not promoted: a person is asked; a new champion is a new
    start."""
    world = world_of()
    give_labels(world)
    for number in range(3):
        assert consider(dropped(number), ports_of(world)) == "training"
        end(world, requested(world)[-1].run_id, "not-promoted")
        world.clock.advance(HOUR)
    assert consider(dropped(3), ports_of(world)) == "note"
    note = notes(world)[-1]
    assert note.asks == "decide"
    assert "the loop gave up" in note.sentence
    young = "20260107T120000-cccccccc"
    world.store_version(young)
    world.promote(young)
    world.clock.advance(HOUR)
    give_labels(world, seed=1)
    assert consider(dropped(4, version=young), ports_of(world)) == "training"


def test_a_fruitful_training_in_between_keeps_the_loop_going() -> None:
    """Only trainings in a row count."""
    world = world_of()
    give_labels(world)
    for number, how in enumerate(["not-promoted", "not-promoted", "promoted", "not-promoted"]):
        assert consider(dropped(number), ports_of(world)) == "training"
        end(world, requested(world)[-1].run_id, how)
        world.clock.advance(HOUR)
    assert consider(dropped(9), ports_of(world)) == "training"


# --- duplicates, crashes, concurrency ------------------------------------------------------------


def test_five_hundred_deliveries_of_one_alert_make_one_run() -> None:
    """Duplicates and concurrent deliveries, revisions included: one run, one note."""
    world = world_of()
    give_labels(world)

    def deliver(number: int) -> str:
        try:
            return consider(replace(dropped(), revision=number % 3), ports_of(world))
        except InProgress:
            return "later"

    with ThreadPoolExecutor(16) as pool:
        found = set(pool.map(deliver, range(500)))
    assert found <= {"training", "later"}
    assert len({event.run_id for event in requested(world)}) == 1
    assert len(notes(world)) == 1
    assert len(documents.require(world.lake, paths.retrain_ledger(MODEL))["trainings"]) == 1


def test_two_incidents_at_once_share_one_budget() -> None:
    """Concurrent alerts of different incidents: the cooldown lets one of them train."""
    world = world_of(cooldown="1d")
    give_labels(world)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda n: consider(dropped(n), ports_of(world)), range(8)))
    assert sorted(found) == ["note"] * 7 + ["training"]
    assert len(requested(world)) == 1
    assert len(notes(world)) == 8


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_crash_at_any_port_call_changes_nothing_in_the_end(after: bool) -> None:
    """Kill retrain at every port call: the redelivery, minutes later and within the cooldown of
    its own training, ends with the same run and one note."""
    at = 0
    while True:
        fuse = Fuse(at, after=after)
        world = world_of(cooldown="1d", max_per_week=1)
        give_labels(world)
        ports = ports_of(world, fuse.wrap)
        try:
            consider(dropped(), ports)
        except Crash:
            world.clock.advance(91)
            assert consider(dropped(), ports) == "training"
        if not fuse.blown:
            break
        where = f"crash {'after' if after else 'before'} call {at}: {fuse.trail[at]}"
        (event,) = requested(world)
        incident = documents.require(world.lake, paths.incident(MODEL, dropped().incident_id))
        assert incident["decision"]["request"]["run_id"] == event.run_id, where
        assert runs.read_request(MODEL, event.run_id, lake=world.lake).retrain is not None, where
        assert len(notes(world)) == 1, where
        at += 1
    assert at > 12


def test_an_incident_that_was_decided_stays_decided() -> None:
    """Labels that come after the note do not turn the same incident into a training."""
    world = world_of()
    assert consider(dropped(), ports_of(world)) == "note"
    give_labels(world)
    world.clock.advance(timedelta(days=2))
    assert consider(dropped(), ports_of(world)) == "note"
    assert requested(world) == []
