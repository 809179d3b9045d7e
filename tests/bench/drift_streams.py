"""Streams for the retrain loop: weeks of rows, of which the first are learned from.

    persists     the class begins to follow something else in week SHIFTS, and stays so
    passes       the same, for two weeks
    halves       the rows of a stream in no order: nothing changes

The streams of ours are like Elec2 (prices of New South Wales, up or down): half hours of demand and
price with a daily shape and slow wandering. Real files, where somebody has them, in the folder that
MILLRACE_DATA names: `flights.csv` and `weather.csv` of nycflights13 (was a flight of 2013 late, by
carrier, hour and weather), `electricity.csv` (Elec2). Any other CSV with a time column: `read`.
"""

from __future__ import annotations

import csv
import gzip
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

Floats = NDArray[np.float64]
ROWS = 1_000  # of a week
LEARNED, WATCHED = 8, 16  # weeks
SHIFTS = 4  # the watched week in which it happens, from 0
PASSES_AFTER = 2
TARGET = "class"


@dataclass(frozen=True, slots=True)
class Stream:
    """`columns` are features with their types; each week has its rows, the class last."""

    name: str
    columns: dict[str, str]
    positive: str
    learned: list[list[str]]
    weeks: list[list[list[str]]]


def persists(seed: int) -> Stream:
    return _priced("persists", seed, range(SHIFTS, WATCHED))


def passes(seed: int) -> Stream:
    return _priced("passes", seed, range(SHIFTS, SHIFTS + PASSES_AFTER))


def halves(stream: Stream, seed: int) -> Stream:
    """The same rows in no order."""
    rows = [*stream.learned, *(row for week in stream.weeks for row in week)]
    order = np.random.default_rng([seed, 5]).permutation(len(rows)).tolist()
    mixed = [rows[place] for place in order]
    first = len(stream.learned)
    size = (len(rows) - first) // len(stream.weeks)
    starts = range(first, first + size * len(stream.weeks), size)
    weeks = [mixed[start : start + size] for start in starts]
    name = f"{stream.name}, random halves"
    return Stream(name, stream.columns, stream.positive, mixed[:first], weeks)


def _priced(name: str, seed: int, shifted: range) -> Stream:
    """The class follows demand, the price of the neighbour and the hour; in shifted weeks the
    neighbour's price works the other way."""
    rng = np.random.default_rng([seed, 11])
    count = ROWS * (LEARNED + WATCHED)
    hour = np.arange(count) % 48 / 2
    daily = np.sin((hour - 6) / 24 * 2 * np.pi)
    demand, price, neighbour, transfer = (
        _wandering(rng, count) + weight * daily for weight in (1.0, 0.6, 0.5, 0.0)
    )
    week = np.arange(count) // ROWS - LEARNED
    other = np.isin(week, list(shifted))
    pull = np.where(other, 0.1, 1.3) * neighbour + np.where(other, 1.2, 0.3) * transfer
    logit = 0.9 * demand - 0.7 * price + pull - 0.4 * (hour > 18)
    up = rng.random(count) < 1 / (1 + np.exp(-logit))
    numbers = np.column_stack([hour, demand, price, neighbour, transfer]).round(4)
    rows = [
        [*map(repr, row), "UP" if one else "DOWN"]
        for row, one in zip(numbers.tolist(), up.tolist(), strict=True)
    ]
    names = ("hour", "demand", "price", "neighbour", "transfer")
    learned = rows[: ROWS * LEARNED]
    weeks = [rows[start : start + ROWS] for start in range(ROWS * LEARNED, count, ROWS)]
    return Stream(name, dict.fromkeys(names, "number"), "UP", learned, weeks)


def _wandering(rng: np.random.Generator, count: int) -> Floats:
    """Rows that resemble the ones before, with a standard deviation of 1."""
    return np.asarray(lfilter([np.sqrt(1 - 0.8**2)], [1, -0.8], rng.normal(size=count)))


# --- real files ----------------------------------------------------------------------------------


