"""Guards: what the first bytes of a file must be for a spec, and the words of a refusal."""

from __future__ import annotations

import gzip
import json
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.errors import BinaryFile, EmptyFile, HeaderMismatch, Rejected, UnreadableText
from shared.files import guards
from shared.files.headers import wanted_columns
from shared.routes import Intent
from shared.spec.model import Spec

COLUMNS: dict[str, Any] = {
    "id": {"exclude": True},
    "capital_gain": {"type": "number"},
    "city": {},
    "joined": {"type": "time"},
    "outcome_code": {"available_at_prediction": False},
    "y": {},
}
ONE = Spec.model_validate({"task": "binary", "target": "y", "columns": COLUMNS})
SHOP = Spec.model_validate(
    {
        "task": "binary",
        "target": "response",
        "columns": {"customer_id": {"exclude": True}, "age": {"type": "number"}, "response": {}},
        "sources": {
            "customers": {"key": "customer_id"},
            "transactions": {
                "key": "customer_id",
                "time": "day",
                "as_of": "2015-03-17",
                "aggregates": {"spent": "sum(amount)", "visits": "count", "days": "recency"},
            },
            "visits": {
                "key": "customer_id",
                "sql": "SELECT customer_id, count(*) AS n FROM visits GROUP BY customer_id",
                "sql_columns": {"n": "number"},
                "columns": ["customer_id", "page"],
            },
        },
    }
)


def _packed(data: bytes) -> bytes:
    return gzip.compress(data, mtime=0)  # a time would be part of the test's name


def check(
    text: str | bytes, spec: Spec = ONE, intent: Intent = "train", name: str = "", source: str = ""
) -> None:
    data = text.encode() if isinstance(text, str) else text
    head = data[: guards.HEAD_BYTES]
    guards.check_head(head, len(data), spec, intent, name=name, source=source)


TRAIN = "id,capital_gain,city,joined,outcome_code,y\n1,2,K,2024-01-01,a,yes\n"


@pytest.mark.parametrize(
    ("header", "said"),
    [
        ("id,Capital Gain,city,joined,outcome_code,y", "'Capital Gain' looks like 'capital_gain'"),
        ("id,capital_gian,city,joined,outcome_code,y", "'capital_gian' looks like 'capital_gain'"),
        ("id,capital_gain,joined,outcome_code,y,z", r"missing: city; not in the spec: 'z'"),
        ("id,capital_gain,city,city,outcome_code,y", "missing: joined; more than once: city"),
        ("id,capital_gain,city,joined,outcome_code,y,,zip", "not in the spec: 'zip'"),
    ],
)
def test_a_wrong_header_is_named_column_by_column(header: str, said: str) -> None:
    """Missing, extra, renamed and duplicated columns, each in its own words."""
    width = header.count(",") + 1
    with pytest.raises(HeaderMismatch, match=said):
        check(header + "\n" + ",".join("1" * width) + "\n")


def test_what_predictions_do_not_need_may_be_absent_from_score_files() -> None:
    """Excluded columns, times, the target, and what is known only afterwards."""
    check("city,capital_gain\nK,1\n", intent="score")
    check(TRAIN, intent="score")
    with pytest.raises(HeaderMismatch, match="missing: joined, outcome_code, y"):
        check("city,capital_gain\nK,1\n", intent="train")
    with pytest.raises(HeaderMismatch, match="missing: capital_gain"):
        check("city\nK\n", intent="score")


def test_order_and_unnamed_columns_are_free() -> None:
    """An index that was written along has no name, and harms nobody."""
    check(",y,outcome_code,joined,city,capital_gain,\n0,yes,a,,K,3,\n")


@pytest.mark.parametrize(
    ("source", "good", "bad", "said"),
    [
        ("customers", "customer_id,age,response\n1,2,y\n", "age,response\n1,y\n", "customer_id"),
        ("transactions", "day,amount,customer_id,shop\n1,2,3,4\n", "day,shop,customer_id\n1,2,3\n",
         "missing: amount"),
        ("transactions", '{"day": 1, "amount": 2, "customer_id": 3, "more": 4}', '{"day": 1}',
         "missing: customer_id, amount"),
        ("visits", "customer_id,page,x\n1,2,3\n", "customer_id\n1\n", "missing: page"),
    ],
)  # fmt: skip
def test_each_source_needs_what_is_read_of_it(source: str, good: str, bad: str, said: str) -> None:
    """The primary its columns and keys; another one its key, its time and what is aggregated, and
    may have whatever else it likes."""
    check(good, SHOP, source=source, name=f"{source}.csv")
    with pytest.raises(HeaderMismatch, match=said):
        check(bad, SHOP, source=source, name=f"{source}.csv")


