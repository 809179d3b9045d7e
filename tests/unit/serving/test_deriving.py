"""Row expressions: what a model is told is derived alike wherever a row comes from."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from shared.errors import InvalidInstances, PackageInvalid
from shared.serving.columns import Schema
from shared.serving.encoder import Encoder
from shared.serving.features import Bounds, Feature
from tests.unit.serving.models import SCHEMA, binary_package

DERIVE = (
    ("ratio", "rooms / households"),
    ("turned", "0.866 * rooms + 0.5 * hidden - -1e-3"),
    ("steep", "log1p(rooms) * sqrt(hidden) / log(households + 1)"),
    ("ends", "max(rooms, hidden) - min(hidden, 3) + abs(rooms)"),
    ("inverse", "1 / (rooms / households)"),
    ("month", "month(started)"),
    ("when", "year(started) + weekday(started) / 10 + day(started) / 100 + hour(started)"),
    ("days", "ended - started"),
)
DERIVING = Schema(
    features=(
        Feature("rooms", "number"),
        Feature("households", "number"),
        Feature("c", "category"),
    ),
    carried=(
        Feature("hidden", "number", require=Bounds(max=1e9)),
        Feature("started", "time"),
        Feature("ended", "time"),
    ),
    derive=DERIVE,
)
ROWS: list[tuple[Any, ...]] = [
    (880, 126, "a", 37.88, "2026-02-28", "2026-03-01T12:00"),
    (7, 0, "b", -1, "1969-12-31T23:59:59.5Z", None),
    (None, 3, None, 0.1, "2024-02-29 05:00:00", "2024-02-29"),
    (1e308, 1e-5, "a", 1e8, None, "0001-01-01"),
    (0.1, 0.3, "z", None, "9999-12-31", "1600-02-29"),
]
RECORDS: list[dict[str, Any]] = [dict(zip(DERIVING.names, row, strict=True)) for row in ROWS]


def _cells() -> dict[str, list[str]]:
    def text(value: object) -> str:
        return "" if value is None else repr(value) if isinstance(value, float) else str(value)

    return {name: [text(record[name]) for record in RECORDS] for name in DERIVING.names}


def _bits(values: Any) -> bytes:
    """Of numbers; one NaN is as good as another."""
    found = np.array(values, np.float64)
    found[np.isnan(found)] = np.nan
    return found.tobytes()


def _encoder() -> Encoder:
    columns, _ = DERIVING.from_cells(_cells())
    return Encoder.fit(columns, DERIVING.seen, "linear", min_frequency=1)


def test_a_row_is_derived_alike_from_json_from_cells_alone_and_in_a_crowd() -> None:
    """Records, cells, one row and many rows: the same bits, up to what a model is given."""
    columns, problems = DERIVING.from_cells(_cells())
    assert not problems
    many = DERIVING.from_records(RECORDS)
    crowd = DERIVING.from_records(RECORDS * 200)
    for feature in DERIVING.seen:
        expected = columns[feature.name]
        place = [item.name for item in DERIVING.seen].index(feature.name)
        alone = [DERIVING.from_record(record)[place] for record in RECORDS]
        for found in (many[feature.name], crowd[feature.name][-len(RECORDS) :], alone):
            if feature.kind == "category":
                assert list(found) == expected.tolist()
            else:
                assert _bits(found) == _bits(expected)
    encoder = _encoder()
    encoded = encoder.transform(columns)
    rows = [encoder.transform_row(DERIVING.from_record(record)) for record in RECORDS]
    assert np.concatenate(rows).tobytes() == encoded.tobytes()
    assert encoder.transform(crowd)[: len(RECORDS)].tobytes() == encoded.tobytes()


def test_values_are_what_the_expressions_say() -> None:
    """By hand, for a row; and what cannot be calculated is missing, wherever that was."""
    columns = DERIVING.from_records(RECORDS)
    assert columns["ratio"][0] == 880 / 126
    assert columns["month"][:3].tolist() == [2.0, 12.0, 2.0]
    assert columns["when"][0] == 2026 + 6 / 10 + 28 / 100 + 0
    assert columns["when"][1] == 1969 + 3 / 10 + 31 / 100 + 23
    assert columns["days"][0] == 1.5
    assert columns["ends"][0] == 880.0 - 3.0 + 880.0
    assert np.isnan(columns["ratio"][[1, 2, 3]]).all()  # by zero, of nothing, beyond the numbers
    assert np.isnan(columns["inverse"][[1, 3]]).all()  # and so is what is made of those
    assert np.isnan(columns["steep"][1])  # the root of -1


def test_a_time_that_leaves_the_numbers_is_missing() -> None:
    """So many days that no float holds their seconds: what is made of that moment is missing in a
    row alone and in a crowd, never infinite."""
    schema = Schema(
        (),
        carried=(Feature("t", "time"), Feature("n", "number")),
        derive=(("since", "(t + n) - t"), ("until", "t - (t - n)"), ("year", "year(t + n)")),
    )
    records = [{"t": "2026-01-31", "n": days} for days in (1e308, -1e308, 2.0)]
    found = schema.from_records(records)
    for place, name in enumerate(("since", "until", "year")):
        alone = [schema.from_record(record)[place] for record in records]
        assert _bits(alone) == _bits(found[name])
        assert np.isnan(found[name][:2]).all()
    assert found["since"][2] == found["until"][2] == 2


def test_dates_are_those_of_the_calendar() -> None:
    """Every 11th day of 800 years, against Python's calendar."""
    from datetime import UTC, datetime, timedelta

    schema = Schema(
        (),
        carried=(Feature("t", "time"),),
        derive=tuple((name, f"{name}(t)") for name in ("year", "month", "day", "weekday", "hour")),
    )
    start = datetime(1599, 12, 25, 7, 30, tzinfo=UTC)
    times = [start + timedelta(days=11 * step, hours=step % 17) for step in range(26_600)]
    found = schema.from_records([{"t": time} for time in times])
    for name in ("year", "month", "day", "hour"):
        assert found[name].tolist() == [getattr(time, name) for time in times]
    assert found["weekday"].tolist() == [time.isoweekday() for time in times]


