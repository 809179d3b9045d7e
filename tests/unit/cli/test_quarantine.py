"""quarantine: what it shows of bad rows, what it writes, and what becomes of corrected ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from shared import documents, paths, runs
from tests.support.system import CSV, SPEC, System
from tests.unit.cli.conftest import Shell

HEADER = "quarantine_run,quarantine_source,quarantine_record,quarantine_reasons,a,b,y\n"
ESCAPE = "\x1b[2J\x9b31m\u202e"
SUMMARY: dict[str, Any] = {
    "rows": 100,
    "good": 90,
    "quarantined": 10,
    "reasons": {"a: must be a number": 8, "y: is missing": 2},
    "codes": {
        "number": {
            "rows": 8,
            "sentence": "A number column holds something that is not a finite number.",
            "examples": [
                {"source": "s", "record": 7, "reason": f"a: it is '{ESCAPE}'", "cells": {}},
            ],
        },
    },
    "target": {"yes": {"kept": 0.24, "quarantined": 0.6}, "no": {"kept": 0.76, "quarantined": 0.4}},
    "slices": {},
    "warnings": ["b is 'x' in 90.0% of the quarantined rows, in 10.0% of those kept"],
    "sources": {"orders": 3},
    "max_bad_rows": 0.05,
    "outcome": "refused",
}


def _with_quarantine(system: System) -> str:
    """A run that put rows in quarantine."""
    system.drop("_specs/m.yaml", SPEC)
    source = system.drop("m/train/a.csv", CSV)
    system.drain()
    system.train()
    system.drain()
    run_id = str(system.claim(source)["run_id"])
    rows = HEADER + f'{run_id},{source},7,"a: must be a number",x,y,yes\n'
    for name, data in (
        ("rows.csv", rows.encode()),
        ("rows-orders.csv", b"k\n"),
        ("parts/rows.csv/0001.csv", b"left over"),
        ("summary.json", documents.dumps(SUMMARY)),
    ):
        system.lake.write(paths.quarantine("m", run_id, name), data)
    return run_id


def test_list_names_runs_with_what_is_most_often_wrong(shell: Shell) -> None:
    """All models or one; nothing is no error, an unknown model is."""
    assert "No row is in quarantine" in shell("quarantine", "list").stdout
    run_id = _with_quarantine(shell.system)
    for words in (("quarantine", "list"), ("quarantine", "list", "m")):
        (row,) = json.loads(shell(*words, "--json").stdout)
        assert (row["run"], row["quarantined"], row["rows"]) == (run_id, 10, 100)
        assert row["most_often"] == "a: must be a number"
        assert run_id in shell(*words).stdout
    unknown = shell("quarantine", "list", "other")
    assert unknown.exit_code == 1
    assert "there is no model 'other'" in unknown.stderr


def test_show_tells_reasons_examples_and_warnings(shell: Shell) -> None:
    """Counts with a sentence each, examples, the target's shares, where the rows are, what next."""
    run_id = _with_quarantine(shell.system)
    said = shell("quarantine", "show", run_id).stdout
    for words in (
        "10 of 100 rows are in quarantine (10.0%, allowed are 5.0%); the file was refused",
        "8  A number column holds",
        "record 7: a: it is",
        "yes: 24.0% and 60.0%",
        "b is 'x' in 90.0%",
        "3  orders",
        f"gs://lake/quarantine/m/{run_id}/rows.csv",
        f"quarantine export {run_id}",
    ):
        assert words in said
    assert "left over" not in said
    assert "parts/" not in said
    body = json.loads(shell("quarantine", "show", run_id, "--json").stdout)
    assert body["reasons"] == SUMMARY["reasons"]
    assert body["objects"] == [
        f"gs://lake/quarantine/m/{run_id}/{name}" for name in ("rows.csv", "rows-orders.csv")
    ]


def test_cells_do_not_steer_the_terminal(shell: Shell) -> None:
    """Neither as text nor as JSON, which says the same when it is read."""
    run_id = _with_quarantine(shell.system)
    for words in ((), ("--json",)):
        said = shell("quarantine", "show", run_id, *words).stdout
        assert not set(ESCAPE) & set(said) - set("[2J31m")
        assert "[2J" in said
    found = json.loads(shell("quarantine", "show", run_id, "--json").stdout)
    assert ESCAPE in found["codes"]["number"]["examples"][0]["reason"]


