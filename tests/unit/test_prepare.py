"""Preparing rows: streams, quarantine, splits - and never a row that disappears."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared import documents, parts, paths, runs
from shared.errors import (
    BadSpec,
    HeaderMismatch,
    NotTrainable,
    TooManyBadRows,
)
from shared.runs import InputRef
from shared.usecases.training import loaded, prepared, room, written
from shared.usecases.training.stages import Training
from tests.support.crashing import Crash, Fuse
from tests.unit.prepare_world import (
    LEAD,
    LOOSE,
    SECOND,
    SOURCE,
    dataset_of,
    dirty,
    line,
    prepare,
    quarantine_of,
    replay,
)
from tests.unit.tabular.world import COLUMNS, MODEL, RUN, World, csv_bytes, rows, spec_of

# --- the streams ---------------------------------------------------------------------------------


def test_the_dataset_does_not_depend_on_blocks_and_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small parts, composed, are the same object; nothing is left of the parts."""
    found = []
    for part_bytes in (16 * 1024 * 1024, 700):
        world = World(spec_of(**LOOSE))
        world.ask(csv_bytes(dirty()))
        monkeypatch.setattr(parts, "PART_BYTES", part_bytes)
        record = prepare(world)
        found.append((record["sha256"], world.lake.read(record["dataset"]).data))
        assert not world.names(paths.dataset(MODEL, RUN, "parts/"))
        assert not world.names(paths.quarantine(MODEL, RUN, "parts/"))
    assert found[0] == found[1]


def test_a_crash_after_any_step_of_preparing_and_a_retry_give_the_same_bytes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Also between two parts, between composing and deleting, and before the record."""
    monkeypatch.setattr(parts, "PART_BYTES", 200)
    calm = World(spec_of(**LOOSE))
    calm.ask(csv_bytes(dirty(120)))
    wanted = prepare(calm)
    data = calm.lake.read(wanted["dataset"]).data
    for at in range(1000):
        world = World(spec_of(**LOOSE))
        world.ask(csv_bytes(dirty(120)))
        fuse = Fuse(at, after=True, reads=False)
        try:
            prepare(world, lake=fuse.wrap("lake", world.lake))
        except Crash:
            again = prepare(world)
            assert {**again, "seconds": 0} == {**wanted, "seconds": 0}, fuse.where
            assert world.lake.read(again["dataset"]).data == data, fuse.where
            assert world.names("") == calm.names(""), fuse.where
        else:
            break
    assert at > 20


_CELL = st.sampled_from(["1", "30", "-4", "x", "", "?", "a", "b", "yes", "no", "maybe", '"', "1,2"])


@given(st.lists(st.lists(_CELL, min_size=1, max_size=6), max_size=15))
@settings(max_examples=25, deadline=None)
def test_good_and_quarantined_are_all_records_of_the_input(found: list[list[str]]) -> None:
    """In the files that a person sees: data.csv.gz and rows.csv."""
    data = [*rows(200), *(row for row in found if any(cell.strip() for cell in row))]
    world = World(spec_of(**LOOSE))
    world.ask(csv_bytes(data))
    prepare(world)
    kept = dataset_of(world).record
    has_bad = bool(world.names(paths.quarantine(MODEL, RUN, "rows.csv")))
    bad = [int(row["quarantine_record"]) for row in quarantine_of(world)] if has_bad else []
    assert sorted([*kept, *bad]) == list(range(1, len(data) + 1))
    if has_bad:
        summary = world.document(paths.quarantine(MODEL, RUN, "summary.json"))
        assert (summary["rows"], summary["good"]) == (len(data), len(kept))
        assert summary["quarantined"] == len(bad)
        assert summary["outcome"] == "accepted"


def test_several_files_of_one_kind_are_one_table() -> None:
    """Their records keep their own numbers and sources; shared columns are learned."""
    world = World(spec_of(**LOOSE))
    first = world.ask(csv_bytes(dirty(150)))
    info = world.lake.write("inputs/m/train/b.csv", csv_bytes(dirty(100)))
    more = replace(first, run_id=SECOND, inputs=(*first.inputs, InputRef.of(info, "gs://b#1")))
    runs.save_request(more, lake=world.lake)
    record = prepare(world, SECOND)
    assert record["facts"]["rows"] == 147 + 97
    bad = [
        (row["quarantine_source"], row["quarantine_record"]) for row in quarantine_of(world, SECOND)
    ]
    assert bad == [(source, n) for source in (SOURCE, "gs://b#1") for n in ("4", "8", "21")]


def test_too_many_bad_rows_leave_the_quarantine_and_no_dataset() -> None:
    """The reasons are there to read; the parts of the dataset are not."""
    world = World()
    world.ask(
        csv_bytes([["old", *row[1:]] if n % 5 == 0 else row for n, row in enumerate(rows(400))])
    )
    with pytest.raises(TooManyBadRows, match="80 of 400"):
        prepare(world)
    summary = world.document(paths.quarantine(MODEL, RUN, "summary.json"))
    assert (summary["outcome"], summary["max_bad_rows"]) == ("refused", 0.05)
    assert summary["codes"]["number"]["rows"] == 80
    assert len(quarantine_of(world)) == 80
    assert world.names(paths.dataset(MODEL, RUN)) == []


@pytest.mark.parametrize(("bad", "allowed"), [(29, 0.29), (57, 0.57), (58, 0.58)])
def test_as_many_bad_rows_as_are_allowed_are_allowed(bad: int, allowed: float) -> None:
    """0.29 of 100 rows are 29, whatever 0.29 * 100 is in floats; one more is too many."""
    for more, outcome in ((0, "accepted"), (1, "refused")):
        world = World(spec_of(**{**LOOSE, "max_bad_rows": allowed}))
        lines = [
            ["old", *row[1:]] if n < 3 * bad + more else row for n, row in enumerate(rows(300))
        ]
        world.ask(csv_bytes(lines))
        with pytest.raises(TooManyBadRows) if more else nullcontext():
            prepare(world)
        assert world.document(paths.quarantine(MODEL, RUN, "summary.json"))["outcome"] == outcome


@pytest.mark.parametrize("named", [True, False])
def test_a_file_without_the_time_that_splits_it_is_refused(named: bool) -> None:
    """Intake looks at no Parquet file's columns, and at few where the spec names none."""
    columns = {**COLUMNS, "seen": {"type": "time"}} if named else {}
    training = {"split": "time", "time_column": "seen", "candidates": ["linear"], "trials": 1}
    world = World(spec_of(columns=columns, training=training))
    world.ask(csv_bytes(rows(200)))
    with pytest.raises(HeaderMismatch, match="the file lacks seen; its header is age, gain"):
        prepare(world)


