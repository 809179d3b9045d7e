"""Corrected rows join the good ones under their own number; none disappears, however often."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared import paths
from shared.errors import (
    BadReplay,
    HeaderMismatch,
    Rejected,
)
from tests.unit.prepare_world import (
    LEAD,
    LOOSE,
    SECOND,
    SOURCE,
    THIRD,
    dataset_of,
    dirty,
    line,
    prepare,
    quarantine_of,
    replay,
)
from tests.unit.tabular.world import COLUMNS, MODEL, RUN, World, csv_bytes, rows, spec_of


def test_mended_rows_join_the_good_ones_under_their_own_number() -> None:
    """Every other row stays as it was, on its side; what is still bad is in quarantine again."""
    world = World(spec_of(**LOOSE))
    data = dirty()
    world.ask(csv_bytes(data))
    prepare(world)
    before = dataset_of(world)
    mended = rows(400)[3]
    replay(world, [line(4, mended), line(8, data[7]), line(21, data[20])])
    record = prepare(world, SECOND)
    after = dataset_of(world, SECOND)
    assert after.record == sorted([*before.record, 4])
    at = after.record.index(4)
    assert [after.cells[name][at] for name in COLUMNS] == [cell.replace("?", "") for cell in mended]
    sides = dict(zip(after.record, after.side, strict=True))
    assert {n: sides[n] for n in before.record} == dict(
        zip(before.record, before.side, strict=True)
    )
    assert [row["quarantine_record"] for row in quarantine_of(world, SECOND)] == ["8", "21"]
    assert {row["quarantine_run"] for row in quarantine_of(world, SECOND)} == {SECOND}
    assert record["facts"]["rows"] + record["quarantined"] == 400


def test_a_row_that_was_left_out_of_the_corrected_file_stays_in_quarantine() -> None:
    """Deleting is not mending; and a torn row gets its fields back where it is mended."""
    world = World(spec_of(**LOOSE))
    world.ask(csv_bytes(dirty()))
    prepare(world)
    replay(world, [line(21, rows(400)[20])], delimiter=";")
    prepare(world, SECOND)
    after = dataset_of(world, SECOND)
    assert after.record == [n for n in range(1, 401) if n not in (4, 8)]
    assert after.cells["age"][after.record.index(21)] == rows(400)[20][0]
    assert [row["quarantine_record"] for row in quarantine_of(world, SECOND)] == ["4", "8"]


def test_a_spreadsheet_that_fills_a_torn_row_up_has_not_mended_it() -> None:
    """Empty cells at the end are what programs do, not what people decide."""
    world = World(spec_of(**LOOSE))
    world.ask(csv_bytes(dirty()))
    prepare(world)
    replay(world, [line(21, ["1", "2", "", ""])])
    prepare(world, SECOND)
    torn = [row for row in quarantine_of(world, SECOND) if row["quarantine_record"] == "21"]
    assert "2 fields" in torn[0]["quarantine_reasons"]


def test_a_spreadsheet_that_names_no_column_for_a_wide_row_has_not_mended_it() -> None:
    """It gives the header as many cells as the longest row has; what stands there still says that
    the row has too many fields, and that its values may have moved."""
    world = World(spec_of(**LOOSE))
    data = rows(400)
    data[3][0], data[20], data[30] = "old", ["41", "12", "5", "no", "yes"], [*data[30], "yes"]
    world.ask(csv_bytes(data))
    prepare(world)
    header = [*LEAD, *COLUMNS, ""]
    mended = [
        line(4, [*rows(9)[3], ""]),
        line(21, data[20]),
        line(31, [*rows(400)[30], ""]),  # by a person
    ]
    replay(world, mended, header=header, delimiter=";")
    prepare(world, SECOND)
    (left,) = quarantine_of(world, SECOND)
    assert (left["quarantine_record"], left["quarantine_reasons"]) == (
        "21",
        "has 5 fields, expected 4",
    )


def test_a_record_with_an_open_quote_is_quarantined_until_somebody_closes_it() -> None:
    """It may have as many fields as there are columns, and dropped again as it is it stays bad."""
    world = World(spec_of(**LOOSE))
    world.ask(csv_bytes(rows(400)) + b'33,1,b,"yes\n34,2,c,no\n35,3,a,no\n')
    prepare(world)
    (bad,) = quarantine_of(world)
    assert (bad["quarantine_record"], len(dataset_of(world))) == ("401", 400)
    assert bad["y"] == "yes\n34,2,c,no\n35,3,a,no\n"
    assert "never closed" in bad["quarantine_reasons"]
    replay(world, [[*bad.values()]])
    prepare(world, SECOND)
    assert "never closed" in quarantine_of(world, SECOND)[0]["quarantine_reasons"]


def test_a_quarantine_with_any_character_in_it_can_be_mended() -> None:
    """JSON spells characters that no CSV file may begin with."""
    world = World(spec_of(**LOOSE))
    data = rows(400)
    data[3][0], data[7][0] = "4\0", "old"
    records = [dict(zip(COLUMNS, cells, strict=True)) for cells in data]
    world.ask("\n".join(map(json.dumps, records)).encode())
    prepare(world)
    replay(world, [line(8, rows(400)[7])])
    prepare(world, SECOND)
    assert [(row["quarantine_record"], row["age"]) for row in quarantine_of(world, SECOND)] == [
        ("4", "4\0")
    ]


def test_replays_of_replays_add_up() -> None:
    """The later correction of a row has the last word."""
    world = World(spec_of(**LOOSE))
    world.ask(csv_bytes(dirty()))
    prepare(world)
    good = rows(400)
    replay(world, [line(4, good[3]), line(8, ["77", *good[7][1:3], "perhaps"])])
    prepare(world, SECOND)
    assert [row["quarantine_record"] for row in quarantine_of(world, SECOND)] == ["8", "21"]
    replay(world, [line(8, good[7], SECOND), line(21, good[20], SECOND)], THIRD, of=SECOND)
    prepare(world, THIRD)
    after = dataset_of(world, THIRD)
    assert after.record == list(range(1, 401))
    assert after.cells["age"] == [row[0] for row in good]
    assert not world.names(paths.quarantine(MODEL, THIRD, "rows.csv"))


@pytest.mark.parametrize(
    ("lines", "header", "error", "words"),
    [
        ([line(5, rows(9)[4])], None, BadReplay, "not in the quarantine of run .*: 5"),
        ([line(4, rows(9)[4], THIRD)], None, BadReplay, "is not replayed"),
        ([line(4, rows(9)[4])] * 2, None, BadReplay, "record 4 .* more than once"),
        ([line(4, rows(9)[3]), line(8, rows(9)[7], SECOND)], None, BadReplay, "2 runs"),
        ([[RUN, SOURCE, "four", "", *rows(9)[3]]], None, BadReplay, "'four' is no record number"),
        ([[RUN, SOURCE, "²", "", *rows(9)[3]]], None, BadReplay, "'²' is no record number"),
        ([[RUN, "gs://else#1", "4", "", *rows(9)[3]]], None, BadReplay, "not in the quarantine"),
        ([line(4, rows(9)[3])[:-1]], [*LEAD, "age", "gain", "city"], HeaderMismatch, "lack y"),
        ([rows(9)[3]], list(COLUMNS), HeaderMismatch, "lacks quarantine_run"),
    ],
)
def test_what_cannot_be_a_correction_is_refused_in_words(
    lines: list[list[str]], header: list[str] | None, error: type[Rejected], words: str
) -> None:
    """Good rows are not changed this way, and nothing is guessed."""
    world = World(spec_of(**LOOSE))
    world.ask(csv_bytes(dirty()))
    prepare(world)
    replay(world, lines, header=header)
    with pytest.raises(error, match=words):
        prepare(world, SECOND)


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
    prepare(world)
    good = data.draw(st.sets(st.sampled_from(sorted(bad)))) if bad else set()
    still = data.draw(st.sets(st.sampled_from(sorted(bad)))) - good if bad else set()
    if not good | still:
        return
    mended = [line(n, rows(200)[n - 1]) for n in sorted(good)]
    mended += [line(n, ["?", "x", "a", "no"]) for n in sorted(still)]
    replay(world, mended)
    prepare(world, SECOND)
    kept = dataset_of(world, SECOND).record
    left = bad - good
    found = quarantine_of(world, SECOND) if left else []
    assert {int(row["quarantine_record"]) for row in found} == left
    assert kept == [n for n in range(1, 201) if n not in left]
