"""init: from a file to a model spec, with the questions that only a person can answer."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest

from shared.cli.drafting import ask_draft
from shared.spec.draft import Wishes
from shared.spec.load import load_spec
from tests.support.lookalike_files import bikes
from tests.unit.cli.conftest import Shell


class Terminal(io.StringIO):
    """Somebody who types these lines."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "My Data (2).csv"
    lines = [f"{i % 7}.5,c{i % 3},{'yes' if i % 4 == 0 else 'no'}" for i in range(80)]
    path.write_text("a,status,y\n" + "\n".join(lines) + "\n")
    return path


def test_init_writes_a_spec_that_can_be_dropped(shell: Shell, data: Path, tmp_path: Path) -> None:
    """On one's own machine nobody is there to approve, so approval is auto; what to do next is a
    pair of commands."""
    out = tmp_path / "m.yaml"
    result = shell("init", str(data), "--target", "y", "-o", str(out))
    assert result.exit_code == 0
    assert f"drop '{data}' --model my_data_2" in result.stderr
    spec = load_spec(out.read_text(), "m.yaml")
    assert spec.promotion.approval == "auto"
    comments = [line for line in out.read_text().splitlines() if line.startswith("#")]
    assert any("approval: auto, for this is your own machine" in line for line in comments)
    printed = shell("init", str(data), "--target", "y").stdout
    assert load_spec(printed, "m.yaml") == spec


def test_a_draft_is_not_written_over_a_file(shell: Shell, data: Path, tmp_path: Path) -> None:
    """People edit their drafts; --force is how to begin anew, a dry run writes nothing."""
    out = tmp_path / "m.yaml"
    out.write_text("mine")
    words = ("init", str(data), "--target", "y", "--out", str(out))
    assert "--force overwrites it" in shell(*words).output
    assert "task: binary" in shell(*words, "--dry-run").stdout
    assert out.read_text() == "mine"
    assert shell(*words, "--force").exit_code == 0
    assert out.read_text() != "mine"


def test_init_says_which_columns_there_are(shell: Shell, data: Path) -> None:
    """A wrong target is answered with the file's columns, and so is a wrong feature."""
    result = shell("init", str(data), "--target", "z")
    assert result.exit_code == 1
    assert "a, status, y" in str(result.exception)
    result = shell("init", str(data), "--target", "y", "--not-available", "statsu")
    assert "did you mean 'status'?" in str(result.exception)


def test_programs_get_json(shell: Shell, data: Path) -> None:
    """The spec, what is left open, and the notes."""
    body = json.loads(shell("init", str(data), "--target", "y", "--json").stdout)
    assert (body["model"], body["spec"]["task"]) == ("my_data_2", "binary")
    assert body["doubtful"] == ["status"]
    assert body["features"] == ["a", "status"]
    assert load_spec(body["yaml"], "m.yaml").task == "binary"


def test_a_draft_can_be_steered(shell: Shell, tmp_path: Path) -> None:
    """What is known only afterwards, what means missing, and by which time rows are split."""
    path = tmp_path / "hour.csv"
    path.write_bytes(bikes(300))
    words = ("--not-available", "hum", "--missing", "-200", "--split-by", "dteday", "--target")
    result = shell("init", str(path), *words, "cnt")
    assert result.exit_code == 1  # 300 hours are 13 days: too few to split by
    path.write_bytes(bikes(900))
    spec = load_spec(shell("init", str(path), *words, "cnt").stdout, "m.yaml")
    assert not spec.columns["hum"].available_at_prediction
    assert "-200" in spec.source.missing
    assert (spec.training.split, spec.training.time_column) == ("time", "dteday")


def test_a_person_is_asked(
    data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """At a terminal: which columns come too late, with those whose names say so."""
    monkeypatch.setattr(sys, "stdin", Terminal("nothing\nstatus\n"))
    found = ask_draft(data, "y", Wishes(not_available=("a",)), ask=True, context_name="local")
    assert found.spec.feature_names() == ["status"]  # said before, so nobody is asked
    found = ask_draft(data, "y", Wishes(), ask=True, context_name="production")
    said = capsys.readouterr().err
    assert "no such columns: nothing" in said
    assert "Perhaps known only afterwards: status" in said
    assert found.spec.feature_names() == ["a"]
    assert found.spec.promotion.approval == "first"
    assert not any("approval" in note for note in found.notes)


def test_a_model_name_is_checked(shell: Shell, data: Path) -> None:
    """It could never be dropped."""
    result = shell("init", str(data), "--target", "y", "--model", "My Model")
    assert "[a-z][a-z0-9_]*" in result.output
