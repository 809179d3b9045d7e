"""Specs in git: every one is checked as intake would, and told what it would do."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from infra.bundle import REPOSITORY
from infra.delivery import specs

GOOD = "task: binary\ntarget: y\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / specs.TEAM).mkdir(parents=True)
    return tmp_path


def git(root: Path, *words: str) -> str:
    who = ("-c", "user.name=a", "-c", "user.email=a@example.com")
    command = ["git", *who, *words]
    return subprocess.run(command, cwd=root, check=True, capture_output=True, text=True).stdout


def test_the_repositorys_own_specs_are_well() -> None:
    assert specs.check() == []


def test_a_spec_that_intake_would_refuse_is_told_with_its_line(root: Path) -> None:
    (root / specs.TEAM / "churn.yaml").write_text(GOOD)
    (root / specs.TEAM / "sales.yaml").write_text("task: binary\ntarget: y\nsplits: {}\n")
    (problem,) = specs.check(root)
    assert problem.startswith(f"{specs.TEAM}/sales.yaml, line 3")


@pytest.mark.parametrize("name", ["Churn.yaml", "churn.yml", "team/churn.yaml"])
def test_a_file_is_called_after_its_model(root: Path, name: str) -> None:
    """The name is the model's in the inbox; another ending or folder would never get there."""
    file = root / specs.TEAM / name
    file.parent.mkdir(exist_ok=True)
    file.write_text(GOOD)
    (problem,) = specs.check(root)
    assert name in problem


def test_what_changed_is_what_a_pull_request_tells(root: Path) -> None:
    """New and edited ones; one that is deleted stays in force and is not asked about."""
    for name in ("kept", "edited", "deleted"):
        (root / specs.TEAM / f"{name}.yaml").write_text(GOOD)
    git(root, "init", "-q")
    git(root, "add", ".")
    git(root, "commit", "-qm", "first")
    base = git(root, "rev-parse", "HEAD").strip()
    (root / specs.TEAM / "edited.yaml").write_text(GOOD + "size: m\n")
    (root / specs.TEAM / "new.yaml").write_text(GOOD)
    (root / specs.TEAM / "deleted.yaml").unlink()
    git(root, "add", ".")
    git(root, "commit", "-qm", "second")
    assert [file.stem for file in specs.changed(base, root)] == ["edited", "new"]


def test_a_plan_that_cannot_be_told_is_no_success(root: Path) -> None:
    """An installation that nobody knows, a reviewer who may not read: said, and red."""
    file = root / specs.TEAM / "churn.yaml"
    file.write_text(GOOD)
    text, good = specs.plan([file], "nowhere", root)
    assert not good
    assert f"{specs.TEAM}/churn.yaml" in text
    assert specs.plan([], "nowhere", root) == (f"No spec in {specs.TEAM}/ was changed.\n", True)


def test_the_folder_says_how_it_is_used() -> None:
    assert "make specs" in (REPOSITORY / specs.TEAM / "README.md").read_text(encoding="utf-8")
