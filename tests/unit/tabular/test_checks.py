"""Checks of target, rows and identifiers: what they find, and what they leave alone."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import pytest
import yaml
from numpy.typing import NDArray

from shared.serving.features import Feature
from shared.spec.load import load_spec
from shared.spec.parts import Checks
from shared.tabular.checks import checks
from shared.tabular.checks.findings import CHECKS, Finding, spec_line
from shared.tabular.checks.repeats import Repeated, Repeats

RANDOM = np.random.default_rng(7)


def _texts(values: list[str]) -> NDArray[Any]:
    found = np.empty(len(values), object)
    found[:] = values
    return found


def _names(found: list[Finding]) -> list[str]:
    return [finding.name for finding in found]


def test_every_policy_of_the_spec_belongs_to_a_check_and_back() -> None:
    """No key under `checks` is without effect, and none is missing."""
    keys = {name for name, field in Checks.model_fields.items() if name != "min_class_rows"}
    assert {check.policy for check in CHECKS.values()} == keys


@pytest.mark.parametrize(
    "name", ["status", "no", "Yes", "petal length (cm)", 'a "b"', "Größe", "1"]
)
def test_the_line_to_add_is_yaml_for_any_column(name: str) -> None:
    """It can be copied as it is, whatever the column is called."""
    line = spec_line(name, "exclude: true")
    assert yaml.safe_load(line) == {"columns": {name: {"exclude": True}}}
    assert spec_line("status", "exclude: true") == "columns: {status: {exclude: true}}"


# --- target --------------------------------------------------------------------------------------


def test_many_rows_without_a_target_are_named() -> None:
    """From 1 % on; the numbers are in the sentence."""
    assert checks.target_missing("y", 9, 1000, "warn") == []
    (found,) = checks.target_missing("y", 10, 1000, "stop")
    assert (found.name, found.level, found.columns) == ("target_missing", "stop", ("y",))
    assert "10 of 1,000 rows (1.0%)" in found.sentence


def test_a_target_that_was_cut_off_is_found_with_the_line_that_leaves_such_rows_out() -> None:
    """House values capped at 500,001: that value is the largest and far more frequent than any
    below it."""
    values = np.minimum(np.round(RANDOM.lognormal(12, 0.6, 5000), -2), 500_001.0)
    capped = int((values == 500_001).sum())
    (found,) = checks.target_values("value", values, "warn")
    assert found.name == "target_pile"
    assert f"{capped:,} of 5,000 rows ({capped / 5000:.1%})" in found.sentence
    assert "500,001" in found.sentence
    lines = found.advice.split("`")
    first = "task: regression\ntarget: value\n"
    spec = load_spec(f"{first}{lines[1].replace('}}}', '}}, x: {}}')}\n", "a.yaml")
    limit = spec.columns["value"].require.max
    assert limit is not None
    assert (values <= limit).sum() == 5000 - capped
    assert load_spec(f"{first}{lines[3]}\n", "a.yaml").checks.target_pile == "off"


@pytest.mark.parametrize(
    "values",
    [
        RANDOM.lognormal(12, 0.6, 5000),
        RANDOM.integers(0, 11, 5000).astype(np.float64),  # ratings: the top one is a grade
        np.r_[np.zeros(3000), RANDOM.lognormal(5, 1, 2000)],  # most people spend nothing
        RANDOM.integers(0, 300, 5000).astype(np.float64),
        RANDOM.normal(0, 1, 60),
    ],
)
def test_targets_as_they_are_pass(values: NDArray[np.float64]) -> None:
    """Skewed ones, grades, counts and many zeros are nothing to look at."""
    assert checks.target_values("y", values, "warn") == []


def test_a_target_that_hardly_varies_is_named() -> None:
    """95 % of one value: the wrong column, or a yes and a no."""
    values = np.r_[np.zeros(960), RANDOM.normal(5, 1, 40)]
    (found,) = checks.target_values("y", values, "warn")
    assert found.name == "target_constant"
    assert "is 0 in 960 of 1,000 rows" in found.sentence


def test_small_classes_are_counted() -> None:
    """Each class below the minimum with its rows, and a minimum that would accept it."""
    counts = [400, 30, 12]
    (found,) = checks.small_classes("kind", counts, ["a", "b", "c"], 50, "warn")
    assert "'b' (30), 'c' (12) have fewer than 50 rows" in found.sentence
    assert "`checks: {min_class_rows: 12}`" in found.advice
    assert checks.small_classes("kind", counts, ["a", "b", "c"], 12, "warn") == []


# --- rows ----------------------------------------------------------------------------------------


def _key(number: int) -> bytes:
    return hashlib.blake2b(str(number).encode(), digest_size=16).digest()


def _repeated(features: NDArray[np.int64], target: NDArray[np.int64], **limit: int) -> Repeated:
    """Counted in blocks, as a file is read."""
    repeats = Repeats(**limit)
    for start in range(0, len(features), 700):
        keys = [_key(value) for value in features[start : start + 700].tolist()]
        repeats.add(keys, target[start : start + 700].astype(np.float64))
    return repeats.result()


def test_a_part_of_the_file_that_is_in_it_twice_is_found() -> None:
    """1,000 rows and 50 of them again."""
    features = np.r_[np.arange(1000), np.arange(50)]
    target = features % 2
    (found,) = checks.duplicates(_repeated(features, target), "warn")
    assert found.name == "duplicate_rows"
    assert "50 of 1,050 rows (4.8%)" in found.sentence


def test_coincidence_is_not_called_copies() -> None:
    """Rows of a few columns repeat, and disagree about the target as often as chance will."""
    features = RANDOM.integers(0, 9000, 3000)
    target = (RANDOM.random(3000) < 0.3).astype(np.int64)
    assert _repeated(features, target).copies > 0.05 * 3000
    assert "duplicate_rows" not in _names(checks.duplicates(_repeated(features, target), "warn"))


def test_a_file_of_two_halves_that_are_one_is_found_even_among_coincidences() -> None:
    """More than a quarter of copies is always worth a word."""
    features = np.tile(RANDOM.integers(0, 9000, 3000), 2)
    target = np.tile((RANDOM.random(3000) < 0.3).astype(np.int64), 2)
    assert "duplicate_rows" in _names(checks.duplicates(_repeated(features, target), "warn"))


def test_old_labels_that_stayed_beside_new_ones_are_found() -> None:
    """Equal rows with different targets, in a table whose rows differ otherwise."""
    features = np.r_[np.arange(1000), np.arange(200)]
    target = np.r_[np.zeros(1000, np.int64), np.ones(200, np.int64)]
    (found,) = checks.duplicates(_repeated(features, target), "stop")
    assert (found.name, found.level) == ("contradictions", "stop")
    assert "400 of 1,200 rows (33.3%)" in found.sentence


def test_a_table_of_few_combinations_may_disagree() -> None:
    """Class, sex and age of the Titanic's passengers: 14 combinations, both outcomes in each."""
    features = RANDOM.integers(0, 14, 2201)
    target = RANDOM.integers(0, 2, 2201)
    assert "contradictions" not in _names(checks.duplicates(_repeated(features, target), "warn"))


