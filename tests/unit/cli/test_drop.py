"""drop: what it uploads, what it tells, and with which exit code it ends."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from shared import runs
from shared.cli import contexts
from shared.cli.following import follow
from shared.errors import ServiceUnavailable
from shared.events import ScoringCompleted
from tests.support.system import CSV, SPEC
from tests.unit.cli.conftest import Shell


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "a.csv"
    path.write_bytes(CSV)
    return path


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    path = tmp_path / "m.yaml"
    path.write_text(SPEC)
    return path


def test_a_spec_and_a_training_end_with_success(shell: Shell, data: Path, spec: Path) -> None:
    """Exit 0, the history on stderr, the state on stdout, and what to do next."""
    assert shell("drop", str(spec), "--model", "m").exit_code == 0
    result = shell("drop", str(data), "--model", "m")
    assert result.exit_code == 0
    assert "promoted" in result.stdout
    assert "predict m --example" in result.stdout
    assert "context local" in result.stderr
    assert "accepted as a train run" in result.stderr
    assert shell.system.champion() is not None


@pytest.mark.parametrize(
    ("comparison", "expected"),
    [
        ({"eligible": False}, (2, "not_promoted")),
        ({"eligible": True}, (0, "promoted")),
    ],
)
def test_the_exit_code_follows_the_decision(
    shell: Shell, data: Path, spec: Path, comparison: dict[str, Any], expected: tuple[int, str]
) -> None:
    """2 when the version is not promoted, 0 when it is."""
    shell("drop", str(spec), "--model", "m")
    shell.comparison = comparison
    result = shell("drop", str(data), "--model", "m", "--json")
    assert (result.exit_code, json.loads(result.stdout)["state"]) == expected


def test_an_approval_is_exit_3_and_says_how_to_answer(shell: Shell, data: Path, spec: Path) -> None:
    """A script that drops files learns that a person is needed."""
    spec.write_text(SPEC.replace("auto", "always"))
    shell("drop", str(spec), "--model", "m")
    result = shell("drop", str(data), "--model", "m", "--json")
    body = json.loads(result.stdout)
    assert (result.exit_code, body["exit_code"], body["state"]) == (3, 3, "awaiting_approval")
    listed = json.loads(shell("approvals", "list", "--json").stdout)
    assert [item["version"] for item in listed] == [body["run_id"]]
    assert "approvals approve m" in shell("why", body["run_id"]).stdout


def test_a_refused_file_is_exit_2_with_the_reason(shell: Shell, spec: Path, tmp_path: Path) -> None:
    """A file without rows is refused at the door, and the reason is printed."""
    shell("drop", str(spec), "--model", "m")
    empty = tmp_path / "empty.csv"
    empty.write_text("a,b,y\n")
    result = shell("drop", str(empty), "--model", "m", "--as", "train")
    assert result.exit_code == 2
    assert "rejected: " in result.stderr


def test_a_score_without_a_champion_is_exit_3(shell: Shell, data: Path, spec: Path) -> None:
    """Nobody trains, so nobody will ever score: waiting longer would not help."""
    shell("drop", str(spec), "--model", "m")
    result = shell("drop", str(data), "--model", "m", "--as", "score")
    assert result.exit_code == 3
    assert "waiting for champion" in result.stdout


def test_a_slow_run_is_exit_4(shell: Shell, data: Path, spec: Path) -> None:
    """The time given is over and the run still works."""
    shell.trains = False
    shell("drop", str(spec), "--model", "m")
    result = shell("drop", str(data), "--model", "m", "--timeout", "0.05")
    assert result.exit_code == 4


def test_the_same_content_again_points_at_the_first_run(
    shell: Shell, data: Path, spec: Path
) -> None:
    """A repeat is no failure; --force makes it a run of its own."""
    shell("drop", str(spec), "--model", "m")
    first = json.loads(shell("drop", str(data), "--model", "m", "--json").stdout)
    again = json.loads(shell("drop", str(data), "--model", "m", "--json").stdout)
    assert (again["state"], again["facts"]["same_as"]) == ("duplicate", first["run_id"])
    forced = json.loads(shell("drop", str(data), "--model", "m", "--force", "--json").stdout)
    assert forced["state"] in ("promoted", "not_promoted")


@pytest.mark.parametrize(
    ("text", "folder"),
    [
        ("a,b,y\n1,x,yes\n", "train"),
        ("a,b\n1,x\n", "score"),
        ("prediction_id,label\nr-1,yes\n", "labels"),
    ],
)
def test_what_a_file_is_for_is_seen_in_its_columns(
    shell: Shell, spec: Path, tmp_path: Path, text: str, folder: str
) -> None:
    """The target makes a training file, prediction_id a labels file, else it is scored."""
    shell("drop", str(spec), "--model", "m")
    path = tmp_path / "x.csv"
    path.write_text(text)
    result = shell("drop", str(path), "--model", "m", "--no-wait", "--json")
    assert f"/m/{folder}/x.csv#" in json.loads(result.stdout)["source"]


def test_a_dry_run_uploads_nothing(shell: Shell, spec: Path) -> None:
    """It says what would be done and where."""
    result = shell("drop", str(spec), "--model", "m", "--dry-run")
    assert result.exit_code == 0
    assert "_specs/m.yaml" in result.stderr
    assert result.stderr.endswith("Dry run: nothing was done.\n")
    assert list(shell.system.inbox.list()) == []


@pytest.mark.parametrize("data", [b"\x89PNG\0\r\n", b"\x1f\x8b\x08\x08abc", b'a,b"\0\r1,2\r', b""])
def test_a_file_that_is_none_is_refused_at_once(shell: Shell, tmp_path: Path, data: bytes) -> None:
    """Binary, broken and empty files are no file of any kind: exit 2 says why, as intake would."""
    path = tmp_path / "bin.csv"
    path.write_bytes(data)
    result = shell("drop", str(path), "--model", "m")
    assert result.exit_code == 2
    assert "bin.csv was not dropped: " in result.stderr
    assert "--as" not in result.stderr
    assert list(shell.system.inbox.list()) == []


def test_a_mistyped_model_is_asked_about(shell: Shell, data: Path) -> None:
    """A new model is allowed, so a name like a known one is only a note."""
    shell.system.drop("_specs/churn.yaml", SPEC)
    shell.work()
    for words in (("drop", str(data), "--dry-run", "--model", "chrun"), ("status", "chrun")):
        assert "did you mean churn?" in shell(*words).stderr
    assert "did you mean" not in shell("drop", str(data), "--dry-run", "--model", "churn").stderr
    assert "Did you mean churn?" in shell("versions", "list", "chrun").stdout


def test_a_stack_that_stops_meanwhile_is_exit_4(
    shell: Shell, data: Path, spec: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run is not lost: how to go on and where to look."""
    shell("drop", str(spec), "--model", "m")
    shell.trains = False

    class Stopped:
        """The run can no longer be listed; nothing else is asked before."""

        def __getattr__(self, name: str) -> Any:
            if name == "list":
                raise ServiceUnavailable("RetryError: Connection refused")
            return getattr(shell.system.lake, name)

    monkeypatch.setitem(contexts.load("local").wiring.__dict__, "lake", Stopped())
    result = shell("drop", str(data), "--model", "m", "--as", "train")
    assert result.exit_code == 4
    run_id = shell.system.run_ids()[-1]
    said = f"the stack stopped; the run goes on after `make up`; ./millrace why {run_id}"
    assert said in result.stderr