def test_what_is_only_derived_of_is_asked_for_and_checked() -> None:
    """A carried column is read, judged by what it requires, and named when it is bad; a record
    that has derived values is not believed."""
    with pytest.raises(InvalidInstances) as error:
        DERIVING.from_record({**RECORDS[0], "hidden": 2e9, "started": "soon"})
    assert {problem["column"] for problem in error.value.problems} == {"hidden", "started"}
    with pytest.raises(InvalidInstances) as error:
        DERIVING.from_record({"ratio": 3})
    assert "none of the inputs" in str(error.value.problems[0]["rule"])
    lied = DERIVING.from_record({**RECORDS[0], "ratio": 3})
    assert lied == DERIVING.from_record(RECORDS[0])
    assert DERIVING.names == ["rooms", "households", "c", "hidden", "started", "ended"]


def test_rules_may_be_about_what_is_carried() -> None:
    """A rule over carried columns refuses a prediction as one over features does."""
    schema = Schema(
        (Feature("n", "number"),),
        carried=(Feature("t", "time"), Feature("u", "time")),
        derive=(("days", "u - t"),),
        rules=(("ordered", "t <= u"),),
    )
    good = {"n": 1, "t": "2026-01-01", "u": "2026-01-03"}
    assert schema.from_record(good) == [1.0, 2.0]
    bad = {"n": 1, "t": "2026-01-05", "u": "2026-01-03"}
    for ask in (schema.from_record, lambda record: schema.from_records([record, record])):
        with pytest.raises(InvalidInstances) as error:
            ask(bad)
        assert "ordered" in str(error.value.problems[0]["rule"])


def test_without_expressions_a_package_keeps_its_bytes_and_a_row_its_way() -> None:
    """Nothing is added to the JSON of a schema that derives nothing; it reads as it did."""
    assert set(SCHEMA.to_json()) == {"features", "missing", "strip", "decimal"}
    assert Schema.from_json(SCHEMA.to_json()) == SCHEMA
    assert Schema.from_json(DERIVING.to_json()) == DERIVING
    assert SCHEMA.seen == SCHEMA.inputs == SCHEMA.features
    assert math.isnan(SCHEMA.from_record({"age": 1})[1])  # type: ignore[arg-type]


def test_an_encoder_of_other_columns_is_refused() -> None:
    """What the encoder was fitted on is what the schema says is seen."""
    from dataclasses import replace

    package = binary_package()
    with pytest.raises(PackageInvalid, match="seen"):
        replace(package, schema=replace(SCHEMA, derive=(("x", "age + gain"),)))
