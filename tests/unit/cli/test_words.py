"""What people read: history lines, next steps, Slack messages in a terminal, tables."""

from __future__ import annotations

import json
from io import StringIO

import pytest
from rich.console import Console

from shared import runs
from shared.cli import words
from shared.cli.console import show_rows
from shared.cli.demo.timeline import Timeline
from shared.cli.main import COMMANDS
from shared.cli.slack_view import plain, show_message
from shared.events import AutomationNoted
from shared.telling.blocks import message
from shared.telling.draft import Where


@pytest.mark.parametrize("name", [*runs.TERMINAL, *runs.WAITING, "trained", "requested"])
def test_every_transition_we_know_is_a_sentence(name: str) -> None:
    """Also when a fact is missing: a history is always readable."""
    text = words.sentence({"name": name, "facts": {}})
    assert text
    assert "{" not in text


def test_a_stage_is_told_with_its_facts() -> None:
    """Stages name themselves; what did not happen is left out."""
    facts = {"rows": 26461, "auroc": 0.93216, "cut": False, "object": "x" * 99}
    text = words.sentence({"name": "tuned-gradient_boosting", "facts": facts})
    assert text == "tuned gradient boosting: rows 26,461, auroc 0.9322"


def test_labels_that_were_not_as_they_should_be_are_told_in_the_terminal_too() -> None:
    """Unknown, repeated and refused ones, as in the digest; nothing of it where all is well."""
    facts = {"rows": 702, "matched": 700, "unknown": 2, "quarantined": 6, "duplicates": 5}
    told = words.sentence({"name": "labelled", "facts": {**facts, "late": 0}})
    assert told == (
        "recorded 702 labels, 700 of them for predictions we made; 2 name no prediction that we "
        "made; 6 rows are in quarantine (5 of them labelled again below)"
    )
    well = words.sentence({"name": "labelled", "facts": {"rows": 7, "matched": 7}})
    assert well == "recorded 7 labels, 7 of them for predictions we made"


def test_a_join_says_what_came() -> None:
    """Also that a source did not, so that nobody wonders about empty columns."""
    came: dict[str, float | None] = {
        "rows": 125000,
        "match_rate": 0.9871,
        "orphans": 5,
        "quarantined": 0,
    }
    text = words.sentence({"name": "joined", "facts": {"orders": came}})
    assert text == "joined: 125,000 rows of orders (found for 98.7% of the rows)"
    came = {"rows": 0, "match_rate": None, "orphans": None, "quarantined": 0}
    text = words.sentence({"name": "joined", "facts": {"orders": came}})
    assert text == "joined: without orders, whose columns are missing in every row"


@pytest.mark.parametrize("reason", ["DataStopped", "BatchClosed", "SourceMissing", "UnknownModel"])
def test_a_refusal_that_no_other_file_helps_does_not_ask_for_one(reason: str) -> None:
    """Where the spec or the batch has to change, the next step names that."""
    facts = {"reason": reason}
    steps = words.next_steps("m", "r", "rejected", facts, kind="train", context="local", lake="l")
    assert steps
    assert not any("Correct the file" in step for step in steps)


@pytest.mark.parametrize("state", [*runs.TERMINAL.values(), *runs.WAITING.values(), "running"])
def test_next_steps_are_commands_that_exist(state: str) -> None:
    """What we tell people to type is understood when they type it."""
    steps = words.next_steps("m", "r-1", state, {}, kind="train", context="demo", lake="lake")
    assert steps or state in ("compared", "spec_registered")
    for step in steps:
        for part in step.split("./millrace ")[1:]:
            parts = part.split()
            assert parts[:2] == ["--context", "demo"]
            assert parts[2] in COMMANDS


def test_a_model_without_a_champion_hears_of_nothing_that_goes_on() -> None:
    """Not promoted where nothing serves: what would help, not that all is well."""

    def steps(**facts: object) -> str:
        given = {"kind": "train", "context": "local", "lake": "l"}
        return " ".join(words.next_steps("m", "r", "not_promoted", facts, **given))

    assert "Nothing serves yet" in steps(serving=None)
    assert "What served before goes on" in steps(serving="v1")
    assert "What served before goes on" in steps()


def test_a_slack_message_is_readable_in_a_terminal() -> None:
    """Header, text, commands and footer, without Slack's marks."""
    note = AutomationNoted(model="m", source="retrain", subject="i-1", sentence="0 < 500 rows.")
    out = StringIO()
    kept = {"received": "2026-01-01T00:00:00Z", "message": message(note, Where("lake", "local"))}
    show_message(kept, Console(file=out, width=100))
    assert "what the retrain guard says" in out.getvalue()
    assert "0 < 500 rows." in out.getvalue()


def test_slack_marks_become_plain_text() -> None:
    """Links keep their address; stars and backticks go; entities come back."""
    assert plain("*Now* `a_b` <https://x.y/z|open> 1 &lt; 2 &amp; 3") == (
        "Now a_b open (https://x.y/z) 1 < 2 & 3"
    )


def test_tables_are_for_people_and_json_for_programs(capsys: pytest.CaptureFixture[str]) -> None:
    """The same rows in both; brackets in data are data."""
    rows = [{"model": "m", "why": "[bold]x", "pinned": True, "value": 0.5, "none": None}]
    show_rows(rows, as_json=True)
    assert json.loads(capsys.readouterr().out) == rows
    show_rows(rows, as_json=False)
    text = capsys.readouterr().out
    assert "[bold]x" in text
    assert "yes" in text
    show_rows([], as_json=False, empty="Nothing here.")
    assert capsys.readouterr().out == "Nothing here.\n"


def test_ids_are_shown_whole_whatever_stands_beside_them(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Sentences and lists of a wide table wrap; what a person copies does not."""
    ids = [f"20260101T00000{i}-abcdef0{i}" for i in range(9)]
    show_rows([{"run": ids[0], "most_often": "x" * 150, "replayed_by": ids}], as_json=False)
    shown = capsys.readouterr().out
    assert all(name in shown for name in ids)


def test_the_timeline_is_plain_without_a_terminal() -> None:
    """A log file gets lines, no control characters, and each step's time."""
    out = StringIO()
    timeline = Timeline(1, Console(file=out, width=80))
    with timeline.step("Do [it]"):
        timeline.say("said [so]")
        timeline.happened("happened")
    text = out.getvalue()
    assert "1/1  Do [it]" in text
    assert "said [so]" in text
    assert "\x1b" not in text
    assert list(timeline.seconds) == ["Do [it]"]


def test_a_file_without_one_score_is_no_success() -> None:
    """Every row came back with an error: the line says so, and what to do is to correct it."""
    facts = {"rows": 3, "errors": 3, "output": "predictions/m/r/predictions.csv"}
    text = words.sentence({"name": "scored", "facts": facts})
    assert text == "none of the 3 rows has a score: each has an error instead"
    steps = words.next_steps("m", "r", "scored", facts, kind="score", context="local", lake="l")
    assert words.AGAIN in steps
    assert not words.nothing_scored({**facts, "errors": 2})
    assert not words.nothing_scored({"rows": 0, "errors": 0})
