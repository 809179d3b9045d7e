"""Specs as YAML: what is understood, what is refused and in which words."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.errors import BadSpec
from shared.spec.load import MAX_CHARACTERS, dump_spec, load_spec
from shared.spec.model import Column, Expect, Monitoring, Source, Spec, Target, Training

ROOT = Path(__file__).resolve().parents[3]
SHIPPED = sorted((ROOT / "infra" / "specs").glob("*.yaml"))


def refusal(text: str) -> str:
    with pytest.raises(BadSpec) as caught:
        load_spec(text, "_specs/m.yaml")
    return str(caught.value)


def test_the_smallest_spec_is_task_and_target() -> None:
    """Everything else has a default."""
    spec = load_spec("task: binary\ntarget: y\n", "m.yaml")
    assert spec.target == Target(column="y")
    assert spec.training == Training()


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_specs_are_valid(path: Path) -> None:
    """What is shipped can be dropped as it is, and survives being written again."""
    spec = load_spec(path.read_text(encoding="utf-8"), path.name)
    assert load_spec(dump_spec(spec), path.name) == spec


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("task: binary\ntarget: y\ntraining:\n  trails: 3\n", "line 4: training.trails"),
        ("task: binary\ntarget: y\ntraining:\n  trails: 3\n", "did you mean trials?"),
        ("task: binary\ntarget: y\nfoo: 1\n", "known here: columns"),
        ("task: binary\ntarget: y\ncolumns: {a: {typ: number}, y: {}}", "did you mean type?"),
        ("target: y\n", "line 1: task is missing"),
        ("task: binary\n\n\ntarget: z\ncolumns: {a: {}, y: {}}", "line 4: target.column 'z'"),
        ("task: binary\ntarget: y\nmonitoring:\n  window: 5x\n", "line 4: monitoring.window"),
        ("task: binary\ntarget: y\nmonitoring:\n  persistence: [3, 2]\n", "1 <= m <= n"),
        ("task: binary\ntarget: y\nsource: {header: false}\n", "columns must name the columns"),
        ("task: binary\ntarget: {column: y, positive: 1}\n", "put it in quotes"),
        ("task: binary\ntask: regression\ntarget: y\n", "line 2: task is there twice"),
    ],
)
def test_a_broken_rule_names_line_and_key(text: str, expected: str) -> None:
    """A person finds the place without reading our code."""
    message = refusal(text)
    assert message.startswith("_specs/m.yaml")
    assert expected in message


@pytest.mark.parametrize(
    "text",
    [
        "",
        "just words",
        "- a\n- b\n",
        "task: >50K\n",
        "a: {b\n",
        "a: \x00\n",
        "a: &x 1\nb: *x\n",
        "a: !!python/object:os.system x\n",
        "a: 1\n---\nb: 2\n",
        "? [a, b]\n: 1\n",
        "a: " + "[" * 1000,
        "a: " + "{b: " * 1000,
        "#" * (MAX_CHARACTERS + 1),
        "\x1f\x8b\x08",
    ],
)
def test_what_is_no_spec_is_refused(text: str) -> None:
    """Nothing but our subset of YAML gets through, and nothing crashes on the way."""
    assert "_specs/m.yaml" in refusal(text)


@settings(deadline=None)  # a busy machine is no failure
@given(st.text(max_size=200))
def test_any_text_is_a_spec_or_a_refusal(text: str) -> None:
    """No text makes the loader fail in another way."""
    with suppress(BadSpec):
        load_spec(text, "m.yaml")


def test_plain_words_stay_text() -> None:
    """`yes`, times and dates are not turned into something else behind one's back."""
    values = "{expect: {values: [yes, no, 12:30, 2026-01-01]}}"
    spec = load_spec(f"task: binary\ntarget: y\ncolumns: {{a: {values}, y: {{}}}}", "m.yaml")
    assert spec.columns["a"].expect.values == ("yes", "no", "12:30", "2026-01-01")


NAMES = st.text(st.characters(codec="utf-8", categories=["L", "N", "P", "Zs"]), min_size=1)
COLUMNS = st.builds(
    Column,
    type=st.sampled_from(["number", "category"]),
    exclude=st.booleans(),
    expect=st.builds(
        Expect,
        min=st.none() | st.floats(-1e9, 1e9),
        values=st.none() | st.lists(NAMES, max_size=3).map(tuple),
    ),
)


@settings(deadline=None)
@given(st.dictionaries(NAMES, COLUMNS, max_size=4), st.integers(1, 90))
def test_a_written_spec_reads_the_same(columns: dict[str, Column], days: int) -> None:
    """dump_spec loses nothing, whatever names and values people have."""
    spec = Spec(
        task="binary",
        target=Target(column="y", positive=">50K"),
        source=Source(delimiter=";", missing=("", "no", "-999")),
        columns={**columns, "x": Column(), "y": Column()},
        monitoring=Monitoring(window=timedelta(days=days), persistence=(1, 1)),
    )
    assert load_spec(dump_spec(spec), "m.yaml") == spec


def test_only_what_differs_is_written() -> None:
    """A drafted spec is short enough to read."""
    text = dump_spec(Spec(task="regression", target=Target(column="price")))
    assert text == "task: regression\ntarget: price\n"
