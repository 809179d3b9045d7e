"""A canary and what comes from outside: people, pins, newer versions, questions."""

from __future__ import annotations

from typing import Any

import pytest

from shared import approvals, documents, paths
from shared.beside import canaries
from shared.manifests import parse_manifest
from tests.support.canarying import (
    ASK,
    BACK,
    answer,
    begin,
    decision,
    in_canary,
    manifest_of,
    present,
    record,
    running,
    said,
    traffic,
    train,
    write_log,
)
from tests.support.promises import check_promises
from tests.support.system import SPEC, System, store_version
from tests.support.working import DAY, everything, repeat


@pytest.fixture
def system() -> System:
    return in_canary()


@pytest.mark.parametrize("action", ["promote it", "promote another", "rollback", "stop"])
def test_a_person_comes_first(action: str) -> None:
    """Whoever moves the champion, or stops the canary, ends it: promoted at once, superseded, or
    taken back, with the person's word as the reason."""
    system = everything()
    oldest = train(system, SPEC)
    champion = train(system, BACK)
    traffic(system)
    version = train(system)
    canary = present(system)
    ask: dict[str, Any] = {"model": "m", "reason": "so"}
    if action == "stop":
        reply, status = system.decide(**ask, action="canary-stop", version=canary.id)
        assert system.decide(**ask, action="canary-stop", version=canary.id) == (reply, status)
    elif action == "rollback":
        reply, status = system.decide(**ask, action="rollback", version=champion)
    else:
        chosen = version if action == "promote it" else oldest
        reply, status = system.decide(**ask, action="promote", version=chosen)
    assert status == 200, reply
    assert running(system) is None
    ends = {"promote it": "promoted", "stop": "not_promoted"}
    found = decision(system, version)
    assert (found["action"], found["by"]) == (ends.get(action, "superseded"), "ada")
    ended = record(system).ended
    assert ended is not None
    assert ended["how"] == found["action"]
    expected = {"promote it": version, "stop": champion}.get(action, oldest)
    assert system.champion() == expected
    system.tick()
    system.drain(advance=True)
    assert system.champion() == expected
    assert said(system)[-1] == ("ended" if action in ("promote another", "rollback") else "started")
    check_promises(system)


def test_a_newer_version_that_wins_takes_the_place(system: System) -> None:
    """The former canary's version is superseded, the new one begins with the first step."""
    before = present(system)
    answer(system)
    system.tick()
    version = train(system)
    assert (present(system).version, present(system).step) == (version, 0)
    assert decision(system, before.version)["action"] == "superseded"
    assert said(system) == ["started", "step-2", "ended", "started"]
    check_promises(system)


