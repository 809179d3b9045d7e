"""What a draft says about doubtful columns, odd values and files that cannot be drafted."""

from __future__ import annotations

import csv
import io
import random
from contextlib import suppress
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.cli.drafting import draft_file
from shared.errors import BadSpec, MillraceError
from shared.spec.draft import Draft, Wishes, spec_text
from shared.spec.drafting import target as targets
from shared.spec.load import load_spec
from shared.tabular import targets as trained
from tests.support import lookalike_files as files

ROWS = 200


def draft_of(folder: Path, text: str | bytes, target: str = "y", **wishes: object) -> Draft:
    path = folder / "data.csv"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return draft_file(path, target, Wishes(**wishes))  # type: ignore[arg-type]


def table(header: str, line: str, rows: int = ROWS) -> str:
    """Lines with {i}, a random {r} below 100, {f} with a fraction, and {yes} in every fourth."""
    rng = random.Random(3)
    lines = (
        line.format(
            i=i, r=rng.randrange(100), f=round(rng.random() * 9, 3), yes="yes" if i % 4 else "no"
        )
        for i in range(rows)
    )
    return header + "\n" + "\n".join(lines) + "\n"


def said(found: Draft, *words: str) -> bool:
    """Whether one of the notes has all these words."""
    return any(all(word in note for word in words) for note in found.notes)


def test_yes_is_the_positive_class_where_most_say_yes(tmp_path: Path) -> None:
    """Nobody asks how likely a no is."""
    found = draft_of(tmp_path, table("a,y", "{r},{yes}"))
    assert found.spec.target.positive == "yes"


def test_names_that_smell_of_afterwards_are_asked_about(tmp_path: Path) -> None:
    """They stay features; the note holds the words to draft again with."""
    found = draft_of(tmp_path, table("a,closedAt,loan status,y", "{r},{f},{r},{yes}"))
    assert found.doubtful == ("closedAt", "loan status")
    assert said(found, "--not-available closedAt --not-available 'loan status'")
    again = draft_of(
        tmp_path,
        table("a,closedAt,loan status,y", "{r},{f},{r},{yes}"),
        not_available=("closedAt",),
    )
    assert again.spec.feature_names() == ["a", "loan status"]


def test_the_target_in_another_unit_is_known_only_afterwards(tmp_path: Path) -> None:
    """A price in another currency gives the price away."""
    text = "a,cents,y\n" + "".join(f"{i % 13},{100 * i + 50},{i + 0.5}\n" for i in range(ROWS))
    found = draft_of(tmp_path, text)
    assert found.spec.feature_names() == ["a"]
    assert said(found, "cents is y in another unit")


def test_a_column_that_may_not_come_too_late_stays_if_it_is_the_only_one(tmp_path: Path) -> None:
    """A draft without features would be none; training has its own check."""
    text = "a,y\n" + "".join(f"{i % 8},{'yes' if i % 8 == 3 else 'no'}\n" for i in range(ROWS))
    found = draft_of(tmp_path, text)
    assert found.spec.feature_names() == ["a"]
    assert said(found, "a settles y alone", "nothing else")


@pytest.mark.parametrize(("cell", "apart"), [("-999", True), ("-1", False), ("99", False)])
def test_numbers_that_stand_apart_may_mean_missing(tmp_path: Path, cell: str, apart: bool) -> None:
    """Said with the option that would make them missing; the next number down is none of them."""
    text = table("a,y", "{r},{yes}") + f"{cell},no\n" * 9
    assert said(draft_of(tmp_path, text), f"--missing {cell}") == apart
    found = draft_of(tmp_path, text, missing=(cell,))
    assert cell in found.spec.source.missing
    assert not said(found, "stands far")


@pytest.mark.parametrize("name", ["PassengerId", "order_no", "user-id", "CUSTOMER ID", "OrderNo"])
def test_a_number_of_each_row_called_an_identifier_is_left_out(tmp_path: Path, name: str) -> None:
    """In the spellings that people use."""
    text = f"{name},a,y\n" + "".join(
        f"{(i * 7919) % 100_003},{i % 9},{'yes' if i % 4 else 'no'}\n" for i in range(ROWS)
    )
    assert draft_of(tmp_path, text).spec.feature_names() == ["a"]


def test_an_identifier_that_comes_back_is_pointed_out(tmp_path: Path) -> None:
    """Customers with several rows: perhaps it helps, perhaps it is learned by heart."""
    found = draft_of(tmp_path, table("customer_id,a,y", "{r},{f},{yes}"))
    assert said(found, "customer_id", "identifier")


