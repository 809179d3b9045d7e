"""Joins of several sources: the same values as the predictor's, never from the future."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.errors import BadSource, BadSql, HeaderMismatch
from shared.serving.cells import BadCell, CellRules
from shared.serving.sources.aggregates import FUNCTIONS, SourceAggregates, Value, parse
from shared.serving.times import moment_of, text_of
from shared.spec.model import JoinedSource
from shared.tabular.joins.joining import spell
from shared.tabular.joins.loading import check_columns
from shared.tabular.validating.row_reasons import ROW_REASONS
from tests.unit.tabular.joins import AGGREGATES, RULES, Row, joined, opened, read, source_of

FEW = settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
KEYS = st.sampled_from(["1", "1.0", " 1", "2", "a", "B", "a b", "é", "", "?"])
TIMES = st.sampled_from(
    [
        "2020-03-01",
        "2020-05-30",
        "2020-05-31",
        "2020-05-31T23:59:59",
        "2020-06-01",
        "2020-06-01T00:00:01Z",
        "2020-07-01",
    ]
)
CUTOFFS = st.sampled_from(["2020-05-31", "2020-06-01", "2020-06-01T00:00:01Z", "2021-01-01"])
NUMBERS = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False, width=64).map(repr),
    st.sampled_from(["0.1", "0.2", "1e16", "-1e16", "3", "", "NA"]),
)
CATEGORIES = st.sampled_from(["x", "y", "3", "3.0", "", "True", "true"])
ROWS = st.lists(
    st.fixed_dictionaries({"id": KEYS, "at": TIMES, "x": NUMBERS, "c": CATEGORIES}), max_size=14
)
PRIMARY = st.lists(st.fixed_dictionaries({"id": KEYS, "when": CUTOFFS}), min_size=1, max_size=8)
AS_OF = st.sampled_from(["2020-06-01", "when"])


def expected(row: Row, rows: Sequence[Row], source: SourceAggregates) -> dict[str, Value]:
    """One primary row by the words of the spec: its key's rows before its cut-off."""
    key, cutoff = RULES.category_of(row["id"]), source.cutoff(row)
    assert cutoff is not None
    mine = [
        other
        for other in rows
        if RULES.category_of(other["id"]) == key and moment_of(other["at"]) < cutoff
    ]
    return source.values(mine, cutoff) if mine else source.nothing()


def values(cells: Row) -> dict[str, float]:
    return {name: RULES.number_of(text) for name, text in cells.items()}