def test_repeats_are_counted_in_bounded_memory() -> None:
    """A file that is in itself twice, and more rows than are kept: the share comes out right, and
    is called an estimate."""
    half = RANDOM.integers(0, 1 << 40, 20_000)
    features = np.r_[half, half]
    found = _repeated(features, features % 2, limit=1000)
    assert found.rows == 40_000
    assert found.counted < 2 * 1000
    assert found.copies * 2 == found.counted
    (finding,) = checks.duplicates(found, "warn")
    assert "about 20,000 of 40,000 rows (50.0%)" in finding.sentence


def test_counting_is_exact_below_the_limit() -> None:
    """Against counting by hand."""
    features, target = RANDOM.integers(0, 500, 2000), RANDOM.integers(0, 2, 2000)
    rows = list(zip(features.tolist(), target.tolist(), strict=True))
    targets: dict[int, set[int]] = {}
    for feature, value in rows:
        targets.setdefault(feature, set()).add(value)
    disagreeing = sum(len(targets[feature]) > 1 for feature, _ in rows)
    different = len(targets)
    wanted = Repeated(2000, 2000, 2000 - len(set(rows)), disagreeing, different)
    assert _repeated(features, target) == wanted


@pytest.mark.parametrize("target", [np.zeros(5000, np.int64), np.arange(5000)])
def test_rows_that_are_all_alike_take_no_memory(target: NDArray[np.int64]) -> None:
    """One hash cannot be thinned: it is kept once, or given up."""
    found = _repeated(np.zeros(5000, np.int64), target, limit=1000)
    assert found.rows == 5000
    assert found.copies in (0, 4999)
    checks.duplicates(found, "warn")


