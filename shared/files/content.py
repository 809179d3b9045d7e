"""What a file's first bytes say it is, where that is nothing we read. Standard library only."""

from __future__ import annotations

import re

from shared.errors import BinaryFile, UnreadableText

_SIGNATURES = {
    b"\x1f\x8b": "gzip packed twice; pack it once",
    b"BZh": "packed with bzip2; pack it with gzip or not at all",
    b"\xfd7zXZ\x00": "packed with xz; pack it with gzip or not at all",
    b"\x28\xb5\x2f\xfd": "packed with zstandard; pack it with gzip or not at all",
    b"\x04\x22\x4d\x18": "packed with lz4; pack it with gzip or not at all",
    b"\xff\x06\x00\x00sNaPpY": "packed with snappy; pack it with gzip or not at all",
    b"\x1f\x9d": "packed with compress; pack it with gzip or not at all",
    b"7z\xbc\xaf\x27\x1c": "a 7-Zip archive; drop the file that is in it",
    b"Rar!\x1a\x07": "a RAR archive; drop the file that is in it",
    b"PK\x03\x04": "a zip archive or an Excel workbook; drop the file in it, or save as CSV",
    b"PK\x05\x06": "an empty zip archive; drop the file itself",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook; save it as CSV UTF-8",
    b"%PDF-": "a PDF; export the data as CSV",
    b"SQLite format 3\x00": "an SQLite database; export a table as CSV",
    b"ORC\x01": "ORC; write it as Parquet",
    b"ORC\x0a": "ORC; write it as Parquet",
    b"Obj\x01": "Avro; write it as Parquet or JSON lines",
    b"ARROW1": "an Arrow (Feather) file; write it as Parquet",
    b"FEA1": "a Feather file; write it as Parquet",
    b"PARE": "encrypted Parquet; write it without encryption",
    b"\x89HDF\r\n\x1a\n": "HDF5; write it as Parquet or CSV",
    b"\x93NUMPY": "a NumPy array; write it as CSV with a header",
    b"\x89PNG\r\n\x1a\n": "a picture; drop the table behind it as CSV",
    b"\xff\xd8\xff": "a picture; drop the table behind it as CSV",
    b"GIF8": "a picture; drop the table behind it as CSV",
    b"\x7fELF": "a program; drop CSV, JSON lines or Parquet",
    b"{\\rtf": "a rich text document; save it as plain text",
}
_PICKLE = re.compile(rb"\x80[\x02-\x05][\x95}\](cK]")
_BZIP = re.compile(rb"BZh[1-9](1AY&SY|\x17\x72\x45\x38\x50\x90)")
_MARKUP = re.compile(rb"\s*<(!doctype|html|\?xml|head|body|table)\b", re.IGNORECASE)
_TAR_AT = 257
PARQUET = b"PAR1"
_UTF_16 = "saved as UTF-16 (\"Unicode text\"); save it as UTF-8, in Excel as 'CSV UTF-8'"


def check_content(head: bytes) -> None:
    """Raises BinaryFile or UnreadableText for the first bytes of what is no CSV, JSON or Parquet.
    `head` is unpacked already."""
    kind = _kind(head)
    if kind:
        raise BinaryFile(f"the file is {kind}")
    if head.startswith(PARQUET):
        return
    if _is_utf_16(head):
        raise UnreadableText(f"the file is {_UTF_16}")
    if b"\x00" in head:
        raise BinaryFile(
            "the file has NUL bytes, so it is binary or damaged; drop CSV, JSON lines or Parquet"
        )


def _kind(head: bytes) -> str:
    for signature, kind in _SIGNATURES.items():
        if head.startswith(signature) and (signature != b"BZh" or _BZIP.match(head)):
            return kind
    if head[_TAR_AT : _TAR_AT + 5] == b"ustar":
        return "a tar archive; drop the file that is in it"
    if _PICKLE.match(head):
        return "a Python pickle, which is never read; write it as Parquet or CSV"
    if _MARKUP.match(head.removeprefix(b"\xef\xbb\xbf")):
        return "a web page or XML, not data; was it a login page that was downloaded?"
    return ""


def _is_utf_16(head: bytes) -> bool:
    """By its mark, or by a NUL in every other place of what is mostly ASCII."""
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return True
    pairs = len(head) // 2
    even, odd = head[0 : 2 * pairs : 2].count(0), head[1 : 2 * pairs : 2].count(0)
    return pairs > 1 and min(even, odd) == 0 and max(even, odd) > 0.7 * pairs
