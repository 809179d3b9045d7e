"""Sides: equal rows together, the newest labels held out, nothing on both sides."""

from __future__ import annotations

import numpy as np

from shared.serving.features import Feature
from shared.tabular.dataset import Side
from shared.tabular.folds import folds, group_folds, time_folds
from shared.tabular.splitting import (
    Labelled,
    Split,
    enough_evidence,
    labelled_sides,
    overlap,
    random_sides,
    row_keys,
)

FEATURES = (Feature("n", "number"), Feature("c", "category"))


def _keys(numbers: list[float], texts: list[str]) -> list[bytes]:
    columns = {"n": np.array(numbers, np.float64), "c": np.array(texts, object)}
    return row_keys(columns, FEATURES)


def test_rows_that_are_equal_to_a_model_have_equal_keys() -> None:
    """-0 and 0, all NaN; and no two different rows share a key by their separators."""
    nan = float("nan")
    same = _keys([0.0, -0.0, nan, float("nan")], ["a", "a", "", ""])
    assert same[0] == same[1]
    assert same[2] == same[3]
    other = _keys([1.0, 1.0, 11.0, nan], ["a", "a'", "", "nan"])
    assert len({*other, *same}) == 6


def test_a_random_side_depends_on_the_row_and_the_salt_only() -> None:
    """The same row is on the same side in any file; the share is about what was asked for."""
    keys = [str(number).encode() for number in range(20_000)]
    sides = random_sides(keys, "salt", 0.2)
    assert abs(sides.count("holdout") / len(keys) - 0.2) < 0.01
    assert random_sides(keys[::-1], "salt", 0.2) == sides[::-1]
    assert random_sides(keys, "pepper", 0.2) != sides


def _rows(count: int, minute: int = 0) -> list[Labelled]:
    return [
        Labelled(
            f"2026-01-05T09:{minute:02}:00Z", number, f"p-{number}", f"{minute}-{number}".encode()
        )
        for number in range(count)
    ]


def test_the_newest_labelled_rows_are_the_holdout() -> None:
    """By prediction time, then record number, whatever order they come in."""
    rows = [*_rows(50, minute=2), *_rows(50, minute=1)]
    sides = labelled_sides(rows, {})
    assert sides == ["fit"] * 20 + ["holdout"] * 30 + ["fit"] * 50


def test_a_known_row_keeps_its_side() -> None:
    """Fitted rows fit again; held-out ones are reserved; neither counts for the share."""
    rows = _rows(100)
    used: dict[bytes, Side] = {
        rows[99].key: "fit",
        rows[98].key: "holdout",
        rows[0].key: "reserved",
    }
    sides = labelled_sides(rows, used)
    assert (sides[99], sides[98], sides[0]) == ("fit", "reserved", "reserved")
    assert sides.count("holdout") == 29


def test_rows_that_come_again_are_in_the_holdout_or_in_a_fit_but_not_in_both() -> None:
    """The same thousand rows, scored three times: about a share of them compares, as they were the
    last time; how they were before is in neither. The others fit."""
    rows = [
        Labelled(f"2026-01-05T09:{month:02}:00Z", number, f"p-{month}-{number}", b"%d" % number)
        for month in range(3)
        for number in range(1000)
    ]
    sides = labelled_sides(rows, {})
    fitted = {row.key for row, side in zip(rows, sides, strict=True) if side == "fit"}
    held = [row.key for row, side in zip(rows, sides, strict=True) if side == "holdout"]
    assert 200 < len(held) == len(set(held)) < 320
    assert not any(overlap(held, fitted))
    assert len(fitted) + len(set(held)) == 1000
    # Only what was scored last is compared on: 900 of the last thousand are the newest 30 %.
    assert set(sides[:2100]) == {"fit", "reserved"}
    assert sides == labelled_sides(rows, {})


def test_folds_are_balanced_and_repeatable() -> None:
    """Each fold has its share of every class, for the same seed always the same rows."""
    classes = np.array([0.0] * 80 + [1.0] * 20)
    found = folds(100, 4, 7, classes)
    for fold in range(4):
        assert (found == fold).sum() == 25
        assert classes[found == fold].sum() == 5
    assert (found == folds(100, 4, 7, classes)).all()
    assert (found != folds(100, 4, 8, classes)).any()