def same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Equal to the last bit; missing is missing."""
    return one.keys() == other.keys() and all(
        value == other[name] or (math.isnan(value) and math.isnan(other[name]))
        for name, value in one.items()
    )


@FEW
@given(PRIMARY, ROWS, AS_OF)
def test_every_cell_is_what_serving_computes(
    primary: list[Row], rows: list[Row], as_of: str
) -> None:
    """Whatever the data, a joined cell reads back as the very float that the predictor gets from
    the same rows; rows without a key are the only ones without cells."""
    source = source_of(as_of=as_of)
    found = joined(primary, {"t": rows}, source)
    usable = [row for row in rows if RULES.category_of(row["id"])]
    assert len(found.rows) == len(primary)
    for number, row in enumerate(primary):
        if RULES.category_of(row["id"]) == "":
            assert found.codes[number] == "key"
        else:
            assert number not in found.codes
            assert same(values(found.rows[number]), expected(row, usable, source))


@FEW
@given(PRIMARY, ROWS, ROWS, AS_OF, st.sampled_from(["left", "inner"]))
def test_what_happens_later_changes_nothing(
    primary: list[Row], rows: list[Row], more: list[Row], as_of: str, kind: str
) -> None:
    """Rows at or after the cut-off may be added, changed or removed: no feature changes, nor which
    rows have any, nor (for a fixed cut-off) the snapshot."""
    source = source_of(as_of=as_of, join=kind)
    latest = {RULES.category_of(row["id"]): -math.inf for row in primary}
    for row in primary:
        key = RULES.category_of(row["id"])
        latest[key] = max(latest[key], source.cutoff(row) or math.inf)
    fixed = source.fixed_as_of

    def is_later(row: Row) -> bool:
        cutoff = latest.get(RULES.category_of(row["id"]), fixed)
        return cutoff is not None and moment_of(row["at"]) >= cutoff

    past = [row for row in rows if not is_later(row)]
    future = [row for row in (*rows, *more) if is_later(row)]
    without = joined(primary, {"t": past}, source)
    beyond = joined(primary, {"t": [*future, *past]}, source)
    assert beyond.rows == without.rows
    assert beyond.codes == without.codes
    if fixed is not None and kind == "inner":
        assert repr(beyond.known) == repr(without.known)


@FEW
@given(PRIMARY, ROWS, ROWS, AS_OF)
def test_what_happened_before_a_window_changes_nothing(
    primary: list[Row], rows: list[Row], more: list[Row], as_of: str
) -> None:
    """Rows before every window may be added, changed or removed: no windowed column changes."""
    lately = {name: text for name, text in AGGREGATES.items() if " over " in text}
    source = source_of(as_of=as_of, aggregates={**lately, "total_lately": "sum(x) over 2d"})
    first = min((source.cutoff(row) or 0.0) for row in primary) - 2 * 86400

    def old(row: Row) -> bool:
        return moment_of(row["at"]) < first

    recent = [row for row in rows if not old(row)]
    with_old = joined(primary, {"t": [row for row in (*rows, *more) if old(row)] + recent}, source)
    assert with_old.rows == joined(primary, {"t": recent}, source).rows


@FEW
@given(PRIMARY, ROWS, AS_OF, st.randoms(use_true_random=False))
def test_order_changes_nothing(
    primary: list[Row], rows: list[Row], as_of: str, random: Any
) -> None:
    """Rows of a source may come in any order: the same cells and the same snapshot."""
    source = source_of(as_of=as_of)
    mixed = list(rows)
    random.shuffle(mixed)
    one, other = (joined(primary, {"t": found}, source) for found in (rows, mixed))
    assert one.rows == other.rows
    assert repr(one.known) == repr(other.known)


DIRT = st.lists(
    st.fixed_dictionaries(
        {
            "id": st.one_of(KEYS, st.text(max_size=3)),
            "at": st.one_of(TIMES, st.text(max_size=4)),
            "x": st.one_of(NUMBERS, st.text(max_size=4)),
            "c": st.text(max_size=3),
        }
    ),
    max_size=12,
)


@FEW
@given(DIRT)
def test_no_row_of_a_source_disappears(rows: list[Row]) -> None:
    """Good plus quarantined is all of them; a quarantined one keeps its cells, its place and a
    reason that the documentation knows; and exactly those are bad that serving would refuse."""
    source = source_of()
    with opened([{"id": "1"}], {"t": rows}, [source]) as join:
        found = read(join, [{"id": "1"}], [source])
        (kept,) = join.database.execute("SELECT count(*) FROM rows_0").fetchall()[0]
    bad = {row.record: row for row in found.bad}
    assert kept + len(bad) == len(rows) == found.report["sources"]["t"]["rows"]
    for number, row in enumerate(rows, start=1):
        refused = bool(source.problems_of(row)) or not RULES.category_of(row["id"])
        assert (number in bad) == refused
        if refused:
            assert bad[number].cells == tuple(row[name] for name in bad[number].names)
            assert bad[number].role == "t"
            assert len(bad[number].codes) == len(bad[number].reasons) > 0
            assert set(bad[number].codes) <= set(ROW_REASONS)


@given(
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from([".", ","]),
    st.sampled_from([(), ("999.0", "0.0", "-1.0"), ("999,0", "0,0")]),
)
def test_a_cell_reads_back_as_the_same_float(
    value: float, decimal: str, missing: tuple[str, ...]
) -> None:
    """Also with a decimal comma, and where somebody's marker for "no value" looks like it."""
    rules = CellRules(decimal=decimal, missing=missing)
    assert rules.number_of(spell(value, rules)) == value


@pytest.mark.parametrize("value", [0.0, 999.0, -1.0])
def test_a_value_that_looks_like_a_marker_stays_a_value(value: float) -> None:
    """A count of 0 is no missing count, even where files write 0.0 for missing."""
    rules = CellRules(missing=("0.0", "999.0", "-1.0"))
    assert rules.number_of(spell(value, rules)) == value


