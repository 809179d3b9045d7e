"""try and init: from a CSV to a spec, a model and a first question."""

from __future__ import annotations

from pathlib import Path

import pytest

from shared.cli.trying import as_record, first_record, model_name
from shared.paths import is_model_name
from shared.spec.draft import draft
from shared.spec.load import load_spec
from shared.spec.model import Spec
from shared.spec.registry import read_spec
from tests.unit.cli.conftest import Shell


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "My Data (2).csv"
    lines = [f"{i % 7}.5,c{i % 3},{'yes' if i % 4 == 0 else 'no'}" for i in range(40)]
    path.write_text("a,b,y\n" + "\n".join(lines) + "\n")
    return path


def test_init_writes_a_spec_that_can_be_dropped(shell: Shell, data: Path, tmp_path: Path) -> None:
    """On one's own machine nobody is there to approve, so approval is auto."""
    out = tmp_path / "m.yaml"
    assert shell("init", str(data), "--target", "y", "-o", str(out)).exit_code == 0
    spec = load_spec(out.read_text(), "m.yaml")
    assert spec.promotion.approval == "auto"
    printed = shell("init", str(data), "--target", "y").stdout
    assert load_spec(printed, "m.yaml") == spec


def test_init_says_which_columns_there_are(shell: Shell, data: Path) -> None:
    """A wrong target is answered with the file's columns."""
    result = shell("init", str(data), "--target", "z")
    assert result.exit_code == 1
    assert "a, b, y" in str(result.exception)


def test_try_asks_before_it_trains(shell: Shell, data: Path) -> None:
    """The drafted spec is shown first; no means that nothing is uploaded."""
    result = shell("try", str(data), "--target", "y", ask="n\n")
    assert result.exit_code == 0
    assert "task: binary" in result.stdout
    assert list(shell.system.inbox.list()) == []


def test_try_trains_under_a_name_from_the_file(shell: Shell, data: Path) -> None:
    """Spec and data are dropped together and followed to the promotion; here nobody answers at
    the predictor's address, which is said."""
    result = shell("try", str(data), "--target", "y", "--yes")
    assert shell.system.champion("my_data_2") is not None
    assert "promoted" in result.stdout
    assert "does not answer" in result.output


def test_try_keeps_the_spec_in_force(shell: Shell, data: Path) -> None:
    """A second file trains with the spec that people may have edited, and that is said;
    --replace-spec is how to want the draft; a dry run says the same."""
    shell("try", str(data), "--target", "y", "--yes")
    spec = "task: binary\ntarget: y\ncolumns: {a: {type: number}, b: {}, y: {}}\n"
    shell.system.drop("_specs/my_data_2.yaml", spec)
    shell.work()
    words = ("try", str(data), "--target", "y")
    for more in (("--dry-run",), ("--yes",)):
        result = shell(*words, *more)
        assert "spec generation 2 of my_data_2 is in force and is used" in result.stderr
        assert read_spec("my_data_2", lake=shell.system.lake).generation == 2
    assert "in force" not in shell(*words, "--replace-spec", "--dry-run").stderr
    shell(*words, "--replace-spec", "--yes")
    assert read_spec("my_data_2", lake=shell.system.lake).generation == 3


def test_try_does_not_train_a_model_on_another_target(shell: Shell, data: Path) -> None:
    """The spec in force predicts y; asked for b, nothing is uploaded."""
    shell.system.drop("_specs/m.yaml", "task: binary\ntarget: y\n")
    shell.work()
    result = shell("try", str(data), "--target", "b", "--model", "m", "--yes")
    assert result.exit_code == 1
    assert "predicts y, not b" in result.stderr
    assert [info.name for info in shell.system.inbox.list()] == ["_specs/m.yaml"]


@pytest.mark.parametrize(
    "name", ["My Data (2).csv", "2024.csv", "ÄÖ.csv", "x" * 99, "a.b.csv", "_"]
)
def test_every_file_name_gives_a_model_name(name: str) -> None:
    """Whatever people call their files."""
    assert is_model_name(model_name(Path(name)))


def test_the_first_row_becomes_a_record(data: Path) -> None:
    """Numbers as numbers, texts as texts, missing cells as null, no target."""
    spec, _ = draft(data, "y")
    assert first_record(spec, data) == {"a": 0.5, "b": "c0"}
    assert as_record(spec, {"a": "?", "b": ""}) == {"a": None, "b": None}
    assert as_record(spec, {"a": "3", "b": "7"}) == {"a": 3, "b": "7"}


def test_a_record_of_a_file_with_decimal_commas() -> None:
    """The spec knows how the file writes numbers."""
    columns = {"a": {"type": "number"}, "y": {}}
    spec = Spec.model_validate(
        {"task": "binary", "target": "y", "columns": columns, "source": {"decimal": ","}}
    )
    assert as_record(spec, {"a": "1,5"}) == {"a": 1.5}
