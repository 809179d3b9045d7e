"""Rows are good or bad, never lost; bad ones say why and keep their cells."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.errors import BadSpec, EmptyFile, HeaderMismatch, NotTrainable
from shared.serving.columns import Schema
from shared.serving.times import moment_of
from shared.spec.model import Spec
from shared.tabular.dataset import Dataset, pack, unpack
from shared.tabular.reading.blocks import Block, block_of
from shared.tabular.reading.records import is_blank
from shared.tabular.reading.sheets import open_sheet
from shared.tabular.targets import outcome_of
from shared.tabular.validating.row_reasons import ROW_REASONS, BadRow
from shared.tabular.validating.sifting import Sieve, Sifted
from shared.tabular.validating.summarising import Summary
from shared.tabular.validating.surveying import Survey

HEADERLESS = {"header": False, "missing": ["?"]}
CELLS = Schema(())
ARRIVED = moment_of("2026-01-31T00:00:00Z")


def _spec(source: dict[str, Any] | None = None, **changes: Any) -> Spec:
    columns = {"n": {"type": "number", "require": {"min": 0}}, "c": {}, "y": {}}
    body = {"task": "binary", "target": "y", "columns": columns, "source": source or {}, **changes}
    return Spec.model_validate(body)


def _blocks(text: str, spec: Spec, rows: int = 7) -> tuple[tuple[str, ...], list[Block]]:
    stream = io.BytesIO(text.encode(spec.source.encoding.replace("auto", "utf-8")))
    names = None if spec.source.header else spec.file_columns(with_target=True)
    sheet = open_sheet(stream, spec.source, names=names, block_rows=rows)
    return sheet.names, list(sheet.blocks)


def _sift(text: str, spec: Spec, rows: int = 7) -> list[Sifted]:
    names, blocks = _blocks(text, spec, rows)
    survey = Survey(spec, names)
    for block in blocks:
        survey.add(block)
    schema = Schema.of(spec)
    outcome = outcome_of(spec, survey.targets, schema)
    sieve = Sieve(spec, schema, outcome, names=names, shown=names, arrived=ARRIVED)
    return [sieve.sift("file", block) for block in blocks]


def _bad(found: Iterable[Sifted]) -> list[BadRow]:
    return [row for sifted in found for row in sifted.bad]


def _reasons(text: str, spec: Spec, rows: int = 7) -> dict[int, tuple[str, ...]]:
    return {row.record: row.reasons for row in _bad(_sift(text, spec, rows))}


def _codes(text: str, spec: Spec) -> dict[int, tuple[str, ...]]:
    return {row.record: row.codes for row in _bad(_sift(text, spec))}


def _cells(found: Iterable[Sifted], name: str) -> list[str]:
    return [cell for sifted in found for cell in sifted.cells[name].to_pylist()]


# --- what is kept --------------------------------------------------------------------------------


def test_blanks_after_commas_and_missing_markers_as_in_adult() -> None:
    """`39, State-gov, ?` without a header is three cells, the last one missing."""
    text = '39, a, yes\n40, ?, no\n41, "x, y", no\n42, b, yes\n\n'
    found = _sift(text, _spec(HEADERLESS))
    assert _cells(found, "n") == ["39", "40", "41", "42"]
    assert _cells(found, "c") == ["a", "", "x, y", "b"]
    assert _cells(found, "y") == ["yes", "no", "no", "yes"]
    assert _bad(found) == []


def test_other_delimiters_decimals_encodings_and_orders() -> None:
    """The spec says how a file is written; columns are found by name."""
    spec = _spec({"delimiter": ";", "decimal": ",", "encoding": "latin-1"})
    found = _sift("y;c;n\nyes;\xe9;1,5\nno;\xe8;2,5\n", spec)
    assert _cells(found, "n") == ["1,5", "2,5"]
    assert _cells(found, "c") == ["\xe9", "\xe8"]
    assert list(found[0].cells) == ["n", "c", "y"]


def test_a_quoted_line_end_belongs_to_its_record() -> None:
    """Record numbers count records, not lines."""
    found = _sift('n,c,y\n1,"two\nlines",yes\nbad,x,no\n3,x,no\n', _spec())
    assert [row.record for row in _bad(found)] == [2]
    assert found[0].record[found[0].good].tolist() == [1, 3]


@given(
    st.lists(
        st.lists(
            st.sampled_from(["1", "-1", "x", "", "?", "yes", "no", "1e3", " 2 ", "a,b", '"', "\n"]),
            min_size=1,
            max_size=5,
        ),
        min_size=1,
        max_size=30,
    ),
    st.integers(1, 9),
)
@settings(max_examples=80, deadline=None)
def test_good_plus_bad_is_all_records(found: list[list[str]], block_rows: int) -> None:
    """Whatever cells a file has, each of its records is either good or in quarantine."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(["n", "c", "y"])
    writer.writerows([*found, ["1", "a", "yes"], ["2", "b", "no"]])
    spec = _spec(rules={"r": "n < 100 or c = 'x'"})
    sifted = _sift(text.getvalue(), spec, block_rows)
    rows = [row for row in [*found, ["1", "a", "yes"], ["2", "b", "no"]] if not is_blank(row)]
    good = [int(record) for item in sifted for record in item.record[item.good]]
    bad = [row.record for row in _bad(sifted)]
    assert sorted(good + bad) == list(range(1, len(rows) + 1))
    assert len(_cells(sifted, "n")) == len(_cells(sifted, "y")) == len(good)
    written = [tuple(cell.lstrip(" ") for cell in row) for row in rows]
    assert [tuple(c.lstrip(" ") for c in row.cells) for row in _bad(sifted)] == [
        written[record - 1] for record in bad
    ]
    assert all(code in ROW_REASONS for row in _bad(sifted) for code in row.codes)
    assert all(len(row.codes) == len(row.reasons) for row in _bad(sifted))


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("\n \n", EmptyFile),
        ("n,c,y\n", EmptyFile),
        ("n,c,y,n\n1,a,b,2\n", HeaderMismatch),
    ],
)
def test_files_without_usable_rows_are_refused(text: str, error: type[Exception]) -> None:
    """Blank, header only, a column twice."""
    with pytest.raises(error):
        _blocks(text, _spec())


