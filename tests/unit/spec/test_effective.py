"""Every value of a spec with where it comes from."""

from __future__ import annotations

from pathlib import Path

import pytest

from shared.spec.effective import effective, render, written
from shared.spec.load import load_spec

ROOT = Path(__file__).resolve().parents[3]
SHIPPED = sorted((ROOT / "infra" / "specs").glob("*.yaml"))
TEXT = """
task: binary
target: y
columns:
  a: {type: number, expect: {min: 1}}
  b c: {}
  y: {}
training: {trials: 8}
"""
JOINED = """
task: binary
target: y
columns: {id: {exclude: true}, age: {type: number}, y: {}}
sources:
  people: {key: id}
  visits: {key: id, aggregates: {n: count}}
"""


def origins(text: str) -> dict[str, str]:
    spec = load_spec(text, "m.yaml")
    return {item.key: item.origin for item in effective(spec, written(spec))}


def test_what_was_written_is_known_also_when_it_equals_the_default() -> None:
    """`trials: 8` was meant; `folds` was not mentioned."""
    found = origins(TEXT)
    assert found["training.trials"] == "spec"
    assert found["training.folds"] == "default"
    assert found["columns.a.expect.min"] == "spec"
    assert found["columns.a.exclude"] == "default"
    assert found["features"] == "derived"
    assert {"spec", "default", "derived"} == set(found.values())


def test_without_the_file_what_differs_counts_as_written() -> None:
    """Generations that were stored without their keys."""
    found = {item.key: item.origin for item in effective(load_spec(TEXT, "m.yaml"))}
    assert (found["columns.a.type"], found["training.trials"]) == ("spec", "default")


def test_what_follows_from_sources_is_derived() -> None:
    """The primary, added columns and their types, the features."""
    spec = load_spec(JOINED, "m.yaml")
    derived = [(item.key, item.value) for item in effective(spec) if item.origin == "derived"]
    assert derived == [
        ("primary", "people"),
        ("columns.n.type", "number"),
        ("features", ["age", "n"]),
    ]


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_what_is_shown_is_the_same_spec(path: Path) -> None:
    """It can be read as a spec again, and each line says where its value comes from."""
    spec = load_spec(path.read_text(encoding="utf-8"), path.name)
    text = render(effective(spec, written(spec)))
    assert load_spec(text, path.name) == spec
    assert all(
        line.endswith((":", "# spec", "# default")) or line.startswith("# derived")
        for line in text.splitlines()
    )


@pytest.mark.parametrize("text", [TEXT, JOINED])
def test_odd_names_survive(text: str) -> None:
    """Blanks in column names, maps in maps."""
    spec = load_spec(text, "m.yaml")
    assert load_spec(render(effective(spec)), "m.yaml") == spec
