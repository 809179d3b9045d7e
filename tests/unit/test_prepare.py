"""Preparing rows: streams, quarantine, replays, splits - and never a row that disappears."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared import documents, parts, paths, runs
from shared.errors import (
    BadReplay,
    BadSpec,
    HeaderMismatch,
    NotTrainable,
    Rejected,
    TooManyBadRows,
)
from shared.runs import InputRef, RunRequest
from shared.spec.registry import read_generation
from shared.tabular.dataset import Dataset, unpack
from shared.usecases.training import loaded, prepared, room, written
from shared.usecases.training.stages import Training
from tests.support.crashing import Crash, Fuse
from tests.unit.tabular.world import COLUMNS, MODEL, RUN, World, csv_bytes, rows, spec_of

SOURCE = "gs://inbox/m/train/a.csv#1"
SECOND, THIRD = "20260106T090000-0a1b2c3e", "20260107T090000-0a1b2c3f"
LEAD = ["quarantine_run", "quarantine_source", "quarantine_record", "quarantine_reasons"]
LOOSE = {"max_bad_rows": 0.9, "checks": {"leakage": "off"}}


def _run(world: World, run_id: str = RUN, lake: Any = None) -> Training:
    request = runs.read_request(MODEL, run_id, lake=world.lake)
    spec = read_generation(MODEL, request.spec_generation, lake=world.lake)
    return Training(request, spec, lake or world.lake, world.clock)


def _prepare(world: World, run_id: str = RUN, lake: Any = None) -> dict[str, Any]:
    run = _run(world, run_id, lake)
    return run.stage(prepared.STAGE, lambda: prepared.prepare_files(run))


def _dataset(world: World, run_id: str = RUN, marks: Sequence[str] = ()) -> Dataset:
    return unpack(world.lake.read(paths.dataset(MODEL, run_id, "data.csv.gz")).data, marks)


def _quarantine(world: World, run_id: str = RUN) -> list[dict[str, str]]:
    data = world.lake.read(paths.quarantine(MODEL, run_id, "rows.csv")).data.decode()
    return list(csv.DictReader(io.StringIO(data, newline="")))


def _replay(
    world: World,
    lines: list[list[str]],
    run_id: str = SECOND,
    *,
    of: str = RUN,
    header: list[str] | None = None,
    delimiter: str = ",",
) -> RunRequest:
    """What intake makes of a corrected file: the replayed run's inputs and this one."""
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=delimiter).writerows([header or [*LEAD, *COLUMNS], *lines])
    name = paths.input_copy(MODEL, "train", run_id, "mended.csv")
    info = world.lake.write(name, text.getvalue().encode())
    before = runs.read_request(MODEL, of, lake=world.lake)
    request = replace(
        before,
        run_id=run_id,
        requested_at="2026-01-06T09:00:00Z",
        replays=of,
        inputs=(
            *before.inputs,
            InputRef.of(info, f"gs://inbox/m/train/{run_id}.csv#1", "corrected"),
        ),
    )
    runs.save_request(request, lake=world.lake)
    return request


def _line(record: int, cells: list[str], of: str = RUN) -> list[str]:
    return [of, SOURCE, str(record), "", *cells]


def _dirty(count: int = 400) -> list[list[str]]:
    """Records 4, 8 and 21 are bad: a number, the target, the width."""
    data = rows(count)
    data[3][0], data[7][3] = "old", ""
    data[20] = ["1", "2"]
    return data


# --- the streams ---------------------------------------------------------------------------------


