"""A spec drafted from a file: what is seen in it, and what is said about guesses."""

from __future__ import annotations

from pathlib import Path

import pytest

from shared.cli.drafting import draft_file
from shared.errors import BadSpec, BinaryFile, EmptyFile, HeaderMismatch, MillraceError
from shared.spec.draft import Draft, Wishes
from shared.spec.load import dump_spec, load_spec
from shared.spec.model import Require, Spec


def draft_of(
    folder: Path, text: str | bytes, target: str = "y", wishes: Wishes | None = None
) -> Draft:
    path = folder / "data.csv"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return draft_file(path, target, wishes)


def drafted(folder: Path, text: str | bytes, target: str = "y") -> tuple[Spec, tuple[str, ...]]:
    found = draft_of(folder, text, target)
    return found.spec, found.notes


def rows(count: int, line: str) -> str:
    """Lines with {i} and a {yes} that is yes in every fourth one."""
    return "".join(
        line.format(i=i, mod=i % 7, yes="yes" if i % 4 == 0 else "no") + "\n" for i in range(count)
    )


def test_types_categories_and_the_rarer_class_are_found(tmp_path: Path) -> None:
    """Numbers get bounds, categories their levels, and the rarer class is the positive one."""
    spec, notes = drafted(tmp_path, "a,b,y\n" + rows(40, "{mod}.5,c{mod},{yes}"))
    assert spec.task == "binary"
    assert spec.target.positive == "yes"
    assert spec.columns["a"].type == "number"
    assert (spec.columns["a"].expect.min, spec.columns["a"].expect.max) == (0.5, 6.5)
    assert spec.columns["b"].expect.values == tuple(f"c{n}" for n in range(7))
    assert any("25.0%" in note for note in notes)


def test_a_draft_requires_nothing(tmp_path: Path) -> None:
    """Only people write `require`: a draft never refuses a row."""
    spec, _ = drafted(tmp_path, "a,y\n" + rows(30, "{i}.5,{yes}"))
    assert all(column.require == Require() for column in spec.columns.values())
    assert load_spec(dump_spec(spec), "m.yaml") == spec


@pytest.mark.parametrize("delimiter", [";", "\t", "|", ","])
def test_the_delimiter_is_found(tmp_path: Path, delimiter: str) -> None:
    """Also when another one stands inside cells."""
    inside = "|" if delimiter != "|" else ";"
    text = (
        delimiter.join("aby") + "\n" + rows(30, delimiter.join(["{mod}", f"u{inside}v", "{yes}"]))
    )
    assert drafted(tmp_path, text.replace("u", "{i}"))[0].source.delimiter == delimiter


def test_a_file_without_header_gets_column_names(tmp_path: Path) -> None:
    """The target is named by its position then, and a note says so."""
    spec, notes = drafted(tmp_path, rows(30, "{mod}, {yes}"), target="column_2")
    assert not spec.source.header
    assert list(spec.columns) == ["column_1", "column_2"]
    assert any("no header" in note for note in notes)


@pytest.mark.parametrize(
    ("raw", "encoding"),
    [
        ("é,y\n".encode("utf-8-sig") + rows(30, "{mod},{yes}").encode(), "auto"),
        ("é€,y\n".encode("cp1252") + rows(30, "{mod},{yes}").encode(), "auto"),
        (b"\x81,y\n" + rows(30, "{mod},{yes}").encode(), "latin-1"),
        (b"a,y\n" + rows(30_000, "{mod},{yes}").encode() + b"\xfc,yes\n", "auto"),
    ],
)
def test_the_encoding_is_found(tmp_path: Path, raw: bytes, encoding: str) -> None:
    """UTF-8 with or without a mark goes without saying, and so does what Windows writes: the next
    file may be of the other kind. Anything else is said; all bytes count, for the first umlaut may
    stand far down."""
    spec, _ = drafted(tmp_path, raw)
    assert spec.source.encoding == encoding
    assert not next(iter(spec.columns)).startswith("\ufeff")