# --- what is required ----------------------------------------------------------------------------


def test_every_kind_of_requirement_has_its_reason() -> None:
    """Type, present, range, set, pattern; of several, all are named."""
    columns = {
        "n": {"type": "number", "require": {"min": 0, "max": 9}},
        "c": {"require": {"values": ["a", "b"], "present": True}},
        "z": {"require": {"regex": r"[A-Z]{2}\d+"}},
        "y": {},
    }
    text = "n,c,z,y\n1,a,AB1,yes\nx,a,,no\n-1,b,AB1,yes\n10,,AB12,no\n1,d,ab1,yes\n1,a,AB1,\n"
    spec = _spec(columns=columns)
    assert _codes(text, spec) == {
        2: ("number",),
        3: ("range",),
        4: ("range", "present"),
        5: ("set", "regex"),
        6: ("target_missing",),
    }
    reasons = _reasons(text, spec)
    assert reasons[2] == ("n: must be a number (it is 'x')",)
    assert reasons[5][1] == r"z: must match [A-Z]{2}\d+ (it is 'ab1')"


def test_columns_that_are_no_features_are_held_to_what_is_required_of_them() -> None:
    """Excluded ones, times, and what is known only afterwards; others may hold anything."""
    columns = {
        "id": {"exclude": True, "require": {"present": True}},
        "free": {"exclude": True, "type": "number"},
        "late": {"available_at_prediction": False, "type": "number", "require": {"min": 0}},
        "when": {"type": "time"},
        "n": {"type": "number"},
        "y": {},
    }
    text = (
        "id,free,late,when,n,y\n"
        "1,x,1,2026-01-01,1,yes\n"
        ",x,1,2026-01-01,1,yes\n"
        "3,x,-1,2026-01-01,1,no\n"
        "4,x,1,first of May,1,no\n"
        "5,,,,1,no\n"
    )
    assert _codes(text, _spec(columns=columns)) == {2: ("present",), 3: ("range",), 4: ("time",)}