def test_a_file_without_a_column_that_something_is_required_of_is_refused() -> None:
    """Even of one that no model sees: what is not there cannot be unique."""
    key = {"exclude": True, "require": {"unique": True}}
    world = World(spec_of(columns={**COLUMNS, "key": key}))
    world.ask(csv_bytes(rows(200)))
    with pytest.raises(HeaderMismatch, match="the file lacks key; its header is age, gain"):
        prepare(world)


def test_a_rule_that_does_not_fit_what_was_inferred_is_a_bad_spec() -> None:
    """The columns were not known when the spec was dropped."""
    world = World(spec_of(columns={}, rules={"r": "age > 'x'"}, **LOOSE))
    world.ask(csv_bytes(rows(200)))
    with pytest.raises(BadSpec, match="compares a number with a text"):
        prepare(world)


# --- sides ---------------------------------------------------------------------------------------


def _timed(count: int) -> list[list[str]]:
    """Ten rows a day, in no order."""
    order = np.random.default_rng(3).permutation(count)
    data = rows(count)
    return [[f"2026-01-{1 + n // 10:02d}", *data[n]] for n in order.tolist()]


TIMED = {
    "columns": {"day": {"type": "time"}, **COLUMNS},
    "training": {
        "candidates": ["linear"],
        "split": "time",
        "time_column": "day",
        "holdout": 0.25,
    },
}


def test_a_split_by_time_keeps_the_newest_rows_for_the_comparison() -> None:
    """Contiguous, every day on one side, about the share that was asked for."""
    world = World(spec_of(**TIMED, **LOOSE))
    data = _timed(300)
    world.ask(csv_bytes(data, ["day", *COLUMNS]))
    record = prepare(world)
    dataset = dataset_of(world, marks=["time"])
    days: dict[str, set[str]] = {"fit": set(), "holdout": set()}
    for number, side in zip(dataset.record, dataset.side, strict=True):
        days[side].add(data[number - 1][0])
    assert max(days["fit"]) < min(days["holdout"])
    assert (record["holdout_kind"], record["facts"]["holdout"]) == ("time", 80)
    assert "day" not in dataset.cells
    keys: dict[str, set[tuple[str, ...]]] = {side: set() for side in days}
    for row, side in enumerate(dataset.side):
        keys[side].add(tuple(column[row] for name, column in dataset.cells.items() if name != "y"))
    assert record["doubles"] >= len(keys["fit"] & keys["holdout"])
    assert record["overlap"] == 0


def test_a_replay_is_cut_where_the_first_run_was() -> None:
    """Mended rows move nobody to the other side."""
    world = World(spec_of(**TIMED, **LOOSE))
    data = _timed(300)
    late = [n for n, row in enumerate(data, start=1) if row[0] > "2026-01-20"][:60]
    bad = [row if n not in late else [row[0], "old", *row[2:]] for n, row in enumerate(data, 1)]
    header = ["day", *COLUMNS]
    world.ask(csv_bytes(bad, header))
    first = prepare(world)
    before = dict(zip(dataset_of(world).record, dataset_of(world).side, strict=True))
    lines = [line(n, data[n - 1]) for n in late]
    replay(world, lines, header=[*LEAD, *header])
    second = prepare(world, SECOND)
    after = dict(zip(dataset_of(world, SECOND).record, dataset_of(world, SECOND).side, strict=True))
    assert second["cut"] == first["cut"]
    assert {n: after[n] for n in before} == before
    assert second["facts"]["rows"] == 300


