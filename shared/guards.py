"""Guards of the way in: what a file's first bytes must look like. Pure; first bytes only.

Rows are the job's business; these checks answer in milliseconds whatever the size, so that a
wrong file is refused while the person who dropped it is still looking.
"""

from __future__ import annotations

import codecs
import csv
import io
from collections import Counter

from shared.errors import BinaryFile, EmptyFile, HeaderMismatch, UnreadableText
from shared.routes import Intent
from shared.spec.model import Spec
from shared.tabular.records import column_names

HEAD_BYTES = 64 * 1024
_SIGNATURES = {
    b"\x1f\x8b": "gzip",
    b"PK\x03\x04": "a zip archive or an Excel workbook",
    b"PAR1": "Parquet",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook",
    b"%PDF": "a PDF",
    b"BZh": "bzip2",
    b"\xfd7zXZ": "xz",
    b"\x28\xb5\x2f\xfd": "zstandard",
    b"SQLite": "an SQLite database",
}


def check_head(head: bytes, size_bytes: int, spec: Spec, intent: Intent) -> None:
    """Refuse what cannot be a file for this spec. `head` is up to HEAD_BYTES bytes.
    Raises EmptyFile, BinaryFile, UnreadableText, HeaderMismatch."""
    rows = _first_rows(decode_head(head, size_bytes, spec), spec)
    if not rows:
        raise EmptyFile("the file holds only blank lines")
    if intent == "label":
        _check_label_header(rows[0], spec)
    elif spec.source.header:
        if len(rows) == 1 and size_bytes <= HEAD_BYTES:
            raise EmptyFile("the file has a header and no rows")
        if spec.columns:
            _check_header(column_names(rows[0]), spec, intent)
    else:
        _check_width(rows[0], spec, intent)


def decode_head(head: bytes, size_bytes: int, spec: Spec) -> str:
    """The text of the first bytes. Raises EmptyFile, BinaryFile, UnreadableText."""
    if size_bytes == 0:
        raise EmptyFile("the file has 0 bytes")
    for signature, kind in _SIGNATURES.items():
        if head.startswith(signature):
            raise BinaryFile(f"the file is {kind}, expected plain text CSV; export it as CSV")
    if b"\x00" in head:
        raise BinaryFile(
            "the file has NUL bytes, so it is binary or UTF-16; expected CSV text in "
            f"{spec.source.encoding}"
        )
    encoding = "utf-8-sig" if spec.source.encoding == "utf-8" else spec.source.encoding
    decoder = codecs.getincrementaldecoder(encoding)()
    try:
        # The head may end within a character; only a whole file is decoded to its end.
        return decoder.decode(head, final=len(head) >= size_bytes)
    except UnicodeDecodeError as error:
        raise UnreadableText(
            f"byte {error.start} is not {spec.source.encoding}; save the file as UTF-8 or set "
            f"source.encoding (latin-1 or cp1252) in the spec"
        ) from error


def _first_rows(text: str, spec: Spec) -> list[list[str]]:
    """Up to two non-blank records."""
    reader = csv.reader(
        io.StringIO(text, newline=""),
        delimiter=spec.source.delimiter,
        skipinitialspace=spec.source.strip,
    )
    rows: list[list[str]] = []
    try:
        for row in reader:
            if any(cell.strip() for cell in row):
                rows.append([cell.strip() if spec.source.strip else cell for cell in row])
            if len(rows) == 2:
                break
    except csv.Error as error:
        raise UnreadableText(f"line {reader.line_num} is not CSV: {error}") from error
    return rows


def _check_header(header: list[str], spec: Spec, intent: Intent) -> None:
    """Order may differ; names may not. Columns excluded by the spec may be absent."""
    target = spec.target.column
    expected = [
        name
        for name in spec.columns
        if not spec.columns[name].exclude and (intent == "train" or name != target)
    ]
    twice = [name for name, count in Counter(header).items() if count > 1]
    missing = [name for name in expected if name not in header]
    extra = [name for name in header if name not in spec.columns]
    if not (twice or missing or extra):
        return
    parts = []
    if missing:
        parts.append(f"missing: {', '.join(missing)}")
    if extra:
        parts.append(f"not in the spec: {', '.join(map(repr, extra))}")
    if twice:
        parts.append(f"more than once: {', '.join(twice)}")
    hint = ""
    if missing and len(header) == 1:
        hint = f"; is the delimiter really {spec.source.delimiter!r}?"
    raise HeaderMismatch(
        f"the header does not fit the spec ({'; '.join(parts)}){hint}. Fix the file, or drop a "
        f"changed spec first"
    )


def _check_width(row: list[str], spec: Spec, intent: Intent) -> None:
    widths = {len(spec.file_columns(with_target=True))}
    if intent == "score":
        widths.add(len(spec.file_columns(with_target=False)))
    if len(row) not in widths:
        raise HeaderMismatch(
            f"the first row has {len(row)} fields, the spec (source.header: false) names "
            f"{' or '.join(map(str, sorted(widths)))} columns; is the delimiter really "
            f"{spec.source.delimiter!r}?"
        )
    names = set(spec.columns)
    if names.issuperset(row) and len(set(row)) > 1:
        raise HeaderMismatch(
            "the first row holds column names, but the spec says source.header: false"
        )


def _check_label_header(header: list[str], spec: Spec) -> None:
    target = spec.target.column
    missing = [] if "prediction_id" in header else ["prediction_id"]
    if "label" not in header and target not in header:
        missing.append(f"label (or {target})")
    if missing:
        raise HeaderMismatch(
            f"a labels file needs the header prediction_id{spec.source.delimiter}label; missing: "
            f"{', '.join(missing)}; found: {', '.join(header)}"
        )


def decode_text(data: bytes, name: str) -> str:
    """A small text file as UTF-8, with or without BOM. Raises UnreadableText."""
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UnreadableText(f"{name}: byte {error.start} is not UTF-8") from error
