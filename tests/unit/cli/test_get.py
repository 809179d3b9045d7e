"""get: results on this disk, named by object or by run."""

from __future__ import annotations

import io
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet
import pytest

from shared import documents, paths
from tests.support.system import CSV, SPEC
from tests.unit.cli.conftest import Shell


@pytest.fixture
def here(shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, and a model m with a champion and an object or two."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    shell.system.drop("_specs/m.yaml", SPEC)
    shell.system.drop("m/train/a.csv", CSV)
    shell.work()
    shell.system.lake.write(paths.predictions("m", "r-1", "predictions.csv"), b"a,score\n")
    return folder


@pytest.mark.parametrize(
    ("name", "file", "content"),
    [
        ("gs://lake/predictions/m/r-1/predictions.csv", "predictions.csv", b"a,score\n"),
        ("predictions/m/r-1/predictions.csv", "predictions.csv", b"a,score\n"),
        ("gs://inbox/m/train/a.csv", "a.csv", CSV),
    ],
)
def test_an_object_is_written_under_its_own_name(
    shell: Shell, here: Path, name: str, file: str, content: bytes
) -> None:
    """Into the current folder, with nothing left beside it; - is stdout."""
    assert shell("get", name).exit_code == 0
    assert [path.name for path in here.iterdir()] == [file]
    assert (here / file).read_bytes() == content
    assert shell("get", name, "-o", "-").stdout_bytes == content


def test_a_file_is_overwritten_with_force_only(shell: Shell, here: Path) -> None:
    """What is there stays, and how to have it is said."""
    (here / "x").write_text("mine")
    words = ("get", "predictions/m/r-1/predictions.csv", "-o", "x")
    refused = shell(*words)
    assert refused.exit_code == 1
    assert "--force" in refused.stderr
    assert (here / "x").read_text() == "mine"
    assert shell(*words, "--force").exit_code == 0
    assert (here / "x").read_bytes() == b"a,score\n"


def test_a_run_means_its_main_result(shell: Shell, here: Path) -> None:
    """The card of a training, the predictions of a scoring, the bad rows of a rejected run; `why`
    says the line to type."""
    lake, trained = shell.system.lake, str(shell.system.champion())
    for run_id in ("r-1", "r-2"):
        documents.create(
            lake,
            paths.run_event("m", run_id, "requested"),
            {"at": "2026", "facts": {}, "name": "requested"},
        )
    lake.write(paths.version("m", trained, "card.html"), b"card")
    lake.write(paths.quarantine("m", "r-2", "summary.json"), b"{}")
    lake.write(paths.quarantine("m", "r-2", "rows.csv"), b"bad")
    assert shell("get", trained, "-o", "-").stdout == "card"
    assert shell("get", "r-1", "-o", "-").stdout == "a,score\n"
    assert shell("get", "r-2", "-o", "-").stdout == "bad"
    assert f"Read card.html: ./millrace get {trained}" in shell("why", trained).stdout
    assert list(here.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("gs://lake/nothing.csv", "gs://lake/nothing.csv does not exist"),
        ("gs://lake/predictions/m/r-1", "gs://lake/predictions/m/r-1/predictions.csv"),
        ("gs://other/x", "known: lake, inbox"),
        ("gs://lake", "names no object"),
        ("nothing", "there is no run 'nothing'"),
    ],
)
def test_what_does_not_exist_is_a_sentence(
    shell: Shell, here: Path, name: str, reason: str
) -> None:
    """A folder's objects are named; no file is left behind."""
    result = shell("get", name)
    assert result.exit_code == 1
    assert reason in result.stderr
    assert list(here.iterdir()) == []


def test_any_file_of_a_run_is_named_by_run_and_file(shell: Shell, here: Path) -> None:
    """Of a version, its data or its quarantine, without knowing where they lie."""
    lake, trained = shell.system.lake, str(shell.system.champion())
    lake.write(paths.version("m", trained, "data-card.html"), b"made of")
    lake.write(paths.dataset("m", trained, "data.csv.gz"), b"rows")
    assert shell("get", f"{trained}/data-card.html").exit_code == 0
    assert (here / "data-card.html").read_bytes() == b"made of"
    assert shell("get", f"{trained[:-2]}/data.csv.gz").exit_code == 0
    assert (here / "data.csv.gz").read_bytes() == b"rows"
    missing = shell("get", f"{trained}/nothing.txt")
    assert missing.exit_code == 1
    assert "nothing.txt" in missing.stderr


def test_parquet_parts_come_as_one_file(shell: Shell, here: Path) -> None:
    """All rows in order under one name; the manifest itself can be had, too."""
    lake = shell.system.lake
    parts = []
    for number, rows in enumerate([[1, 2], [3]]):
        out = io.BytesIO()
        pyarrow.parquet.write_table(pa.table({"a": rows}), out)
        name = paths.predictions("m", "r-2", f"parts-1/{number:05d}.parquet")
        lake.write(name, out.getvalue())
        parts.append({"object": name, "rows": len(rows)})
    manifest = paths.predictions("m", "r-2", "predictions.json")
    documents.create(lake, manifest, {"format": "parquet", "rows": 3, "parts": parts})
    found = shell("get", manifest)
    assert (found.exit_code, "3 rows of 2 parts" in found.stderr) == (0, True)
    assert [path.name for path in here.iterdir()] == ["predictions.parquet"]
    assert pyarrow.parquet.read_table(here / "predictions.parquet")["a"].to_pylist() == [1, 2, 3]
    assert shell("get", manifest).exit_code == 1
    assert shell("get", manifest, "-o", "m.json").exit_code == 0
    assert '"parts"' in (here / "m.json").read_text()
