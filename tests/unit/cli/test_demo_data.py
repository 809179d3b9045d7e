"""The demo's data: where it comes from, and how it is cut."""

from __future__ import annotations

import gzip
import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

from shared.cli.demo.data import SCORE_ROWS, SHIFTED_ROWS, cut, find, write_labels
from shared.cli.demo.settings import for_demo, shipped
from shared.cli.demo.synthetic import ROWS, synthetic_rows
from shared.cli.demo.use_cases import ADULT, HOUSING, USE_CASES, UseCase
from shared.cli.drafting import draft_file

OFFLINE = "http://127.0.0.1:9/none"  # nobody listens there
BOTH = pytest.mark.parametrize("use_case", USE_CASES.values(), ids=USE_CASES)


def as_file(rows: list[list[str]], use_case: UseCase) -> bytes:
    lines = [use_case.separator.join(row) for row in rows]
    head = [use_case.separator.join(use_case.columns)] if use_case.header else []
    return ("\n".join([*head, *lines]) + "\n\n").encode()


@BOTH
def test_a_file_in_the_named_folder_is_taken(use_case: UseCase, tmp_path: Path) -> None:
    """Packed or not, when its SHA-256 is the pinned one; a blank last line is no row."""
    data = as_file(synthetic_rows(use_case)[:5], use_case)
    known = replace(use_case, sha256=hashlib.sha256(data).hexdigest(), url=OFFLINE)
    (tmp_path / f"{known.file_name}.gz").write_bytes(gzip.compress(data))
    found = find(known, folder=tmp_path, cache=tmp_path / "cache")
    assert (len(found.rows), found.synthetic) == (5, False)
    assert all(len(row) == len(known.columns) for row in found.rows)


def test_another_file_under_that_name_is_not_trusted(tmp_path: Path) -> None:
    """The person who put it there is told, and the stand-in is announced as one."""
    (tmp_path / ADULT.file_name).write_text("39, State-gov\n")
    found = find(replace(ADULT, url=OFFLINE), folder=tmp_path, cache=tmp_path / "cache")
    assert found.synthetic
    assert "SYNTHETIC STAND-IN" in found.origin
    assert "SHA-256 differs" in found.origin


def test_without_a_network_the_stand_in_says_so(tmp_path: Path) -> None:
    """Nobody takes made-up people for the census."""
    found = find(replace(HOUSING, url=OFFLINE), folder=None, cache=tmp_path)
    assert found.synthetic
    assert "SYNTHETIC STAND-IN" in found.origin
    assert len(found.rows) == ROWS


@BOTH
def test_the_cut_is_disjoint_complete_and_always_the_same(
    use_case: UseCase, tmp_path: Path
) -> None:
    """Every row goes to exactly one of the files, the same one each time."""
    rows = synthetic_rows(use_case)
    one, two = cut(use_case, rows, tmp_path / "1"), cut(use_case, rows, tmp_path / "2")
    for name in ("train", "score", "shifted"):
        assert getattr(one, name).read_bytes() == getattr(two, name).read_bytes()
    counts = {
        name: len(getattr(one, name).read_text().splitlines()) - use_case.header
        for name in ("train", "score", "shifted")
    }
    assert counts["train"] == one.train_rows
    assert counts["score"] == SCORE_ROWS
    assert counts["shifted"] == SHIFTED_ROWS == len(one.truths) >= 3000
    assert sum(counts.values()) == len(rows)


@BOTH
def test_score_files_lack_the_target_and_labels_name_predictions(
    use_case: UseCase, tmp_path: Path
) -> None:
    """As the spec says: the truth comes later, keyed by prediction_id, for every row."""
    files = cut(use_case, synthetic_rows(use_case), tmp_path)
    width = len(use_case.columns) - 1
    for path in (files.score, files.shifted):
        assert all(line.count(",") == width - 1 for line in path.read_text().splitlines())
    labels = write_labels(tmp_path / "labels.csv", "run", files.truths).read_text().splitlines()
    assert labels[:2] == ["prediction_id,label", f"run-1,{files.truths[0]}"]
    assert len(labels) == SHIFTED_ROWS + 1


@BOTH
def test_the_upstream_change_is_one_that_training_never_saw(
    use_case: UseCase, tmp_path: Path
) -> None:
    """Other words for the categories, other units for the numbers."""
    files = cut(use_case, synthetic_rows(use_case), tmp_path)
    before = dict(zip(use_case.columns, synthetic_rows(use_case)[0], strict=True))
    changed = {key for key, cell in use_case.change(before).items() if cell != before[key]}
    assert changed >= {"ocean_proximity"} or changed >= {"marital_status", "relationship"}
    assert use_case.target not in changed
    train = files.train.read_text()
    words = use_case.change(before).values()
    assert any(word not in train for word in words if not word.replace(".", "").isdigit())


@BOTH
def test_the_stand_in_fits_the_shipped_spec(use_case: UseCase, tmp_path: Path) -> None:
    """Same columns, same kind of target, both of them learnable by the same spec."""
    path = tmp_path / "all.csv"
    path.write_bytes(as_file(synthetic_rows(use_case), use_case))
    spec = shipped(use_case.model)
    target = use_case.target
    if not use_case.header:
        target = f"column_{use_case.columns.index(use_case.target) + 1}"
    drafted = draft_file(path, target).spec
    assert tuple(spec.columns) == use_case.columns
    assert drafted.task == spec.task
    types = [column.type for column in drafted.columns.values()]
    assert types == [column.type for column in spec.columns.values()]


@BOTH
def test_every_changed_setting_is_said(use_case: UseCase) -> None:
    """The demo's spec is the shipped one but for the settings it prints."""
    spec = shipped(use_case.model)
    changed, lines = for_demo(spec)
    said = {line.split(":")[0] for line in lines}
    for part in type(spec).model_fields:
        old, new = getattr(spec, part), getattr(changed, part)
        if old == new:
            continue
        for key in type(old).model_fields:
            if getattr(old, key) != getattr(new, key):
                said.remove(f"{part}.{key}")
    assert said == set()
