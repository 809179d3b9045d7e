"""Specs as YAML: what is understood, what is refused and in which words."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.errors import BadSpec
from shared.spec.base import LONGEST
from shared.spec.differences import differences
from shared.spec.effective import effective, render
from shared.spec.load import MAX_CHARACTERS, dump_spec, load_spec
from shared.spec.model import (
    Checks,
    Column,
    Expect,
    JoinedSource,
    Monitoring,
    Promotion,
    Require,
    Spec,
    Target,
    Training,
)

ROOT = Path(__file__).resolve().parents[3]
SHIPPED = sorted((ROOT / "infra" / "specs").glob("*.yaml"))


def whole_seconds(value: timedelta) -> timedelta:
    return timedelta(seconds=int(value.total_seconds()))


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
        ("task: binary\ntarget: y\nfoo: 1\n", "known here: checks, columns"),
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


NAMES = st.text(st.characters(codec="utf-8"), min_size=1, max_size=12)
NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.none() | st.lists(NAMES, min_size=1, max_size=3).map(tuple)
NUMBER_COLUMNS = st.builds(
    Column,
    type=st.just("number"),
    exclude=st.booleans(),
    available_at_prediction=st.booleans(),
    expect=st.builds(Expect, min=st.none() | NUMBERS),
    require=st.builds(Require, max=st.none() | NUMBERS, unique=st.booleans()),
)
TEXT_COLUMNS = st.builds(
    Column,
    allow_leak=st.none() | NAMES.filter(str.strip),
    expect=st.builds(Expect, values=VALUES),
    require=st.builds(Require, values=VALUES, present=st.booleans()),
)
TIME_COLUMNS = st.builds(
    Column,
    type=st.just("time"),
    require=st.builds(
        Require, max_age=st.none() | st.timedeltas(timedelta(seconds=1), LONGEST).map(whole_seconds)
    ),
)
COLUMNS = st.dictionaries(NAMES, NUMBER_COLUMNS | TEXT_COLUMNS | TIME_COLUMNS, max_size=4)
JOINED = st.builds(
    lambda name, **parts: {"people": JoinedSource(key=name), "visits": JoinedSource(**parts)},
    name=NAMES.filter(lambda name: name != "y"),
    key=NAMES.filter(lambda name: name not in ("visits", "spent")),
    aggregates=st.just({"visits": "count", "spent": "sum(a b)"}),
    defaults=st.dictionaries(st.sampled_from(["visits", "spent"]), NUMBERS),
    delimiter=st.sampled_from(["auto", ";", "\t"]),
    missing=st.lists(NAMES).map(tuple),
    wait_hours=st.floats(0.1, 8760),
    on_timeout=st.sampled_from(["reject", "without"]),
)
SPECS = st.builds(
    lambda columns, **parts: Spec(
        task="binary",
        target=Target(column="y", positive=">50K"),
        columns={**columns, "x": Column(), "y": Column()},
        **parts,
    ),
    columns=COLUMNS,
    sources=st.just({}) | JOINED,
    rules=st.dictionaries(NAMES, st.sampled_from(["x = 'a'", 'x is missing or y = "b"'])),
    checks=st.builds(Checks),
    max_bad_rows=st.floats(0, 1),
    training=st.builds(Training, seed=st.integers(-(10**15), 10**15), holdout=st.floats(0.01, 0.8)),
    promotion=st.builds(Promotion),
    monitoring=st.builds(
        Monitoring,
        window=st.timedeltas(timedelta(seconds=1), LONGEST).map(whole_seconds),
        persistence=st.just((1, 1)),
    ),
    title=st.text(st.characters(codec="utf-8")),
)


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(SPECS)
def test_a_written_spec_reads_the_same(spec: Spec) -> None:
    """dump_spec loses nothing, whatever names, values and numbers people have; nor does showing
    the spec with all its values."""
    assert load_spec(dump_spec(spec), "m.yaml") == spec
    assert list(load_spec(dump_spec(spec), "m.yaml").columns) == list(spec.columns)
    assert load_spec(render(effective(spec)), "m.yaml") == spec


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(SPECS, SPECS)
def test_what_differs_is_what_is_told(one: Spec, other: Spec) -> None:
    """No difference means that both are the same; each is one readable line."""
    assert (differences(one, other) == []) == (
        one == other and list(one.columns) == list(other.columns)
    )
    assert differences(one, one) == []
    assert all("\n" not in str(item) for item in differences(one, other))


def test_only_what_differs_is_written() -> None:
    """A drafted spec is short enough to read."""
    text = dump_spec(Spec(task="regression", target=Target(column="price")))
    assert text == "task: regression\ntarget: price\n"


@pytest.mark.parametrize(
    "line", ['title: "\\ud800"', 'columns: {"\\udfff": {}, y: {}}', 'rules: {"r": "a = \\ud800"}']
)
def test_what_no_file_can_hold_is_no_text(line: str) -> None:
    """YAML can spell half a surrogate pair; a spec with one could never be stored."""
    with pytest.raises(BadSpec, match=r"m\.yaml, line 3: .*are no characters"):
        load_spec(f"task: binary\ntarget: y\n{line}\n", "m.yaml")


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ("columns:\n  a:\n  y: {}", "line 4: columns.a: .*`key: value`.*it is None"),
        ("columns: [a, y]", "line 3: columns: .*`key: value`"),
        ("training: fast", "line 3: training: .*`key: value`.*it is 'fast'"),
        ("columns: {a: {require: {values: abc}}, y: {}}", "values: .*a list.*it is 'abc'"),
    ],
)
def test_a_wrong_shape_is_told_in_words(lines: str, words: str) -> None:
    """Nobody who writes a spec knows what a dictionary, a tuple or an instance is."""
    with pytest.raises(BadSpec, match=words) as error:
        load_spec(f"task: binary\ntarget: y\n{lines}\n", "m.yaml")
    assert "dictionary" not in str(error.value)
    assert "instance" not in str(error.value)
    assert "tuple" not in str(error.value)