def test_of_copies_the_first_good_one_stays() -> None:
    """Across blocks; the reason names the record that stays. A bad copy stands in nobody's way,
    missing values may repeat, and 3.0 is 3."""
    columns = {
        "id": {"exclude": True, "type": "number", "require": {"unique": True}},
        "mail": {"exclude": True, "require": {"unique": True}},
        "n": {"type": "number"},
        "y": {},
    }
    rows = [
        ["1", "a", "x", "yes"],  # bad: n
        ["1", "b", "1", "yes"],
        ["2", "c", "1", "no"],
        ["2.0", "d", "1", "no"],  # copy of 3
        ["", "d", "1", "no"],
        ["3", "b", "1", "no"],  # copy of 2 by mail
        ["3", "e", "1", "no"],  # and so this 3 is the first
        ["3", "e", "1", "no"],  # copy of 7, twice over
        ["", "", "1", "yes"],
        ["", "", "1", "yes"],
    ]
    text = "id,mail,n,y\n" + "\n".join(map(",".join, rows)) + "\n"
    for block_rows in (1, 3, 50):
        reasons = _reasons(text, _spec(columns=columns), block_rows)
        assert sorted(reasons) == [1, 4, 6, 8]
        assert reasons[4] == ("id: must be unique (it is '2.0', as in record 3, which stays)",)
        assert reasons[6] == ("mail: must be unique (it is 'b', as in record 2, which stays)",)
        assert len(reasons[8]) == 2
        assert "record 7" in reasons[8][0]


def test_long_numbers_are_unique_by_their_digits() -> None:
    """Neighbours from 2**53 on are one float, and yet two ids; `.0` makes no other of one."""
    columns = {
        "id": {"exclude": True, "type": "number", "require": {"unique": True}},
        "n": {"type": "number"},
        "y": {},
    }
    ids = [1449911111111111111 + n for n in range(400)]
    lines = [*(f"{n},1,{'yes' if n % 2 else 'no'}" for n in ids), f"{ids[7]}.0,1,no", "1e20,1,no"]
    text = "id,n,y\n" + "\n".join([*lines, f"{10**20},1,yes"]) + "\n"
    for block_rows in (50, 1000):
        assert sorted(_reasons(text, _spec(columns=columns), block_rows)) == [401, 403]


@given(st.lists(st.sampled_from(["1", "2", "3", "4", ""]), max_size=30), st.integers(1, 8))
@settings(max_examples=60, deadline=None)
def test_what_must_be_unique_is(values: list[str], block_rows: int) -> None:
    """Exactly the later copies go, however the file is cut into blocks."""
    columns = {
        "id": {"exclude": True, "require": {"unique": True}},
        "n": {"type": "number"},
        "y": {},
    }
    text = "id,n,y\n,1,yes\n,1,no\n" + "".join(f"{value},1,no\n" for value in values)
    seen: Counter[str] = Counter()
    wanted = []
    for record, value in enumerate(values, start=3):
        seen[value] += 1
        if value and seen[value] > 1:
            wanted.append(record)
    assert sorted(_reasons(text, _spec(columns=columns), block_rows)) == wanted


def test_age_counts_from_the_moment_the_file_arrived() -> None:
    """Not from whenever it is read; a missing time has no age."""
    columns = {
        "seen": {"type": "time", "require": {"max_age": "7d"}},
        "n": {"type": "number"},
        "y": {},
    }
    text = "seen,n,y\n2026-01-24,1,yes\n2026-01-23T23:59:59Z,1,no\n,1,no\n2027-01-01,1,yes\n"
    reasons = _reasons(text, _spec(columns=columns))
    assert list(reasons) == [2]
    assert reasons[2] == ("seen: must be at most 7d old (it is '2026-01-23T23:59:59Z')",)


def test_rules_see_every_column_of_the_row() -> None:
    """Numbers, categories and times, features or not; what is missing breaks nothing."""
    columns = {
        "start": {"type": "time"},
        "end": {"type": "time", "exclude": True},
        "c": {},
        "n": {"type": "number"},
        "y": {},
    }
    rules = {"ends_later": "end >= start", "small_a": "not (c = 'a' and n > 5)", "no": "y != 'odd'"}
    text = (
        "start,end,c,n,y\n"
        "2026-01-01,2026-01-02,a,5,yes\n"
        "2026-01-02,2026-01-01,a,6,no\n"
        "2026-01-02,,,6,no\n"
        "2026-01-02,bad,a,1,no\n"
    )
    spec = _spec(columns=columns, rules=rules)
    assert _codes(text, spec) == {2: ("rule", "rule"), 4: ("time",)}
    assert _reasons(text, spec)[2][0] == (
        "must keep the rule ends_later: end >= start (it is 'end: 2026-01-01, start: 2026-01-02')"
    )


