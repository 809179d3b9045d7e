"""Aggregates: what specs may write, what rows give, and that nothing depends on their order."""

from __future__ import annotations

import math
import random
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from fractions import Fraction

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.serving.cells import CellRules
from shared.serving.sources.aggregates import (
    Aggregate,
    BadRecord,
    Kind,
    LaterRows,
    SourceAggregates,
    Value,
    literal_as_of,
    parse,
    parse_all,
    sources_of,
)
from shared.serving.times import before, moment_of
from shared.spec.model import JoinedSource, Spec

EVERY = {
    "visits": "count",
    "spent": "sum(amount)",
    "average": "mean(amount)",
    "least": "min(amount)",
    "most": "max(amount)",
    "newest": "last(amount)",
    "shop": "last(shop)",
    "shops": "distinct(shop)",
    "days": "recency",
}
PLAIN = {name: text for name, text in EVERY.items() if text != "recency"}
NEW_YEAR = moment_of("2026-01-01")


def source(as_of: str | None = "2026-01-01", **more: object) -> SourceAggregates:
    joined = JoinedSource.model_validate(
        {"key": "customer", "time": "at", "as_of": as_of, "aggregates": EVERY, **more}
    )
    return SourceAggregates.of("visits", joined, types={"shop": "category"})


def same(left: Mapping[str, Value], right: Mapping[str, Value]) -> bool:
    """Equal to the bit, missing values included."""
    return repr(dict(left)) == repr(dict(right))


# --- what specs write ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "function", "column"),
    [
        ("count", "count", ""),
        ("count()", "count", ""),
        (" sum( tran amount ) ", "sum", "tran amount"),
        ("mean(a(b))", "mean", "a(b)"),
        ("distinct(Größe)", "distinct", "Größe"),
        ("recency", "recency", ""),
        ("sum(over)", "sum", "over"),
        ("max(x over 7d)", "max", "x over 7d"),
    ],
)
def test_forms_of_an_aggregate(text: str, function: str, column: str) -> None:
    """Blanks do not count, columns may have any name, and writing it again reads the same."""
    found = parse(text, "x")
    assert found == Aggregate("x", function, column)
    assert parse(str(found), "x") == found


@pytest.mark.parametrize(
    ("text", "seconds", "again"),
    [
        ("count over 365d", 365 * 86400, "count over 365d"),
        (" sum( x )  over  90d ", 90 * 86400, "sum(x) over 90d"),
        ("count() over 24h", 86400, "count over 1d"),
        ("last(a(b)) over 30s", 30, "last(a(b)) over 30s"),
        ("distinct(x over 7d) over 90m", 5400, "distinct(x over 7d) over 90m"),
    ],
)
def test_windows_of_an_aggregate(text: str, seconds: int, again: str) -> None:
    """A window is a duration as elsewhere in a spec; it is written again in its shortest form."""
    found = parse(text, "x")
    assert found.window_seconds == seconds
    assert str(found) == again
    assert parse(again, "x") == found


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("count over 1y", "'1y' is no duration; write 30s, 5m, 24h or 7d"),
        ("count over 7", "'7' is no duration"),
        ("count over -7d", "'-7d' is no duration"),
        ("count over 999999999999d", "is no duration"),
        ("count over 7d over 7d", "'7d over 7d' is no duration"),
        ("sum(x) over 0d", "a window of 0d holds no row; write a length such as 365d"),
        ("sum(x) over", "the window has no length; write sum(x) over 365d"),
        ("recency over 7d", "recency takes no window"),
        ("median(x) over 7d", "also with a window, such as count over 365d"),
        ("median(x)", "write count, recency, or sum(column)"),
        ("sum", "names no column; write sum(column)"),
        ("sum()", "names no column"),
        ("count(x)", "distinct(column) for different values"),
        ("recency(x)", "recency takes no column"),
        ("sum(x) + 1", "is no aggregate"),
        ("", "is no aggregate"),
        ("__import__('os')", "is no aggregate"),
    ],
)
def test_other_forms_are_refused_with_advice(text: str, says: str) -> None:
    """An error says what is allowed."""
    with pytest.raises(ValueError, match=re.escape(says)):
        parse(text)


