"""An outcome that is delivered again while a person has the decision: it stays theirs."""

from __future__ import annotations

from shared import approvals
from shared.approvals import Approval
from shared.manifests import read_manifest
from tests.support.canarying import train
from tests.support.experimenting import CHALLENGER
from tests.support.promises import check_promises
from tests.support.system import SPEC, System, store_version
from tests.support.working import DAY, everything, repeat, state_of, trained

SHADOW = SPEC + "serving: {shadow: {share: 0.5}}\n"


def test_a_repeat_after_unpinning_does_not_promote_what_a_person_was_asked_about() -> None:
    """A version is asked about because the model is pinned. Somebody unpins, and the version's
    outcome comes again: the champion stays, the question too, and nobody is asked twice."""
    system, first, second = _asked(SPEC)
    system.decide(model="m", action="unpin", reason="go on")
    _repeat_later(system, second)
    assert system.champion() == first
    assert _question(system, second).pending
    assert system.decide(model="m", version=second, action="approve")[1] == 200
    system.drain(advance=True)
    assert system.champion() == second
    check_promises(system)


def test_a_repeat_under_another_spec_does_not_answer_a_question() -> None:
    """Asked about under a spec that wants an approval, then the spec wants none: what was asked is
    still the person's to decline."""
    system = everything()
    version = trained(system, SPEC.replace("approval: auto", "approval: first"))
    system.clock.advance(60)
    system.drop("_specs/m.yaml", SPEC)
    _repeat_later(system, version)
    assert system.champion() is None
    system.decide(model="m", version=version, action="decline")
    system.drain(advance=True)
    assert state_of(system, version) == "not_promoted"
    check_promises(system)


def test_a_repeat_ends_no_question_that_was_put_after_its_version_served() -> None:
    """An older version was compared late, with a newer one that serves already, and is asked about:
    the newer one's outcome again does not take the question away."""
    system, _, newer = _asked(SPEC)
    system.decide(model="m", version=newer, action="promote", reason="this one")
    system.clock.advance(60)
    store_version(system.lake, "m", CHALLENGER, against=newer)
    repeat(system, CHALLENGER)
    assert newer > CHALLENGER
    assert _question(system, CHALLENGER).pending
    _repeat_later(system, newer)
    assert _question(system, CHALLENGER).pending
    check_promises(system)


def test_a_shadow_that_was_stopped_does_not_begin_again_by_itself() -> None:
    """A version that waits for a person is tried unseen until somebody stops that."""
    system, _, second = _asked(SHADOW)
    manifest = read_manifest("m", lake=system.lake)
    assert manifest is not None
    assert manifest.beside is not None
    system.decide(model="m", version=manifest.beside.id, action="shadow-stop", reason="enough")
    _repeat_later(system, second)
    manifest = read_manifest("m", lake=system.lake)
    assert manifest is not None
    assert manifest.beside is None
    check_promises(system)


def _asked(spec: str) -> tuple[System, str, str]:
    """A champion, pinned, and a version that waits for a person."""
    system = everything()
    first = train(system, spec)
    system.decide(model="m", action="pin", reason="wait")
    second = train(system)
    assert _question(system, second).pending
    return system, first, second


def _repeat_later(system: System, version: str) -> None:
    system.drain(advance=True)
    system.clock.advance(DAY)
    repeat(system, version)


def _question(system: System, version: str) -> Approval:
    found = approvals.find("m", version, lake=system.lake)
    assert found is not None
    return found
