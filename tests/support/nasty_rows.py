"""Nasty rows: dirt at the start of a CSV file and far behind it (`tests.support.nasty`)."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from typing import Any

from tests.support.nasty_csv import NAMES, Nasty, Row, text_of

# --- dirt in the rows ----------------------------------------------------------------------------


def dirt() -> Iterator[Nasty]:
    head = ",".join(NAMES) + "\n"
    good = "1,2,3,x,2024-01-01,no\n"
    row = ["1", "2", "3", "x", "2024-01-01", "no"]

    def case(name: str, line: str, *cells: Row, refused: str = "", **more: Any) -> Nasty:
        data = (head + good + line + good).encode()
        expected = None if refused else [row, *map(list, cells), row]
        return Nasty(f"dirt-{name}", "a.csv", data, expected, refused, **more)

    yield case("short", "1,2\n", ("1", "2"))
    yield case("long", "1,2,3,4,5,6,7,8\n", tuple("12345678"))
    yield case("one-field", "total\n", ("total",))
    yield case("header-again", head, NAMES)
    yield case("line-end-quoted", '1,2,3,"a\nb",,no\n', ("1", "2", "3", "a\nb", "", "no"))
    yield case("crlf-quoted", '1,2,3,"a\r\nb",,no\n', ("1", "2", "3", "a\r\nb", "", "no"))
    yield case("cr-quoted", '1,2,3,"a\rb",,no\n', ("1", "2", "3", "a\rb", "", "no"))
    yield case("cr-alone", "1,2,3,a\rb,,no\n", ("1", "2", "3", "a"), ("b", "", "no"))
    yield case("quote-inside", '1,2,3,5" pipe,,no\n', ("1", "2", "3", '5" pipe', "", "no"))
    yield case("text-behind-quote", '1,2,3,"a"b,,no\n', ("1", "2", "3", "ab", "", "no"))
    yield case("quotes-doubled", '1,2,3,"a""b""",,no\n', ("1", "2", "3", 'a"b"', "", "no"))
    yield case("blank-before-quote", '1,2,3, "a,b",,no\n', ("1", "2", "3", "a,b", "", "no"))
    yield case("single-quotes", "1,2,3,'a b',,no\n", ("1", "2", "3", "'a b'", "", "no"))
    yield case("backslash", "1,2,3,a\\,b,no\n", ("1", "2", "3", "a\\", "b", "no"))
    yield case("formula", "1,2,3,=CMD(1),,no\n", ("1", "2", "3", "=CMD(1)", "", "no"))
    yield case(
        "controls", "1,2,3,a\x07\x1b[0m\x0b,,no\n", ("1", "2", "3", "a\x07\x1b[0m\x0b", "", "no")
    )
    yield case("separators", "1,2,3,a\u2028b\x85c\x1cd,,no\n",
               ("1", "2", "3", "a\u2028b\x85c\x1cd", "", "no"))  # fmt: skip
    yield case("bom-inside", "\ufeff1,2,3,a,,no\n", ("\ufeff1", "2", "3", "a", "", "no"))
    yield case("emoji", "1,2,3,😀é\u0301,,no\n", ("1", "2", "3", "😀é\u0301", "", "no"))
    yield case("right-to-left", "1,2,3,\u202eabc,,no\n", ("1", "2", "3", "\u202eabc", "", "no"))
    yield case("no-break-space", "1,\xa02,3,\u3000,,no\n", ("1", "\xa02", "3", "\u3000", "", "no"))
    yield case("long-field", f"1,2,3,{'x' * 9000},,no\n", ("1", "2", "3", "x" * 9000, "", "no"))
    yield case("huge-number", f"1,{'9' * 400},3,x,,no\n", ("1", "9" * 400, "3", "x", "", "no"))
    yield case("infinite", "1,inf,-Infinity,x,,no\n", ("1", "inf", "-Infinity", "x", "", "no"))
    yield case("thousands", '1,"1,234",3,x,,no\n', ("1", "1,234", "3", "x", "", "no"))
    yield case("currency", "1,€5,3%,x,,no\n", ("1", "€5", "3%", "x", "", "no"))
    yield case("excel-error", "1,#REF!,#N/A,x,,no\n", ("1", "#REF!", "#N/A", "x", "", "no"))
    yield case("underscore", "1,1_000,3,x,,no\n", ("1", "1_000", "3", "x", "", "no"))
    yield case("arabic-digits", "1,٣٤,3,x,,no\n", ("1", "٣٤", "3", "x", "", "no"))
    yield case("nul", "1,\x00,3,x,,no\n", refused="BinaryFile")
    yield case("conflict-marks", "<<<<<<< HEAD\n", ("<<<<<<< HEAD",))
    yield case("other-delimiter", "1;2;3;x;;no\n", ("1;2;3;x;;no",))
    yield Nasty("dirt-open-quote-at-the-end", "a.csv", (head + good + '1,2,3,"x,,no\n').encode(),
                [row, ["1", "2", "3", "x,,no\n"]])  # fmt: skip
    yield Nasty("dirt-open-quote-for-ever", "a.csv",
                (head + good + '1,2,3,"x,,no\n' + good * 60_000).encode(),
                refused="UnreadableText")  # fmt: skip
    yield Nasty(
        "dirt-all-rows-wrong", "a.csv", (head + "1,2\n" * 9).encode(), refused="HeaderMismatch"
    )
    yield Nasty("dirt-mixed-encodings", "a.csv", (head + "1,2,3,é,,no\n").encode()
                + "1,2,3,é,,no\n".encode("cp1252"), refused="UnreadableText")  # fmt: skip
    yield Nasty("dirt-cut-character", "a.csv", (head + "1,2,3,x,,é").encode()[:-1],
                [["1", "2", "3", "x", "", "Ã"]])  # fmt: skip
    yield Nasty("dirt-lone-bom", "a.csv", b"\xef\xbb\xbf", refused="EmptyFile")
    yield Nasty("dirt-empty", "a.csv", b"", refused="EmptyFile")
    yield Nasty("dirt-line-ends", "a.csv", b"\n\r\n\r\r\n", refused="EmptyFile")
    yield Nasty("dirt-packed-nothing", "a.csv.gz", gzip.compress(b""), refused="EmptyFile")