@pytest.mark.parametrize(
    ("text", "time", "as_of", "says"),
    [
        ("recency", None, None, "declare `time: COLUMN` and `as_of`"),
        ("recency", "at", None, "declare `time: COLUMN` and `as_of`"),
        ("last(x)", None, None, "last needs `time: COLUMN`"),
        ("sum", None, None, "days: 'sum' names no column"),
        ("count over 7d", None, None, "declare `time: COLUMN` and `as_of`"),
        ("count over 7d", "at", None, "a window ends at a moment; declare `time: COLUMN` and"),
    ],
)
def test_what_needs_a_time_says_so(text: str, time: str, as_of: str, says: str) -> None:
    """A spec cannot ask for days up to nowhere; the column is named."""
    with pytest.raises(ValueError, match="days: ") as refused:
        parse_all({"days": text}, time=time, as_of=as_of)
    assert says in str(refused.value)


def test_as_of_is_a_date_or_a_column() -> None:
    """A text that spells a moment is one; any other is a column of the primary."""
    assert literal_as_of("2026-01-01") == NEW_YEAR
    assert literal_as_of("decided_at") is None
    assert literal_as_of(None) is None
    assert source("decided_at").as_of_column == "decided_at"
    assert source().as_of_column is None


def test_sources_of_a_spec() -> None:
    """Each source but the primary, in order, with the types that `columns` give."""
    spec = Spec.model_validate(
        {
            "task": "binary",
            "target": "response",
            "sources": {
                "customers": {"key": "customer"},
                "visits": {"key": "customer", "time": "at", "aggregates": {"shop": "last(shop)"}},
                "score": {"key": "customer", "sql": "SELECT 1", "sql_columns": {"s": "number"}},
            },
            "columns": {
                "customer": {"exclude": True},
                "response": {},
                "shop": {"type": "category"},
            },
        }
    )
    visits, score = sources_of(spec)
    assert visits.types == {"shop": "category"}
    assert visits.inputs == (("shop", "category"),)
    assert score.is_sql
    assert score.types == {"s": "number"}


# --- what rows give ------------------------------------------------------------------------------


def test_every_function() -> None:
    """Each function by hand; texts and JSON values are the same."""
    rows: list[dict[str, object]] = [
        {"at": "2025-12-31T12:00", "amount": 3, "shop": "A"},
        {"at": "2025-12-01", "amount": "4.5", "shop": 7.0},
        {"at": "2025-12-01", "amount": None, "shop": "7"},
        {"at": "2025-12-31T18:00Z", "amount": "", "shop": None},
        {"at": "2026-01-01", "amount": 1000, "shop": "not seen"},
    ]
    assert source().values(rows, NEW_YEAR) == {
        "visits": 4.0,
        "spent": 7.5,
        "average": 3.75,
        "least": 3.0,
        "most": 4.5,
        "newest": 3.0,
        "shop": "A",
        "shops": 2.0,
        "days": 0.25,
    }


def test_no_rows() -> None:
    """Nothing is counted as 0 and summed to 0.0; the rest is missing. All seen too late: the
    same."""
    expected: dict[str, Value] = {"visits": 0.0, "spent": 0.0, "shops": 0.0, "shop": ""}
    expected |= dict.fromkeys(["average", "least", "most", "newest", "days"], math.nan)
    found = source().values([], NEW_YEAR)
    late = source().values([{"at": "2026-01-01", "amount": 1, "shop": "A"}], NEW_YEAR)
    assert same({name: found[name] for name in expected}, expected)
    assert same(found, late)
    assert same(found, source().nothing())


def test_ties_have_a_rule() -> None:
    """Of two values at the newest moment the greater one is last, in any order."""
    rows: list[dict[str, object]] = [
        {"at": "2025-12-01", "amount": 2, "shop": "b"},
        {"at": "2025-12-01", "amount": 5, "shop": "a"},
    ]
    for order in (rows, rows[::-1]):
        found = source().values(order, NEW_YEAR)
        assert (found["newest"], found["shop"]) == (5.0, "b")