def test_keys_join_in_one_spelling() -> None:
    """`3`, `3.0` and ` 3 ` are one key on both sides, as in a request."""
    rows = [{"id": text, "at": "2020-01-01", "x": "1", "c": ""} for text in ("3", "3.0", " 3 ")]
    found = joined([{"id": "3.0"}, {"id": "3"}], {"t": rows}, source_of())
    assert [row["n"] for row in found.rows] == ["3.0", "3.0"]


def test_only_what_is_strictly_before_is_seen() -> None:
    """A row at the cut-off itself is later."""
    rows = [
        {"id": "a", "at": at, "x": "1", "c": ""} for at in ("2020-05-31T23:59:59", "2020-06-01")
    ]
    found = joined([{"id": "a"}], {"t": rows}, source_of())
    assert found.rows[0]["n"] == "1.0"
    assert found.report["sources"]["t"]["rows_ignored"] == 1


def test_each_row_of_the_primary_may_have_its_own_cut_off() -> None:
    """One key at two moments sees two pasts; a row without a moment has none."""
    rows = [{"id": "a", "at": f"2020-0{month}-01", "x": "1", "c": ""} for month in (1, 2, 3)]
    primary = [
        {"id": "a", "when": "2020-03-01"},
        {"id": "a", "when": "2020-02-01"},
        {"id": "a", "when": ""},
        {"id": "a", "when": "soon"},
    ]
    found = joined(primary, {"t": rows}, source_of(as_of="when"))
    assert [row["n"] for row in found.rows[:2]] == ["2.0", "1.0"]
    assert found.codes == {2: "time", 3: "time"}
    assert "when: must be present: t are seen up to it" in found.sentences[2]
    assert found.report["primary"]["duplicate_keys"] == 0  # other moments are other rows


def test_an_inner_join_names_rows_without_partner() -> None:
    """Whoever has no row that may be seen is left out, with a reason and out of the snapshot."""
    rows = [
        {"id": "a", "at": "2020-01-01", "x": "1", "c": ""},
        {"id": "late", "at": "2021-01-01", "x": "1", "c": ""},
    ]
    found = joined(
        [{"id": "a"}, {"id": "late"}, {"id": "none"}], {"t": rows}, source_of(join="inner")
    )
    assert found.codes == {1: "no_partner", 2: "no_partner"}
    assert "t has no rows of this key" in found.sentences[1]
    assert [known.key for known in found.known["t"]] == ["a"]


def test_a_left_join_knows_everybody() -> None:
    """The snapshot has the keys of both sides, those without rows as well."""
    rows = [
        {"id": "a", "at": "2020-01-01", "x": "1", "c": ""},
        {"id": "late", "at": "2021-01-01", "x": "1", "c": ""},
    ]
    found = joined([{"id": "a"}, {"id": "none"}], {"t": rows}, source_of())
    assert {known.key: known.values["n"] for known in found.known["t"]} == {
        "a": 1.0,
        "late": 0.0,
        "none": 0.0,
    }
    assert not found.codes


def test_several_sources_with_keys_of_their_own() -> None:
    """Each source joins by its own key and adds its columns in the order of the spec."""
    visits = source_of("visits", time=None, as_of=None, aggregates={"visits": "count"})
    shops = source_of(
        "shops", key="shop", time=None, as_of=None, aggregates={"size": "max(x)"}, join="inner"
    )
    primary = [{"id": "a", "shop": "1"}, {"id": "b", "shop": "2"}]
    found = joined(
        primary,
        {"visits": [{"id": "a"}, {"id": "a"}], "shops": [{"shop": "1", "x": "7"}]},
        visits,
        shops,
    )
    assert found.rows[0] == {"visits": "2.0", "size": "7.0"}
    assert found.codes == {1: "no_partner"}


def test_a_source_that_did_not_come_says_nothing() -> None:
    """Its columns are missing, not "no rows"; not even an inner join refuses anybody for it."""
    found = joined([{"id": "a"}], {}, source_of(join="inner"))
    assert set(found.rows[0].values()) == {""}
    assert not found.codes
    assert "did not come" in found.report["warnings"][0]