def test_rows_of_one_time_cannot_be_split_by_time() -> None:
    """Said in words."""
    world = World(spec_of(**TIMED, **LOOSE))
    world.ask(csv_bytes([["2026-01-01", *row] for row in rows(200)], ["day", *COLUMNS]))
    with pytest.raises(NotTrainable, match="two times or more"):
        prepare(world)


# --- samples, checks, room -----------------------------------------------------------------------


def test_the_checks_see_a_sample_in_the_order_of_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """No more than the limit, evenly from beginning to end."""
    monkeypatch.setattr(written, "SAMPLE_ROWS", 100)
    seen: list[loaded.Prepared] = []

    def look(run: Training, data: loaded.Prepared, facts: Any = None) -> list[Any]:
        seen.append(data)
        assert facts["rows"] == 1000
        assert sum(facts["class_rows"]) == 1000
        return []

    monkeypatch.setattr(prepared, "run_checks", look)
    world = World(spec_of(**LOOSE))
    world.ask(csv_bytes(rows(1000)))
    prepare(world)
    sample = seen[0].dataset
    assert sample.record == list(range(1, 1000, 16))
    whole = dataset_of(world)
    assert [sample.cells[name][3] for name in sample.cells] == [
        whole.cells[name][48] for name in whole.cells
    ]
    assert sample.side[3] == whole.side[48]


def test_of_wide_rows_the_checks_see_fewer(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sample is held as texts: what counts is how many cells there are."""
    monkeypatch.setattr(written, "SAMPLE_CELLS", 4 * 100)
    seen: list[int] = []

    def look(run: Training, data: loaded.Prepared, facts: Any = None) -> list[Any]:
        seen.append(len(data.dataset))
        return []

    monkeypatch.setattr(prepared, "run_checks", look)
    world = World(spec_of(**LOOSE))
    world.ask(csv_bytes(rows(1000)))
    prepare(world)
    assert 50 <= seen[0] <= 100


def test_what_will_not_fit_says_what_it_needs(tmp_path: Any) -> None:
    """Rows, need, limit and the next size, before memory is taken."""
    limit = tmp_path / "memory.max"
    limit.write_text("1073741824\n")
    assert room.memory_limit((tmp_path / "none", limit)) == 2**30
    limit.write_text("max\n")
    assert room.memory_limit((limit,)) is None
    assert room.memory_limit((tmp_path / "none",)) is None
    room.check_room(10_000, 14, "s", 2**30)
    room.check_room(10**9, 14, "s", None)
    with pytest.raises(NotTrainable, match=r"5,000,000 rows with 14 .* has 1.0 GiB.*`size: m`"):
        room.check_room(5_000_000, 14, "s", 2**30)
    with pytest.raises(NotTrainable, match="largest size"):
        room.check_room(50_000_000, 14, "l", 2**34)


def test_rows_that_are_all_equal_are_told_so() -> None:
    """More rows of the same kind would not help, so nobody is asked for them."""
    world = World(spec_of(columns={"c": {"type": "number"}, "y": {}}))
    cells = [["5", "yes" if row % 3 else "no"] for row in range(400)]
    world.ask(csv_bytes(cells, ["c", "y"]))
    with pytest.raises(
        NotTrainable, match=r"all 400 rows fall on one side .* equal in all features"
    ):
        world.train()


def test_levels_and_classes_need_room_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Thirty categories of a hundred levels are three thousand columns of a matrix, and a forest of
    a hundred classes keeps a hundred shares in each leaf: said with their numbers."""
    room.check_room(14_000, 31, "s", 2**31)
    with pytest.raises(NotTrainable, match=r"14,000 .* 3,000 levels of categories need about 3"):
        room.check_room(14_000, 31, "s", 2**31, levels=3_000)
    with pytest.raises(NotTrainable, match=r"100,000 rows with 5 columns, 100 classes need"):
        room.check_room(100_000, 5, "s", 2**32, classes=100)
    world = World(spec_of(task="multiclass", target={"column": "y"}, columns={"c": {}, "y": {}}))
    cells = [[f"l{row % 40}", f"k{row % 3}"] for row in range(800)]
    world.ask(csv_bytes(cells, ["c", "y"]))
    needed = room.needed_bytes(800, 2)
    monkeypatch.setattr(room, "memory_limit", lambda: needed)
    with pytest.raises(NotTrainable, match=r"40 levels of categories, 3 classes need"):
        world.train()


def test_fitting_asks_for_room_before_it_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    """The run is rejected with a sentence instead of dying without one."""
    world = World(spec_of(**LOOSE))
    world.ask(csv_bytes(rows(400)))
    monkeypatch.setattr(room, "memory_limit", lambda: 1024)
    with pytest.raises(NotTrainable, match="400 rows with 4 columns need"):
        world.train()
    record = documents.require(world.lake, paths.run_stage(MODEL, RUN, "prepared.json"))
    assert record["facts"]["rows"] == 400