def test_sums_are_exact() -> None:
    """A sum is the float nearest to the true one; one that no float holds is missing."""
    plain = source(as_of=None, aggregates={"s": "sum(x)", "m": "mean(x)"}, time=None)
    tenths: list[dict[str, object]] = [{"x": "0.1"}] * 10
    assert plain.values(tenths) == {"s": 1.0, "m": 0.1}
    large: list[dict[str, object]] = [{"x": 1e308}, {"x": 1e308}, {"x": -1e308}]
    for order in (large, large[::-1], [large[0], large[2], large[1]]):
        assert plain.values(order) == {"s": 1e308, "m": 1e308 / 3}
    found = plain.values([{"x": 1.5e308}, {"x": 1.5e308}])
    assert math.isnan(float(found["s"]))
    assert found["m"] == 1.5e308
    assert repr(plain.values([{"x": "-0.0"}, {"x": "-0"}])["s"]) == "0.0"


AMOUNTS = (
    st.none() | st.integers(-(10**6), 10**6) | st.floats(allow_nan=False, allow_infinity=False)
)
# Where Hypothesis has no folder yet, its first text takes a second.
FRESH = settings(suppress_health_check=[HealthCheck.too_slow])
ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "at": st.sampled_from(
                ["2025-11-30", "2025-12-31T23:59:59.999999", "2026-01-01", "2027-01-01"]
            ),
            "amount": AMOUNTS | AMOUNTS.map(lambda value: "" if value is None else repr(value)),
            "shop": st.none() | st.text(max_size=3) | st.integers(-3, 3) | st.booleans(),
        }
    ),
    max_size=12,
)


@FRESH
@given(ROWS, st.randoms(use_true_random=False), st.sampled_from([None, "2026-01-01", "decided"]))
def test_order_changes_no_bit(
    rows: list[dict[str, object]], shuffle: random.Random, as_of: str | None
) -> None:
    """The same rows in any order give the same bits."""
    aggregates = {name: text for name, text in EVERY.items() if as_of or text != "recency"}
    found = source(as_of, aggregates=aggregates)
    cutoff = None if as_of is None else NEW_YEAR
    mixed = list(rows)
    shuffle.shuffle(mixed)
    assert same(found.values(rows, cutoff), found.values(mixed, cutoff))


@FRESH
@given(ROWS)
def test_later_rows_change_nothing(rows: list[dict[str, object]]) -> None:
    """Rows at or after the cut-off might as well not be there: no look-ahead."""
    earlier = [row for row in rows if str(row["at"]) < "2026"]
    assert same(source().values(rows, NEW_YEAR), source().values(earlier, NEW_YEAR))


@FRESH
@given(ROWS)
def test_sums_against_fractions(rows: list[dict[str, object]]) -> None:
    """Exact arithmetic says the same, rounded once."""
    found = source(None, aggregates={"s": "sum(amount)", "n": "count"}).values(rows)
    rules = CellRules()
    numbers = [rules.number_of(row["amount"]) for row in rows]
    exact = sum((Fraction(value) for value in numbers if not math.isnan(value)), Fraction(0))
    try:
        expected = float(exact)
    except OverflowError:
        expected = math.nan
    assert same(found, {"s": expected + 0.0, "n": float(len(rows))})


# --- windows -------------------------------------------------------------------------------------

WINDOWED = {name: f"{text} over 30d" for name, text in PLAIN.items()}
TEXTS = ["2025-11-30", "2025-12-01T23:59:59.999999", "2025-12-02", "2025-12-31", "2026-01-01"]
TIMED = st.lists(
    st.fixed_dictionaries(
        {
            "at": st.sampled_from(TEXTS),
            "amount": AMOUNTS,
            "shop": st.none() | st.sampled_from(["A", "B", "7", 7]),
        }
    ),
    max_size=12,
)
MOMENTS = [
    "2025-12-02",
    "2025-12-31T00:00:00.000001",
    "2026-01-01T00:00:01",
    "2026-01-31",
    "2027-01-01",
]


