"""What lies at the top: a stranger sees it first, and it is the customer's choice."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TOP = {
    *("README.md", "pyproject.toml", "functions", "shared", "jobs", "infra", "tests"),
    *("cloudbuild.yaml", "Makefile", "millrace", "CHANGELOG.md", "LICENSE", "SECURITY.md"),
}


def test_nothing_else_lies_at_the_top() -> None:
    """Of what is committed; names that begin with a dot are tools'."""
    done = subprocess.run(
        ["git", "ls-tree", "--name-only", "HEAD"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        pytest.skip("no checkout: an archive has no list of what is committed")
    assert {name for name in done.stdout.split() if not name.startswith(".")} == TOP