def test_a_rule_that_does_not_fit_the_columns_is_a_bad_spec() -> None:
    """Said before a row is read."""
    spec = Spec.model_construct(
        **{**dict(_spec()), "rules": {"r": "n > 'x'"}},
    )
    schema, outcome = Schema.of(_spec()), outcome_of(_spec(), ["yes", "no"], CELLS)
    with pytest.raises(BadSpec, match="a number with a text"):
        Sieve(spec, schema, outcome, names=["n", "c", "y"], shown=["n", "c", "y"])


def test_a_split_by_time_needs_a_time() -> None:
    """A row without one has no place in it."""
    columns = {"when": {"type": "time"}, "n": {"type": "number"}, "y": {}}
    training = {"split": "time", "time_column": "when"}
    text = "when,n,y\n2026-01-01,1,yes\n,1,no\nx,1,no\n2026-01-02,1,no\n"
    assert _codes(text, _spec(columns=columns, training=training)) == {
        2: ("no_time",),
        3: ("time",),
    }


# --- summaries -----------------------------------------------------------------------------------


def test_the_summary_says_when_quarantine_changed_the_data() -> None:
    """Classes and levels that are quarantined more often than others are named."""
    lines = ["n,c,y"]
    for row in range(1000):
        hit = row % 10 == 0
        lines.append(
            f"{'x' if hit else 1},{'b' if hit or row % 3 == 0 else 'a'},"
            f"{'yes' if hit or row % 4 == 0 else 'no'}"
        )
    spec = _spec()
    found = _sift("\n".join(lines) + "\n1,a\n", spec)
    summary = Summary(outcome_of(spec, ["yes", "no", "no"], CELLS), ("n", "c", "y"))
    for item in found:
        summary.add(item)
    body = summary.to_json()
    assert (body["rows"], body["good"], body["quarantined"]) == (1001, 900, 101)
    assert body["reasons"] == {"n: must be a number": 100, "has 2 fields, expected 3": 1}
    assert body["codes"]["number"]["rows"] == 100
    assert body["codes"]["number"]["sentence"] == ROW_REASONS["number"]
    assert [item["record"] for item in body["codes"]["number"]["examples"]] == [1, 11, 21]
    assert body["codes"]["number"]["examples"][0]["cells"] == {"n": "x", "c": "b", "y": "yes"}
    assert body["target"]["yes"]["quarantined"] == 1.0
    assert body["target"]["yes"]["kept"] == pytest.approx(200 / 900, abs=1e-3)
    assert len(body["warnings"]) == 4
    assert body["warnings"][0].startswith("the target is 'no' in 0.0% of the quarantined rows")


def test_equal_shares_are_no_warning() -> None:
    """Rows that are bad by chance say nothing about the data."""
    lines = ["n,c,y"] + [
        f"{'x' if row % 20 == 7 else 1},a,{'yes' if row % 3 else 'no'}" for row in range(2000)
    ]
    spec = _spec()
    summary = Summary(outcome_of(spec, ["yes", "no", "no"], CELLS), ("n", "c", "y"))
    for item in _sift("\n".join(lines) + "\n", spec):
        summary.add(item)
    assert summary.to_json()["quarantined"] == 100
    assert summary.to_json()["warnings"] == []


# --- targets and datasets ------------------------------------------------------------------------


def test_a_column_without_a_name_is_called_by_its_place() -> None:
    """As in a drafted spec."""
    assert _blocks(",n,c,y\n1,2,x,yes\n", _spec())[0] == ("column_1", "n", "c", "y")


def test_labels_are_answered_as_the_data_spell_them() -> None:
    """`True` and `TRUE` are one label, called by its most frequent spelling or the one kept."""
    texts = ["True"] * 5 + ["TRUE"] * 3 + ["False"] * 9
    found = outcome_of(_spec(), texts, CELLS)
    assert found.labels == ("false", "true")
    assert found.spelled == ("False", "True")
    kept = outcome_of(_spec(), Counter(texts), CELLS, ("false", "true"), ("no?", "TRUE"))
    assert kept.spelled == ("False", "TRUE")
    counts = outcome_of(_spec(task="multiclass"), ["2.0", "1.0", "1.0"], CELLS)
    assert (counts.labels, counts.spelled) == (("1", "2"), ("1.0", "2.0"))