def test_last_may_be_a_category() -> None:
    """The newest text in the spelling of categories."""
    source = SourceAggregates.of(
        "t",
        JoinedSource(key="id", time="at", aggregates={"newest": "last(c)"}),
        types={"newest": "category"},
    )
    rows = [
        {"id": "a", "at": "2020-01-02", "c": "3.0"},
        {"id": "a", "at": "2020-01-01", "c": "x"},
    ]
    assert joined([{"id": "a"}, {"id": "b"}], {"t": rows}, source).rows == [
        {"newest": "3"},
        {"newest": ""},
    ]


def test_the_report_counts_both_sides() -> None:
    """Match rate, orphans with examples, doubled keys and exact copies; nothing is dropped."""
    rows = [
        {"id": "a", "at": "2020-01-01", "x": "1", "c": ""},
        {"id": "a", "at": "2020-01-01", "x": "1", "c": ""},
        {"id": "a", "at": "2020-01-01", "x": "1.0", "c": ""},
        {"id": "orphan", "at": "2020-01-02", "x": "1", "c": ""},
        {"id": "", "at": "2020-01-02", "x": "1", "c": ""},
    ]
    found = joined([{"id": "a"}, {"id": "a"}, {"id": "b"}, {"id": "?"}], {"t": rows}, source_of())
    facts = found.report["sources"]["t"]
    assert facts["rows"] == 5
    assert facts["quarantined"] == 1
    assert facts["match_rate"] == round(2 / 3, 6)
    assert facts["orphans"] == {"rows": 1, "keys": 1, "examples": ["orphan"]}
    assert facts["without_rows"] == {"rows": 1, "keys": 1, "examples": ["b"]}
    assert facts["exact_duplicates"] == 1
    assert (facts["first"], facts["last"]) == ("2020-01-01T00:00:00Z", "2020-01-02T00:00:00Z")
    assert found.report["primary"] == {
        "source": "p",
        "rows": 4,
        "unusable": 1,
        "keys": ["id"],
        "duplicate_keys": 1,
        "rows_more": 1,
        "duplicate_examples": ["a"],
    }
    assert found.rows[0]["n"] == "3.0"
    assert any("look-ahead is possible" in warning for warning in found.report["warnings"])


def test_columns_can_be_read_again() -> None:
    """A second reading gives the same, also beside a first one that stopped half-way."""
    rows = [{"id": str(n % 5), "at": "2020-01-01", "x": str(n), "c": ""} for n in range(40)]
    primary = [{"id": str(n % 7)} for n in range(20)]
    source = source_of()
    with opened(primary, {"t": rows}, [source]) as join:
        first, again = read(join, primary, [source]), read(join, primary, [source])
    assert first.rows == again.rows


def test_what_cannot_be_joined_is_explained() -> None:
    """Absent keys, columns and cut-offs are named with what is there instead."""
    rows = [{"id": "1", "at": "2020-01-01", "x": "1", "c": ""}]
    with pytest.raises(HeaderMismatch, match="the primary lacks id, which joins t to it"):
        joined([{"no": "1"}], {"t": rows}, source_of())
    with pytest.raises(BadSource, match="neither a date such as 2026-01-31 nor a column"):
        joined([{"id": "1"}], {"t": rows}, source_of(as_of="whenever"))
    with pytest.raises(HeaderMismatch, match="t lacks id, at, x, c; its columns are key"):
        check_columns(source_of(), ["key"])


# --- sources made by SQL -------------------------------------------------------------------------


def sql_source(sql: str, columns: dict[str, str], **spec: Any) -> SourceAggregates:
    return source_of(aggregates={}, sql=sql, sql_columns=columns, **spec)


SQL = 'SELECT id, sum(x) AS total, max(c) AS kind, max("at") AS newest FROM t GROUP BY id'
SQL_COLUMNS = {"total": "number", "kind": "category", "newest": "category"}
SQL_ROWS = [
    {"id": "3.0", "at": "2020-01-01", "x": "1.5", "c": "k"},
    {"id": "3", "at": "2020-01-02", "x": "NA", "c": ""},
    {"id": "b", "at": "2020-06-01", "x": "9", "c": "z"},
]