def test_the_dataset_does_not_depend_on_blocks_and_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small parts, composed, are the same object; nothing is left of the parts."""
    found = []
    for part_bytes in (16 * 1024 * 1024, 700):
        world = World(spec_of(**LOOSE))
        world.ask(csv_bytes(_dirty()))
        monkeypatch.setattr(parts, "PART_BYTES", part_bytes)
        record = _prepare(world)
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
    calm.ask(csv_bytes(_dirty(120)))
    wanted = _prepare(calm)
    data = calm.lake.read(wanted["dataset"]).data
    for at in range(1000):
        world = World(spec_of(**LOOSE))
        world.ask(csv_bytes(_dirty(120)))
        fuse = Fuse(at, after=True, reads=False)
        try:
            _prepare(world, lake=fuse.wrap("lake", world.lake))
        except Crash:
            again = _prepare(world)
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
    _prepare(world)
    kept = _dataset(world).record
    has_bad = bool(world.names(paths.quarantine(MODEL, RUN, "rows.csv")))
    bad = [int(row["quarantine_record"]) for row in _quarantine(world)] if has_bad else []
    assert sorted([*kept, *bad]) == list(range(1, len(data) + 1))
    if has_bad:
        summary = world.document(paths.quarantine(MODEL, RUN, "summary.json"))
        assert (summary["rows"], summary["good"]) == (len(data), len(kept))
        assert summary["quarantined"] == len(bad)
        assert summary["outcome"] == "accepted"


def test_several_files_of_one_kind_are_one_table() -> None:
    """Their records keep their own numbers and sources; shared columns are learned."""
    world = World(spec_of(**LOOSE))
    first = world.ask(csv_bytes(_dirty(150)))
    info = world.lake.write("inputs/m/train/b.csv", csv_bytes(_dirty(100)))
    more = replace(first, run_id=SECOND, inputs=(*first.inputs, InputRef.of(info, "gs://b#1")))
    runs.save_request(more, lake=world.lake)
    record = _prepare(world, SECOND)
    assert record["facts"]["rows"] == 147 + 97
    bad = [
        (row["quarantine_source"], row["quarantine_record"]) for row in _quarantine(world, SECOND)
    ]
    assert bad == [(source, n) for source in (SOURCE, "gs://b#1") for n in ("4", "8", "21")]


def test_too_many_bad_rows_leave_the_quarantine_and_no_dataset() -> None:
    """The reasons are there to read; the parts of the dataset are not."""
    world = World()
    world.ask(
        csv_bytes([["old", *row[1:]] if n % 5 == 0 else row for n, row in enumerate(rows(400))])
    )
    with pytest.raises(TooManyBadRows, match="80 of 400"):
        _prepare(world)
    summary = world.document(paths.quarantine(MODEL, RUN, "summary.json"))
    assert (summary["outcome"], summary["max_bad_rows"]) == ("refused", 0.05)
    assert summary["codes"]["number"]["rows"] == 80
    assert len(_quarantine(world)) == 80
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
            _prepare(world)
        assert world.document(paths.quarantine(MODEL, RUN, "summary.json"))["outcome"] == outcome


@pytest.mark.parametrize("named", [True, False])
def test_a_file_without_the_time_that_splits_it_is_refused(named: bool) -> None:
    """Intake looks at no Parquet file's columns, and at few where the spec names none."""
    columns = {**COLUMNS, "seen": {"type": "time"}} if named else {}
    training = {"split": "time", "time_column": "seen", "candidates": ["linear"], "trials": 1}
    world = World(spec_of(columns=columns, training=training))
    world.ask(csv_bytes(rows(200)))
    with pytest.raises(HeaderMismatch, match="the file lacks seen; its header is age, gain"):
        _prepare(world)


def test_a_file_without_a_column_that_something_is_required_of_is_refused() -> None:
    """Even of one that no model sees: what is not there cannot be unique."""
    key = {"exclude": True, "require": {"unique": True}}
    world = World(spec_of(columns={**COLUMNS, "key": key}))
    world.ask(csv_bytes(rows(200)))
    with pytest.raises(HeaderMismatch, match="the file lacks key; its header is age, gain"):
        _prepare(world)


def test_a_rule_that_does_not_fit_what_was_inferred_is_a_bad_spec() -> None:
    """The columns were not known when the spec was dropped."""
    world = World(spec_of(columns={}, rules={"r": "age > 'x'"}, **LOOSE))
    world.ask(csv_bytes(rows(200)))
    with pytest.raises(BadSpec, match="compares a number with a text"):
        _prepare(world)


# --- replays -------------------------------------------------------------------------------------


def test_mended_rows_join_the_good_ones_under_their_own_number() -> None:
    """Every other row stays as it was, on its side; what is still bad is in quarantine again."""
    world = World(spec_of(**LOOSE))
    data = _dirty()
    world.ask(csv_bytes(data))
    _prepare(world)
    before = _dataset(world)
    mended = rows(400)[3]
    _replay(world, [_line(4, mended), _line(8, data[7]), _line(21, data[20])])
    record = _prepare(world, SECOND)
    after = _dataset(world, SECOND)
    assert after.record == sorted([*before.record, 4])
    at = after.record.index(4)
    assert [after.cells[name][at] for name in COLUMNS] == [cell.replace("?", "") for cell in mended]
    sides = dict(zip(after.record, after.side, strict=True))
    assert {n: sides[n] for n in before.record} == dict(
        zip(before.record, before.side, strict=True)
    )
    assert [row["quarantine_record"] for row in _quarantine(world, SECOND)] == ["8", "21"]
    assert {row["quarantine_run"] for row in _quarantine(world, SECOND)} == {SECOND}
    assert record["facts"]["rows"] + record["quarantined"] == 400


