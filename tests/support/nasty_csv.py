"""Nasty CSV files: every spelling of a good one, and every wrong header (`tests.support.nasty`)."""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

NAMES = ("id", "age", "wage", "city", "joined", "y")
ROWS = (
    ("1", "39", "1500.5", "Köln", "2024-01-01", "yes"),
    ("2", "50", "-3", "São Paulo, SP", "2024-02-29", "no"),
    ("3", "", "1e3", "?", "2024-03-01T08:00:00Z", "yes"),
    ("4", "28", "0.001", 'the "old" town', "", "no"),
    ("5", "61", "NA", "a;b|c\td", "2024-05-05", "no"),
    ("6", "44", "77777777", "  two blanks", "2024-06-06", "yes"),
)
SPEC: dict[str, Any] = {
    "task": "binary",
    "target": "y",
    "columns": {
        "id": {"exclude": True},
        "age": {"type": "number"},
        "wage": {"type": "number"},
        "city": {},
        "joined": {"type": "time"},
        "y": {},
    },
}
Row = Sequence[str]


@dataclass(frozen=True)
class Nasty:
    """One file. `source` is what the spec says of it, beside the defaults."""

    name: str
    file: str
    data: bytes
    rows: list[list[str]] | None = None
    refused: str = ""
    source: dict[str, Any] = field(default_factory=dict)


def text_of(
    rows: Sequence[Row] = ROWS,
    *,
    names: Row | None = NAMES,
    delimiter: str = ",",
    end: str = "\n",
    quoting: Any = csv.QUOTE_MINIMAL,
) -> str:
    out = io.StringIO(newline="")
    writer = csv.writer(out, delimiter=delimiter, lineterminator=end, quoting=quoting)
    writer.writerows([*([names] if names else []), *rows])
    return out.getvalue()


def lists(rows: Sequence[Row]) -> list[list[str]]:
    return [list(row) for row in rows]


# --- well-formed, in every spelling --------------------------------------------------------------

DELIMITERS = {"comma": ",", "semicolon": ";", "tab": "\t", "pipe": "|"}
ENDS = {"lf": "\n", "crlf": "\r\n", "cr": "\r"}
ENCODINGS = {"utf8": "utf-8", "bom": "utf-8-sig", "cp1252": "cp1252"}


def dialects() -> Iterator[Nasty]:
    quotings = {"few-quotes": csv.QUOTE_MINIMAL, "all-quoted": csv.QUOTE_ALL}
    for delimiter, char in DELIMITERS.items():
        for end, line_end in ENDS.items():
            for encoding, codec in ENCODINGS.items():
                for quotes, quoting in quotings.items():
                    text = text_of(delimiter=char, end=line_end, quoting=quoting)
                    name = f"{delimiter}-{end}-{encoding}-{quotes}"
                    data = text.encode(codec)
                    expected = [
                        [cell.lstrip(" ") if quoting == csv.QUOTE_MINIMAL else cell for cell in row]
                        for row in ROWS
                    ]
                    yield Nasty(name, "data.csv", data, expected)
                    yield Nasty(f"{name}-gz", "data.csv.gz", gzip.compress(data), expected)
    for delimiter in ";\t|":
        rows = [(n, f"{n},{n}", "1,5", "x", "", "no") for n in "123"]
        text = text_of(rows, delimiter=delimiter)
        yield Nasty(f"decimal-comma-{delimiter!r}", "d.csv", text.encode(), lists(rows))
    yield Nasty("declared-latin-1", "a.csv", text_of(ROWS[:2]).encode("latin-1"), lists(ROWS[:2]),
                source={"encoding": "latin-1"})  # fmt: skip
    yield Nasty("declared-wrong-delimiter", "a.csv", text_of(ROWS[:2], delimiter=";").encode(),
                refused="HeaderMismatch", source={"delimiter": "|"})  # fmt: skip
    yield Nasty("declared-utf8-is-not", "a.csv", text_of(ROWS[:1]).encode("cp1252"),
                refused="UnreadableText", source={"encoding": "utf-8"})  # fmt: skip
    parts = [text_of(ROWS[:1]), text_of(ROWS[1:2], names=None)]
    packed = b"".join(gzip.compress(part.encode()) for part in parts)
    yield Nasty("gz-in-parts", "a.csv", packed, lists(ROWS[:2]))
    yield Nasty("gz-with-padding", "a.gz", packed + b"\0" * 50, lists(ROWS[:2]))
    yield Nasty(
        "gz-called-csv", "a.csv", gzip.compress(text_of(ROWS[:1]).encode()), lists(ROWS[:1])
    )
    yield Nasty("csv-called-gz", "a.csv.gz", text_of(ROWS[:1]).encode(), lists(ROWS[:1]))
    yield Nasty("csv-called-tsv", "a.tsv", text_of(ROWS[:1]).encode(), lists(ROWS[:1]))
    yield Nasty("no-suffix", "data", text_of(ROWS[:1]).encode(), lists(ROWS[:1]))