def test_identifiers_constants_and_empty_columns_are_left_out(tmp_path: Path) -> None:
    """They stay in the file and out of the features, each with its reason."""
    text = "row,uuid,same,none,a,y\n" + rows(60, "{i},u-{i},x,,{mod},{yes}")
    spec, notes = drafted(tmp_path, text)
    assert spec.feature_names() == ["a"]
    assert [note for note in notes if note.startswith("Left out")] == [
        "Left out: row: numbers the rows.",
        "Left out: uuid: nearly every row has a text of its own.",
        "Left out: same: always 'x'.",
        "Left out: none: empty.",
    ]


def test_unusual_missing_markers_are_found(tmp_path: Path) -> None:
    """`-` and `unknown` in a column of numbers mean that nobody knows."""
    text = "a,y\n" + rows(30, "{mod},{yes}") + "-,yes\nunknown,no\n"
    spec, notes = drafted(tmp_path, text)
    assert spec.columns["a"].type == "number"
    assert {"-", "unknown"} <= set(spec.source.missing)
    assert any("missing value" in note for note in notes)


def test_a_column_that_settles_the_target_is_pointed_out(tmp_path: Path) -> None:
    """The usual leak is the target under another name: drafted as known only afterwards, unless
    somebody says that it is known in time."""
    text = "status,a,y\n" + "".join(
        f"{'paid' if i % 2 else 'late'},{i % 5},{i % 2}\n" for i in range(40)
    )
    found = draft_of(tmp_path, text)
    assert not found.spec.columns["status"].available_at_prediction
    assert any(note.startswith("status settles y") for note in found.notes)
    kept = draft_of(tmp_path, text, wishes=Wishes(available=True))
    assert "status" in kept.spec.feature_names()


@pytest.mark.parametrize(
    ("cells", "task"),
    [
        ([str(i * 1.5) for i in range(100)], "regression"),
        ([str(i % 3) for i in range(200)], "multiclass"),
        (["red", "green", "blue"] * 20, "multiclass"),
        (["0", "1", "1"] * 20, "binary"),
    ],
)
def test_the_task_follows_from_the_target(tmp_path: Path, cells: list[str], task: str) -> None:
    """Two values, a few, or numbers."""
    text = "a,y\n" + "".join(f"{i % 9},{cell}\n" for i, cell in enumerate(cells))
    assert drafted(tmp_path, text)[0].task == task


@pytest.mark.parametrize(
    ("raw", "error", "words"),
    [
        (b"", EmptyFile, "empty"),
        (b"a,y\n", EmptyFile, "no rows"),
        (b"PK\x03\x04zip", BinaryFile, "a zip archive"),
        (b"a,b\n1,2\n", BadSpec, "no column 'y'"),
        (b"a,yy\n1,2\n", BadSpec, "did you mean 'yy'"),
        (b"a,a,y\n1,2,3\n", HeaderMismatch, "more than once"),
        (b"a,y\n1,2\n2,2\n", BadSpec, "only one value"),
        (b"a,y\n" + b"".join(b"1,t%d\n" % i for i in range(50)), BadSpec, "50 different texts"),
        (b"y\n1\n2\n3\n", BadSpec, "no column but y"),
    ],
)
def test_a_file_that_cannot_be_drafted_says_why(
    tmp_path: Path, raw: bytes, error: type[Exception], words: str
) -> None:
    """Each with the reason and what was expected."""
    with pytest.raises(error, match=words):
        drafted(tmp_path, raw)