def test_a_split_by_time_is_proposed_and_written_on_demand(tmp_path: Path) -> None:
    """The proposal is the line to add; a wrong column is refused with the right one."""
    text = "day,a,y\n" + "".join(
        f"2026-0{1 + i % 9}-{1 + i % 28:02d},{i % 7},{'yes' if i % 4 else 'no'}\n"
        for i in range(ROWS)
    )
    found = draft_of(tmp_path, text)
    assert (found.times, found.spec.training.split) == (("day",), "random")
    assert said(found, "training: {split: time, time_column: day}")
    split = draft_of(tmp_path, text, split_by="day")
    assert split.spec.training.time_column == "day"
    assert load_spec(spec_text(split.spec, split.notes, "x.csv"), "m.yaml") == split.spec
    with pytest.raises(BadSpec, match="day will do"):
        draft_of(tmp_path, text, split_by="a")
    german = "day,a,y\n" + "".join(
        f"{1 + i % 28:02d}.{1 + i % 9:02d}.2026,{i % 7},{'yes' if i % 4 else 'no'}\n"
        for i in range(ROWS)
    )
    with pytest.raises(BadSpec, match=r"by 'day': dates like '01\.01\.2026' \(a time is written"):
        draft_of(tmp_path, german, split_by="day")


def test_a_typing_error_in_the_target_makes_no_class(tmp_path: Path) -> None:
    """It is a number, and one row has none."""
    text = table("a,y", "{r},{i}.5") + "3,n/k\n"
    found = draft_of(tmp_path, text)
    assert found.spec.task == "regression"
    assert said(found, "1 row has no number in y", "'n/k'")


def test_grades_that_few_have_are_a_quantity(tmp_path: Path) -> None:
    """A class with a handful of rows cannot be learned; as a number it can."""
    text = "a,y\n" + "".join(f"{i % 7},{5 + i % 2}\n" for i in range(600)) + "3,9\n" * 5
    assert draft_of(tmp_path, text).spec.task == "regression"


def test_a_text_that_few_rows_have_as_class_is_refused(tmp_path: Path) -> None:
    """Training would refuse the file; the draft says it first, and how many there are."""
    text = table("a,y", "{r},{yes}") + "1,maybe\n" * 3
    with pytest.raises(BadSpec, match=r"'maybe' \(3\)"):
        draft_of(tmp_path, text)
    assert trained.MIN_CLASS_ROWS <= targets.LEAST_CLASS_ROWS
    assert targets.MIN_ROWS * 0.8 >= trained.MIN_ROWS


def test_many_rows_that_cannot_be_used_widen_the_limit(tmp_path: Path) -> None:
    """The draft works as it is: the file that it was made from is not refused."""
    text = table("a,y", "{r},{yes}") + "1,\n" * 40
    found = draft_of(tmp_path, text)
    assert 40 / 240 < found.spec.max_bad_rows <= 0.3
    assert said(found, "40 rows have no y")
    assert said(found, "max_bad_rows is 0.25")


@pytest.mark.parametrize(
    ("raw", "target", "words"),
    [
        (table("a,y", '{f},"{i},500"'), "y", "written like '0,500'|decimal"),
        (table("a,y", "{f},$1{i:03d}.00 x"), "y", "different texts"),
        (table("a,y", '{f},"€ {i},000"'), "y", "look like numbers"),
        (table("a,y", "{f},{i}/01/2020"), "y", "different texts"),
        (table("# a file of ours\na;b;y", "{f};{r};{yes}"), "y", "stands in line 2"),
        (table("a b y", "{f} {r} {yes}"), "y", "separated by blanks"),
        (table("a,b,y", "{f},{r},{yes}"), "column_3", "not like those below"),
        (table("title", "{f},{r},{yes}"), "column_3", "first line has 1 cells"),
        (table("a,y", "{i},{f},{yes}"), "y", "Row names stand in front"),
        (files.messages(ROWS), "column_1", "free text|nothing to learn|quote"),
    ],
)
def test_files_that_need_a_hand_say_what_to_do(
    tmp_path: Path, raw: str | bytes, target: str, words: str
) -> None:
    """In words that fit the file."""
    path = tmp_path / "data.csv"
    path.write_bytes(raw if isinstance(raw, bytes) else raw.encode())
    with pytest.raises(MillraceError, match=words):
        draft_file(path, target)


def test_times_of_day_are_no_categories(tmp_path: Path) -> None:
    """A minute that comes once a day says nothing by itself; an hour does."""
    text = "at,hour,a,y\n" + "".join(
        f"{i % 24}:{i % 60:02d}:00,{i % 24}:00,{i % 7},{'yes' if i % 5 else 'no'}\n"
        for i in range(400)
    )
    found = draft_of(tmp_path, text)
    assert found.spec.feature_names() == ["hour", "a"]
    assert said(found, "Left out: at", "times of day")


def test_an_identifier_without_a_name_stands_first(tmp_path: Path) -> None:
    """Whole numbers, all different, in a file without a header."""
    text = "".join(
        f"{(i * 7919) % 100_003},{i % 9},{'yes' if i % 4 else 'no'}\n" for i in range(ROWS)
    )
    assert draft_of(tmp_path, text, "column_3").spec.feature_names() == ["column_2"]