def test_evidence_needs_rows_and_some_of_the_rarer_class() -> None:
    """150 rows; 50 of the rarer class where there are classes."""
    assert enough_evidence(150, None)
    assert enough_evidence(150, 50)
    assert not enough_evidence(149, None)
    assert not enough_evidence(5000, 49)


def test_equal_rows_are_in_one_fold() -> None:
    """Out of fold means that no copy of the row was fitted; without copies nothing changes."""
    classes = np.arange(300) % 3 == 0
    alone = [str(number).encode() for number in range(300)]
    assert (folds(300, 4, 7, classes, alone) == folds(300, 4, 7, classes)).all()
    found = folds(1500, 4, 7, np.tile(classes, 5), alone * 5)
    assert (found.reshape(5, 300) == found[:300]).all()
    assert np.bincount(found).tolist() == [375] * 4


def test_a_table_of_few_combinations_is_not_grouped() -> None:
    """Equal rows are draws there: a fold without one of ten combinations would judge nonsense."""
    keys = [str(number % 10).encode() for number in range(400)]
    assert (folds(400, 4, 7, None, keys) == folds(400, 4, 7)).all()


def test_folds_of_groups_are_of_one_size_and_whole() -> None:
    """A large group takes a fold's room, small ones share the others; the same every time."""
    keys = [b"large"] * 50 + [f"small-{n // 2}".encode() for n in range(100)]
    fold = group_folds(keys, 3, seed=0)
    assert np.bincount(fold).tolist() == [50, 50, 50]
    assert len(set(fold[:50].tolist())) == 1
    assert (fold[50::2] == fold[51::2]).all()
    assert (group_folds(keys, 3, seed=0) == fold).all()
    assert (group_folds(keys, 3, seed=1) != fold).any()


def test_folds_of_time_follow_each_other() -> None:
    """Of about one size, rows of one moment together, whatever order they come in."""
    random = np.random.default_rng(0)
    times = random.integers(0, 40, 400).astype(np.float64)
    fold = time_folds(times, 4)
    for number in range(3):
        assert times[fold <= number].max() < times[fold > number].min()
    assert np.bincount(fold).min() > 60
    assert time_folds(np.zeros(5), 3).tolist() == [0] * 5


def test_a_group_decides_and_features_stand_in_for_it() -> None:
    """Rows of a group are on the side of the group whatever they hold; a row of none is on the side
    of its features."""
    split = Split("group", "salt", 0.3, "who")
    groups = [f"g{n % 40}" for n in range(400)]
    keys = [str(n).encode() for n in range(400)]
    sides = split.sides(keys, groups=groups)
    assert sides[:40] * 10 == sides
    nobody = split.sides(keys, groups=[""] * 400)
    assert nobody == Split("features", "salt", 0.3).sides(keys)


def test_new_rows_of_held_out_groups_compare_and_new_groups_come_whole() -> None:
    """Fitted groups fit; a row of a held-out group that was seen before does neither; of new groups
    those that began last compare."""

    def row(number: int, group: str) -> Labelled:
        key = group.encode()
        return Labelled("2026-01-05T09:00:00Z", number, f"p{number}", key, key + b"-%d" % number)

    rows = [row(0, "fit"), row(1, "held"), row(2, "held"), row(3, "old"), row(4, "new")]
    rows += [row(5, "old"), row(6, "old"), row(7, "old"), row(8, "newest"), row(9, "new")]
    used: dict[bytes, Side] = {b"fit": "fit", b"held-2": "holdout"}
    sides = labelled_sides(rows, used, held={b"held"})
    assert sides[:3] == ["fit", "holdout", "reserved"]
    assert [sides[n] for n in (3, 5, 6, 7)] == ["fit"] * 4
    assert [sides[n] for n in (4, 9, 8)] == ["fit", "fit", "holdout"]