def test_a_long_file_is_sampled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the beginning is read, and a note says so."""
    monkeypatch.setattr("shared.tabular.reading.sampling.MAX_ROWS", 50_000)
    spec, notes = drafted(tmp_path, "a,y\n" + rows(120_000, "{mod},é{yes}"))
    assert spec.columns["a"].expect.max == 6
    assert any(note.startswith("Only the first ") for note in notes)


def test_a_decimal_comma_is_found(tmp_path: Path) -> None:
    """Numbers of a European export are numbers, in the target too."""
    text = "a;b;y\n" + "".join(f"{i % 9},5{i};c{i % 3};-{i},{i % 10}5\n" for i in range(60))
    spec, notes = drafted(tmp_path, text)
    assert (spec.task, spec.source.decimal, spec.source.delimiter) == ("regression", ",", ";")
    assert spec.columns["a"].type == "number"
    assert (spec.columns["a"].expect.min, spec.columns["a"].expect.max) == (0.50, 8.58)
    assert any("decimal comma" in note for note in notes)
    assert load_spec(dump_spec(spec), "m.yaml") == spec


def test_commas_that_may_group_thousands_are_no_decimal_commas(tmp_path: Path) -> None:
    """`1,234` is left alone rather than read as a little more than one."""
    text = "a,y\n" + rows(40, '"1{mod},234",{yes}')
    spec, notes = drafted(tmp_path, text)
    assert any("written plainly" in note and "'10,234'" in note for note in notes)
    assert spec.source.decimal == "."
    assert spec.columns["a"].type == "category"


def test_a_column_without_a_name_is_called_by_its_place(tmp_path: Path) -> None:
    """An index that was written along (pandas does) has an empty header."""
    spec, notes = drafted(tmp_path, ",a,y\n" + rows(40, "{i},{mod},{yes}"))
    assert list(spec.columns) == ["column_1", "a", "y"]
    assert spec.columns["column_1"].exclude
    assert any("numbers the rows" in note for note in notes)


@pytest.mark.parametrize("marker", ["NULL", "#N/A", "n.a.", "#DIV/0!"])
def test_markers_of_databases_and_spreadsheets_are_missing(tmp_path: Path, marker: str) -> None:
    """A column of numbers stays one, and no row of it is refused later."""
    text = "a,y\n" + "".join(
        f"{marker if i % 5 == 0 else i / 3},{'yes' if i % 4 else 'no'}\n" for i in range(200)
    )
    spec, _ = drafted(tmp_path, text)
    assert spec.columns["a"].type == "number"
    assert marker in spec.source.missing


def test_a_text_that_stands_in_many_rows_makes_no_column_of_numbers(tmp_path: Path) -> None:
    """One spelling among hundreds of numbers, but in every third row."""
    text = "a,b,y\n" + "".join(
        f"{'closed' if i % 3 == 0 else i / 7},{i % 5},{'yes' if i % 4 else 'no'}\n"
        for i in range(600)
    )
    assert drafted(tmp_path, text)[0].columns["a"].type == "category"


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_line_ends_and_blanks_before_quotes_are_read_as_in_training(
    tmp_path: Path, end: str
) -> None:
    """No cell is torn where training would not tear it."""
    text = "a, b, y\n" + rows(40, '{mod}, "u, v{mod}", {yes}')
    spec, notes = drafted(tmp_path, text.replace("\n", end))
    assert list(spec.columns) == ["a", "b", "y"]
    assert spec.columns["b"].expect.values == tuple(f"u, v{n}" for n in range(7))
    assert not any("quarantined" in note for note in notes)


def test_an_open_quote_is_said(tmp_path: Path) -> None:
    """A field without an end is no CSV."""
    with pytest.raises(MillraceError, match="quote"):
        drafted(tmp_path, "a,y\n" + rows(10, "{i},{yes}") + '"' + "x" * 1_100_000)


def test_codes_with_leading_zeros_survive_the_spec_file(tmp_path: Path) -> None:
    """`08` is a number to some readers of YAML and a text to others; in a draft it is a text."""
    text = "shop,y\n" + "".join(
        f"{'0' + str(i % 10) if i % 2 else 'web'},{'yes' if i % 4 else 'no'}\n" for i in range(200)
    )
    spec, _ = drafted(tmp_path, text)
    assert spec.columns["shop"].expect.values == ("01", "03", "05", "07", "09", "web")
    assert load_spec(dump_spec(spec), "m.yaml") == spec


def test_the_parts_of_a_time_are_offered_and_not_taken(tmp_path: Path) -> None:
    """A note has the line to add; with it the draft is a spec whose model sees the parts."""
    text = "taken at,n,y\n" + rows(60, "2026-0{mod}-11,{mod},{yes}").replace("-00-", "-08-")
    spec, notes = drafted(tmp_path, text)
    assert not spec.derive
    (note,) = [note for note in notes if "month(`taken at`)" in note]
    line = note.split("add: ")[1].split(" (also")[0]
    longer = load_spec(dump_spec(spec) + line + "\n", "m.yaml")
    assert list(longer.derive) == ["taken_at_month", "taken_at_weekday"]
    assert longer.carried_names() == ["taken at"]