def test_a_bad_model_name_is_refused_before_anything_is_sent(shell: Shell, data: Path) -> None:
    """It could never lead anywhere."""
    result = shell("drop", str(data), "--model", "My Model")
    assert result.exit_code == 1
    assert "[a-z][a-z0-9_]*" in result.output
    assert list(shell.system.inbox.list()) == []


@pytest.mark.parametrize(("errors", "code"), [(0, 0), (2, 0), (3, 2)])
def test_a_scored_file_without_one_score_is_exit_2(shell: Shell, errors: int, code: int) -> None:
    """A script must not go on with a file that has an error in every row."""
    lake, run = shell.system.lake, "20260101T000000-00000001"
    event = ScoringCompleted(
        model="m", run_id=run, version="v", rows=3, errors=errors, output="predictions/m/r.csv"
    )
    runs.finish(event, lake=lake, publisher=shell.system.publisher, clock=shell.system.clock)
    assert follow("m", run, lake=lake, seconds=0).exit_code == code


def test_an_empty_file_is_refused_at_once_whatever_it_is_for(shell: Shell, tmp_path: Path) -> None:
    """Also where --as says what it is for, and nobody looks into it."""
    path = tmp_path / "x.csv"
    path.touch()
    result = shell("drop", str(path), "--model", "m", "--as", "score")
    assert result.exit_code == 2
    assert "the file has 0 bytes" in result.stderr
    assert list(shell.system.inbox.list()) == []


def test_a_file_that_is_taken_for_one_to_score_says_why(
    shell: Shell, spec: Path, tmp_path: Path
) -> None:
    """A training file whose target is misspelt would be scored, and its sender wonder."""
    shell("drop", str(spec), "--model", "m")
    path = tmp_path / "x.csv"
    path.write_text("a,b,Y\n1,x,yes\n")
    result = shell("drop", str(path), "--model", "m", "--dry-run")
    assert "it has no column 'y', so it is to be scored" in result.stderr
    named = shell("drop", str(path), "--model", "m", "--dry-run", "--as", "score")
    assert "no column" not in named.stderr


def test_why_without_a_run_tells_the_newest(shell: Shell, data: Path, spec: Path) -> None:
    """Whoever has just dropped something need not copy its id."""
    assert "there is no run yet" in shell("why").stderr
    shell("drop", str(spec), "--model", "m")
    shell("drop", str(data), "--model", "m")
    newest = max(name.split("/")[2] for name in shell.system.lake.folders("runs/m/"))
    assert f"{newest} of m" in shell("why").stdout