def test_derived_columns_are_in_no_file() -> None:
    """What sources add is not expected of the primary, for training or scoring."""
    assert wanted_columns(SHOP, "train", "customers").needed == ("age", "response", "customer_id")
    assert wanted_columns(SHOP, "score", "customers").needed == ("age", "customer_id")


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_labels_are_written_as_their_owner_likes(delimiter: str) -> None:
    """Whatever the model's own files look like; packed too."""
    data = f"prediction_id{delimiter}y\nr-1{delimiter}yes\n".encode()
    spec = ONE.model_copy(update={"source": ONE.source.model_copy(update={"delimiter": ";"})})
    check(data, spec, "label")
    check(gzip.compress(data), spec, "label")
    with pytest.raises(HeaderMismatch, match="prediction_id"):
        check(b"y\nyes\n", spec, "label")
    with pytest.raises(HeaderMismatch, match="this one is JSON"):
        check(b'{"prediction_id": 1}\n', spec, "label")
    with pytest.raises(BinaryFile, match="this one is Parquet"):
        check(b"PAR1xxxxPAR1", spec, "label")


@pytest.mark.parametrize(
    ("data", "error", "said"),
    [
        ("id,capital_gain,city,joined,outcome_code\n" + "1,2,3,4,5,6\n" * 3, HeaderMismatch,
         "header has 5 fields .* rows have 6; if these are row names as R"),
        ("id,capital_gain,city,joined,outcome_code,y\n" + "1,2,3,4,5,6,\n" * 3, HeaderMismatch,
         "every row ends with a delimiter"),
        ("Report\n" + TRAIN * 3, HeaderMismatch, "title above the header"),
        ("sep=;\n" + TRAIN.replace(",", ";"), HeaderMismatch, "'sep=;', which only Excel"),
        ("1,2,K,2024-01-01,a,yes\n" * 3, HeaderMismatch, "looks like data .* source.header: false"),
        ('id,"capital_gain,city,joined,outcome_code,y\n1,2\n', EmptyFile, "quote left open"),
        (TRAIN.encode("utf-16"), UnreadableText, "UTF-16.* save it as UTF-8"),
        (_packed(TRAIN.encode())[:40], UnreadableText, "packed with gzip, and broken"),
        (_packed(_packed(TRAIN.encode())), BinaryFile, "packed twice"),
        (_packed(b"PAR1xxxxPAR1"), BinaryFile, "drop it as Parquet"),
        (json.dumps({"rows": [{"y": 1}], "n": 1}), HeaderMismatch, "under 'rows' as an array"),
    ],
)  # fmt: skip
def test_a_refusal_says_what_to_do(data: str | bytes, error: type, said: str) -> None:
    """What spreadsheets, R, browsers and APIs make, each with its advice."""
    with pytest.raises(error, match=said):
        check(data)


def test_records_that_leave_out_what_is_null_are_taken() -> None:
    """A key may come behind the first bytes; a renamed one is told at once."""
    full = {"id": 1, "capital_gain": 2, "city": "K", "joined": "", "outcome_code": "", "y": "no"}
    some = {key: value for key, value in full.items() if key != "city"}
    lines = json.dumps(some) + "\n"
    check(lines * 2000 + json.dumps(full), name="a.jsonl")
    with pytest.raises(HeaderMismatch, match="missing: city"):
        check(lines * 20, name="a.jsonl")
    with pytest.raises(HeaderMismatch, match="'City' looks like 'city'"):
        check(json.dumps({**some, "City": 1}) + "\n" + lines * 2000, name="a.jsonl")