def test_sql_sees_typed_rows_of_the_past() -> None:
    """Numbers are numbers, the time is a timestamp, keys are in one spelling, a missing cell is
    NULL, and rows at or after the cut-off are not there."""
    source = sql_source(SQL, SQL_COLUMNS)
    found = joined([{"id": "3"}, {"id": "b"}], {"t": SQL_ROWS}, source, sql={"t": SQL})
    assert found.rows == [
        {"total": "1.5", "kind": "k", "newest": "2020-01-02 00:00:00"},
        {"total": "", "kind": "", "newest": ""},
    ]
    assert {known.key for known in found.known["t"]} == {"3", "b"}


def test_sql_may_give_one_row_per_key_only() -> None:
    """More rows than keys would multiply the primary's rows; examples are named."""
    sql = "SELECT id, x AS total FROM t"
    source = sql_source(sql, {"total": "number"})
    with pytest.raises(BadSql, match=r"more than one row for 1 keys \(id '3'\)"):
        joined([{"id": "3"}], {"t": SQL_ROWS}, source, sql={"t": sql})
    sql = "SELECT a.id, 1 AS total FROM t a, t b, t c"
    source = sql_source(sql, {"total": "number"})
    with pytest.raises(BadSql, match="more than 3 rows"):
        joined([{"id": "3"}], {"t": SQL_ROWS}, source, sql={"t": sql})


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        ("SELECT id FROM t GROUP BY id", "it lacks total"),
        ("SELECT 1 AS total", "it lacks id"),
        ("SELECT id, 'much' AS total FROM t GROUP BY id", "sql_columns says number"),
        ("SELECT id, sum(c) AS total FROM t GROUP BY id", "No function matches"),
        ("SELECT * FROM other", "there is no table 'other'; sql sees t"),
        ("DELETE FROM t", "one SELECT statement"),
    ],
)
def test_sql_that_does_not_fit_is_explained(sql: str, words: str) -> None:
    """The author of the spec reads what is wrong with it."""
    source = sql_source(sql, {"total": "number"})
    with pytest.raises(BadSql, match=words):
        joined([{"id": "3"}], {"t": SQL_ROWS}, source, sql={"t": sql})


def test_sql_needs_one_cut_off_for_all() -> None:
    """A cut-off per row cannot be applied to SQL, so it is refused instead of ignored."""
    source = sql_source(SQL, SQL_COLUMNS, as_of="when")
    with pytest.raises(BadSource, match="must be a date"):
        joined([{"id": "3", "when": "2020-01-01"}], {"t": SQL_ROWS}, source, sql={"t": SQL})


def test_sql_over_no_good_rows_gives_nothing() -> None:
    """A source whose every row is bad (or too late) makes missing columns, not a crash."""
    rows = [{"id": "", "at": "2020-01-01", "x": "1", "c": "k"}]
    source = sql_source(SQL, SQL_COLUMNS)
    found = joined([{"id": "3"}], {"t": rows}, source, sql={"t": SQL})
    assert set(found.rows[0].values()) == {""}


def test_a_decimal_comma_reaches_sql_as_a_number() -> None:
    """As the source is declared; a point in such a file is no number."""
    sql = "SELECT id, sum(x) AS total FROM t GROUP BY id"
    source = sql_source(sql, {"total": "number"}, decimal=",")
    rows = [{"id": "3", "at": "2020-01-01", "x": "1,5", "c": ""}]
    assert joined([{"id": "3"}], {"t": rows}, source, sql={"t": sql}).rows == [{"total": "1.5"}]


def test_moments_keep_their_microseconds() -> None:
    """The cut-off falls between two moments that are a microsecond apart."""
    at = [text_of(moment_of("2020-06-01") + offset) for offset in (-1e-6, 0.0)]
    rows = [{"id": "a", "at": text, "x": "1", "c": ""} for text in at]
    assert joined([{"id": "a"}], {"t": rows}, source_of()).rows[0]["n"] == "1.0"


def test_aggregates_of_the_tests_are_all_there_are() -> None:
    """The properties above are about every function that a spec can name."""
    assert {parse(text).function for text in AGGREGATES.values()} == set(FUNCTIONS)
    with pytest.raises(BadCell):
        RULES.number_of("x")
