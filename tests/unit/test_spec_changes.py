"""Changes of a spec outside one's own machine: what is protected waits for a person, whole, and
comes into force once or never, whatever crashes or races."""

from __future__ import annotations

from typing import Any

import pytest

from shared import approvals, documents
from shared.spec.load import load_spec
from shared.spec.registry import read_spec, register
from tests.support.crashing import Story, crash_everywhere
from tests.support.promises import check_promises
from tests.support.system import CONFIG, CSV, EVERY_FUNCTION, SPEC, System, with_env

DAY = 86_400
CLOUD = with_env(CONFIG, context="production")
WEAKER = SPEC.replace("approval: auto", "rule: not_worse") + "size: m\n"
WEAKEST = SPEC + "max_bad_rows: 1\n"
BIGGER = SPEC + "size: l\n"
NAME = "_specs/m.yaml"
both = pytest.mark.parametrize("after", [False, True], ids=["before", "after"])


def production() -> System:
    return System(functions=EVERY_FUNCTION, config=CLOUD)


def in_force(system: System) -> int:
    return read_spec("m", lake=system.lake).generation


def asked(system: System) -> set[str]:
    return {item["version"] for item in system.published("ApprovalRequested")}


def pending(system: System) -> list[str]:
    return [item.version for item in approvals.every("m", lake=system.lake) if item.pending]


def notes(system: System) -> list[str]:
    found = {item["id"]: item["sentence"] for item in system.published("AutomationNoted")}
    return list(found.values())


def waiting(system: System, text: str = WEAKER) -> str:
    """A spec in force, and a change of it that waits; the upload of the change."""
    system.drop(NAME, SPEC)
    system.drain()
    system.clock.advance(60)
    source = system.drop(NAME, text)
    system.drain()
    return source


# --- what asks and what does not -----------------------------------------------------------------


def test_a_first_spec_and_unprotected_changes_need_nobody() -> None:
    """They are in force at once, and the note says what changed."""
    system = production()
    first = system.drop(NAME, SPEC)
    second = system.drop(NAME, BIGGER)
    system.drain()
    check_promises(system, first, second)
    assert in_force(system) == 2
    assert asked(system) == set()
    assert notes(system) == [
        "Spec generation 1 of m is in force: binary, target y, 3 columns.",
        "Spec generation 2 of m is in force: size: s -> l.",
    ]


def test_a_protected_change_waits_as_a_whole() -> None:
    """The old generation stays in force, also for what nobody protects; the question shows the
    whole difference and is listed among the approvals."""
    system = production()
    source = waiting(system)
    check_promises(system, source)
    assert in_force(system) == 1
    assert system.state(source) == "awaiting_approval"
    (event,) = system.published("ApprovalRequested")
    assert (event["version"], event["against"]) == ("spec-2", "1")
    assert "promotion.rule: better -> not_worse" in event["sentence"]
    assert "size" not in event["sentence"]
    assert "size: s -> m" in event["facts"]
    assert pending(system) == ["spec-2"]
    data = system.drop("m/train/a.csv", CSV)
    system.drain()
    assert system.request(system.claim(data)["run_id"]).spec_generation == 1


def test_ones_own_machine_asks_nobody() -> None:
    """Whoever drops a spec there is who would approve it."""
    system = System(functions=EVERY_FUNCTION)
    waiting(system)
    assert in_force(system) == 2
    assert pending(system) == []


@pytest.mark.parametrize("context", ["local", "production"])
def test_a_bad_spec_leaves_the_old_one_in_force_and_says_so(context: str) -> None:
    """A refusal with line and key, and what goes on."""
    system = System(config=with_env(CONFIG, context=context))
    source = waiting(system, SPEC + "maxbadrows: 1\n")
    assert system.state(source) == "rejected"
    (alert,) = system.published("DataRejected")
    assert alert["reason"] == "BadSpec"
    assert "line 9: maxbadrows is no key we know; did you mean max_bad_rows?" in alert["message"]
    assert alert["message"].endswith("Generation 1 of m stays in force.")


# --- answers -------------------------------------------------------------------------------------


