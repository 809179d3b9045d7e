"""Files into rows: nothing is lost, nothing is guessed."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.errors import EmptyFile, HeaderMismatch, NotTrainable
from shared.serving.columns import Schema
from shared.spec.model import Spec
from shared.tabular.dataset import Dataset, pack, unpack
from shared.tabular.inferring import infer_columns
from shared.tabular.reading import Sifted, Table, quarantine_csv, read_table, sift
from shared.tabular.targets import outcome_of

HEADERLESS = {"header": False, "missing": ["?"]}
CELLS = Schema(())


def _spec(source: dict[str, Any] | None = None, **changes: Any) -> Spec:
    columns = {"n": {"type": "number", "require": {"min": 0}}, "c": {}, "y": {}}
    body = {"task": "binary", "target": "y", "columns": columns, "source": source or {}, **changes}
    return Spec.model_validate(body)


def _read(text: str, spec: Spec) -> Table:
    return read_table(io.BytesIO(text.encode(spec.source.encoding)), spec, "file")


def _sift(text: str, spec: Spec) -> tuple[Table, Sifted]:
    table = _read(text, spec)
    schema = Schema.of(spec)
    outcome = outcome_of(spec, table.cells["y"], schema)
    return table, sift(table, schema, "y", outcome)


def test_blanks_after_commas_and_missing_markers_as_in_adult() -> None:
    """`39, State-gov, ?` without a header is three cells, the last one missing."""
    text = '39, a, yes\n40, ?, no\n41, "x, y", no\n42, b, yes\n\n'
    table, sifted = _sift(text, _spec(HEADERLESS))
    assert sifted.cells == {
        "n": ["39", "40", "41", "42"],
        "c": ["a", "", "x, y", "b"],
        "y": ["yes", "no", "no", "yes"],
    }
    assert table.total == 4
    assert sifted.bad == []


def test_other_delimiters_decimals_encodings_and_orders() -> None:
    """The spec says how a file is written; columns are found by name."""
    spec = _spec({"delimiter": ";", "decimal": ",", "encoding": "latin-1"})
    table, sifted = _sift("y;c;n\nyes;\xe9;1,5\nno;\xe8;2,5\n", spec)
    assert table.names == ("y", "c", "n")
    assert sifted.cells["n"] == ["1,5", "2,5"]
    assert sifted.cells["c"] == ["\xe9", "\xe8"]


def test_a_quoted_line_end_belongs_to_its_record() -> None:
    """Record numbers count records, not lines."""
    _, sifted = _sift('n,c,y\n1,"two\nlines",yes\nbad,x,no\n3,x,no\n', _spec())
    assert sifted.record == [1, 3]
    assert [row.record for row in sifted.bad] == [2]


@given(
    st.lists(
        st.lists(
            st.sampled_from(["1", "-1", "x", "", "?", "yes", "no", "1e3", " 2 ", "a,b", '"', "\n"]),
            min_size=1,
            max_size=5,
        ),
        min_size=1,
        max_size=30,
    )
)
@settings(max_examples=60, deadline=None)
def test_good_plus_bad_is_all_records(found: list[list[str]]) -> None:
    """Whatever cells a file has, each of its records is either good or in quarantine."""
    import csv

    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(["n", "c", "y"])
    writer.writerows([*found, ["1", "a", "yes"], ["2", "b", "no"]])
    table, sifted = _sift(text.getvalue(), _spec())
    blank = sum(len(row) == 1 and not row[0].strip() for row in found)
    assert table.total == len(found) + 2 - blank
    assert len(sifted.record) + len(sifted.bad) == table.total
    assert {len(column) for column in sifted.cells.values()} == {len(sifted.record)}
    kept = list(csv.reader(io.StringIO(quarantine_csv(sifted.bad, table.names).decode())))
    assert [row[3:] for row in kept[1:]] == [list(row.cells) for row in sifted.bad]


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("\n \n", EmptyFile),
        ("n,c,y\n", EmptyFile),
        ("n,c\n1,a\n", HeaderMismatch),
        ("n,c,y,n\n1,a,b,2\n", HeaderMismatch),
    ],
)
def test_files_without_usable_rows_are_refused(text: str, error: type[Exception]) -> None:
    """Blank, header only, target missing, a column twice."""
    with pytest.raises(error):
        _read(text, _spec())


def test_types_come_from_the_data_when_the_spec_names_none() -> None:
    """Numbers, categories; constants, empties and identifiers are left out."""
    count = 300
    cells = {
        "amount": [str(number / 3) for number in range(count)],
        "zip": ["0" + str(number % 7) if number % 2 else "x" for number in range(count)],
        "name": [f"person {number}" for number in range(count)],
        "same": ["1"] * count,
        "none": ["?"] * count,
        "y": ["yes" if number % 3 else "no" for number in range(count)],
    }
    spec = infer_columns(cells, Spec.model_validate({"task": "binary", "target": "y"}))
    assert spec.feature_names() == ["amount", "zip"]
    assert spec.columns["amount"].type == "number"
    assert list(spec.columns) == list(cells)
    with pytest.raises(NotTrainable, match="no usable column"):
        infer_columns({"same": ["1"], "y": ["a"]}, spec)


def test_a_few_typing_errors_do_not_make_a_column_of_texts() -> None:
    """Their rows are quarantined, and the column is not lost; row numbers tell nothing."""
    cells = {
        "row": [str(number) for number in range(7, 307)],
        "amount": ["12o" if number == 5 else str(number / 3) for number in range(300)],
        "mixed": ["x" if number % 3 == 0 else str(number / 3) for number in range(300)],
        "y": ["yes" if number % 3 else "no" for number in range(300)],
    }
    spec = infer_columns(cells, Spec.model_validate({"task": "binary", "target": "y"}))
    assert spec.feature_names() == ["amount"]
    assert spec.columns["amount"].type == "number"


def test_quarantined_rows_come_back_as_they_were() -> None:
    """A line end of old inside a cell does not tear the row in two."""
    table = _read('n,c,y\nx,"a\rb",yes\n', _spec())
    sifted = sift(table, Schema.of(_spec()), "y", outcome_of(_spec(), ["yes", "no"], CELLS))
    kept = read_table(io.BytesIO(quarantine_csv(sifted.bad, table.names)), _spec())
    assert kept.cells["c"] == ["a\rb"]
    assert kept.total == 1


def test_a_column_without_a_name_is_called_by_its_place() -> None:
    """As in a drafted spec."""
    assert _read(",n,c,y\n1,2,x,yes\n", _spec()).names == ("column_1", "n", "c", "y")


def test_labels_are_answered_as_the_data_spell_them() -> None:
    """`True` and `TRUE` are one label, called by its most frequent spelling or the one kept."""
    texts = ["True"] * 5 + ["TRUE"] * 3 + ["False"] * 9
    found = outcome_of(_spec(), texts, CELLS)
    assert found.labels == ("false", "true")
    assert found.spelled == ("False", "True")
    kept = outcome_of(_spec(), texts, CELLS, ("false", "true"), ("no?", "TRUE"))
    assert kept.spelled == ("False", "TRUE")
    counts = outcome_of(_spec(task="multiclass"), ["2.0", "1.0", "1.0"], CELLS)
    assert (counts.labels, counts.spelled) == (("1", "2"), ("1.0", "2.0"))


def test_a_target_beyond_all_measure_is_a_bad_row() -> None:
    """One cell of 1e200 is a typing error, not the end of the training."""
    spec = _spec(task="regression")
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
    assert set(found.problems) == {2, 3}
    scaled = _spec(task="regression", target={"column": "y", "scale": 100})
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
