"""The encoder: fitted once, the same bits everywhere."""

from __future__ import annotations

import json
import math
from typing import Literal

import numpy as np
import pytest

from shared.serving.columns import Columns, Schema
from shared.serving.encoder import Encoder
from shared.serving.features import Feature

FEATURES = (Feature("n", "number"), Feature("tail", "number"), Feature("c", "category"))
SCHEMA = Schema(FEATURES)
Layouts = pytest.mark.parametrize("layout", ["linear", "tree"])


def columns(rows: int = 400, seed: int = 3) -> Columns:
    rng = np.random.default_rng(seed)
    n = rng.normal(40, 13, rows)
    n[rng.random(rows) < 0.1] = math.nan
    city: np.ndarray[tuple[int], np.dtype[np.object_]] = np.empty(rows, object)
    city[:] = rng.choice(["Köln", "Paris", "", "東京", "Oslo"], rows, p=[0.4, 0.4, 0.1, 0.09, 0.01])
    return {"n": n, "tail": np.where(rng.random(rows) < 0.05, 1e5, 0.0), "c": city}


def hostile() -> Columns:
    city: np.ndarray[tuple[int], np.dtype[np.object_]] = np.empty(6, object)
    city[:] = ["", "unseen", "Köln", "東京", "Oslo", "Paris"]
    numbers = [math.nan, 1e308, -1e308, 1e15, 16777217.0, 0.1]
    return {"n": np.array(numbers), "tail": np.array(numbers[::-1]), "c": city}


@Layouts
def test_round_trip_is_bit_identical(layout: Literal["linear", "tree"]) -> None:
    """An encoder that went through JSON text writes the very same bits, hostile rows included."""
    encoder = Encoder.fit(columns(), FEATURES, layout)
    text = json.dumps(encoder.to_json(), allow_nan=False)
    again = Encoder.from_json(json.loads(text))
    assert again == encoder
    assert again.names == encoder.names
    for data in (columns(50, seed=9), hostile()):
        assert again.transform(data).tobytes() == encoder.transform(data).tobytes()


@Layouts
def test_one_row_equals_many(layout: Literal["linear", "tree"]) -> None:
    """The one-row path and the column path give the same bits for the same row."""
    encoder = Encoder.fit(columns(), FEATURES, layout)
    for data in (columns(200, seed=5), hostile()):
        whole = encoder.transform(data)
        for row in range(len(whole)):
            values = [column[row].item() if name != "c" else column[row]
                      for name, column in data.items()]  # fmt: skip
            assert encoder.transform_row(values).tobytes() == whole[row : row + 1].tobytes()
        assert np.isfinite(whole).all()


def test_fit_does_not_depend_on_row_order() -> None:
    """The same rows in another order give the same levels and columns."""
    data = columns()
    order = np.random.default_rng(1).permutation(400)
    left = Encoder.fit(data, FEATURES, "tree")
    right = Encoder.fit({name: column[order] for name, column in data.items()}, FEATURES, "tree")
    assert left == right


def test_tree_layout_leaves_numbers_alone() -> None:
    """Trees see the values of the file: nothing is scaled, so float32 split values stay exact."""
    data = columns()
    encoder = Encoder.fit(data, FEATURES, "tree")
    out = encoder.transform(data)
    known = ~np.isnan(data["n"])
    assert np.array_equal(out[known, 0], data["n"][known])
    assert np.array_equal(out[:, 1], np.isnan(data["n"]))
    assert encoder.names[:3] == ("n", "n missing", "tail")
    # 1e308 has no float32; infinity would make estimators refuse the row.
    assert np.isfinite(encoder.transform(hostile()).astype(np.float32)).all()


def test_linear_layout_standardises_and_adds_a_log_for_heavy_tails() -> None:
    """Linear models get zero mean and unit deviation, and log1p only where the tail is heavy."""
    data = columns()
    encoder = Encoder.fit(data, FEATURES, "linear")
    out = encoder.transform(data)
    assert encoder.names[:4] == ("n", "n missing", "tail", "log1p(tail)")
    assert np.allclose(out[:, [0, 2, 3]].mean(axis=0), 0, atol=1e-12)
    assert np.allclose(out[:, [0, 2, 3]].std(axis=0), 1)


