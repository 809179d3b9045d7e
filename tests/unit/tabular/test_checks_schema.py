"""Schema drift between training files: changes of meaning are found, ordinary noise is not."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from shared.serving.columns import Columns
from shared.serving.features import Feature
from shared.tabular.checks.drifted_schema import compare, profile_of
from shared.tabular.checks.findings import Finding

FEATURES = [
    Feature("income", "number"),
    Feature("age", "number"),
    Feature("city", "category"),
    Feature("tag", "category"),
]


def _texts(values: Any) -> NDArray[Any]:
    found = np.empty(len(values), object)
    found[:] = [str(value) for value in values]
    return found


def _file(seed: int, rows: int = 2000) -> Columns:
    random = np.random.default_rng(seed)
    age = random.integers(18, 90, rows).astype(np.float64)
    age[random.random(rows) < 0.03] = np.nan
    return {
        "income": np.round(random.lognormal(10, 0.5, rows)),
        "age": age,
        "city": _texts(random.choice(["a", "b", "c"], rows, p=[0.6, 0.3, 0.1])),
        "tag": _texts([f"t{value}" for value in random.integers(0, 400, rows)]),
    }


BEFORE = json.loads(json.dumps(profile_of(FEATURES, _file(0), ["income", "age", "city", "tag"])))


def _compare(columns: Columns, features: Any = FEATURES, names: Any = None) -> list[Finding]:
    after = profile_of(features, columns, names or ["income", "age", "city", "tag"])
    return compare(BEFORE, after, columns, "warn", last="RUN-1")


@pytest.mark.parametrize("rows", [60, 300, 2000, 20_000])
def test_another_file_of_the_same_kind_is_quiet(rows: int) -> None:
    """Chance gives other extremes, other rare tags, other shares; small files more so."""
    for seed in range(1, 8):
        assert _compare(_file(seed, rows)) == []


@pytest.mark.parametrize("factor", [100.0, 1000.0, 1e6, 0.01, 0.001])
def test_another_unit_is_named_as_such(factor: float) -> None:
    """Not as a hundred numbers out of range."""
    file = _file(1)
    (found,) = _compare({**file, "income": file["income"] * factor})
    assert (found.name, found.columns) == ("unit_changed", ("income",))
    times = f"{max(factor, 1 / factor):,.0f}"
    assert f"{'' if factor > 1 else '1/'}{times}" in found.sentence
    assert "RUN-1" in found.sentence


def test_growth_is_no_unit_but_leaves_the_range() -> None:
    """Ten times as much is reported as numbers outside the former range."""
    file = _file(1)
    (found,) = _compare({**file, "income": file["income"] * 10})
    assert found.name == "range_changed"
    assert "of the rows" in found.sentence


def test_other_spellings_are_found() -> None:
    """`B` for `b`: a new category, and a frequent one that is gone."""
    file = _file(1)
    city = _texts(["B" if text == "b" else text for text in file["city"].tolist()])
    (found,) = _compare({**file, "city": city})
    assert found.name == "new_categories"
    assert "'B'" in found.sentence
    assert "no longer has 'b'" in found.sentence


def test_a_column_that_is_no_longer_filled_is_found() -> None:
    """3 % missing before, 40 % now."""
    file = _file(1)
    age = np.where(np.arange(2000) % 5 < 2, np.nan, file["age"])
    (found,) = _compare({**file, "age": age})
    assert found.name == "missing_changed"
    assert found.columns == ("age",)


def test_types_and_columns_are_compared() -> None:
    """A number that became texts; columns that came and went, of the file where it is known."""
    file = _file(1)
    features = [Feature("income", "category"), *FEATURES[1:3], Feature("fresh", "number")]
    columns = {**file, "income": _texts(file["income"]), "fresh": file["age"]}
    names = [finding.name for finding in _compare(columns, features, ["income", "fresh"])]
    assert names == ["columns_changed", "type_changed"]
    found = _compare(columns, features, ["income", "fresh"])
    assert "`age` is gone" in found[0].sentence
    assert "`fresh` is new" in found[0].sentence
    assert "was a number, is a category" in found[1].sentence


def test_columns_without_a_value_have_a_profile() -> None:
    """Nothing to compare, nothing to break."""
    file = _file(1)
    empty = {**file, "age": np.full(2000, np.nan), "city": _texts([""] * 2000)}
    assert "missing_changed" in [finding.name for finding in _compare(empty)]
    before = profile_of(FEATURES, empty)
    assert compare(before, BEFORE, file, "warn", last="RUN-1")
