"""Splits by group, key and time: who is on which side, what folds know, and what is proved."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import numpy as np
import pytest

from shared import documents, paths
from shared.errors import HeaderMismatch, NotTrainable
from shared.runs import read_request
from shared.serving.features import Feature
from shared.tabular.dataset import Examples
from shared.tabular.identity import prove
from shared.tabular.inner import Folds, fold_rows
from shared.usecases.training.loaded import Prepared, load_prepared
from shared.usecases.training.stages import Training
from shared.usecases.training.tuned import folds_of
from tests.unit.tabular.world import COLUMNS, MODEL, RUN, World, csv_bytes, rows, spec_of

SECOND = "20260106T090000-0a1b2c3d"
SCORED = "20260106T100000-00000001"
AGAIN = "20260107T090000-00000002"
LINEAR = {"candidates": ["linear"], "trials": 1, "false_positive_ceiling": 0.5}
GROUPED = {
    "columns": {"patient": {"exclude": True}, **COLUMNS},
    "training": {**LINEAR, "split": "grouped", "group_column": "patient"},
}
TIMED = {
    "columns": {"day": {"type": "time"}, **COLUMNS},
    "training": {**LINEAR, "split": "time", "time_column": "day", "folds": 3},
}
HEADER = ["patient", *COLUMNS]
HEADER_TIMED = ["day", *COLUMNS]
SCORED_LATER = "20260109T100000-00000003"
LATER = "20260110T090000-00000004"


def _grouped(count: int = 400, seed: int = 0, first: int = 0) -> list[list[str]]:
    """Five rows of each patient, in no order."""
    order = np.random.default_rng(seed + 9).permutation(count)
    data = rows(count, seed)
    return [[f"p{first + int(n) // 5}", *data[n]] for n in order]


def _prepared(world: World, run_id: str = RUN) -> Prepared:
    record = documents.require(world.lake, paths.run_stage(MODEL, run_id, "prepared.json"))
    return load_prepared(MODEL, run_id, record, lake=world.lake)


def _trained(world: World, data: list[list[str]], header: Sequence[str], run_id: str = RUN) -> None:
    world.ask(csv_bytes(data, list(header)), run_id)
    world.train(run_id)


def _run(world: World) -> Training:
    request = read_request(MODEL, RUN, lake=world.lake)
    return Training(request, world.spec, world.lake, world.clock)


def _comparison(world: World, run_id: str = RUN) -> dict[str, Any]:
    return documents.require(world.lake, paths.version(MODEL, run_id, "comparison.json"))


@pytest.fixture(scope="module")
def grouped() -> World:
    world = World(spec_of(**GROUPED))
    _trained(world, _grouped(), HEADER)
    return world


def _groups(prepared: Prepared, side: str) -> set[str]:
    pairs = zip(prepared.dataset.marks["group"], prepared.dataset.side, strict=True)
    return {group for group, found in pairs if found == side}


def test_all_rows_of_a_group_are_on_one_side(grouped: World) -> None:
    """About the share that was asked for; the comparison says by what, and that nothing is on both
    sides; the group is no feature and stands in the dataset."""
    prepared = _prepared(grouped)
    fit, held = _groups(prepared, "fit"), _groups(prepared, "holdout")
    assert not fit & held
    assert len(fit | held) == 80
    assert 8 <= len(held) <= 26
    groups = prepared.holdout_groups()
    assert groups is not None
    assert set(groups.tolist()) == held
    assert len(groups) == prepared.record["facts"]["holdout"]
    assert prepared.holdout_order() is None
    assert "patient" not in prepared.schema.names
    found = _comparison(grouped)["holdout"]
    assert (found["kind"], found["by"], found["column"]) == ("grouped", "group", "patient")
    assert found["overlap"] == 0
    assert prove(prepared.dataset, prepared.schema, prepared.split_by).overlap == 0


def test_folds_keep_groups_together(grouped: World) -> None:
    """What tunes, calibrates and sets the threshold never saw another row of the group."""
    prepared = _prepared(grouped)
    folds = folds_of(_run(grouped), prepared)
    groups = prepared.marks("fit").groups
    assert groups is not None
    of_group: dict[str, set[int]] = {}
    for group, fold in zip(groups, folds.fold.tolist(), strict=True):
        of_group.setdefault(group, set()).add(fold)
    assert {len(found) for found in of_group.values()} == {1}
    sizes = np.bincount(folds.fold)
    assert sizes.max() - sizes.min() <= 5


def test_a_group_keeps_its_side_in_the_next_file(grouped: World) -> None:
    """Other rows of known groups, and new groups: nobody who was fitted on is compared on."""
    grouped.promote(RUN)
    _trained(grouped, _grouped(600, seed=3), HEADER, SECOND)
    before, after = _prepared(grouped), _prepared(grouped, SECOND)
    assert _groups(before, "fit") <= _groups(after, "fit")
    assert _groups(before, "holdout") <= _groups(after, "holdout")
    found = _comparison(grouped, SECOND)
    assert found["against"] == RUN
    assert (found["holdout"]["removed"], found["holdout"]["overlap"]) == (0, 0)


def test_rows_without_a_group_have_no_place_in_the_split() -> None:
    """They go to quarantine; a file without the column is refused."""
    world = World(spec_of(**GROUPED, max_bad_rows=0.5))
    data = _grouped()
    for row in data[:3]:
        row[0] = "?"
    _trained(world, data, HEADER)
    assert _prepared(world).record["quarantined"] == 3
    other = World(spec_of(**GROUPED))
    other.ask(csv_bytes(rows(300)))
    with pytest.raises(HeaderMismatch, match="patient"):
        other.train()


def test_one_group_is_no_split() -> None:
    """The refusal names the column and how many groups there are."""
    world = World(spec_of(**GROUPED))
    world.ask(csv_bytes([["p1", *row] for row in rows(300)], HEADER))
    with pytest.raises(NotTrainable, match="1 group of patient"):
        world.train()


def _labels(world: World, data: list[list[str]]) -> str:
    """Score these rows, with their patients, and label them all."""
    world.scored(SCORED, data, HEADER[:-1])
    found = [(f"{SCORED}-{n}", row[-1], SCORED, 0) for n, row in enumerate(data, start=1)]
    return world.labelled("20260107T080000-0000000f", found)


def test_labelled_rows_go_with_their_group() -> None:
    """A new row of a fitted group fits, one of a group that was held out compares, a row that was
    in the old holdout does neither; of new groups those that began last compare, each whole."""
    world = World(spec_of(**GROUPED))
    data = _grouped()
    _trained(world, data, HEADER)
    world.promote(RUN)
    world.clock.advance(timedelta(days=2))
    old = _prepared(world)
    fit, held = _groups(old, "fit"), _groups(old, "holdout")
    again = [row for row in data if row[0] in held][:10]
    fresh = [*_grouped(400, seed=5), *_grouped(300, seed=6, first=1000), *again]
    world.ask_again(RUN, [_labels(world, fresh)], AGAIN)
    world.train(AGAIN)
    new = _prepared(world, AGAIN)
    side_of: dict[str, set[str]] = {}
    pairs = zip(new.dataset.origin, new.dataset.marks["group"], new.dataset.side, strict=True)
    for origin, group, side in pairs:
        if origin == "labels":
            side_of.setdefault(group, set()).add(side)
    assert all(side_of[group] == {"fit"} for group in fit)
    assert all(side_of[group] <= {"holdout", "reserved"} for group in held)
    assert sum("reserved" in sides for sides in side_of.values()) > 0
    assert not _groups(new, "fit") & _groups(new, "holdout")
    fresh_groups = {row[0] for row in fresh} - fit - held
    assert {frozenset(side_of[group]) for group in fresh_groups} == {
        frozenset({"fit"}),
        frozenset({"holdout"}),
    }
    found = _comparison(world, AGAIN)["holdout"]
    assert (found["kind"], found["by"], found["overlap"]) == ("new_labels", "group", 0)


def test_a_split_by_time_knows_when_each_holdout_row_was() -> None:
    """The order survives loading, and folds inside the fit rows go forward in time: every judged
    row is later than all that its model learned from."""
    world = World(spec_of(**TIMED))
    order = np.random.default_rng(3).permutation(400).tolist()
    data = rows(400)
    timed = [[f"2026-01-{1 + n // 20:02d}T0{n % 10}:00", *data[n]] for n in order]
    _trained(world, timed, HEADER_TIMED)
    prepared = _prepared(world)
    times = prepared.holdout_order()
    fit_times = prepared.marks("fit").times
    assert times is not None
    assert fit_times is not None
    assert len(times) == prepared.record["facts"]["holdout"]
    assert times.min() > fit_times.max()
    assert prepared.holdout_groups() is None
    folds = folds_of(_run(world), prepared)
    assert folds.numbers == (1, 2, 3)
    for number in folds.numbers:
        assert fit_times[folds.fold < number].max() < fit_times[folds.fold == number].min()
        train, judge = folds.split(number)
        assert len(train) == int((folds.fold < number).sum())
        assert len(judge) == int((folds.fold == number).sum())
    found = _comparison(world)["holdout"]
    assert (found["kind"], found["by"], found["overlap"]) == ("time", "time", 0)
    assert found["doubles"] == prepared.record["doubles"]


def _scored_and_labelled(world: World, data: list[list[str]], scored: str = SCORED) -> str:
    world.scored(scored, data, HEADER_TIMED[:-1])
    found = [(f"{scored}-{n}", row[-1], scored, 0) for n, row in enumerate(data, start=1)]
    return world.labelled(f"{scored[:15]}-0000000f", found)


def test_folds_of_a_retraining_go_forward_in_time_as_well() -> None:
    """Where the split goes by time, each judged row is later than all that its model learned from,
    whatever was scored together: the champion's rows, then new ones by prediction and record. The
    next retraining goes on like that; the holdout is what it always was."""
    world = World(spec_of(**TIMED))
    data = rows(400)
    timed = [[f"2026-01-{1 + n // 100:02d}T0{n % 10}:00", *row] for n, row in enumerate(data)]
    _trained(world, timed, HEADER_TIMED)
    world.promote(RUN)
    champion = RUN
    for run_id, scored, seed in ((AGAIN, SCORED, 5), (LATER, SCORED_LATER, 6)):
        world.clock.advance(timedelta(days=2))
        fresh = [["2025-12-01", *row] for row in rows(600, seed=seed)]
        world.ask_again(champion, [_scored_and_labelled(world, fresh, scored)], run_id)
        world.train(run_id)
        world.promote(run_id)
        champion = run_id
        prepared = _prepared(world, run_id)
        folds, times = folds_of(_run(world), prepared), prepared.marks("fit").times
        assert times is not None
        assert folds.forward
        assert folds.numbers == (1, 2, 3)
        assert np.bincount(folds.fold).min() > 0.7 * len(times) / 4
        for number in folds.numbers:
            assert times[folds.fold < number].max() < times[folds.fold == number].min()
        rest = prepared.dataset.take(
            [n for n, side in enumerate(prepared.dataset.side) if side == "fit"]
        )
        came = [
            (name[: len(scored)], record)
            for name, record in zip(rest.prediction_id, rest.record, strict=True)
        ]
        in_time = [came[n] for n in np.argsort(times, kind="stable") if rest.origin[n] == "labels"]
        assert in_time == sorted(in_time)
        found = _comparison(world, run_id)["holdout"]
        assert (found["kind"], found["by"], found["overlap"]) == ("new_labels", "features", 0)
        assert found["units"]["blocks of time"] > 5


def test_folds_do_without_time_where_it_leaves_nothing_to_judge() -> None:
    """Fit rows of one moment, or a class that only the newest have: shuffled, as for any file."""
    examples = Examples({"n": np.arange(40.0)}, np.arange(40.0) % 2)
    features = (Feature("n", "number"),)

    def made(times: Any, **more: Any) -> Folds:
        return fold_rows(examples, "binary", 4, 0, features, times=times, **more)

    assert made(np.arange(40.0)).forward
    once = made(np.zeros(40))
    assert not once.forward
    assert once.numbers == (0, 1, 2, 3)
    late = Examples(examples.columns, (np.arange(40) >= 36).astype(np.float64))
    assert not fold_rows(late, "binary", 4, 0, features, times=np.arange(40.0)).forward


def test_keys_of_one_row_each_leave_classes_evenly_spread() -> None:
    """A rare class is in every fold alike; groups would be dealt without a look at it."""
    target = (np.arange(400) % 20 == 0).astype(np.float64)
    examples = Examples({"n": np.arange(400.0)}, target)
    names = [f"c{n}" for n in range(400)]
    folds = fold_rows(examples, "binary", 4, 0, (Feature("n", "number"),), groups=names)
    assert np.bincount(folds.fold, weights=target).tolist() == [5.0] * 4


def test_one_class_in_one_group_cannot_be_judged() -> None:
    """The refusal says that it is the groups."""
    examples = Examples({"n": np.arange(100.0)}, (np.arange(100) < 20).astype(np.float64))
    groups = [f"g{n // 20}" for n in range(100)]
    with pytest.raises(NotTrainable, match="no part of the groups"):
        fold_rows(examples, "binary", 4, 0, (Feature("n", "number"),), groups=groups)


def test_datasets_of_before_are_read_as_they_were() -> None:
    """Records without split and marks: rows are told apart by their features."""
    world = World()
    world.ask(csv_bytes(rows(300)))
    world.train()
    record = documents.require(world.lake, paths.run_stage(MODEL, RUN, "prepared.json"))
    for key in ("split", "marks", "doubles", "low", "high"):
        record.pop(key)
    found = load_prepared(MODEL, RUN, {**record, "holdout_kind": "time"}, lake=world.lake)
    assert found.split_by == ("features", None)
    assert found.holdout_order() is None
    assert found.holdout_groups() is None
    assert len(found.examples()) == 300
