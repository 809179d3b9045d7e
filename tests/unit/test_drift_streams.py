"""The streams that the retrain loop is tried on: what changes in them, when, and what does not."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.bench.drift_streams import (
    LEARNED,
    PASSES_AFTER,
    ROWS,
    SHIFTS,
    WATCHED,
    Stream,
    found,
    halves,
    passes,
    persists,
    read,
)


def follows(week: list[list[str]], column: int) -> float:
    """How much the class follows a column."""
    up = np.array([row[-1] == "UP" for row in week])
    cells = np.array([float(row[column]) for row in week])
    return float(cells[up].mean() - cells[~up].mean())


def shifted(stream: Stream) -> list[int]:
    """Weeks in which the neighbour's price says less than the transfer."""
    return [
        number for number, week in enumerate(stream.weeks) if follows(week, 3) < follows(week, 4)
    ]


def test_a_shift_persists_or_passes() -> None:
    """From one week on, or for two; the rows before it are the same, and the same every time."""
    stays, goes = persists(3), passes(3)
    assert (len(stays.learned), len(stays.weeks)) == (ROWS * LEARNED, WATCHED)
    assert shifted(stays) == list(range(SHIFTS, WATCHED))
    assert shifted(goes) == list(range(SHIFTS, SHIFTS + PASSES_AFTER))
    assert stays.weeks[:SHIFTS] == goes.weeks[:SHIFTS]
    assert persists(3) == stays


def test_random_halves_are_the_same_rows() -> None:
    """In other weeks, of which none is like no other."""
    stays = persists(3)
    mixed = halves(stays, 3)

    def all_rows(stream: Stream) -> list[list[str]]:
        return sorted([*stream.learned, *(row for week in stream.weeks for row in week)])

    assert all_rows(mixed) == all_rows(stays)
    assert np.ptp([follows(week, 3) for week in stays.weeks]) > 0.6
    assert np.ptp([follows(week, 3) for week in mixed.weeks]) < 0.4


def test_real_files_are_read_where_they_are(tmp_path: Path) -> None:
    """Elec2 by its header; nothing of files that are not there."""
    assert found(tmp_path) == []
    header = "date,day,period,nswprice,nswdemand,vicprice,vicdemand,transfer,class\n"
    rows = "".join(f"0,2,{row % 48 / 47},0.1,0.4,0.0,0.4,0.4,UP\n" for row in range(1344 * 8))
    (tmp_path / "electricity.csv").write_text(header + rows)
    (stream,) = found(tmp_path)
    assert (len(stream.learned), len(stream.weeks)) == (1344 * 5, 2)
    assert list(stream.columns)[:2] == ["period", "nswprice"]
    assert stream.learned[0] == ["0.0", "0.1", "0.4", "0.0", "0.4", "0.4", "UP"]


def test_any_file_with_a_time_column_is_a_stream(tmp_path: Path) -> None:
    """In the order of its times, numbers by size; what is no number is a category; the time is no
    feature; rows that fill no block are left out."""
    path = tmp_path / "shop.csv"
    kinds, sold = ["NA" if at == 3 else "x" for at in range(12)], ["no", "yes"] * 6
    rows = [f"{at},{at * 2},{kinds[at]},{sold[at]}" for at in range(12)]
    path.write_text("\n".join(["at,size,kind,sold", *rows[::-1]]) + "\n")
    stream = read(path, time="at", target="sold", positive="yes", learned=4, block=3)
    assert stream.name == "shop"
    assert stream.columns == {"size": "number", "kind": "category"}
    assert [row[0] for row in stream.learned] == ["0", "2", "4", "6"]
    assert stream.learned[3] == ["6", "", "yes"]
    assert [[row[0] for row in week] for week in stream.weeks] == [
        ["8", "10", "12"],
        ["14", "16", "18"],
    ]
