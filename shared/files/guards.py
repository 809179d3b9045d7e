"""Guards of the way in: what a file's first bytes must look like. Pure; first bytes only.

    size -> packing -> what kind of content -> encoding, format, delimiter -> columns -> widths

Rows are the job's business; these checks answer in milliseconds whatever the size, so that a
wrong file is refused while the person who dropped it is still looking.
"""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from shared.errors import BinaryFile, EmptyFile, HeaderMismatch, UnreadableText
from shared.files import dialect
from shared.files.content import PARQUET, check_content
from shared.files.headers import (
    Served,
    Wanted,
    check_columns,
    check_width,
    label_source,
    missing_label_columns,
    scored_columns,
    scored_layouts,
    wanted_columns,
)
from shared.routes import Intent
from shared.spec.model import Source, Spec
from shared.tabular.reading.json_values import Broken, array_values, line_values
from shared.tabular.reading.lines import decode_as
from shared.tabular.reading.records import MAX_FIELD_CHARACTERS, column_names, is_blank

HEAD_BYTES = dialect.HEAD_BYTES
_ROWS = 200
_SEP_LINE = re.compile(r'"?(sep=.?)"?[\r\n]', re.IGNORECASE)  # Excel's own way to name a delimiter
_NUMBER = re.compile(r"[-+]?[\d.,]+([eE][-+]?\d+)?")


@dataclass(frozen=True, slots=True)
class _Head:
    """The start of a text file as it is read. `whole` when that is all of it."""

    text: str
    source: Source
    whole: bool


def check_head(
    head: bytes,
    size_bytes: int,
    spec: Spec,
    intent: Intent,
    *,
    name: str = "",
    source: str = "",
    served: Served | None = None,
) -> None:
    """Refuse what cannot be a file for this spec.

    Args:
        head: The object's first HEAD_BYTES as stored, or all of them.
        size_bytes: The object's size.
        name: Its name, which may say the format.
        source: For a model with several sources, which of them it is.
        served: Of a file to be scored, the version that will, if there is one.

    Raises EmptyFile, BinaryFile, UnreadableText, HeaderMismatch.
    """
    scored = intent == "score"
    wanted = (
        scored_columns(spec, served, source) if scored else wanted_columns(spec, intent, source)
    )
    opened = _open(head, size_bytes, _written(spec, intent, source), name, wanted)
    if opened is None:
        if intent == "label":
            raise BinaryFile("a labels file is CSV, this one is Parquet; export it as CSV")
        return  # the columns of Parquet stand at its end, so the job checks them
    if opened.source.format != "csv":
        if intent == "label":
            raise HeaderMismatch(
                "a labels file is CSV with the columns prediction_id and label, this one is JSON"
            )
        _check_objects(opened, wanted)
        return
    rows = _first_rows(opened)
    if not rows:
        if opened.whole:
            raise EmptyFile("the file holds only blank lines")
        return  # a header that is longer than a head
    if intent == "label":
        _check_label_header(rows[0], spec, opened.source)
    elif opened.source.header:
        _check_table(rows, opened, wanted)
    else:
        layouts = scored_layouts(spec, served) if scored else [spec.file_columns(with_target=True)]
        check_width(rows[0], spec, layouts, opened.source)


def _written(spec: Spec, intent: Intent, source: str) -> Source:
    """How the file should be written."""
    if intent == "label":  # in another format they are refused by name, so it is looked for
        return label_source(spec).model_copy(update={"format": "auto"})
    return spec.sources.get(source, spec.main_source)


def _open(head: bytes, size_bytes: int, source: Source, name: str, wanted: Wanted) -> _Head | None:
    """The text of a head; None for Parquet. Raises EmptyFile, BinaryFile, UnreadableText."""
    if size_bytes == 0:
        raise EmptyFile("the file has 0 bytes; was the upload cut off?")
    content, whole = dialect.unzip_head(head, size_bytes)
    if not content:
        raise EmptyFile("the packed file holds nothing")
    check_content(content)
    settled = dialect.settle(source, content, name, wanted.expected)
    if settled.format == "parquet":
        if content is not head and head.startswith(dialect.GZIP):
            raise BinaryFile("the file is Parquet packed with gzip; drop it as Parquet alone")
        if not content.startswith(PARQUET):
            raise BinaryFile("the file is no Parquet file, though its name or its spec says so")
        return None
    text = _decoded(content, settled, whole, said=source.encoding)
    return _Head(text, settled, whole)


def _decoded(content: bytes, source: Source, whole: bool, *, said: str) -> str:
    """As `tabular.lines.Text` decodes it. `said`: the encoding in the spec. Raises
    UnreadableText."""
    marked = content.startswith(dialect.BOM)
    content = content.removeprefix(dialect.BOM)
    if source.encoding != "utf-8":
        return decode_as(content, source.encoding)
    bad = dialect.not_utf8(content, whole=whole)
    if bad is None:
        return content.decode(errors="ignore")  # the end may be cut within a character
    if said == "auto" and content[:bad].isascii():
        return decode_as(content, "cp1252")
    if marked:
        raise UnreadableText(
            f"the file begins with the mark of UTF-8, but byte {bad} behind it is not UTF-8: two "
            f"encodings are mixed in it; export it again as UTF-8"
        )
    if said not in ("auto", "utf-8"):
        raise UnreadableText(
            f"the file begins as UTF-8, but byte {bad} is not UTF-8: two encodings are mixed in "
            f"it; export it again as UTF-8"
        )
    raise UnreadableText(
        f"byte {bad} is not utf-8; save the file as UTF-8 or set source.encoding (latin-1 or "
        f"cp1252) in the spec"
    )


# --- CSV -----------------------------------------------------------------------------------------