def test_a_head_that_is_cut_anywhere_refuses_nothing_good() -> None:
    """In a header, in a row, in a character, in a quoted field, in a packed block."""
    text = "id,capital_gain,city,joined,outcome_code,y\n" + '1,2,"é,\n""x""",,,no\n' * 9000
    data = text.encode()
    for cut in (5, 30, *range(60, 140), guards.HEAD_BYTES):
        guards.check_head(data[:cut], len(data), ONE, "train")
    packed = gzip.compress(data, 0)
    for cut in (40, 100, 3000, guards.HEAD_BYTES):
        guards.check_head(packed[:cut], len(packed), ONE, "train")
    lines = (json.dumps(dict.fromkeys(COLUMNS, "é")) + "\n").encode() * 3000
    for cut in (3, 50, 300, guards.HEAD_BYTES):
        guards.check_head(lines[:cut], len(lines), ONE, "train", name="a.jsonl")


@pytest.mark.parametrize(
    "head",
    [
        b'"" ' * 22_000,
        b'"' * guards.HEAD_BYTES,
        b'," ' * 22_000,
        b"[" * guards.HEAD_BYTES,
        b"{" * guards.HEAD_BYTES,
        b"a,\n" * 22_000,
        b",".join(b"c%d" % n for n in range(9000)) + b"\n1\n",
        gzip.compress(b"\n" * (1 << 26)),
    ],
)
def test_no_head_keeps_the_door_busy(head: bytes) -> None:
    """Milliseconds, for text that is made to be slow to look at as well."""
    started = time.perf_counter()
    for name in ("a.csv", "a.json", "a.jsonl"):
        try:
            guards.check_head(head[: guards.HEAD_BYTES], 1 << 30, ONE, "train", name=name)
        except Rejected:
            continue
    assert time.perf_counter() - started < 1.5


@settings(max_examples=300, deadline=None)
@given(
    st.binary(max_size=200) | st.text(alphabet=',;"\n\r\tay1 é{}[]:', max_size=200),
    st.sampled_from(["a.csv", "a.json", "a.jsonl", "a.parquet", "a"]),
    st.sampled_from(["train", "score", "label"]),
    st.integers(0, 3),
)
def test_any_head_is_taken_or_refused(
    text: bytes | str, name: str, intent: Intent, more: int
) -> None:
    """Our refusals only, for whole files and for parts."""
    data = text.encode() if isinstance(text, str) else text
    for content in (data, TRAIN.encode() + data, gzip.compress(data)):
        said = ""
        try:
            guards.check_head(content, len(content) + more, ONE, intent, name=name)
        except Rejected as error:
            said = str(error)
        assert not said or len(said) >= 20


def test_a_name_in_another_unicode_form_is_told_by_its_codes() -> None:
    """Shown as they are, the two would look the same."""
    spec = Spec.model_validate(
        {"task": "binary", "target": "y", "columns": {"caf\u00e9": {}, "n": {}, "y": {}}}
    )
    data = "cafe\u0301,n,y\na,1,yes\nb,2,no\n".encode()
    said = r"'cafe\\u0301' is 'caf\\xe9' in another Unicode form"
    with pytest.raises(HeaderMismatch, match=said):
        guards.check_head(data, len(data), spec, "train")


def test_a_file_of_two_encodings_gets_no_circular_advice() -> None:
    """The mark of UTF-8 in front of other bytes: declaring an encoding cannot help, and the
    message does not propose it."""
    spec = Spec.model_validate({"task": "binary", "target": "y", "source": {"encoding": "cp1252"}})
    text = b"\xef\xbb\xbfcity,y\nK\xf6ln,1\n"
    with pytest.raises(UnreadableText, match="two encodings are mixed") as caught:
        guards.check_head(text, len(text), spec, "train")
    assert "source.encoding" not in str(caught.value)


def test_a_file_that_turns_out_not_to_be_utf8_under_a_declared_encoding() -> None:
    """What begins as UTF-8 is read as UTF-8 whatever the spec says; other bytes behind it are a
    second encoding, and to declare one is no advice."""
    spec = Spec.model_validate({"task": "binary", "target": "y", "source": {"encoding": "cp1252"}})
    text = b"city,y\n" + "Köln,1\n".encode() * 6000 + b"K\xf6ln,1\n"
    with pytest.raises(UnreadableText, match="two encodings are mixed") as caught:
        guards.check_head(text, len(text), spec, "train")
    assert "source.encoding" not in str(caught.value)