def test_a_row_that_was_left_out_of_the_corrected_file_stays_in_quarantine() -> None:
    """Deleting is not mending; and a torn row gets its fields back where it is mended."""
    world = World(spec_of(**LOOSE))
    world.ask(csv_bytes(_dirty()))
    _prepare(world)
    _replay(world, [_line(21, rows(400)[20])], delimiter=";")
    _prepare(world, SECOND)
    after = _dataset(world, SECOND)
    assert after.record == [n for n in range(1, 401) if n not in (4, 8)]
    assert after.cells["age"][after.record.index(21)] == rows(400)[20][0]
    assert [row["quarantine_record"] for row in _quarantine(world, SECOND)] == ["4", "8"]


def test_a_spreadsheet_that_fills_a_torn_row_up_has_not_mended_it() -> None:
    """Empty cells at the end are what programs do, not what people decide."""
    world = World(spec_of(**LOOSE))
    world.ask(csv_bytes(_dirty()))
    _prepare(world)
    _replay(world, [_line(21, ["1", "2", "", ""])])
    _prepare(world, SECOND)
    torn = [row for row in _quarantine(world, SECOND) if row["quarantine_record"] == "21"]
    assert "2 fields" in torn[0]["quarantine_reasons"]


def test_a_spreadsheet_that_names_no_column_for_a_wide_row_has_not_mended_it() -> None:
    """It gives the header as many cells as the longest row has; what stands there still says that
    the row has too many fields, and that its values may have moved."""
    world = World(spec_of(**LOOSE))
    data = rows(400)
    data[3][0], data[20], data[30] = "old", ["41", "12", "5", "no", "yes"], [*data[30], "yes"]
    world.ask(csv_bytes(data))
    _prepare(world)
    header = [*LEAD, *COLUMNS, ""]
    mended = [
        _line(4, [*rows(9)[3], ""]),
        _line(21, data[20]),
        _line(31, [*rows(400)[30], ""]),  # by a person
    ]
    _replay(world, mended, header=header, delimiter=";")
    _prepare(world, SECOND)
    (left,) = _quarantine(world, SECOND)
    assert (left["quarantine_record"], left["quarantine_reasons"]) == (
        "21",
        "has 5 fields, expected 4",
    )


def test_a_record_with_an_open_quote_is_quarantined_until_somebody_closes_it() -> None:
    """It may have as many fields as there are columns, and dropped again as it is it stays bad."""
    world = World(spec_of(**LOOSE))
    world.ask(csv_bytes(rows(400)) + b'33,1,b,"yes\n34,2,c,no\n35,3,a,no\n')
    _prepare(world)
    (bad,) = _quarantine(world)
    assert (bad["quarantine_record"], len(_dataset(world))) == ("401", 400)
    assert bad["y"] == "yes\n34,2,c,no\n35,3,a,no\n"
    assert "never closed" in bad["quarantine_reasons"]
    _replay(world, [[*bad.values()]])
    _prepare(world, SECOND)
    assert "never closed" in _quarantine(world, SECOND)[0]["quarantine_reasons"]


def test_a_quarantine_with_any_character_in_it_can_be_mended() -> None:
    """JSON spells characters that no CSV file may begin with."""
    world = World(spec_of(**LOOSE))
    data = rows(400)
    data[3][0], data[7][0] = "4\0", "old"
    records = [dict(zip(COLUMNS, cells, strict=True)) for cells in data]
    world.ask("\n".join(map(json.dumps, records)).encode())
    _prepare(world)
    _replay(world, [_line(8, rows(400)[7])])
    _prepare(world, SECOND)
    assert [(row["quarantine_record"], row["age"]) for row in _quarantine(world, SECOND)] == [
        ("4", "4\0")
    ]


def test_replays_of_replays_add_up() -> None:
    """The later correction of a row has the last word."""
    world = World(spec_of(**LOOSE))
    world.ask(csv_bytes(_dirty()))
    _prepare(world)
    good = rows(400)
    _replay(world, [_line(4, good[3]), _line(8, ["77", *good[7][1:3], "perhaps"])])
    _prepare(world, SECOND)
    assert [row["quarantine_record"] for row in _quarantine(world, SECOND)] == ["8", "21"]
    _replay(world, [_line(8, good[7], SECOND), _line(21, good[20], SECOND)], THIRD, of=SECOND)
    _prepare(world, THIRD)
    after = _dataset(world, THIRD)
    assert after.record == list(range(1, 401))
    assert after.cells["age"] == [row[0] for row in good]
    assert not world.names(paths.quarantine(MODEL, THIRD, "rows.csv"))