def test_a_window_begins_with_its_first_moment() -> None:
    """as_of - window is inside, a microsecond earlier is not; as_of itself is not."""
    found = source(aggregates={"n": "count over 1d", "all": "count"})
    times = ["2025-12-30T23:59:59.999999", "2025-12-31", "2025-12-31T23:59:59.999999", "2026-01-01"]
    assert found.values([{"at": at} for at in times], NEW_YEAR) == {"n": 2.0, "all": 3.0}
    # Their floats differ by more than the window: those of later moments are coarser.
    found = source(aggregates={"n": "count over 8401d"})
    first, as_of = "2003-01-01T00:00:00.000003", moment_of("2026-01-01T00:00:00.000003")
    assert found.values([{"at": first}], as_of) == {"n": 1.0}


@given(st.integers(-(10**15), 7 * 10**15), st.integers(1, 10**9))
def test_the_first_moment_is_exact(microseconds: int, seconds: int) -> None:
    """From 1938 to 2191 it is the very float that a file with this moment gives."""
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=microseconds)
    earlier = moment - timedelta(seconds=seconds)
    assert before(moment_of(moment), seconds) == moment_of(earlier)


@given(TIMED, TIMED, st.sampled_from(["2026-01-01", "decided"]))
def test_rows_outside_a_window_change_nothing(
    rows: list[dict[str, object]], more: list[dict[str, object]], as_of: str
) -> None:
    """A window is the plain aggregate of the rows inside; whatever else there is changes no bit."""
    found, plain = source(as_of, aggregates=WINDOWED), source(as_of, aggregates=PLAIN)

    def inside(row: dict[str, object]) -> bool:
        return "2025-12-02" <= str(row["at"]) < "2026-01-01"

    within = [row for row in rows if inside(row)]
    outside = [row for row in more if not inside(row)]
    expected = plain.values(within, NEW_YEAR)
    assert same(found.values(rows, NEW_YEAR), expected)
    assert same(found.values([*outside, *within], NEW_YEAR), expected)


@given(TIMED, st.sampled_from(MOMENTS), st.sampled_from(["30d", "1s", "365d"]))
def test_recalled_windows_move_on(rows: list[dict[str, object]], as_of: str, length: str) -> None:
    """Rows leave a window as time goes on; a look-up long after the snapshot knows which."""
    mixed = {f"{name}_recently": f"{text} over {length}" for name, text in PLAIN.items()}
    joined = JoinedSource.model_validate(
        {"key": "customer", "time": "at", "as_of": "decided", "aggregates": {**PLAIN, **mixed}}
    )
    types: dict[str, Kind] = {"shop": "category", "shop_recently": "category"}
    found, moment = SourceAggregates.of("visits", joined, types=types), moment_of(as_of)
    converted = found.convert(rows)
    try:
        recalled = found.recall(found.known("k", converted), moment)
    except LaterRows:
        assert max(converted.times) >= moment
    else:
        assert same(recalled, found.aggregate(converted, moment))


def test_the_snapshot_keeps_what_windows_need() -> None:
    """Rows only where records bring cut-offs, none older than the widest window, in one order."""
    rows: list[dict[str, object]] = [
        {"at": "2025-12-31", "amount": None, "shop": "A"},
        {"at": "2025-11-01", "amount": 2, "shop": "B"},
        {"at": "2025-12-15", "amount": 3, "shop": ""},
    ]
    aggregates = {"n": "count over 7d", "spent": "sum(amount) over 30d", "shop": "last(shop)"}
    found = source("decided", aggregates=aggregates)
    kept = found.known("k", found.convert(rows)).recent
    assert kept == found.known("k", found.convert(rows[::-1])).recent
    assert kept == "[[1765756800.0,1767139200.0],[3.0,null]]"
    assert source(aggregates=aggregates).known("k", found.convert(rows)).recent is None
    assert source("decided").known("k", source("decided").convert(rows)).recent is None


