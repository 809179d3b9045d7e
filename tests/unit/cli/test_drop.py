"""drop: what it uploads, what it tells, and with which exit code it ends."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from shared.cli import contexts
from shared.errors import ServiceUnavailable
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
    """An empty file is refused at the door, and the reason is printed."""
    shell("drop", str(spec), "--model", "m")
    empty = tmp_path / "empty.csv"
    empty.touch()
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