def test_a_target_beyond_all_measure_is_a_bad_row() -> None:
    """One cell of 1e200 is a typing error, not the end of the training."""
    columns = {"n": {"type": "number"}, "y": {"type": "number"}}
    spec = _spec(task="regression", columns=columns)
    found = outcome_of(spec, [], CELLS).parse(["1", "1e200", "-1e31"])
    assert set(found.problems) == {1, 2}
    assert "target.scale" in found.problems[1]


def test_the_rarer_class_is_positive_until_the_model_has_one() -> None:
    """Without a declaration the rarer class is positive; later trainings keep the first choice."""
    spec = _spec()
    schema = Schema.of(spec)
    texts = ["a"] * 5 + ["b"] * 9 + ["c"]
    assert outcome_of(spec, texts, schema).labels == ("b", "a")
    assert outcome_of(spec, texts, schema, ("a", "b")).labels == ("a", "b")
    declared = _spec(target={"column": "y", "positive": "c"})
    assert outcome_of(declared, texts, schema).labels == ("b", "c")
    with pytest.raises(NotTrainable, match="'d'"):
        outcome_of(_spec(target={"column": "y", "positive": "d"}), texts, schema)


def test_a_target_that_names_its_rows_is_no_class() -> None:
    """Refused while reading, before memory is full of names."""
    spec = Spec.model_validate({"task": "multiclass", "target": "y"})
    survey = Survey(spec, ("y",))
    texts = [str(number) for number in range(100_001)]
    for start in range(0, 100_000, 20_000):
        survey.add(block_of(["y"], [texts[start : start + 20_000]], range(20_000), []))
    with pytest.raises(NotTrainable, match="different values"):
        survey.add(block_of(["y"], [texts[-1:]], [1], []))


def test_a_dataset_is_the_same_bytes_and_comes_back_whole() -> None:
    """Cells may hold anything, columns may have any name, ours included."""
    dataset = Dataset(
        {"side": ["a,b", '"', "\n"], "record": ["a\rb", "1", "\u2622\r"]},
        [1, 2, 3],
        ["file", "file", "labels"],
        ["", "", "p-1"],
        ["fit", "holdout", "reserved"],
    )
    assert unpack(pack(dataset)) == dataset
    assert pack(dataset) == pack(unpack(pack(dataset)))
    empty = Dataset({"a": []}, [], [], [], [])
    assert unpack(pack(empty)) == empty


def test_targets_are_positions_or_scaled_values() -> None:
    """Classes by position, numbers divided by the scale; what is neither says why."""
    spec = _spec()
    found = outcome_of(spec, ["no", "no", "yes"], Schema.of(spec)).parse(["yes", "no", "", "x"])
    assert found.values[:2].tolist() == [1.0, 0.0]
    assert np.isnan(found.values[2:]).all()
    assert {row: rule.code for row, rule in found.problems.items()} == {
        2: "target_missing",
        3: "target_label",
    }
    columns = {"n": {"type": "number"}, "y": {"type": "number"}}
    scaled = _spec(task="regression", target={"column": "y", "scale": 100}, columns=columns)
    assert outcome_of(scaled, [], Schema.of(scaled)).parse(["250"]).values.tolist() == [2.5]


def test_what_the_spec_requires_of_the_target_holds() -> None:
    """Labels beyond the required ones and values out of bounds are quarantined, not learned."""
    columns = {"n": {"type": "number"}, "y": {"require": {"values": ["yes", "no"]}}}
    spec = _spec(columns=columns, task="multiclass")
    found = outcome_of(spec, ["yes", "no", "maybe"], Schema.of(spec))
    assert found.labels == ("no", "yes")
    assert set(found.parse(["maybe", "yes"]).problems) == {0}
    bounded = {"n": {"type": "number"}, "y": {"type": "number", "require": {"min": 0}}}
    spec = _spec(columns=bounded, task="regression")
    assert set(outcome_of(spec, [], Schema.of(spec)).parse(["1", "-1"]).problems) == {1}