CELL = st.one_of(
    st.sampled_from(["", "?", "NA", "-", "1,5", "1.5", "1,234", "12%", "2026-01-31", "31/12/2025"]),
    st.sampled_from(
        ["-999", "inf", "1e400", "nan", "08", "yes", "no", "True", '"', "a;b", "'", "\t"]
    ),
    st.integers(-5, 5).map(str),
    st.text(max_size=6),
)


@settings(max_examples=60, deadline=None)
@given(
    columns=st.lists(st.lists(CELL, min_size=1, max_size=5), min_size=2, max_size=5),
    names=st.lists(st.text(max_size=5), min_size=5, max_size=5),
    dialect=st.sampled_from([",", ";", "\t", "|"]),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "latin-1"]),
    rows=st.integers(0, 90),
    target=st.sampled_from([0, -1, "column_1", "y"]),
)
def test_no_file_makes_a_draft_crash(
    tmp_path_factory: pytest.TempPathFactory,
    *,
    columns: list[list[str]],
    names: list[str],
    dialect: str,
    encoding: str,
    rows: int,
    target: int | str,
) -> None:
    """It is a spec that comes back from its text, or one of our sentences."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, delimiter=dialect)
    header = names[: len(columns)]
    writer.writerow(header)
    writer.writerows([column[i % len(column)] for column in columns] for i in range(rows))
    path = tmp_path_factory.mktemp("draft") / "data.csv"
    path.write_bytes(out.getvalue().encode(encoding, "replace"))
    found = None
    with suppress(MillraceError):
        found = draft_file(path, header[target].strip() if isinstance(target, int) else target)
    assert (
        found is None
        or load_spec(spec_text(found.spec, found.notes, "data.csv"), "m.yaml") == found.spec
    )


def _with_ages(odd: int, text: str = "unknown-ish") -> str:
    """3,000 rows; `age` has 67 different numbers, and this text in so many of them."""
    ages = [str(18 + i % 67) for i in range(3000)]
    for i in range(odd):
        ages[37 * i % 3000] = text
    return "age,b,y\n" + "".join(
        f"{age},{i % 5},{'yes' if i % 4 else 'no'}\n" for i, age in enumerate(ages)
    )


@pytest.mark.parametrize(("odd", "share"), [(5, "99.8%"), (60, "98%"), (140, "95.3%")])
def test_a_few_texts_do_not_turn_a_number_into_a_category(
    tmp_path: Path, odd: int, share: str
) -> None:
    """They go to quarantine, and a note names them and says how they become missing values."""
    found = draft_of(tmp_path, _with_ages(odd))
    assert found.spec.columns["age"].type == "number"
    said = f"age: {share} numbers; else 'unknown-ish' ({odd})"
    (note,) = (note for note in found.notes if note.startswith(said))
    assert "--missing unknown-ish" in note
    assert odd / 3000 < found.spec.max_bad_rows
    again = draft_of(tmp_path, _with_ages(odd), missing=("unknown-ish",))
    assert "unknown-ish" in again.spec.source.missing
    assert not any(note.startswith("age:") for note in again.notes)


def test_a_code_among_few_numbers_stays_a_category_and_is_said(tmp_path: Path) -> None:
    """As does a text that stands in more rows than may go to quarantine."""
    text = "a,b,y\n" + "".join(
        f"{'X' if i % 100 == 3 else i % 5},{i / 7},{'yes' if i % 4 else 'no'}\n" for i in range(600)
    )
    found = draft_of(tmp_path, text)
    assert found.spec.columns["a"].type == "category"
    assert any(note.startswith("a: 99% numbers; else 'X' (6)") for note in found.notes)
    assert draft_of(tmp_path, _with_ages(160)).spec.columns["age"].type == "category"


def test_rows_with_typing_errors_in_any_column_count_together(tmp_path: Path) -> None:
    """The draft allows so many bad rows as all columns make, so that it works as it is."""
    text = "a,b,y\n" + "".join(
        f"{'o' if i % 25 == 3 else i / 7},{'x' if i % 25 == 9 else i / 3},"
        f"{'yes' if i % 4 else 'no'}\n"
        for i in range(600)
    )
    spec = draft_of(tmp_path, text).spec
    assert spec.feature_names() == ["a", "b"]
    assert spec.max_bad_rows >= 0.08


def test_parquet_is_drafted_like_the_csv_it_came_from(tmp_path: Path) -> None:
    """Same columns, same types, same task."""
    written = tmp_path / "bank.csv"
    written.write_bytes(files.bank(400))
    options = pyarrow.csv.ParseOptions(delimiter=";")
    columns: pa.Table = pyarrow.csv.read_csv(written, parse_options=options)
    pyarrow.parquet.write_table(columns, tmp_path / "bank.parquet")
    one = draft_file(written, "y").spec
    other = draft_file(tmp_path / "bank.parquet", "y").spec
    assert other.columns == one.columns
    assert other.target == one.target
