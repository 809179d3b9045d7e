"""A spec drafted from a file: what is seen in it, and what is said about guesses."""

from __future__ import annotations

from pathlib import Path

import pytest

from shared.errors import BadSpec, BinaryFile, EmptyFile
from shared.spec.draft import draft
from shared.spec.load import dump_spec, load_spec
from shared.spec.model import Require, Spec


def drafted(folder: Path, text: str | bytes, target: str = "y") -> tuple[Spec, list[str]]:
    path = folder / "data.csv"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return draft(path, target)


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
        ("é,y\n".encode("utf-8-sig") + rows(30, "{mod},{yes}").encode(), "utf-8"),
        ("é€,y\n".encode("cp1252") + rows(30, "{mod},{yes}").encode(), "cp1252"),
        (b"\x81,y\n" + rows(30, "{mod},{yes}").encode(), "latin-1"),
    ],
)
def test_the_encoding_is_found(tmp_path: Path, raw: bytes, encoding: str) -> None:
    """UTF-8 with or without a mark, else what Windows writes, else anything."""
    spec, _ = drafted(tmp_path, raw)
    assert spec.source.encoding == encoding
    assert not next(iter(spec.columns)).startswith("\ufeff")


def test_identifiers_constants_and_empty_columns_are_left_out(tmp_path: Path) -> None:
    """They stay in the file and out of the features, each with its reason."""
    text = "row,uuid,same,none,a,y\n" + rows(60, "{i},u-{i},x,,{mod},{yes}")
    spec, notes = drafted(tmp_path, text)
    assert spec.feature_names() == ["a"]
    assert sum("left out" in note for note in notes) == 4


def test_unusual_missing_markers_are_found(tmp_path: Path) -> None:
    """`-` and `unknown` in a column of numbers mean that nobody knows."""
    text = "a,y\n" + rows(30, "{mod},{yes}") + "-,yes\nunknown,no\n"
    spec, notes = drafted(tmp_path, text)
    assert spec.columns["a"].type == "number"
    assert {"-", "unknown"} <= set(spec.source.missing)
    assert any("missing value" in note for note in notes)


def test_a_column_that_settles_the_target_is_pointed_out(tmp_path: Path) -> None:
    """The usual leak is the target under another name."""
    text = "status,a,y\n" + "".join(
        f"{'paid' if i % 2 else 'late'},{i % 5},{i % 2}\n" for i in range(40)
    )
    _, notes = drafted(tmp_path, text)
    assert any(note.startswith("status settles y") for note in notes)


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
        (b"PK\x03\x04zip", BinaryFile, "not text"),
        (b"a,b\n1,2\n", BadSpec, "no column 'y'"),
        (b"a,yy\n1,2\n", BadSpec, "did you mean 'yy'"),
        (b"a,a,y\n1,2,3\n", BadSpec, "twice"),
        (b"a,y\n1,2\n2,2\n", BadSpec, "only one value"),
        (b"a,y\n" + b"".join(b"1,t%d\n" % i for i in range(50)), BadSpec, "50 different texts"),
        (b"y\n1\n2\n3\n", BadSpec, "nothing to learn from"),
    ],
)
def test_a_file_that_cannot_be_drafted_says_why(
    tmp_path: Path, raw: bytes, error: type[Exception], words: str
) -> None:
    """Each with the reason and what was expected."""
    with pytest.raises(error, match=words):
        drafted(tmp_path, raw)


def test_a_long_file_is_sampled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the beginning is read, at a line's end, and a note says so."""
    monkeypatch.setattr("shared.spec.draft.SAMPLE_BYTES", 1000)
    spec, notes = drafted(tmp_path, "a,y\n" + rows(5000, "{mod},é{yes}"))
    assert spec.columns["a"].expect.max == 6
    assert any("Only the first" in note for note in notes)
