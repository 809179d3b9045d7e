"""The commands that look and decide, on a system with something in it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import click
import pytest

from shared import documents, paths
from shared.cli import letters, tick
from shared.cli.predict import refusal
from shared.cli.tick import parse_window
from tests.support.system import CSV, SPEC
from tests.unit.cli.conftest import Shell


@pytest.fixture
def served(shell: Shell) -> Shell:
    """A model m with a champion."""
    shell.system.drop("_specs/m.yaml", SPEC)
    shell.system.drop("m/train/a.csv", CSV)
    shell.work()
    return shell


def test_an_empty_system_says_how_to_begin(shell: Shell) -> None:
    """No model yet is no error."""
    assert "try my.csv" in shell("status").stdout
    assert json.loads(shell("status", "--json").stdout) == []
    assert "Nothing waits" in shell("approvals", "list").stdout
    assert "No dead letters" in shell("dead-letters", "list").stdout


def test_status_shows_who_serves_and_what_ran(served: Shell) -> None:
    """One line per model; a model's own page has its latest runs."""
    champion = served.system.champion()
    assert json.loads(served("status", "--json").stdout)[0]["champion"] == champion
    page = json.loads(served("status", "m", "--json").stdout)
    assert {(run["kind"], run["state"]) for run in page["runs"]} == {
        ("train", "promoted"),
        ("spec", "spec_registered"),
    }
    assert str(champion) in served("status", "m").stdout


def test_an_unknown_model_is_answered_with_the_known_ones(served: Shell) -> None:
    """A typo is a sentence, not a stack trace."""
    result = served("status", "n")
    assert result.exit_code == 1
    assert "known: m" in result.output


def test_why_tells_a_run_on_one_screen(served: Shell) -> None:
    """Inputs, what happened in order, what to do next; part of the id is enough."""
    champion = str(served.system.champion())
    text = served("why", champion[:-3]).stdout
    assert "gs://inbox/m/train/a.csv#" in text
    assert text.index("accepted as a train run") < text.index("promoted by policy")
    assert "predict m --example" in text
    story = json.loads(served("why", champion, "--json").stdout)
    assert story["objects"]["version"] == f"gs://lake/models/m/{champion}/"
    assert served("why", "nothing-like-it").exit_code == 1


def test_versions_lists_metric_and_decision(served: Shell) -> None:
    """Newest first, the champion marked."""
    row = json.loads(served("versions", "list", "m", "--json").stdout)[0]
    assert (row["champion"], row["metric"], row["value"], row["decision"]) == (
        True,
        "auroc",
        0.9,
        "promoted",
    )


def test_ticks_are_what_the_scheduler_publishes(served: Shell) -> None:
    """Sweep and monitor, and a named window as one message for its model."""
    served("tick", "sweep")
    served("tick", "monitor")
    window = "2025-01-01T00:00:00Z..2025-01-02T00:00:00Z"
    served("tick", "monitor", "--window", window, "--model", "m", "--no-wait")
    assert len(served.system.published("SweepDue")) == 1
    assert len(served.system.published("MonitorDue")) == 1
    due = served.system.published("WindowDue")[0]
    assert (due["model"], due["channel"], due["window_end"]) == (
        "m",
        "batch",
        "2025-01-02T00:00:00Z",
    )


def test_a_tick_says_what_it_judges_and_how_to_judge_now(served: Shell) -> None:
    """The spec's times per served model, and a line for the newest scores that can be typed."""
    name = paths.latest_predictions("m")
    times = {"started": "2025-01-01T00:00:01.5Z", "finished": "2025-01-01T00:00:02Z"}
    documents.create(served.system.lake, name, times)
    text = served("tick", "monitor").stdout
    assert "m: windows of 1d, judged 1h after they close; labels count 7d after" in text
    window = "2025-01-01T00:00:01Z..2025-01-01T00:00:03Z"
    assert f"./millrace tick monitor --model m --window {window}" in text


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("--model", "m"), "belong together"),
        (("--window", "2025-01-01T00:00Z..2025-01-02T00:00Z"), "belong together"),
        (("--model", "m", "--window", "2025-01-01T00:00Z..2999-01-01T00:00Z"), "in the future"),
        (("--model", "mm", "--window", "2025-01-01T00:00Z..2025-01-02T00:00Z"), "no model 'mm'"),
    ],
)
def test_a_window_nobody_can_judge_is_refused(
    served: Shell, words: tuple[str, ...], reason: str
) -> None:
    """Before anything is published."""
    result = served("tick", "monitor", *words)
    assert result.exit_code != 0
    assert reason in result.stderr
    assert served.system.published("WindowDue") == []


