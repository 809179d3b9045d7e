"""Experiments begin, end by hand and end with a move of the champion: once, whatever crashes."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from shared import documents, paths
from shared.beside import experiments
from shared.manifests import parse_manifest, read_manifest, set_beside
from tests.support.crashing import Story, crash_everywhere
from tests.support.experimenting import (
    CHALLENGER,
    FACTS,
    records,
    running,
    start,
    stop,
    store_package,
    told,
    with_two_versions,
)
from tests.support.promises import check_promises
from tests.support.system import SPEC, System, store_version
from tests.support.working import DAY, everything, state_of, trained

both = pytest.mark.parametrize("after", [False, True], ids=["before", "after"])


@pytest.fixture
def system() -> System:
    found = everything()
    with_two_versions(found, SPEC)
    return found


def _id(system: System) -> str:
    experiment = running(system)
    assert experiment is not None
    return experiment.id


# --- start and stop ------------------------------------------------------------------------------


def test_a_start_puts_the_challenger_beside_the_champion(system: System) -> None:
    """The manifest names both with everything the predictor needs; the record has who and why."""
    champion = system.champion()
    reply, status = start(system)
    assert status == 200, reply
    manifest = read_manifest("m", lake=system.lake)
    assert manifest is not None
    experiment = manifest.experiment
    assert experiment is not None
    assert (manifest.version, experiment.version) == (champion, CHALLENGER)
    assert experiment.package == paths.package("m", CHALLENGER)
    assert experiment.files == {"package.json": "0" * 64}
    assert (experiment.share, experiment.key, experiment.against) == (0.5, "b", champion)
    (record,) = records(system)
    assert record.experiment == experiment
    assert (record.experiment.by, record.experiment.reason, record.ended) == ("ada", "to see", None)
    assert told(system) == ["started"]


def test_a_start_repeated_is_the_same_experiment_and_another_is_refused(system: System) -> None:
    """A second start with the same question changes nothing; one with another question is told
    which experiment is in its way."""
    start(system)
    first = _id(system)
    system.clock.advance(60)
    assert start(system)[1] == 200
    assert _id(system) == first
    reply, status = start(system, share=0.2)
    assert status == 409
    assert first in reply["sentence"]
    assert len(records(system)) == 1


def test_a_stop_keeps_the_champion_and_the_verdict(system: System) -> None:
    """Nothing but the champion answers then; the record says how it ended; a repeat says it again;
    the next experiment deals anew."""
    champion = system.champion()
    start(system)
    first = _id(system)
    verdict = {"verdict": "no_difference_shown", "sentence": "No difference is shown."}
    reply, status = stop(system, first, how="kept", verdict=verdict)
    assert status == 200
    assert "No difference is shown." in reply["sentence"]
    assert running(system) is None
    (record,) = records(system)
    assert record.ended is not None
    assert (record.ended.how, record.ended.by, record.ended.verdict) == ("kept", "ada", verdict)
    system.clock.advance(60)
    assert stop(system, first) == (reply, status)
    assert system.champion() == champion
    start(system)
    assert _id(system) != first
    system.drain()
    assert told(system) == ["started", "ended", "started"]


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        ({"share": 0}, "between 0 and 1"),
        ({"share": 1}, "between 0 and 1"),
        ({"share": "half"}, "between 0 and 1"),
        ({"key": "colour"}, "known: a, b"),
        ({"key": "y"}, "no column 'y'"),
        ({"until": "2001-01-01T00:00:00Z"}, "past"),
        ({"until": "tomorrow"}, "no time"),
    ],
)
def test_what_cannot_be_dealt_is_refused(
    system: System, facts: dict[str, Any], reason: str
) -> None:
    """With the reason, before anything is written."""
    reply, status = start(system, **facts)
    assert status == 409
    assert reason in reply["sentence"]
    assert running(system) is None
    assert records(system) == []


def test_a_column_that_the_log_may_not_keep_deals_nobody() -> None:
    """Its rows could not be told to belong together, which the intervals are made of."""
    found = everything()
    with_two_versions(found, SPEC + "serving: {redact: [b]}\n")
    reply, status = start(found, key="b")
    assert status == 409
    assert "serving.redact" in reply["sentence"]
    assert start(found, key="a")[1] == 200


def test_another_kind_of_second_version_is_in_the_way(system: System) -> None:
    """One at a time: an experiment beside a canary is refused, and a stop does not touch it."""
    manifest = read_manifest("m", lake=system.lake)
    assert manifest is not None
    start(system)
    experiment = running(system)
    assert experiment is not None
    stop(system, experiment.id)
    manifest = read_manifest("m", lake=system.lake)
    assert manifest is not None
    canary = replace(experiment, kind="canary", id="c1")
    set_beside(manifest, canary, by="ada", reason="", lake=system.lake, clock=system.clock)
    reply, status = start(system)
    assert status == 409
    assert "canary c1 of m runs already" in reply["sentence"]
    stop(system, experiment.id)
    after = read_manifest("m", lake=system.lake)
    assert after is not None
    assert after.beside == canary


@pytest.mark.parametrize("trouble", ["champion", "unknown", "question", "order", "unlogged"])
def test_a_version_that_cannot_compete_is_refused(system: System, trouble: str) -> None:
    """The champion itself, a version nobody stored, another task, labels the other way round (a
    score would be about the other one), a model without a log."""
    champion = str(system.champion())
    version = {"champion": champion, "unknown": "20250101T000000-ffffffff"}.get(trouble, "other")
    if trouble == "question":
        store_version(system.lake, "m", version, against=None)
        store_package(system, version, task="regression", labels=[])
    if trouble == "order":
        store_version(system.lake, "m", version, against=None)
        store_package(system, version, labels=["yes", "no"])
    if trouble == "unlogged":
        version = CHALLENGER
        body = documents.read(system.lake, paths.manifest("m"))
        documents.swap(
            system.lake,
            paths.manifest("m"),
            {**body.body, "log": "off"},
            generation=body.generation,
        )
    reply, status = system.decide(
        model="m", action="experiment-start", version=version, facts=FACTS
    )
    assert status == 409, reply
    words = {
        "champion": "is the champion",
        "unknown": "no version",
        "question": "another question",
        "order": "another question than " + champion + ": binary ['yes', 'no'], not binary ['no', ",
        "unlogged": "no prediction log",
    }
    assert words[trouble] in reply["sentence"]


def test_a_stop_of_what_does_not_run_is_refused(system: System) -> None:
    """Unknown ids are told what runs."""
    reply, status = stop(system, "nothing")
    assert (status, "none runs" in reply["sentence"]) == (409, True)


def test_pinning_and_experiments_do_not_touch_each_other(system: System) -> None:
    """A pinned model may have an experiment; unpinning leaves it running."""
    system.decide(model="m", action="pin")
    assert start(system)[1] == 200
    first = _id(system)
    system.decide(model="m", action="unpin")
    assert _id(system) == first
    manifest = read_manifest("m", lake=system.lake)
    assert manifest is not None
    assert not manifest.pinned


def test_old_manifests_and_the_ones_before_experiments_read(system: System) -> None:
    """A manifest written before there were experiments has none."""
    body = documents.require(system.lake, paths.manifest("m"))
    body.pop("experiment", None)
    assert parse_manifest(body, 1).experiment is None


# --- the champion moves --------------------------------------------------------------------------


def test_a_better_version_waits_for_a_person_while_an_experiment_runs(system: System) -> None:
    """Policy alone ends no experiment."""
    start(system)
    version = trained(system)
    assert state_of(system, version) == "awaiting_approval"
    (asked,) = system.published("ApprovalRequested")
    assert f"Experiment {_id(system)} runs" in asked["sentence"]


@pytest.mark.parametrize("action", ["approve", "promote", "rollback"])
def test_a_moving_champion_ends_the_experiment(system: System, action: str) -> None:
    """Whoever moves it; the record says by whom and to what, and people hear of it once."""
    if action == "rollback":
        store_package(system, trained(system))
    start(system)
    version = trained(system) if action == "approve" else CHALLENGER
    if action == "rollback":
        version = ""
    reply, status = system.decide(model="m", action=action, version=version, reason="so")
    assert status == 200, reply
    system.drain(advance=True)
    system.tick()
    assert running(system) is None
    (record,) = records(system)
    assert record.ended is not None
    assert (record.ended.how, record.ended.by) == ("moved", "ada")
    assert str(system.champion()) in record.ended.reason
    assert told(system) == ["started", "ended"]
    check_promises(system)


def test_a_late_redelivery_of_an_old_promotion_ends_nothing(system: System) -> None:
    """The champion that the experiment runs against is announced once more: it goes on."""
    start(system)
    system.decide(model="m", action="promote", version=str(system.champion()))
    assert running(system) is not None
    assert records(system)[0].ended is None


# --- crashes -------------------------------------------------------------------------------------


@both
def test_starting_and_stopping_survive_any_crash(after: bool) -> None:
    """The person asks again: one experiment, one record, one end, everybody told."""

    def tell(story: Story) -> None:
        system = story.system
        with_two_versions(system, SPEC)
        ask = {"model": "m", "reason": "r"}
        story.arm()
        reply, status = story.decide(
            **ask, action="experiment-start", version=CHALLENGER, facts=FACTS
        )
        assert status == 200, reply
        first = _id(system)
        reply, status = story.decide(**ask, action="experiment-stop", version=first)
        assert status == 200, reply
        story.drain()
        story.check()
        assert running(system) is None
        (record,) = records(system)
        assert record.experiment.id == first
        assert record.ended is not None
        assert told(system) == ["started", "ended"]

    assert crash_everywhere(tell, after=after) > 3


@both
def test_a_move_of_the_champion_survives_any_crash(after: bool) -> None:
    """The approved version serves, the experiment is over and on record."""

    def tell(story: Story) -> None:
        system = story.system
        with_two_versions(system, SPEC)
        start(system)
        first = _id(system)
        version = trained(system)
        story.arm()
        reply, status = story.decide(model="m", action="approve", version=version)
        assert status == 200, reply
        story.drain()
        story.tick()
        story.check()
        assert system.champion() == version
        record = experiments.find("m", first, lake=system.lake)
        assert record is not None
        assert record.ended is not None
        assert record.ended.how == "moved"
        assert told(system) == ["started", "ended"]

    assert crash_everywhere(tell, after=after) > 3


@both
def test_a_winner_is_promoted_once_whatever_crashes(after: bool) -> None:
    """Stop and promotion are two requests of one command: one end, one move, everybody told."""

    def tell(story: Story) -> None:
        system = story.system
        champion = with_two_versions(system, SPEC)
        start(system)
        first = _id(system)
        ask = {"model": "m", "reason": "won"}
        story.arm()
        for action, version, facts in (
            ("experiment-stop", first, {"how": "promote"}),
            ("promote", CHALLENGER, {"instead_of": champion}),
        ):
            reply, status = story.decide(**ask, action=action, version=version, facts=facts)
            assert status == 200, reply
        story.drain()
        story.tick()
        story.check()
        manifest = read_manifest("m", lake=system.lake)
        assert manifest is not None
        assert [move.version for move in manifest.moves] == [champion, CHALLENGER]
        record = experiments.find("m", first, lake=system.lake)
        assert record is not None
        assert record.ended is not None
        assert record.ended.how == "promote"
        assert told(system) == ["started", "ended"]

    assert crash_everywhere(tell, after=after) > 10


def test_sweep_finishes_a_stop_that_nobody_repeats(system: System) -> None:
    """The request died after the end was recorded: the challenger is taken out, and people hear
    of it."""
    start(system)
    (record,) = records(system)
    ended = experiments.Ended(at="2026-01-01T00:00:00Z", by="ada", how="kept", reason="seen")
    experiments.end(record, ended, lake=system.lake)
    system.tick()
    assert running(system) is None
    assert told(system) == ["started", "ended"]


def test_the_planned_end_is_told_once_its_labels_count(system: System) -> None:
    """Not before the labels of its last predictions are old enough, and once."""
    start(system, until=documents.timestamp(system.clock.now() + timedelta(days=1)))
    system.clock.advance(2 * DAY)
    system.tick()
    assert told(system) == ["started"]
    system.clock.advance(7 * DAY)
    for _ in range(2):
        system.tick()
    system.drain(advance=True)
    assert told(system) == ["started", "due"]
    check_promises(system)