@pytest.mark.parametrize(
    ("task", "values", "classes"),
    [
        ("binary", np.repeat([0.0, 1.0], [990, 10]), 2),
        ("binary", np.repeat([1.0, 0.0], [300, 700]), 2),
        ("multiclass", np.repeat([2.0, 0.0, 1.0], [50, 50, 50]), 3),
        ("regression", np.arange(500.0) ** 3, 0),
        ("regression", -np.round(np.arange(500.0) / 50), 0),
    ],
)
def test_a_sorted_file_is_found(task: str, values: NDArray[np.float64], classes: int) -> None:
    """Whatever the task, the direction and the share of the classes; time is named as a reason."""
    (found,) = checks.sorted_by_target(task, "y", values, classes, "warn")
    assert found.name == "sorted_by_target"
    assert "in order of time may look so too" in found.sentence
    mixed = RANDOM.permutation(values)
    assert checks.sorted_by_target(task, "y", mixed, classes, "warn") == []


# --- identifiers ---------------------------------------------------------------------------------


def _identified(name: str, kind: Any, values: Any) -> list[Finding]:
    column = _texts(values) if kind == "category" else np.array(values, np.float64)
    return checks.identifiers([Feature(name, kind)], {name: column}, len(column), "warn")


@pytest.mark.parametrize(
    ("name", "kind", "values"),
    [
        ("code", "category", [f"A-{n}" for n in range(300)]),
        ("remark", "category", [f"text {n // 2}" if n % 2 else "" for n in range(400)]),
        ("row", "number", range(300)),
        ("shuffled", "number", np.random.default_rng(0).permutation(300) + 5000),
        ("started", "number", np.cumsum(np.arange(300) % 7 + 1) * 1000),
        ("customer_id", "number", [n * 7919 % 100 for n in range(900)]),
        ("userId", "category", [f"u{n % 100}" for n in range(900)]),
    ],
)
def test_columns_that_name_their_row_are_found(name: str, kind: Any, values: Any) -> None:
    """With the exact line that keeps them out."""
    (found,) = _identified(name, kind, values)
    assert (found.name, found.columns) == ("identifier", (name,))
    assert f"`columns: {{{name}: {{exclude: true}}}}`" in found.advice


@pytest.mark.parametrize(
    ("name", "kind", "values"),
    [
        ("store_id", "category", [f"s{n % 10}" for n in range(900)]),
        ("paid", "number", [n % 100 for n in range(900)]),
        ("income", "number", np.random.default_rng(1).integers(10_000, 90_000, 300)),
        ("weight", "number", np.random.default_rng(1).normal(70, 9, 300)),
        ("age", "number", np.random.default_rng(1).integers(18, 90, 300)),
        ("town", "category", [f"t{n % 60}" for n in range(300)]),
        ("few", "number", range(19)),
    ],
)
def test_columns_that_say_something_pass(name: str, kind: Any, values: Any) -> None:
    """Shops, incomes, weights, towns: many values are no identifier."""
    assert _identified(name, kind, values) == []