@both
@pytest.mark.parametrize("action", ["approve", "decline"])
def test_asking_and_answering_survive_any_crash(action: str, after: bool) -> None:
    """From the drop to a person's answer: one question, one answer carried out, one note."""

    def tell(story: Story) -> None:
        system = story.system
        system.drop(NAME, SPEC)
        system.drain()
        system.clock.advance(60)
        story.arm()
        source = system.drop(NAME, WEAKER)
        story.drain()
        assert (in_force(system), pending(system)) == (1, ["spec-2"])
        reply, status = story.decide(model="m", version="spec-2", action=action, reason="so")
        assert status == 200, reply
        story.drain()
        story.tick()
        story.check(source)
        good = action == "approve"
        assert in_force(system) == (2 if good else 1)
        assert system.state(source) == ("spec_registered" if good else "declined")
        assert len(asked(system)) == 1
        told = [note for note in notes(system) if "generation 2" in note]
        assert len(told) == 1
        assert "by ada: so." in told[0]
        assert ("size: s -> m" in told[0]) is good

    assert crash_everywhere(tell, after=after, config=CLOUD) > 5


@both
@pytest.mark.parametrize("action", ["approve", "decline"])
def test_an_answer_is_carried_out_though_nobody_asks_again(action: str, after: bool) -> None:
    """The person's request died after the answer was recorded: sweep does the rest."""

    def tell(story: Story) -> None:
        system = story.system
        source = waiting(system)
        approval = approvals.find("m", "spec-2", lake=system.lake)
        assert approval is not None
        words: dict[str, Any] = {"by": "ada", "reason": "so"}
        approvals.decide(approval, action, **words, lake=system.lake, clock=system.clock)
        story.arm()
        story.tick()
        story.drain()
        story.check(source)
        assert in_force(system) == (2 if action == "approve" else 1)

    assert crash_everywhere(tell, after=after, config=CLOUD) > 2


@both
def test_a_question_that_nobody_answers_expires(after: bool) -> None:
    """The old generation stays; people hear of it once; dropping it again asks anew."""

    def tell(story: Story) -> None:
        system = story.system
        source = waiting(system)
        system.clock.advance(15 * DAY)
        story.arm()
        story.tick()
        story.drain()
        story.check(source)
        assert system.state(source) == "expired"
        assert in_force(system) == 1
        assert len([note for note in notes(system) if "expired" in note]) == 1
        system.drop(NAME, WEAKER)
        story.drain()
        assert pending(system) == ["spec-3"]

    assert crash_everywhere(tell, after=after, config=CLOUD) > 2


@both
@pytest.mark.parametrize("text", [WEAKEST, BIGGER, SPEC], ids=["asks", "free", "same"])
def test_a_newer_drop_ends_the_question_before_it(text: str, after: bool) -> None:
    """Whether the newer one waits itself, is free, or takes the change back: the older question is
    superseded, once, and only the newest counts."""

    def tell(story: Story) -> None:
        system = story.system
        old = waiting(system)
        system.clock.advance(60)
        story.arm()
        new = system.drop(NAME, text)
        story.drain()
        story.tick()
        story.check(old, new)
        assert system.state(old) == "superseded"
        assert pending(system) == (["spec-3"] if text == WEAKEST else [])
        assert in_force(system) == (3 if text == BIGGER else 1)
        assert len([note for note in notes(system) if "superseded" in note]) == 1

    assert crash_everywhere(tell, after=after, config=CLOUD) > 3


def test_an_approved_change_does_not_undo_one_that_came_meanwhile() -> None:
    """It was compared with generation 1; another is in force: nothing is forced, and dropping it
    again asks against the new one."""
    system = production()
    source = waiting(system)
    other = load_spec(BIGGER, "m.yaml")
    register("m", other, "by hand", lake=system.lake, clock=system.clock)
    reply, status = system.decide(model="m", version="spec-2", action="approve")
    assert status == 200
    assert "superseded" in reply["sentence"]
    system.tick()
    system.drain(advance=True)
    check_promises(system, source)
    assert (in_force(system), system.state(source)) == (3, "superseded")
    assert notes(system)[-1] == (
        "Spec generation 2 of m was superseded: generation 1, which it was to replace, is no "
        "longer in force. Generation 3 of m stays in force. To be asked anew, drop it again."
    )
    system.clock.advance(60)
    system.drop(NAME, WEAKER)
    system.drain()
    assert pending(system) == ["spec-4"]
    reply, status = system.decide(model="m", version="spec-4", action="approve")
    assert "in force now" in reply["sentence"]
    assert in_force(system) == 4