def late() -> Iterator[Nasty]:
    """What first bytes cannot show: it stands behind the first 64 KiB."""
    head = ",".join(NAMES) + "\n"
    good = "1,2,3,x,2024-01-01,no\n"
    row = ["1", "2", "3", "x", "2024-01-01", "no"]
    many = head + good * 4000

    def case(name: str, tail: bytes, *cells: Row, refused: str = "", start: str = many) -> Nasty:
        expected = None if refused else [row] * 4000 + [list(item) for item in cells]
        return Nasty(f"late-{name}", "a.csv", start.encode() + tail, expected, refused)

    cell = ("1", "2", "3", "é", "", "no")
    yield case("utf8", "1,2,3,é,,no".encode(), cell)
    yield case("cp1252", "1,2,3,é,,no".encode("cp1252"), cell)
    middle = head + good * 1700  # behind what settles the dialect, within what the door reads
    yield Nasty(
        "middle-cp1252",
        "a.csv",
        middle.encode() + "1,2,3,é,,no".encode("cp1252"),
        [row] * 1700 + [list(cell)],
    )
    yield case("latin-1-controls", b"1,2,3,\x81,,no", ("1", "2", "3", "\x81", "", "no"))
    yield case("quotes", '1,2,3,"é",,no\n'.encode(), cell)
    yield case("cr", b"1,2,3,x,,no\r1,2", ("1", "2", "3", "x", "", "no"), ("1", "2"))
    yield case("ragged", b"1,2\n\n3\n", ("1", "2"), ("3",))
    yield case("nul", b"1,\x00,3,x,,no", ("1", "\x00", "3", "x", "", "no"))
    yield case("broken-utf8", "1,2,3,é,,no\n".encode() + b"\xff\n", refused="UnreadableText")
    yield case("open-quote", b'1,2,3,"' + good.encode() * 60_000, refused="UnreadableText")
    yield case("long-line", b"1,2,3," + b"x" * (17 << 20), refused="UnreadableText")
    bomb = gzip.compress(many.encode() + b" " * (40 << 20), 1)
    yield Nasty("late-gz-bomb", "a.csv", bomb, refused="UnreadableText")
    broken = bytearray(gzip.compress("".join(f"{n},2,3,x,,no\n" for n in range(40_000)).encode()))
    broken[-2000] ^= 0xFF
    yield Nasty("late-gz-damage", "a.csv", gzip.compress(head.encode()) + bytes(broken),
                refused="UnreadableText")  # fmt: skip
    yield Nasty("late-gz-rubbish", "a.csv", gzip.compress(many.encode()) + b"rubbish",
                refused="UnreadableText")  # fmt: skip
    long_header = [f"{'n' * 90}{n}" for n in range(800)]
    yield Nasty("late-header-end", "a.csv", text_of([("1",) * 800], names=long_header).encode())