def test_canaries_of_one_second_end_each(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their ids are in no order then (nor are those of clocks that differ): none is forgotten, and
    the one that runs is the one that a person stops."""
    monkeypatch.setattr(system.clock, "advance", lambda _: None)
    for _ in range(20):
        train(system)
        if record(system).canary.id != present(system).id:
            break
    assert record(system).ended is not None
    reply, status = system.decide(model="m", action="canary-stop", version=present(system).id)
    assert status == 200, reply
    assert running(system) is None
    for ended in canaries.latest("m", lake=system.lake):
        assert ended.ended is not None
        assert decision(system, ended.canary.version)["action"] == ended.ended["how"]
    system.drain()
    check_promises(system)


def test_an_older_version_does_not_end_a_newer_canary() -> None:
    """Its comparison came late."""
    system = everything()
    train(system, BACK)
    traffic(system)
    older = train(system, evidence="insufficient_evidence")
    newer = train(system)
    assert present(system).version == newer
    store_version(system.lake, "m", older, against=system.champion())
    system.lake.delete(paths.approval("m", older))  # as if nobody had been asked yet
    repeat(system, older)
    assert decision(system, older)["action"] == "superseded"
    assert present(system).version == newer


def test_of_two_questions_the_newer_one_stays() -> None:
    """A newer version waits for a person while the canary goes on; once somebody is asked about the
    canary as well, the next such version closes that question, and the canary with it."""
    system = in_canary(ASK)
    version = present(system).version
    train(system, evidence="insufficient_evidence")
    assert present(system).version == version
    system.clock.advance(2 * DAY)
    system.tick()
    newest = train(system, evidence="insufficient_evidence")
    assert decision(system, version)["action"] == "superseded"
    assert running(system) is None
    pending = [item.version for item in approvals.every("m", lake=system.lake) if item.pending]
    assert pending == [newest]
    system.tick()
    assert said(system) == ["started", "ended"]
    check_promises(system)


def test_a_version_that_a_person_approves_takes_the_place() -> None:
    """Whatever its age: policy would have left the newer one alone."""
    system = everything()
    train(system, BACK)
    traffic(system)
    older = train(system, evidence="insufficient_evidence")
    newer = train(system)
    assert present(system).version == newer
    reply, status = system.decide(model="m", version=older, action="approve", reason="so")
    assert status == 200, reply
    assert (present(system).version, present(system).by) == (older, "ada")
    assert decision(system, newer)["action"] == "superseded"
    system.tick()
    check_promises(system)


def test_a_version_that_loses_leaves_the_canary_alone(system: System) -> None:
    """It was compared with the champion, and was not better."""
    canary = present(system)
    train(system, gain_lower=-0.1)
    assert present(system) == canary


def test_a_pin_holds_a_canary_where_it_is(system: System) -> None:
    """It may still be taken back; unpinned it goes on."""
    answer(system)
    system.decide(model="m", action="pin")
    system.tick()
    assert present(system).step == 0
    system.decide(model="m", action="unpin")
    system.tick()
    assert present(system).step == 1
    system.decide(model="m", action="pin")
    answer(system, rows=40, differ=30)
    system.tick()
    assert running(system) is None


def test_an_approval_on_a_pinned_model_goes_its_way() -> None:
    """The person decided with the pin in sight; who pins afterwards holds it."""
    system = everything()
    train(system, BACK)
    traffic(system)
    system.decide(model="m", action="pin")
    version = train(system)
    assert running(system) is None
    system.decide(model="m", version=version, action="approve")
    answer(system)
    system.tick()
    assert present(system).step == 1
    system.decide(model="m", action="unpin")
    system.decide(model="m", action="pin")
    answer(system)
    system.tick()
    assert present(system).step == 1


def test_a_canary_of_before_its_gate_measured_is_judged_by_failures() -> None:
    """And that is said."""
    system = everything()
    train(system, BACK)
    traffic(system)
    train(system, disagreement=None)
    answer(system, differ=15)
    system.tick()
    assert present(system).step == 1
    assert "failures alone count" in manifest_of(system).policies[-1].reason


def test_a_large_log_is_sampled_and_that_is_said(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More bytes than a look reads: objects are left out evenly, for good."""
    monkeypatch.setattr("shared.usecases.beside.canary_log.MOST_BYTES", 20_000)
    for _ in range(8):
        answer(system, rows=20)
    system.tick()
    found = record(system)
    assert 0 < found.tally.dealt < 160
    assert found.tally.skipped_bytes > 20_000
    reason = manifest_of(system).policies[-1].reason
    assert "This is a sample" in reason


def test_objects_beyond_a_looks_number_wait_for_the_next(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are small, so none is left out; the first is one of before the canary."""
    monkeypatch.setattr("shared.usecases.beside.canary_log.MOST_OBJECTS", 3)
    for _ in range(3):
        answer(system, rows=5)
    system.tick()
    assert record(system).tally.dealt == 10
    system.tick()
    assert record(system).tally.dealt == 15
    assert record(system).tally.skipped_bytes == 0


def test_a_look_that_is_far_behind_leaves_objects_out_evenly(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Many small objects: a look that read the oldest of them only would never catch up."""
    monkeypatch.setattr("shared.usecases.beside.canary_log.MOST_OBJECTS", 2)
    for _ in range(12):
        answer(system, rows=2)
    system.tick()
    assert 0 < record(system).tally.dealt <= 4
    assert record(system).tally.skipped_bytes > 0
    before = record(system).tally.dealt
    answer(system, rows=3)
    system.tick()
    assert record(system).tally.dealt == before + 3


def test_torn_lines_and_lines_of_others_do_not_stop_a_look(system: System) -> None:
    """Whatever stands in the log."""
    write_log(system, [{"canary": {"id": present(system).id}}, {"canary": {}, "model": "m"}])
    system.lake.write("inference-log/dt=2026-01-05/torn", b'{"canary":{"id"\n\xff"canary":{\n')
    answer(system, rows=5)
    system.tick()
    assert record(system).tally.dealt == 5


def test_a_manifest_reads_as_before(system: System) -> None:
    """What older code wrote has no canary."""
    body = documents.require(system.lake, paths.manifest("m"))
    del body["beside"]
    assert parse_manifest(body, 1).beside is None
    begin(everything())
