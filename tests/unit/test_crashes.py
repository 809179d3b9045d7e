"""Processes that die at any call: nothing is lost or done twice, and nothing waits for ever."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from typing import Any

import pytest

from shared import documents, paths, runs
from shared.events import (
    Event,
    PerformanceDropped,
    ScoringCompleted,
    publish,
)
from shared.versions import read_version
from tests.support.crashing import Crash, Story, crash_everywhere
from tests.support.system import CSV, EVERY_FUNCTION, SPEC, System
from tests.support.working import score_all

SCORE = b"a,b\n1,x\n"
both = pytest.mark.parametrize("after", [False, True], ids=["before", "after"])


def _serve(system: System) -> str:
    """A champion."""
    system.drop("_specs/m.yaml", SPEC)
    source = system.drop("m/train/a.csv", CSV)
    system.drain()
    system.train()
    system.drain()
    return str(system.claim(source)["run_id"])


# --- crashes -------------------------------------------------------------------------------------


@both
def test_a_score_that_waits_for_a_champion_survives_any_crash(after: bool) -> None:
    """The file waits visibly, starts once after the first promotion, with that champion."""

    def tell(story: Story) -> None:
        system = story.system
        system.drop("_specs/m.yaml", SPEC)
        story.arm()
        source = system.drop("m/score/s.csv", SCORE)
        story.drain()
        assert system.state(source) == "waiting_for_champion"
        training = system.drop("m/train/a.csv", CSV)
        story.drain()
        system.train()
        story.drain()
        story.check(source, training)
        run_id = system.claim(source)["run_id"]
        assert runs.read_launch("m", run_id, lake=system.lake)["champion"] == system.champion()
        score_all(system)
        story.drain()
        story.check(source, training)
        assert system.state(source) == "scored"

    assert crash_everywhere(tell, after=after) > 30


@both
def test_a_file_for_what_serves_survives_any_crash_under_a_newer_spec(after: bool) -> None:
    """Whoever looks at it again finds that it fits the champion, which the newer spec does not."""

    def tell(story: Story) -> None:
        system = story.system
        champion = _serve(system)
        about = {**read_version("m", champion, lake=system.lake), "spec_generation": 1}
        system.lake.write(paths.version("m", champion, "version.json"), documents.dumps(about))
        system.drop("_specs/m.yaml", SPEC.replace("  b: {}", "  b: {}\n  c: {}"))
        system.drain()
        story.arm()
        source = system.drop("m/score/s.csv", SCORE)
        story.drain()
        score_all(system)
        story.drain()
        story.check(source)
        assert system.state(source) == "scored"
        run_id = system.claim(source)["run_id"]
        assert system.request(run_id).spec_generation == 2

    assert crash_everywhere(tell, after=after) > 10


@both
def test_executions_that_die_survive_any_crash_of_those_who_notice(after: bool) -> None:
    """Three attempts, one execution each, then one RunFailed, and the next run gets the lane."""

    def tell(story: Story) -> None:
        system = story.system
        system.drop("_specs/m.yaml", SPEC)
        source = system.drop("m/train/a.csv", CSV)
        system.drain()
        following = system.drop("m/train/b.csv", CSV + b"3,z,no\n")
        system.drain()
        story.arm()
        for attempt in ("1", "2", "3"):
            (execution,) = system.running()
            assert execution.env["ATTEMPT"] == attempt
            system.cloud.jobs.end(execution.name, "failed")
            story.tick()
            story.drain()
        story.check(source, following)
        assert [system.state(item) for item in (source, following)] == ["failed", "running"]
        assert len({item["id"] for item in system.published("RunFailed")}) == 1

    assert crash_everywhere(tell, after=after) > 10


@both
def test_a_job_that_dies_while_it_ends_loses_no_outcome(after: bool) -> None:
    """The job dies at any call of writing and publishing its outcome, and its execution ends: the
    outcome is published by whoever looks next, or the run is done again."""

    def tell(story: Story) -> None:
        system = story.system
        system.drop("_specs/m.yaml", SPEC)
        source = system.drop("m/train/a.csv", CSV)
        system.drain()
        (execution,) = system.running()
        lake, publisher = system.lake, system.publisher
        system.lake, system.publisher = system.ports["lake"], system.ports["publisher"]
        story.arm()
        try:
            system.train()
        except Crash:
            system.cloud.jobs.end(execution.name, "failed")
        story.fuse.armed = False
        system.lake, system.publisher = lake, publisher
        story.tick()
        if system.running():
            system.train()
        story.drain()
        story.check(source)
        assert system.state(source) == "promoted"
        assert len({item["id"] for item in system.published("TrainingCompleted")}) == 1

    assert crash_everywhere(tell, after=after) > 5


@both
def test_an_expired_score_survives_any_crash(after: bool) -> None:
    """No champion within a day: the run expires once and people hear of it once."""

    def tell(story: Story) -> None:
        system = story.system
        system.drop("_specs/m.yaml", SPEC)
        source = system.drop("m/score/s.csv", SCORE)
        system.drain()
        system.clock.advance(90_000)
        story.arm()
        story.tick()
        story.drain()
        story.check(source)
        assert system.state(source) == "expired"

    assert crash_everywhere(tell, after=after) > 5


@both
def test_parking_a_dead_letter_survives_any_crash(after: bool) -> None:
    """A message that no function could take is parked in one object and said once."""

    def tell(story: Story) -> None:
        system = story.system
        event = ScoringCompleted(model="m", run_id="r", version="v", rows=1, errors=0, output="o")
        story.arm()
        system.publisher.publish(
            "dead-letters",
            documents.dumps({"type": event.type, "model": "m"}),
            {"CloudPubSubDeadLetterSourceSubscription": "millrace-launch-outcomes"},
        )
        story.drain()
        (info,) = system.lake.list("dead-letters/")
        assert info.name.startswith("dead-letters/launch/")
        assert len({item["id"] for item in system.published("AutomationNoted")}) == 1
        assert len(system.cloud.messenger.posted) <= 2

    assert crash_everywhere(tell, after=after) > 2


@both
def test_mirroring_survives_any_crash_without_accusing_anybody(after: bool) -> None:
    """Two promotions in a row: MLflow ends with the second, and no write of ours is taken for an
    alias that somebody moved."""

    def tell(story: Story) -> None:
        system = story.system
        _serve(system)
        system.clock.advance(60)
        source = system.drop("m/train/b.csv", CSV + b"3,z,no\n")
        story.drain()
        system.train()
        story.arm()
        # The tick comes first: before the redelivery of what mirror died in.
        system.publisher.publish("ticks", b'{"type":"SweepDue"}', {"type": "SweepDue"})
        story.drain()
        system.tick()
        story.check(source)
        version = system.claim(source)["run_id"]
        assert system.cloud.registry.alias("m", "champion") == version
        assert system.cloud.registry.alias("m", "challenger") == version
        assert system.published("PromotionRequested") == []

    assert crash_everywhere(tell, after=after) > 10


def test_an_alias_written_before_a_crash_is_ours_also_after_the_next_promotion() -> None:
    """mirror died right after it wrote an alias, and another version was promoted before the
    redelivery: a sweep in between knows the alias as ours and follows the manifest."""
    system = System(functions=EVERY_FUNCTION)
    _serve(system)
    versions = []
    others = tuple(name for name in EVERY_FUNCTION if name != "mirror")
    for number in range(2):
        system.clock.advance(60)
        source = system.drop("m/train/b.csv", CSV + b"%d,z,no\n" % number)
        system.drain(only=others)
        system.train()
        versions.append(str(system.claim(source)["run_id"]))
        system.drain(only=others)
        if number == 0:
            _die_after_set_alias(system)
    data = base64.b64encode(b'{"type": "SweepDue"}').decode()
    tick = {"message": {"data": data, "publishTime": documents.timestamp(system.clock.now())}}
    assert system.post("mirror", documents.dumps(tick)) == ("", 204)
    assert system.published("PromotionRequested") == []
    system.drain(advance=True)
    assert system.published("PromotionRequested") == []
    assert system.cloud.registry.alias("m", "champion") == versions[1] == system.champion()


def _die_after_set_alias(system: System) -> None:
    registry = system.cloud.registry

    class Dying:
        def __getattr__(self, name: str) -> Any:
            return getattr(registry, name)

        def set_alias(self, *args: Any) -> None:
            registry.set_alias(*args)
            if args[1] == "champion":
                raise SystemExit

    system.doors["mirror"].wiring.__dict__["registry"] = Dying()
    with pytest.raises(SystemExit):
        system.drain(only=("mirror",))
    system.doors["mirror"].wiring.__dict__["registry"] = registry


@both
def test_an_incident_becomes_one_note_whatever_crashes(after: bool) -> None:
    """A performance alert without labels, through the real doors: one decision, one message."""

    def tell(story: Story) -> None:
        system = story.system
        champion = _serve(system)
        _incident(system, champion)
        story.arm()
        story.drain()
        story.check()
        incident = documents.require(system.lake, paths.incident("m", "m-batch-performance-0"))
        assert incident["decision"]["action"] == "note"
        posted = [str(message) for message in system.cloud.messenger.posted]
        assert 1 <= len([post for post in posted if "0 new labelled rows" in post]) <= 2

    assert crash_everywhere(tell, after=after) > 5


def _incident(system: System, champion: str) -> None:
    name = paths.version("m", champion, "version.json")
    body = documents.require(system.lake, name)
    created = documents.timestamp(system.clock.now())
    system.lake.write(name, documents.dumps({**body, "run_id": champion, "created": created}))
    start = datetime(2026, 1, 4, tzinfo=UTC)
    event: Event = PerformanceDropped(
        model="m",
        version=champion,
        incident_id="m-batch-performance-0",
        revision=0,
        channel="batch",
        window_start=start,
        window_end=start,
        sentence="worse",
        facts=[],
        report="reports/r",
        asks="act now",
    )
    publish(event, publisher=system.publisher, clock=system.clock)
