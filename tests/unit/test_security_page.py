"""SECURITY.md promises what tests hold: every threat names one, and each of them is there."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
_TEST = re.compile(r"`([a-z_/]+\.py)::(test_\w+)`")


def threats() -> list[str]:
    """The rows of the table of threats."""
    table = PAGE.partition("## Threats")[2].partition("\n## ")[0]
    return [line for line in table.splitlines() if line.startswith("| ")][1:]


@cache
def names_in(name: str) -> frozenset[str]:
    tree = ast.parse((ROOT / "tests" / name).read_text(encoding="utf-8"))
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))


def test_every_threat_has_a_test_that_is_there() -> None:
    """No threat without a test, no test that was renamed away."""
    rows = threats()
    assert len(rows) > 25
    for row in rows:
        named = _TEST.findall(row)
        assert named, row
        for file, name in named:
            assert name in names_in(file), f"{file}::{name}"
