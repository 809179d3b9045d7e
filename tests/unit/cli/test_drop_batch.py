"""drop for models of several sources: one batch, one run to follow, or what it still waits for."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from tests.unit.cli.conftest import Shell

SPEC = """
task: binary
target: y
sources:
  customers: {key: k}
  orders: {key: k, aggregates: {n: count}}
promotion: {approval: auto}
"""


@pytest.fixture
def files(shell: Shell, tmp_path: Path) -> dict[str, str]:
    """A spec in force, and a file for each source."""
    shell.system.drop("_specs/m.yaml", SPEC)
    shell.work()
    customers, orders = tmp_path / "customers.csv", tmp_path / "orders.json.gz"
    customers.write_text("k,y\n1,yes\n2,no\n")
    orders.write_bytes(gzip.compress(b'{"k": 1, "price": 10}\n{"k": 2, "price": 5}\n'))
    return {"customers": str(customers), "orders": str(orders)}


def test_a_batch_is_dropped_at_once_and_its_run_followed(
    shell: Shell, files: dict[str, str]
) -> None:
    """The files may come in any order; the run is that of the batch, whatever each upload's is."""
    words = ("drop", files["orders"], files["customers"], "--model", "m", "--batch", "2026-11")
    result = shell(*words, "--json")
    assert result.exit_code == 0, result.output
    body = json.loads(result.stdout)
    assert body["state"] == "promoted"
    request = shell.system.request(body["run_id"])
    assert [item.role for item in request.inputs] == ["customers", "orders"]
    assert request.inputs[1].object.endswith("/orders.json.gz")
    assert "as m/train/2026-11/orders.json.gz" in result.stderr
    joined = str(shell.system.claim(request.inputs[0].source)["run_id"])
    told = shell("why", joined).stdout
    assert f"part of the batch '2026-11' of m: run {body['run_id']}" in told
    again = shell(*words)
    assert again.exit_code == 2
    assert "batch already closed" in again.stderr


def test_other_file_names_are_told_their_source(
    shell: Shell, files: dict[str, str], tmp_path: Path
) -> None:
    """--as SOURCE=FILE, beside files that are named after their source."""
    odd = tmp_path / "export 7.csv"
    odd.write_text(Path(files["customers"]).read_text())
    words = ("--model", "m", "--batch", "b", "--json")
    result = shell("drop", files["orders"], "--as", f"customers={odd}", *words)
    assert json.loads(result.stdout)["state"] == "promoted"
    wrong = shell("drop", files["orders"], str(odd), *words)
    assert wrong.exit_code == 1
    assert "no source 'export 7'" in wrong.stderr
    twice = shell("drop", files["customers"], "--as", f"customers={odd}", *words)
    assert "both for the source customers" in twice.stderr


def test_a_part_of_a_batch_waits_for_the_rest(shell: Shell, files: dict[str, str]) -> None:
    """Exit 3 at once; `why` and `status` say what is missing and until when; the rest completes
    it."""
    part = shell("drop", files["customers"], "--model", "m", "--batch", "b", "--json")
    body = json.loads(part.stdout)
    assert (part.exit_code, body["state"]) == (3, "waiting_for_sources")
    assert body["facts"]["missing"] == ["orders"]
    told = shell("why", body["run_id"]).stdout
    assert "The batch waits for orders until" in told
    assert "--batch b --as train" in told  # without it nobody knows what the others are for
    (row,) = json.loads(shell("status", "--json").stdout)
    assert row["waiting"] == ["train batch b for orders"]
    rest = shell("drop", files["orders"], "--model", "m", "--batch", "b", "--as", "train")
    assert rest.exit_code == 0
    assert json.loads(shell("status", "--json").stdout)[0]["waiting"] == []


def test_a_refused_file_of_a_batch_is_the_answer(
    shell: Shell, files: dict[str, str], tmp_path: Path
) -> None:
    """Nobody waits for the others then: exit 2 with the reason."""
    empty = tmp_path / "empty.csv"
    empty.touch()
    result = shell(
        "drop", files["customers"], "--as", f"orders={empty}", "--model", "m", "--batch", "b"
    )
    assert result.exit_code == 2
    assert "0 bytes" in result.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("customers", "orders"), "name it with --batch"),
        (("orders", "--batch", "b"), "--as train or --as score"),
        (("--batch", "b"), "at least one FILE"),
        ((), "name the FILE"),
        (("customers", "--as", "tarin"), "'tarin' is none of"),
        (("customers", "--as", "train", "--as", "score"), "of which one can be given"),
        (("customers", "--as", "orders=/nowhere.csv", "--batch", "b"), "does not exist"),
    ],
)
def test_what_makes_no_batch_is_a_sentence(
    shell: Shell, files: dict[str, str], words: tuple[str, ...], said: str
) -> None:
    """Nothing is uploaded."""
    before = [info.name for info in shell.system.inbox.list()]
    result = shell("drop", *(files.get(word, word) for word in words), "--model", "m")
    assert result.exit_code in (1, 2)
    assert said in " ".join(result.stderr.replace("│", " ").split())
    assert [info.name for info in shell.system.inbox.list()] == before


def test_a_batch_for_a_model_of_one_source_is_a_sentence(
    shell: Shell, files: dict[str, str]
) -> None:
    """Before anything is uploaded."""
    shell.system.drop("_specs/one.yaml", "task: binary\ntarget: y\n")
    shell.work()
    result = shell("drop", files["customers"], "--model", "one", "--batch", "b")
    assert result.exit_code == 1
    assert "single files" in result.stderr


def test_a_single_file_for_a_model_of_several_sources_is_told_where_it_belongs(
    shell: Shell, files: dict[str, str]
) -> None:
    """By intake, with the exact place, where --as keeps drop from looking at it."""
    result = shell("drop", files["customers"], "--model", "m", "--as", "train")
    assert result.exit_code == 2
    assert "m/train/<batch>/customers.csv" in result.stderr


def test_a_file_of_several_is_not_dropped_alone(shell: Shell, files: dict[str, str]) -> None:
    """Intake would refuse it; the command that drops all of them is said instead."""
    before = list(shell.system.inbox.list())
    result = shell("drop", files["customers"], "--model", "m")
    assert result.exit_code == 2
    assert "drop customers.csv orders.csv --model m --batch NAME" in result.stderr
    assert list(shell.system.inbox.list()) == before