def test_export_writes_the_rows_and_the_next_command(shell: Shell, tmp_path: Path) -> None:
    """Ready to be corrected; a file that is there stays, a run without bad rows is a sentence."""
    run_id = _with_quarantine(shell.system)
    target = tmp_path / "my rows.csv"
    result = shell("quarantine", "export", run_id, "--to", str(target))
    assert result.exit_code == 0
    assert target.read_text().startswith(HEADER)
    assert f"quarantine replay {run_id} '{target}'" in result.stdout
    assert "orders" in result.stdout
    assert shell("quarantine", "export", run_id, "--to", str(target)).exit_code == 1
    again = shell("quarantine", "export", run_id, "--to", str(target), "--force", "--json")
    assert json.loads(again.stdout)["file"] == str(target)
    other = tmp_path / "o.csv"
    shell("quarantine", "export", run_id, "--to", str(other), "--source", "orders")
    assert other.read_bytes() == b"k\n"
    wrong = shell("quarantine", "export", run_id, "--source", "nothing")
    assert wrong.exit_code == 1
    assert "orders" in wrong.stderr
    scored = shell.system.drop("m/score/s.csv", b"a,b\n1,x\n")
    shell.work()
    clean = str(shell.system.claim(scored)["run_id"])
    assert "no row of run" in shell("quarantine", "export", clean).stderr


@pytest.fixture
def corrected(shell: Shell, tmp_path: Path) -> tuple[str, Path]:
    """A run, and its rows corrected."""
    run_id = _with_quarantine(shell.system)
    file = tmp_path / "rows.csv"
    shell("quarantine", "export", run_id, "--to", str(file))
    file.write_text(file.read_text().replace(",x,y,yes", ",1,y,yes"))
    return run_id, file


def test_replay_makes_a_linked_run_and_follows_it(
    shell: Shell, corrected: tuple[str, Path]
) -> None:
    """Exit codes are those of drop; either run names the other; the same again is a duplicate."""
    run_id, file = corrected
    dry = shell("quarantine", "replay", run_id, str(file), "--dry-run")
    assert dry.stderr.startswith("context local")
    assert dry.stderr.endswith("Dry run: nothing was done.\n")
    assert [info.name for info in shell.system.inbox.list("m/train/replay")] == []
    result = shell("quarantine", "replay", run_id, str(file), "--json")
    body = json.loads(result.stdout)
    assert (result.exit_code, body["state"]) == (0, "promoted")
    assert f"/m/train/replay-{run_id}-" in body["source"]
    new = body["run_id"]
    assert f"replays  {run_id}" in shell("why", new).stdout
    told = shell("why", run_id).stdout
    assert f"replayed by {new}" in told
    assert f"quarantine show {run_id}" in told
    assert f"replayed by {new}" in shell("quarantine", "show", run_id).stdout
    (listed,) = json.loads(shell("quarantine", "list", "--json").stdout)
    assert listed["replayed_by"] == [new]
    again = json.loads(shell("quarantine", "replay", run_id, str(file), "--json").stdout)
    assert (again["state"], again["facts"]["same_as"]) == ("duplicate", new)
    dropped = json.loads(shell("drop", str(file), "--model", "m", "--force", "--json").stdout)
    assert shell.system.request(dropped["run_id"]).replays == run_id


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (",a,b,y", ",a,b,z", "missing: y"),
        ("quarantine_record", "record", "quarantine_record"),
        ("2026", "1999", "no run 1999"),
        ("quarantine_run", ",quarantine_run", "index=False"),
    ],
)
def test_rows_that_do_not_fit_are_refused_before_they_are_sent(
    shell: Shell, corrected: tuple[str, Path], old: str, new: str, words: str
) -> None:
    """Exit code 2 with the reason intake would give, and nothing is uploaded."""
    run_id, file = corrected
    file.write_text(file.read_text().replace(old, new))
    result = shell("quarantine", "replay", run_id, str(file))
    assert result.exit_code == 2
    assert words in result.stderr
    assert list(shell.system.inbox.list("m/train/replay")) == []


def test_rows_of_another_run_are_not_replayed_by_mistake(
    shell: Shell, corrected: tuple[str, Path]
) -> None:
    """The run that is named and the run in the file must be one."""
    run_id, file = corrected
    source = shell.system.drop("m/train/b.csv", CSV + b"3,z,no\n")
    shell.work()
    other = str(shell.system.claim(source)["run_id"])
    result = shell("quarantine", "replay", other, str(file))
    assert result.exit_code == 2
    assert f"quarantine replay {run_id}" in result.stderr


def test_a_run_with_too_many_bad_rows_says_how_to_mend_them(shell: Shell) -> None:
    """`why` leads to quarantine where that is why the run ended."""
    run_id = _with_quarantine(shell.system)
    refused = f"{run_id[:-1]}{'0' if run_id[-1] != '0' else '1'}"
    runs.note(
        "m",
        refused,
        "rejected",
        lake=shell.system.lake,
        clock=shell.system.clock,
        reason="TooManyBadRows",
        message="too many",
    )
    said = shell("why", refused).stdout
    assert f"quarantine show {refused}" in said
    assert f"quarantine export {refused}" in said