def _first_rows(head: _Head) -> list[list[str]]:
    """Records that are not blank, up to `_ROWS`; the last one of a part of a file may be cut, so it
    is left out."""
    source = head.source
    reader = csv.reader(
        io.StringIO(head.text, newline=""),
        delimiter=source.delimiter,
        skipinitialspace=source.strip,
    )
    rows: list[list[str]] = []
    csv.field_size_limit(MAX_FIELD_CHARACTERS)
    try:
        for row in reader:
            if not is_blank(row):
                rows.append([cell.strip() if source.strip else cell for cell in row])
            if len(rows) > _ROWS:
                break
    except csv.Error as error:
        raise UnreadableText(f"line {reader.line_num} is not CSV: {error}") from error
    return rows if head.whole else rows[:-1]


def _check_table(rows: Sequence[list[str]], head: _Head, wanted: Wanted) -> None:
    """A header and rows that go with it. Raises EmptyFile, HeaderMismatch."""
    header = rows[0]
    if len(rows) == 1 and head.whole:
        hint = "; is a quote left open in the header?" if "\n" in "".join(header) else ""
        raise EmptyFile(f"the file has a header and no rows{hint}")
    if found := _SEP_LINE.match(head.text):
        raise HeaderMismatch(
            f"the first line is {found[1]!r}, which only Excel understands; delete it"
        )
    if wanted.needed and not set(header) & wanted.expected and _looks_like_data(header):
        raise HeaderMismatch(
            f"the first row looks like data ({', '.join(header)[:100]}), not like column names; "
            f"add a header, or say source.header: false and name the columns in the spec"
        )
    hint = ""
    if len(header) == 1 and len(wanted.needed) > 1:
        hint = f"; it has one column: perhaps its delimiter is not {head.source.delimiter!r}"
    names = column_names(header)
    _check_rows_fit(rows, wanted)
    check_columns(names, wanted, strict=True, hint=hint)


def _looks_like_data(header: Sequence[str]) -> bool:
    return sum(bool(_NUMBER.fullmatch(cell)) for cell in header) > len(header) / 4


def _check_rows_fit(rows: Sequence[list[str]], wanted: Wanted) -> None:
    """Refuse where nearly all rows have one width and the header another: not single bad rows, but
    a header that does not belong to them."""
    header, below = rows[0], rows[1:]
    if not below:
        return
    width, count = Counter(map(len, below)).most_common(1)[0]
    if len(header) == width or len(below) < 2 or count < 0.9 * len(below):
        return
    advice = "is there a title above the header, or a delimiter in a text without quotes?"
    if len(header) == width - 1:
        last = [row[-1] for row in below if len(row) == width]
        advice = (
            "every row ends with a delimiter, so end the header with one too or remove them"
            if not any(last)
            else "if these are row names as R's write.table writes them, use "
            "`write.csv(x, row.names = FALSE)`; else name the first column in the header"
        )
    found = set(header) & wanted.expected
    known = f" (it has {len(found)} of the spec's columns)" if wanted.expected else ""
    raise HeaderMismatch(
        f"the header has {len(header)} fields{known}, the rows have {width}; {advice}"
    )


def _check_label_header(header: list[str], spec: Spec, source: Source) -> None:
    missing = missing_label_columns(header, spec)
    if missing:
        raise HeaderMismatch(
            f"a labels file needs the header prediction_id{source.delimiter}label; missing: "
            f"{', '.join(missing)}; found: {', '.join(header)[:300]}"
        )


# --- JSON ----------------------------------------------------------------------------------------


def _check_objects(head: _Head, wanted: Wanted) -> None:
    """The first objects' keys. Raises EmptyFile, UnreadableText, HeaderMismatch."""
    values = _first_values(head)
    if not values and head.whole:
        raise EmptyFile("the file holds no JSON records")
    objects = [value for value in values if isinstance(value, dict)]
    if values and not any(objects):
        first = values[0]
        why = f"the first one {first.why}" if isinstance(first, Broken) else "none of them is"
        raise HeaderMismatch(
            f'records must be JSON objects such as {{"column": 1}}, one per line or in one '
            f"array; {why}"
        )
    if not objects:
        return  # one record that is longer than a head
    keys = list(dict.fromkeys(key for value in objects for key in value))
    inside = [key for key in keys if isinstance(objects[0].get(key), list)]
    if len(objects) == 1 and inside and not set(keys) & wanted.expected:
        raise HeaderMismatch(
            f"the file is one JSON object; write the records under {inside[0]!r} as an array by "
            f"themselves, or one per line"
        )
    missing = [name for name in wanted.needed if name not in keys]
    # A key may come later where records leave out what is null; another name in its place tells.
    if missing and (head.whole or len(missing) == len(wanted.needed) or _others(keys, wanted)):
        check_columns(keys, wanted, strict=False)


def _others(keys: Sequence[str], wanted: Wanted) -> bool:
    return any(key not in wanted.expected for key in keys)


def _first_values(head: _Head) -> list[object]:
    """Raises UnreadableText where the first record is broken already."""
    text = head.text
    lines = head.source.format == "jsonl"
    if lines and not head.whole:
        text = text[: text.rfind("\n") + 1]
    values = line_values([text.encode()]) if lines else array_values([text.encode()])
    found: list[object] = []
    try:
        for _, value in values:
            found.append(value)
            if len(found) >= _ROWS:
                break
    except UnreadableText:
        if head.whole:
            raise
    return found


def decode_text(data: bytes, name: str) -> str:
    """A small text file as UTF-8, with or without BOM. Raises UnreadableText."""
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UnreadableText(f"{name}: byte {error.start} is not UTF-8") from error