def test_an_answer_in_the_same_moment_as_a_newer_drop_wins() -> None:
    """A person approves while a newer drop supersedes the question: what was approved is in force,
    and the newer question is not carried out over it."""
    system = production()
    old = waiting(system)
    every = approvals.every

    def answered_meanwhile(*args: Any, **kwargs: Any) -> Any:
        found = list(every(*args, **kwargs))
        if any(item.version == "spec-2" and item.pending for item in found):
            reply, status = system.decide(model="m", version="spec-2", action="approve")
            assert status == 200, reply
        return iter(found)

    system.clock.advance(60)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(approvals, "every", answered_meanwhile)  # a race that needs its moment
        new = system.drop(NAME, WEAKEST)
        system.drain()
    check_promises(system, old, new)
    assert (in_force(system), system.state(old)) == (2, "spec_registered")
    reply, _ = system.decide(model="m", version="spec-3", action="approve")
    assert "superseded" in reply["sentence"]
    assert in_force(system) == 2


def test_answers_are_given_once() -> None:
    """The same answer again is harmless, another one is refused with who decided."""
    system = production()
    waiting(system)
    for _ in range(2):
        assert system.decide(model="m", version="spec-2", action="decline")[1] == 200
    reply, status = system.decide(model="m", version="spec-2", action="approve")
    assert status == 409
    assert "decline by ada" in reply["sentence"]
    assert system.decide(model="m", version="spec-9", action="approve")[1] == 409


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0), (0, 2, 1), (1, 0, 2)])
def test_the_newest_drop_is_what_waits_whatever_comes_last(order: tuple[int, ...]) -> None:
    """Finalize events in any order, and again: only the newest upload is asked about."""
    system = production()
    system.drop(NAME, SPEC)
    system.drain()
    bodies: list[bytes] = []

    def keep(body: dict[str, Any]) -> int:
        bodies.append(documents.dumps(body))
        return 204

    sources = []
    for text in (WEAKER, BIGGER, WEAKEST):
        sources.append(system.drop(NAME, text))
        system.cloud.drain({"intake": keep})
    for number in (*order, *order):
        assert system.post("intake", bodies[number])[1] == 204
    system.drain()
    system.tick()
    check_promises(system, *sources)
    (version,) = pending(system)
    approval = approvals.find("m", version, lake=system.lake)
    assert approval is not None
    assert system.decide(model="m", version=version, action="approve")[1] == 200
    assert read_spec("m", lake=system.lake).spec.max_bad_rows == 1
    assert system.state(sources[2]) == "spec_registered"
    assert all(system.state(item) != "awaiting_approval" for item in sources)


def test_questions_about_versions_and_specs_do_not_disturb_each_other() -> None:
    """A version that is asked about afterwards leaves the spec's question open, and the other way
    round."""
    system = production()
    asking = SPEC.replace("approval: auto", "approval: always")
    system.drop(NAME, asking)
    data = system.drop("m/train/a.csv", CSV)
    system.drain()
    system.clock.advance(60)
    system.drop(NAME, SPEC)
    system.drain()
    system.train()
    system.drain()
    version = str(system.claim(data)["run_id"])
    assert sorted(pending(system)) == [version, "spec-2"]
    assert system.decide(model="m", version=version, action="approve")[1] == 200
    assert pending(system) == ["spec-2"]
    assert system.decide(model="m", version="spec-2", action="approve")[1] == 200
    system.tick()
    check_promises(system)
    assert (in_force(system), system.champion()) == (2, version)


def test_a_file_before_its_spec_is_released_by_a_first_spec_without_asking() -> None:
    """A model that has no spec yet has nothing to protect."""
    system = production()
    data = system.drop("m/train/a.csv", CSV)
    system.drain()
    assert system.state(data) == "waiting_for_spec"
    system.drop(NAME, WEAKEST)
    system.drain()
    assert system.state(data) == "running"
    check_promises(system, data)
