"""try: from a file to a spec, a model and a first question."""

from __future__ import annotations

import gzip
import json
import shlex
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet
import pytest

from shared import runs
from shared.boundary import Task
from shared.cli.drafting import draft_file, model_name
from shared.cli.trying import as_record, first_record
from shared.errors import DataStopped
from shared.paths import is_model_name
from shared.spec.draft import IN_TIME
from shared.spec.model import Spec
from shared.spec.registry import read_spec
from tests.support.lookalike_files import as_array, events
from tests.unit.cli.conftest import Shell


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "My Data (2).csv"
    lines = [f"{i % 7}.5,c{i % 3},{'yes' if i % 4 == 0 else 'no'}" for i in range(40)]
    path.write_text("a,b,y\n" + "\n".join(lines) + "\n")
    return path


def test_try_asks_before_it_trains(shell: Shell, data: Path) -> None:
    """The drafted spec is shown first; no means that nothing is uploaded."""
    result = shell("try", str(data), "--target", "y", ask="n\n")
    assert result.exit_code == 0
    assert "task: binary" in result.stdout
    assert list(shell.system.inbox.list()) == []


def test_a_name_that_no_model_may_have_is_refused_at_once(shell: Shell, data: Path) -> None:
    """Nothing is uploaded that only intake would refuse, while the command waits for its run."""
    result = shell("try", str(data), "--target", "y", "--yes", "--model", "my-data")
    assert result.exit_code == 1
    assert "my-data" in result.stderr
    assert list(shell.system.inbox.list()) == []


def test_try_trains_under_a_name_from_the_file(shell: Shell, data: Path) -> None:
    """Spec and data are dropped together and followed to the promotion; here nobody answers at
    the predictor's address, which is said."""
    result = shell("try", str(data), "--target", "y", "--yes")
    assert shell.system.champion("my_data_2") is not None
    assert "promoted" in result.stdout
    assert "does not answer" in result.output


def test_a_file_that_was_tried_in_vain_is_not_asked_about(shell: Shell, data: Path) -> None:
    """The same file again is no second training: who serves answers, and where nobody does, the
    end of the first training is told, with its exit code."""
    shell.comparison = {"eligible": False}
    words = ("try", str(data), "--target", "y", "--yes")
    assert shell(*words).exit_code == 2
    again = shell(*words)
    assert again.exit_code == 2
    assert "duplicate" in again.stdout
    assert "not promoted" in again.stdout
    assert "first row" not in again.stdout


def test_nobody_to_ask_is_said(shell: Shell, data: Path) -> None:
    """In a script without --yes nothing is done, and the option is named."""
    result = shell("try", str(data), "--target", "y")
    assert result.exit_code == 1
    assert "--yes" in result.stderr
    assert list(shell.system.inbox.list()) == []


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


