"""Moments: what is a date or time, what is not, and that texts and offsets agree."""

from __future__ import annotations

import math
from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.serving.cells import BadCell
from shared.serving.times import moment_of, text_of

EIGHT = datetime(2026, 1, 31, 8, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    "text",
    [
        "2026-01-31T08:00",
        "2026-01-31 08:00:00",
        " 2026-01-31T08:00:00Z ",
        "2026-01-31t08:00:00z",
        "2026-01-31T08:00:00.000",
        "2026-01-31T08:00:00,000000000Z",
        "2026-01-31 08:00:00 UTC",
        "2026-01-31T09:00:00+01:00",
        "2026-01-31T03:30:00-0430",
        datetime(2026, 1, 31, 8),  # noqa: DTZ001 - a time without zone is one of the promises
        datetime(2026, 1, 31, 9, tzinfo=timezone(timedelta(hours=1))),
    ],
)
def test_all_spellings_of_a_moment_are_one(text: object) -> None:
    """Blank or T, zone or none (UTC), seconds or none: the same second."""
    assert moment_of(text) == EIGHT


def test_a_date_is_its_first_moment() -> None:
    """2026-01-31 is midnight UTC."""
    assert moment_of("2026-01-31") == EIGHT - 8 * 3600


@pytest.mark.parametrize("value", [None, math.nan, "", "  ", "NA", "null"])
def test_missing_is_nan(value: object) -> None:
    """What is missing elsewhere is missing here."""
    assert math.isnan(moment_of(value))


def test_markers_are_the_callers() -> None:
    """A spec's own markers are missing, and only those."""
    assert math.isnan(moment_of("never", missing=("never",)))
    with pytest.raises(BadCell):
        moment_of("NA", missing=("never",))


@pytest.mark.parametrize(
    "value",
    [
        "31/01/2026",
        "01-31-2026",
        "20260131",
        "2026-W05-6",
        "2026-02-31",
        "2026-01-31T24:00",
        "2026-01-31T08:00:60",
        "2026-01-31T08:00.5",
        "2026-01-31T08",
        "\uff12\uff10\uff12\uff16-01-31",
        "0001-01-01T00:00:00+05:00",
        "yesterday",
        1769846400,
        1769846400.0,
        True,
        [],
    ],
)
def test_what_could_be_two_moments_is_refused(value: object) -> None:
    """Ambiguous dates, numbers and days that do not exist are refused with an example."""
    with pytest.raises(BadCell, match="such as 2026-01-31 or"):
        moment_of(value)


@given(st.datetimes(timezones=st.timezones() | st.just(UTC)))
def test_what_python_writes_is_read_back(time: datetime) -> None:
    """ISO texts of Python, in any zone, are the moment they came from, to the microsecond."""
    offset = time.utcoffset()
    if offset is None or offset.total_seconds() % 60:
        return  # local mean times of before 1900 have seconds in their offset
    try:
        expected = time.astimezone(UTC)
    except OverflowError:
        with pytest.raises(BadCell):
            moment_of(time.isoformat())
        return
    assert (
        moment_of(time.isoformat()) == (expected - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds()
    )


@given(st.integers(-2_208_988_800_000_000, 7_258_118_400_000_000))
def test_text_of_a_moment_leads_back(microseconds: int) -> None:
    """`features_as_of` and the like name the moment exactly."""
    moment = microseconds / 1_000_000
    assert moment_of(text_of(moment)) == moment


@given(st.text() | st.integers() | st.floats() | st.none() | st.booleans())
def test_anything_is_a_moment_missing_or_refused(value: object) -> None:
    """No input does anything else."""
    with suppress(BadCell):
        assert isinstance(moment_of(value), float)