def found(folder: Path) -> list[Stream]:
    """The streams whose files are in the folder."""
    streams = []
    if (path := _file(folder, "flights.csv")) and (weather := _file(folder, "weather.csv")):
        streams.append(_flights(path, weather))
    if path := _file(folder, "electricity.csv"):
        streams.append(_electricity(path))
    return streams


def _file(folder: Path, name: str) -> Path | None:
    return next((path for path in (folder / name, folder / f"{name}.gz") if path.exists()), None)


def _records(path: Path) -> Iterator[dict[str, str]]:
    raw = path.read_bytes()
    text = (gzip.decompress(raw) if path.suffix == ".gz" else raw).decode()
    yield from csv.DictReader(text.splitlines())


_SKY = ("temp", "wind_speed", "precip", "visib")
_PLAN = ("carrier", "origin", "dest")


def _flights(path: Path, weather: Path) -> Stream:
    """Late by a quarter of an hour, by what is known when a flight is due; nine weeks learned."""
    hours = ("origin", "month", "day", "hour")
    sky = {
        tuple(row[name] for name in hours): [_number(row[name]) for name in _SKY]
        for row in _records(weather)
    }
    weeks: dict[int, list[list[str]]] = {}
    for row in _records(path):
        delay = _number(row["arr_delay"])
        if not delay:
            continue
        day = date(int(row["year"]), int(row["month"]), int(row["day"]))
        above = sky.get(tuple(row[name] for name in hours), [""] * len(_SKY))
        plan = [row[name] for name in _PLAN]
        cells = [row["hour"], str(day.isoweekday()), row["distance"], *above, *plan]
        late = "late" if float(delay) > 15 else "on time"
        weeks.setdefault((day.timetuple().tm_yday - 1) // 7, []).append([*cells, late])
    order = [weeks[number] for number in sorted(weeks)[:52]]
    numbers = ("hour", "weekday", "distance", *_SKY)
    columns = {**dict.fromkeys(numbers, "number"), **dict.fromkeys(_PLAN, "category")}
    learned = [row for week in order[:9] for row in week]
    return Stream("flights", columns, "late", learned, order[9:])


def _electricity(path: Path) -> Stream:
    """Elec2 as it is handed on: ordered, half hours. Four weeks are one here, twenty learned."""
    rows = list(_records(path))
    names = ("period", "nswprice", "nswdemand", "vicprice", "vicdemand", "transfer")
    cells = [[*(row[name] for name in names), row["class"]] for row in rows]
    size = 4 * 7 * 48
    blocks = [cells[start : start + size] for start in range(0, len(cells) - size, size)]
    learned = [row for block in blocks[:5] for row in block]
    return Stream("electricity", dict.fromkeys(names, "number"), "UP", learned, blocks[5:])


def read(path: Path, *, time: str, target: str, positive: str, learned: int, block: int) -> Stream:
    """A CSV in the order of its `time` (rows of one moment as they stand): the first `learned` rows
    are learned, the others come in blocks of `block` rows, one for a week. Columns whose cells are
    all numbers are numbers; the time itself is no feature."""
    rows = list(_records(path))
    rows.sort(key=lambda row: _moment(row[time]))
    names = [name for name in rows[0] if name not in (time, target)]
    kinds = {
        name: "number" if all(_is_number(row[name]) for row in rows) else "category"
        for name in names
    }
    cells = [[*(_number(row[name]) for name in names), row[target]] for row in rows]
    starts = range(learned, len(cells) - block + 1, block)
    weeks = [cells[start : start + block] for start in starts]
    return Stream(path.name.partition(".")[0], kinds, positive, cells[:learned], weeks)


def _moment(text: str) -> tuple[float, str]:
    """Numbers by their size, dates as ISO writes them by their spelling."""
    return (float(text), "") if _is_number(text) else (0.0, text)


def _is_number(text: str) -> bool:
    try:
        float(_number(text) or "0")
    except ValueError:
        return False
    return True


def _number(text: str) -> str:
    return "" if text in ("", "NA", "nan") else text


def table(rows: Sequence[Sequence[str]], header: Sequence[str]) -> bytes:
    return "\n".join(",".join(row) for row in [header, *rows]).encode() + b"\n"