def blank_lines() -> Iterator[Nasty]:
    for delimiter, char in DELIMITERS.items():
        plain = [row for row in ROWS if '"' not in "".join(row) and char not in "".join(row)][:3]
        head, *lines = text_of(plain, delimiter=char).splitlines()
        empty = char * (len(NAMES) - 1)
        cases = {
            "no-last-line-end": "\n".join([head, *lines]),
            "blank-between": "\n\n".join([head, *lines]) + "\n\n\n",
            "blank-before": "\n \n" + "\n".join([head, *lines]),
            "blanks-only-lines": "\n   \n".join([head, *lines]) + "\n  \n",
            "delimiters-only-lines": f"\n{empty}\n".join([head, *lines]) + f"\n{empty}\n{empty}",
            "blanks-around": "\n".join(line.replace(char, f" {char}  ") for line in [head, *lines]),
            "mixed-line-ends": head + "\r\n" + lines[0] + "\n" + "\r\n".join(lines[1:]),
        }
        for what, text in cases.items():
            rows = [[cell and cell + " " for cell in row[:-1]] + [row[-1]] for row in plain]
            expected = rows if what == "blanks-around" else lists(plain)
            yield Nasty(f"{what}-{delimiter}", "a.csv", text.encode(), expected)


def headless() -> Iterator[Nasty]:
    source = {"header": False}
    for delimiter, char in DELIMITERS.items():
        text = text_of(ROWS[:2], names=None, delimiter=char)
        yield Nasty(f"headless-{delimiter}", "a.csv", text.encode(), lists(ROWS[:2]), source=source)
        full = text_of(ROWS[:2], delimiter=char)
        yield Nasty(f"headless-with-header-{delimiter}", "a.csv", full.encode(),
                    refused="HeaderMismatch", source=source)  # fmt: skip
    narrow = text_of([row[:3] for row in ROWS], names=None)
    yield Nasty(
        "headless-narrow", "a.csv", narrow.encode(), refused="HeaderMismatch", source=source
    )
    bare = text_of(ROWS, names=None)
    yield Nasty("header-forgotten", "a.csv", bare.encode(), refused="HeaderMismatch")


# --- headers -------------------------------------------------------------------------------------


def headers() -> Iterator[Nasty]:
    rows = [("1", "2", "3", "x", "2024-01-01", "no"), ("2", "3", "4", "z", "2024-01-02", "yes")]
    lines = text_of(rows, names=None)

    def case(name: str, header: str, refused: str = "", body: str = lines) -> Nasty:
        expected = None if refused else lists(rows)
        return Nasty(f"header-{name}", "a.csv", f"{header}\n{body}".encode(), expected, refused)

    bad = "HeaderMismatch"
    yield case("quoted", '"id","age","wage","city","joined","y"')
    yield case("blanks", " id , age ,wage,\tcity,joined , y ")
    yield case("upper-case", "ID,AGE,WAGE,CITY,JOINED,Y", bad)
    yield case("renamed", "id,age_years,wage,town,joined,y", bad)
    yield case("misspelt", "id,agee,wage,city,joined,y", bad)
    yield case("twice", "id,age,age,city,joined,y", bad)
    yield case("missing-cell", "id,age,,city,joined,y", bad)
    yield case("one-short", "age,wage,city,joined,y", bad)
    yield case("one-long", "id,age,wage,city,joined,y,z", bad)
    yield case("comment-above", "# made by a tool\nid,age,wage,city,joined,y", bad)
    yield case("title-above", "Sales report\n\nid,age,wage,city,joined,y", bad)
    yield case("units-below", "id,age,wage,city,joined,y", body="1,2,3,x,2024-01-01,no\n"
               "2,3,4,z,2024-01-02,yes\n")  # fmt: skip
    yield case("sep-line", "sep=,\nid,age,wage,city,joined,y", bad)
    yield case("sep-line-quoted", '"sep=;"\nid,age,wage,city,joined,y', bad)
    yield case("open-quote", 'id,age,"wage,city,joined,y', "UnreadableText|EmptyFile|" + bad)
    yield case("only", "id,age,wage,city,joined,y", "EmptyFile", body="")
    yield case("only-and-blanks", "id,age,wage,city,joined,y", "EmptyFile", body=" \n,,,,,\n\n")
    yield case("no-target", "id,age,wage,city,joined,z", bad)
    yield case("escapes", "\x1b[31mid,age,wage,city,joined,y", bad)
    yield case("markup", "<script>,age,wage,city,joined,y", bad)
    yield case("very-long-name", "x" * 3000 + ",age,wage,city,joined,y", bad)
    for place in range(len(NAMES)):
        if NAMES[place] == "id":  # excluded, so it may be absent
            continue
        names = [name for name in NAMES if name != NAMES[place]]
        body = text_of([[c for n, c in enumerate(row) if n != place] for row in rows], names=None)
        yield case(f"without-{NAMES[place]}", ",".join(names), bad, body)
    order = [3, 0, 5, 1, 4, 2]
    mixed = text_of([[row[n] for n in order] for row in rows], names=[NAMES[n] for n in order])
    yield Nasty("header-other-order", "a.csv", mixed.encode(),
                [[row[n] for n in order] for row in rows])  # fmt: skip
    trailing = text_of([(*row, "", "") for row in rows], names=(*NAMES, "", ""), delimiter=";")
    yield Nasty("header-and-rows-end-in-delimiters", "a.csv", trailing.encode(),
                [[*row, "", ""] for row in rows])  # fmt: skip
    ends = text_of([(*row, "") for row in rows])
    yield Nasty("rows-end-in-delimiter", "a.csv", ends.encode(), refused=bad)
    index = text_of([(str(n), *row) for n, row in enumerate(rows)], names=("", *NAMES))
    yield Nasty("header-unnamed-index", "a.csv", index.encode(),
                [[str(n), *row] for n, row in enumerate(rows)])  # fmt: skip
    wide = text_of([tuple("1" * 7000)], names=[f"c{n}" for n in range(7000)])
    yield Nasty("header-of-7000-columns", "a.csv", wide.encode(), refused=bad)
