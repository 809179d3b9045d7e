"""The whole way of a bad row: dropped, quarantined by a real training, mended, replayed."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from shared import documents, paths
from shared.boundary import Task
from shared.spec.load import dump_spec
from shared.usecases.train import train_model
from tests.unit.cli.conftest import Shell
from tests.unit.tabular.world import csv_bytes, rows, spec_of

GOOD, BAD = 300, 40


@pytest.fixture
def trained(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> Shell:
    """A shell whose trainings are real ones."""

    def work(task: Task) -> object:
        system = shell.system
        return train_model(
            task, lake=system.lake, publisher=system.publisher, clock=system.clock, workers=1
        )

    monkeypatch.setattr(shell.system, "train", lambda: shell.system.work(work))
    return shell


def test_rows_are_mended_and_learned_from(trained: Shell, tmp_path: Path) -> None:
    """A file with too many bad rows is rejected; its rows are exported, corrected, replayed: the
    new run learns from all rows, and what was not corrected stays in quarantine."""
    system = trained.system
    spec = spec_of(promotion={"approval": "auto"})
    system.drop("_specs/m.yaml", dump_spec(spec))
    data = rows(GOOD + BAD)
    true = [row[0] for row in data[:BAD]]
    for row in data[:BAD]:
        row[0] = "old"
    (tmp_path / "data.csv").write_bytes(csv_bytes(data))
    dropped = trained("drop", str(tmp_path / "data.csv"), "--model", "m", "--json")
    assert (dropped.exit_code, json.loads(dropped.stdout)["state"]) == (2, "rejected")
    run_id = json.loads(dropped.stdout)["run_id"]
    (row,) = json.loads(trained("quarantine", "list", "--json").stdout)
    assert (row["rows"], row["quarantined"], row["outcome"]) == (GOOD + BAD, BAD, "refused")
    said = trained("quarantine", "show", run_id).stdout
    assert "A number column holds something that is not a finite number." in said
    assert "record 1: age" in said

    file = tmp_path / "rows.csv"
    assert trained("quarantine", "export", run_id, "--to", str(file)).exit_code == 0
    with file.open(newline="") as stream:
        found = list(csv.DictReader(stream))
    assert len(found) == BAD
    for place, record in enumerate(found[5:], start=5):
        record["age"] = true[place]
    with file.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, list(found[0]))
        writer.writeheader()
        writer.writerows(found)
    replayed = trained("quarantine", "replay", run_id, str(file), "--json")
    body = json.loads(replayed.stdout)
    assert (replayed.exit_code, body["state"]) == (0, "promoted"), replayed.output
    summary = documents.require(system.lake, paths.quarantine("m", body["run_id"], "summary.json"))
    assert (summary["rows"], summary["good"], summary["quarantined"]) == (
        GOOD + BAD,
        GOOD + BAD - 5,
        5,
    )
    (new, old) = json.loads(trained("quarantine", "list", "m", "--json").stdout)
    assert (new["run"], old["run"], old["replayed_by"]) == (body["run_id"], run_id, [new["run"]])