def test_rare_and_unseen_levels_share_other() -> None:
    """Where training grouped rare levels, an unseen level is one of them; missing is its own."""
    encoder = Encoder.fit(columns(), FEATURES, "tree", min_frequency=20)
    assert encoder.names[3:] == ("c=Köln", "c=Paris", "c=東京", "c missing", "c other")
    out = encoder.transform(hostile())[:, 3:]
    assert out.argmax(axis=1).tolist() == [3, 4, 0, 2, 4, 1]
    assert (out.sum(axis=1) == 1).all()


def test_unseen_is_all_zeros_without_rare_levels() -> None:
    """Without a group of rare levels, unseen and never-missing categories are all zeros."""
    city: np.ndarray[tuple[int], np.dtype[np.object_]] = np.array(["a", "b"] * 20, object)
    encoder = Encoder.fit({"c": city}, FEATURES[2:], "tree")
    assert encoder.names == ("c=a", "c=b")
    out = encoder.transform({"c": np.array(["b", "", "z"], object)})
    assert out.tolist() == [[0, 1], [0, 0], [0, 0]]


def test_many_levels_are_capped_by_frequency() -> None:
    """Of too many levels the most frequent stay, ties in the order of their text."""
    cells = ["a"] * 5 + ["b"] * 4 + ["d"] * 3 + ["c"] * 3
    encoder = Encoder.fit(
        {"c": np.array(cells, object)}, FEATURES[2:], "tree", min_frequency=1, max_categories=3
    )
    assert encoder.names == ("c=a", "c=b", "c=c", "c other")


def test_columns_without_information() -> None:
    """An empty, a constant and an all-missing column encode to finite numbers."""
    features = (Feature("x", "number"), Feature("y", "number"))
    data = {"x": np.full(30, 0.1), "y": np.full(30, math.nan)}
    for layout in ("linear", "tree"):
        encoder = Encoder.fit(data, features, layout)
        assert np.isfinite(encoder.transform(data)).all()
        assert abs(encoder.transform(data)).max() <= 1.0


def test_ten_thousand_levels_and_nothing_but_rare_ones() -> None:
    """A column of very many levels keeps its frequent ones, one of rare levels alone is one column;
    levels that were never seen, and none at all, get the place of the rare ones."""
    random = np.random.default_rng(0)
    many: np.ndarray[tuple[int], np.dtype[np.object_]] = np.array(
        [f"z{n}" for n in random.zipf(1.3, 30_000) % 10_000], object
    )
    rare: np.ndarray[tuple[int], np.dtype[np.object_]] = np.array(
        [f"r{n // 3}" for n in range(30_000)], object
    )
    features = (Feature("many", "category"), Feature("rare", "category"))
    encoder = Encoder.fit({"many": many, "rare": rare}, features, "tree")
    assert len(encoder.codes[0].names) == 101
    assert encoder.names[-1] == "rare other"
    asked = {"many": np.array(["?!", ""], object), "rare": np.array(["r1", "?!"], object)}
    out = encoder.transform(asked)
    assert out[:, [100, 101]].tolist() == [[1, 1], [1, 1]]
    assert out.sum() == 4


@Layouts
def test_values_near_the_largest_float_have_a_finite_code(
    layout: Literal["linear", "tree"],
) -> None:
    """The middle of 1.7e308 and 1.6e308 is a number, although their sum is none; JSON takes it."""
    columns = {"n": np.array([1.7e308, 1.6e308, np.nan, 1.7e308, 1.6e308])}
    encoder = Encoder.fit(columns, (Feature("n", "number"),), layout)
    assert 1.6e308 < encoder.codes[0].to_json()["median"] < 1.7e308
    json.dumps(encoder.to_json(), allow_nan=False)
    assert np.isfinite(encoder.transform(columns)).all()