def test_a_named_window_is_followed_to_its_verdict(
    served: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The verdict and how to read the report; exit code 4 when none comes."""
    monkeypatch.setattr(tick, "WAIT_SECONDS", 0)
    monkeypatch.setattr(tick, "AGAIN_SECONDS", 0)
    window = "2025-01-01T00:00:00Z..2025-01-02T00:00:00Z"
    words = ("tick", "monitor", "--model", "m", "--window", window)
    assert served(*words).exit_code == 4
    folder = paths.reports("m", "batch", "20250101T000000Z_20250102T000000Z")
    latest = f"{folder}latest.json"
    body = {"verdict": "insufficient_data", "rows": 12}
    documents.create(served.system.lake, latest, body)
    lake = served.system.lake
    assert tick.wait_for_judgement(latest, 0, lake=lake, seconds=0) == body
    result = served(*words)
    assert result.exit_code == 0
    assert "Judged before" in result.stdout
    assert "verdict: insufficient data (12 rows)" in result.stdout
    assert f"./millrace get gs://lake/{folder}report.html" in result.stdout


def test_a_dry_run_publishes_and_decides_nothing(served: Shell) -> None:
    """It only says what it would do, and where."""
    before = served.system.champion()
    for words in (("tick", "sweep"), ("pin", "m"), ("versions", "promote", "m", str(before))):
        result = served(*words, "--dry-run")
        assert result.exit_code == 0
        assert "context local" in result.stderr
        assert result.stderr.endswith("Dry run: nothing was done.\n")
    assert served.system.published("SweepDue") == []
    assert served.system.champion() == before


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a..b",
        "2026-01-01T00:00Z",
        "2026-01-02T00:00Z..2026-01-01T00:00Z",
        "2026-01-01T00:00:00.5Z..2026-01-02T00:00Z",
    ],
)
def test_a_window_that_is_none_is_refused(text: str) -> None:
    """With an example of how to write one."""
    with pytest.raises(click.BadParameter):
        parse_window(text)


def test_a_window_is_two_times() -> None:
    """Start inclusive, end exclusive, in UTC."""
    start, end = parse_window("2026-01-01T00:00:00Z..2026-01-01T01:00:00+00:00")
    assert start == datetime(2026, 1, 1, tzinfo=UTC)
    assert (end - start).total_seconds() == 3600


def test_a_dead_letter_is_replayed_as_pubsub_would_push_it(shell: Shell) -> None:
    """The parked message goes to its function's door again, with its own id and attributes."""
    body = {
        "function": "intake",
        "parked_at": "2026-01-01T00:00:00Z",
        "published": "2026-01-01T00:00:00Z",
        "message_id": "7",
        "attempts": "20",
        "attributes": {"eventType": "OBJECT_FINALIZE"},
        "body": {"bucket": "inbox", "name": "m/train/"},
    }
    name = "dead-letters/intake/dt=2026-01-01/7.json"
    documents.create(shell.system.lake, name, body)
    rows = json.loads(shell("dead-letters", "list", "--json").stdout)
    assert [(row["function"], row["name"]) for row in rows] == [("intake", name)]
    push = json.dumps(letters.envelope(body)).encode()
    assert shell.system.post("intake", push)[1] == 204
    result = shell("dead-letters", "replay", name)  # nobody listens there
    assert result.exit_code == 1
    assert "does not answer" in result.output


def test_spec_check_and_show(served: Shell, tmp_path: Path) -> None:
    """A file is judged as intake would judge it; what is in force can be read back."""
    good, bad = tmp_path / "m.yaml", tmp_path / "bad.yaml"
    good.write_text(SPEC)
    bad.write_text("task: binary\ntarget: y\ntrainig: {}\nfoo: 1\n")
    assert served("spec", "check", str(good)).exit_code == 0
    result = served("spec", "check", str(bad))
    assert (result.exit_code, result.stderr.count("line ")) == (2, 2)
    assert "did you mean training?" in result.stderr
    assert "target: y" in served("spec", "show", "m").stdout
    assert json.loads(served("spec", "show", "m", "--json").stdout)["generation"] == 1
    assert "known: m" in served("spec", "show", "n").output


def test_predict_refuses_what_is_not_json(served: Shell, tmp_path: Path) -> None:
    """And guesses what was meant when it is a file's name."""
    path = tmp_path / "r.json"
    path.touch()
    assert "--file" in served("predict", "m", str(path)).output
    assert "--example" in served("predict", "m").output


def test_a_refusal_of_the_predictor_is_readable() -> None:
    """Row, column, value and rule of each problem, and the models there are."""
    problem = {"row": 0, "column": "age", "value": "old", "rule": "is not a number"}
    text = refusal(422, {"error": {"message": "1 problem", "problems": [problem]}})
    assert text.splitlines()[1].strip() == "row 0, age: 'old' is not a number"
    assert "models: m" in refusal(404, {"error": {"message": "no", "models": ["m"]}})
    assert "502" in refusal(502, "<html>")