@pytest.mark.parametrize(
    ("lines", "header", "error", "words"),
    [
        ([_line(5, rows(9)[4])], None, BadReplay, "not in the quarantine of run .*: 5"),
        ([_line(4, rows(9)[4], THIRD)], None, BadReplay, "is not replayed"),
        ([_line(4, rows(9)[4])] * 2, None, BadReplay, "record 4 .* more than once"),
        ([_line(4, rows(9)[3]), _line(8, rows(9)[7], SECOND)], None, BadReplay, "2 runs"),
        ([[RUN, SOURCE, "four", "", *rows(9)[3]]], None, BadReplay, "'four' is no record number"),
        ([[RUN, SOURCE, "²", "", *rows(9)[3]]], None, BadReplay, "'²' is no record number"),
        ([[RUN, "gs://else#1", "4", "", *rows(9)[3]]], None, BadReplay, "not in the quarantine"),
        ([_line(4, rows(9)[3])[:-1]], [*LEAD, "age", "gain", "city"], HeaderMismatch, "lack y"),
        ([rows(9)[3]], list(COLUMNS), HeaderMismatch, "lacks quarantine_run"),
    ],
)
def test_what_cannot_be_a_correction_is_refused_in_words(
    lines: list[list[str]], header: list[str] | None, error: type[Rejected], words: str
) -> None:
    """Good rows are not changed this way, and nothing is guessed."""
    world = World(spec_of(**LOOSE))
    world.ask(csv_bytes(_dirty()))
    _prepare(world)
    _replay(world, lines, header=header)
    with pytest.raises(error, match=words):
        _prepare(world, SECOND)


@given(st.sets(st.integers(1, 60), max_size=12), st.data())
@settings(max_examples=25, deadline=None)
def test_after_a_replay_good_and_quarantined_are_still_all_records(
    bad: set[int], data: st.DataObject
) -> None:
    """Whatever was bad and whichever of it was mended, well or not."""
    lines = rows(200)
    for number in bad:
        kind = data.draw(st.sampled_from(["age", "width", "target"]))
        lines[number - 1] = {
            "age": ["old", *lines[number - 1][1:]],
            "target": [*lines[number - 1][:3], ""],
            "width": ["7"],
        }[kind]
    world = World(spec_of(**LOOSE))
    world.ask(csv_bytes(lines))
    _prepare(world)
    good = data.draw(st.sets(st.sampled_from(sorted(bad)))) if bad else set()
    still = data.draw(st.sets(st.sampled_from(sorted(bad)))) - good if bad else set()
    if not good | still:
        return
    mended = [_line(n, rows(200)[n - 1]) for n in sorted(good)]
    mended += [_line(n, ["?", "x", "a", "no"]) for n in sorted(still)]
    _replay(world, mended)
    _prepare(world, SECOND)
    kept = _dataset(world, SECOND).record
    left = bad - good
    found = _quarantine(world, SECOND) if left else []
    assert {int(row["quarantine_record"]) for row in found} == left
    assert kept == [n for n in range(1, 201) if n not in left]


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
    record = _prepare(world)
    dataset = _dataset(world, marks=["time"])
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
    first = _prepare(world)
    before = dict(zip(_dataset(world).record, _dataset(world).side, strict=True))
    lines = [_line(n, data[n - 1]) for n in late]
    _replay(world, lines, header=[*LEAD, *header])
    second = _prepare(world, SECOND)
    after = dict(zip(_dataset(world, SECOND).record, _dataset(world, SECOND).side, strict=True))
    assert second["cut"] == first["cut"]
    assert {n: after[n] for n in before} == before
    assert second["facts"]["rows"] == 300


def test_rows_of_one_time_cannot_be_split_by_time() -> None:
    """Said in words."""
    world = World(spec_of(**TIMED, **LOOSE))
    world.ask(csv_bytes([["2026-01-01", *row] for row in rows(200)], ["day", *COLUMNS]))
    with pytest.raises(NotTrainable, match="two times or more"):
        _prepare(world)


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
    _prepare(world)
    sample = seen[0].dataset
    assert sample.record == list(range(1, 1000, 16))
    whole = _dataset(world)
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
    _prepare(world)
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