def test_packages_of_earlier_versions_load() -> None:
    """An aggregate without a window is written as ever; one with a window can be read by people."""
    found = source(aggregates={"n": "count", "spent": "sum(amount) over 90d"})
    body = found.to_json()
    assert [item["aggregate"] for item in body["columns"]] == ["count", "sum(amount) over 90d"]
    assert SourceAggregates.from_json(body) == found


# --- what breaks ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("row", "column", "rule"),
    [
        ({"at": "2025-01-01", "amount": "x"}, "amount", "must be a number"),
        ({"at": "2025-01-01", "amount": math.inf}, "amount", "must be a finite number"),
        ({"at": "01/02/2025"}, "at", "must be a date or time"),
        ({"at": None}, "at", "must be present"),
        ({"at": "2025-01-01", "shop": {}}, "shop", "must be a text"),
    ],
)
def test_a_bad_row_names_its_cell(row: dict[str, object], column: str, rule: str) -> None:
    """What cannot be aggregated is refused with column, value and rule, alone or among others."""
    good = {"at": "2025-01-01", "amount": 1, "shop": "A"}
    with pytest.raises(BadRecord) as refused:
        source().values([good, row], NEW_YEAR)
    assert (refused.value.column, refused.value.value) == (column, row[column])
    assert rule in refused.value.rule
    assert [problem.column for problem in source().problems_of(row)] == [column]
    assert source().problems_of(good) == []


def test_all_that_is_wrong_with_a_row() -> None:
    """Every bad cell of a row is found, each column once."""
    problems = source().problems_of({"at": "soon", "amount": "x", "shop": []})
    assert [problem.column for problem in problems] == ["at", "amount", "shop"]


def test_a_declared_cutoff_is_needed() -> None:
    """Nobody aggregates without the cut-off by forgetting it."""
    for as_of in (None, math.nan):
        with pytest.raises(ValueError, match="declares as_of"):
            source().values([], as_of)


@pytest.mark.parametrize("value", [None, "", "soon", 5])
def test_a_records_own_cutoff(value: object) -> None:
    """`as_of` as a column: each record has to bring it."""
    found = source("decided")
    assert found.cutoff({"decided": "2026-01-01"}) == NEW_YEAR
    with pytest.raises(BadRecord) as refused:
        found.cutoff({"decided": value})
    assert refused.value.column == "decided"


# --- snapshots and JSON --------------------------------------------------------------------------


@FRESH
@given(ROWS, st.sampled_from(["2025-12-31", "2026-01-01", "2026-06-01", "2028-01-01"]))
def test_recalled_is_aggregated(rows: list[dict[str, object]], as_of: str) -> None:
    """What the snapshot kept gives exactly what the rows give, or says that it cannot."""
    found, moment = source("decided"), moment_of(as_of)
    converted = found.convert(rows)
    known = found.known("k", converted)
    try:
        recalled = found.recall(known, moment)
    except LaterRows:
        assert max(converted.times) >= moment
    else:
        assert same(recalled, found.aggregate(converted, moment))


@FRESH
@given(ROWS)
def test_recalled_at_a_fixed_cutoff(rows: list[dict[str, object]]) -> None:
    """With one cut-off for all the snapshot keeps the values themselves."""
    found = source()
    known = found.known("k", found.convert(rows))
    assert known.latest is None
    assert same(found.recall(known, NEW_YEAR), found.values(rows, NEW_YEAR))


@pytest.mark.parametrize("as_of", [None, "2026-01-01", "decided"])
def test_json_leads_back(as_of: str | None) -> None:
    """package.json keeps everything."""
    aggregates = {name: text for name, text in EVERY.items() if as_of or text != "recency"}
    found = source(
        as_of,
        aggregates=aggregates,
        defaults={"visits": 0, "shop": "none"},
        max_age="7d",
        too_old="refuse",
        join="inner",
        decimal=",",
    )
    assert SourceAggregates.from_json(found.to_json()) == found