def test_a_column_that_settles_the_target_is_answered_with_the_next_command(
    shell: Shell, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One command for each answer a person may give; typed as it stands, it goes on."""

    def stop(task: Task) -> None:
        finding = {"name": "leakage", "level": "stop", "columns": ["b"]}
        lake, clock = shell.system.lake, shell.system.clock
        runs.note(task.model, task.run_id, "checked", lake=lake, clock=clock, findings=[finding])
        raise DataStopped("b nearly settles y")

    train = shell.system.train
    monkeypatch.setattr(shell.system, "train", lambda: shell.system.work(stop))
    result = shell("try", str(data), "--target", "y", "--missing", "n/a", "--yes")
    assert result.exit_code == 2
    commands = [line.strip() for line in result.stdout.splitlines() if "--replace-spec" in line]
    assert len(commands) == 2
    monkeypatch.setattr(shell.system, "train", train)
    for command, change in zip(commands, ({}, {"allow_leak": IN_TIME}), strict=True):
        words = shlex.split(command)[1:]
        assert words[-1] == "--replace-spec"
        assert shell(*words, "--yes").exit_code in (0, 1)  # 1: no predictor answers here
        spec = read_spec("my_data_2", lake=shell.system.lake).spec
        assert "n/a" in spec.source.missing
        assert ("b" in spec.feature_names()) == bool(change)
        assert spec.columns["b"].allow_leak == change.get("allow_leak")


def test_a_warning_is_said_with_its_advice_until_somebody_answered(
    shell: Shell, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """try does not let such a version serve by itself; try, why and decision show tell the line of
    the spec before they tell how to go on all the same."""
    line = "`columns: {b: {exclude: true}}`"
    finding = {"name": "strong_column", "columns": ["b"], "advice": f"Add {line}."}
    finding["sentence"] = "`b` alone predicts `y` very well"
    shell.comparison = {"data_checks": [{**finding, "known": False}]}
    train = shell.system.train

    def warn(**comparison: object) -> None:
        for run_id in shell.system.run_ids("my_data_2"):
            note = {"findings": [{**finding, "level": "warn"}], "sentence": "the checks warn"}
            lake, clock = shell.system.lake, shell.system.clock
            runs.note("my_data_2", run_id, "checked", lake=lake, clock=clock, **note)
        train(**comparison)

    monkeypatch.setattr(shell.system, "train", warn)
    tried = shell("try", str(data), "--target", "y", "--yes")
    assert tried.exit_code == 3
    assert shell.system.champion("my_data_2") is None
    assert "--not-available b" in tried.stdout
    (question,) = shell.system.published("ApprovalRequested")
    run_id = question["version"]
    for told in (tried, shell("why", run_id), shell("decision", "show", run_id)):
        assert line in " ".join(told.stdout.split())
        assert told.stdout.index("The checks warned: `b`") < told.stdout.index("Say yes:")
    shell("approvals", "decline", "my_data_2", run_id, "--reason", "known afterwards", "--yes")
    for told in (shell("why", run_id), shell("decision", "show", run_id)):
        assert "The checks warned: `b`" in told.stdout


@pytest.mark.parametrize("suffix", ["jsonl", "json.gz", "parquet"])
def test_try_takes_other_formats(shell: Shell, tmp_path: Path, suffix: str) -> None:
    """JSON lines, a packed JSON array and Parquet end like CSV, with a first question."""
    lines = events(200)
    path = tmp_path / f"events.{suffix}"
    table = pa.Table.from_pylist([json.loads(line) for line in lines.splitlines()])
    if suffix == "parquet":
        pyarrow.parquet.write_table(table, path)
    else:
        path.write_bytes(lines if suffix == "jsonl" else gzip.compress(as_array(lines)))
    result = shell("try", str(path), "--target", "fraud", "--yes")
    assert "promoted" in result.stdout
    spec = draft_file(path, "fraud").spec
    record = first_record(spec, path)
    assert set(record) == {"amount", "trusted", "country", "channel"}
    assert isinstance(record["amount"], float)


def test_a_model_of_several_sources_is_not_tried(shell: Shell, data: Path) -> None:
    """Its batch is several files."""
    spec = (
        "task: binary\ntarget: y\nsources:\n  people: {key: a}\n"
        "  visits: {key: a, aggregates: {n: count}}\n"
    )
    shell.system.drop("_specs/m.yaml", spec)
    shell.work()
    result = shell("try", str(data), "--target", "y", "--model", "m", "--yes")
    assert "several sources" in result.stderr


@pytest.mark.parametrize(
    "name", ["My Data (2).csv", "2024.csv", "ÄÖ.csv", "x" * 99, "a.b.csv", "_"]
)
def test_every_file_name_gives_a_model_name(name: str) -> None:
    """Whatever people call their files."""
    assert is_model_name(model_name(Path(name)))


def test_the_first_row_becomes_a_record(data: Path) -> None:
    """Numbers as numbers, texts as texts, missing cells as null, no target."""
    spec = draft_file(data, "y").spec
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
