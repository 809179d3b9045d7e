"""Nasty files in other formats than CSV, and what is no data at all (`tests.support.nasty`)."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import pickle
import tarfile
import zipfile
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.parquet

from tests.support.nasty_csv import ROWS, Nasty, text_of

# --- other formats -------------------------------------------------------------------------------


def json_records() -> list[dict[str, Any]]:
    return [
        {"id": 1, "age": 39, "wage": 1500.5, "city": "Köln", "joined": "2024-01-01", "y": True},
        {"id": 2, "age": 50, "wage": -3.0, "city": "a,b\n", "joined": None, "y": False},
        {"id": 3, "age": None, "wage": 1e-9, "city": '"', "joined": "2024-01-03", "y": None},
    ]


_JSON_ROWS = [
    ["1", "39", "1500.5", "Köln", "2024-01-01", "true"],
    ["2", "50", "-3", "a,b\n", "", "false"],
    ["3", "", "1e-09", '"', "2024-01-03", ""],
]


def json_files() -> Iterator[Nasty]:
    records = json_records()
    texts = {
        "lines": "\n".join(map(json.dumps, records)),
        "lines-crlf": "\r\n".join(map(json.dumps, records)) + "\r\n\r\n",
        "array": json.dumps(records, ensure_ascii=False),
        "array-pretty": json.dumps(records, indent=4),
        "array-line-each": "[\n" + ",\n".join(map(json.dumps, records)) + "\n]\n",
        "objects-pretty": "\n".join(json.dumps(item, indent=1) for item in records),
        "lines-bom": "\ufeff" + "\n".join(map(json.dumps, records)),
    }
    for name, text in texts.items():
        for file in ("a.json", "a.jsonl", "a.csv", "a", "a.ndjson.gz"):
            data = text.encode()
            data = gzip.compress(data) if file.endswith(".gz") else data
            yield Nasty(f"json-{name}-{file}", file, data, _JSON_ROWS)
    first = json.dumps(records[0])
    odd = {
        "broken-line": (f"{first}\n{{oops\n{first}", [_JSON_ROWS[0], ["{oops"], _JSON_ROWS[0]]),
        "list-line": (f"{first}\n[1]\n", [_JSON_ROWS[0], ["[1]"]]),
        "cut-line": (f"{first}\n{first[:30]}", [_JSON_ROWS[0], [first[:30]]]),
        "nan": (first.replace("39", "NaN"), [["1", "", *_JSON_ROWS[0][2:]]]),
        "infinity": (first.replace("39", "-Infinity"), [["1", "-inf", *_JSON_ROWS[0][2:]]]),
        "key-twice": (first[:-1] + ', "age": 40}', [["1", "40", *_JSON_ROWS[0][2:]]]),
        "surrogate": (first.replace("K\\u00f6ln", "\\ud800"), [["1", "39", "1500.5", "\ufffd",
                      "2024-01-01", "true"]]),
        "absent-keys": (f'{first}\n{{"y": false}}', [_JSON_ROWS[0], ["", "", "", "", "", "false"]]),
        "nested": (first.replace("39", '{"a": [1]}'), [["1", '{"a": [1]}', *_JSON_ROWS[0][2:]]]),
        "extra-keys": (first[:-1] + ', "more": 1}', [[*_JSON_ROWS[0], "1"]]),
        "deep-line": (f"{first}\n{'[' * 20_000}\n", [_JSON_ROWS[0], ["[" * 20_000]]),
    }  # fmt: skip
    for name, (text, rows) in odd.items():
        yield Nasty(f"json-{name}", "a.jsonl", text.encode(), rows)
    refused = {
        "empty-array": ("[]", "EmptyFile"),
        "cut-array": (json.dumps(records)[:-20], "UnreadableText"),
        "no-commas": (json.dumps(records).replace("}, {", "} {"), "UnreadableText"),
        "wrapped": (json.dumps({"count": 3, "data": records}), "HeaderMismatch"),
        "numbers": ("[1, 2, 3]", "HeaderMismatch|UnreadableText"),
        "arrays": ("[[1, 2], [3, 4]]", "HeaderMismatch|UnreadableText"),
        "empty-objects": ("{}\n{}", "HeaderMismatch"),
        "renamed-key": (json.dumps(records).replace('"age"', '"Age"'), "HeaderMismatch"),
        "no-target": (json.dumps(records).replace('"y"', '"z"'), "HeaderMismatch"),
        "deep": ('[{"age": ' + "[" * 30_000, "UnreadableText"),
        "behind-array": (json.dumps(records) + "rest", "UnreadableText"),
        "text": ('"hello"', "HeaderMismatch|UnreadableText|EmptyFile"),
    }
    for name, (text, reason) in refused.items():
        yield Nasty(f"json-{name}", "a.json", text.encode(), refused=reason)


def json_table() -> pa.Table:
    return pa.Table.from_pylist(json_records())


def parquet(table: pa.Table, **options: Any) -> bytes:
    out = io.BytesIO()
    pa.parquet.write_table(table, out, **options)
    return out.getvalue()


def parquet_files() -> Iterator[Nasty]:
    for compression in ("none", "snappy", "gzip", "brotli", "zstd", "lz4"):
        for version in ("1.0", "2.6"):
            data = parquet(json_table(), compression=compression, version=version)
            yield Nasty(f"parquet-{compression}-{version}", "a.parquet", data, _JSON_ROWS)
    data = parquet(json_table(), row_group_size=1, use_dictionary=False, data_page_version="2.0")
    yield Nasty("parquet-row-groups", "a.csv", data, _JSON_ROWS)
    yield Nasty("parquet-no-suffix", "a", parquet(json_table()), _JSON_ROWS)
    yield Nasty("parquet-packed", "a.parquet.gz", gzip.compress(data), refused="BinaryFile")
    yield Nasty("parquet-is-csv", "a.parquet", text_of().encode(), refused="BinaryFile")
    yield Nasty("parquet-empty", "a.parquet", parquet(json_table()[:0]), refused="EmptyFile")
    for cut in range(10, len(data), len(data) // 12):
        yield Nasty(f"parquet-cut-{cut}", "a.parquet", data[:cut], refused="UnreadableText")


def other_files() -> Iterator[Nasty]:
    """What is no data file, under the name of one."""
    text = text_of().encode()
    archive, book = io.BytesIO(), io.BytesIO()
    with zipfile.ZipFile(archive, "w") as packed:
        packed.writestr("a.csv", text)
    with tarfile.open(fileobj=book, mode="w") as tape:
        entry = tarfile.TarInfo("a.csv")
        entry.size = len(text)
        tape.addfile(entry, io.BytesIO(text))
    things = {
        "zip": archive.getvalue(),
        "zip-empty": b"PK\x05\x06" + b"\0" * 18,
        "tar": book.getvalue(),
        "tar-gz": gzip.compress(book.getvalue()),
        "bzip2": bz2.compress(text),
        "xz": lzma.compress(text),
        "zstd": b"\x28\xb5\x2f\xfd" + text,
        "lz4": b"\x04\x22\x4d\x18" + text,
        "7z": b"7z\xbc\xaf\x27\x1c" + text,
        "rar": b"Rar!\x1a\x07\x01" + text,
        "gz-twice": gzip.compress(gzip.compress(text)),
        "zip-gz": gzip.compress(archive.getvalue()),
        "xls": b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + text,
        "pdf": b"%PDF-1.7\n" + text,
        "sqlite": b"SQLite format 3\x00" + text,
        "orc": b"ORC\x01" + text,
        "avro": b"Obj\x01" + text,
        "feather": b"ARROW1\0\0" + text,
        "encrypted-parquet": b"PARE" + text,
        "hdf5": b"\x89HDF\r\n\x1a\n" + text,
        "npy": b"\x93NUMPY\x01\x00" + text,
        "png": b"\x89PNG\r\n\x1a\n" + text,
        "jpeg": b"\xff\xd8\xff\xe0" + text,
        "elf": b"\x7fELF" + text,
        "rtf": b"{\\rtf1 " + text,
        "html": b"<!DOCTYPE html><html><body>Sign in</body></html>",
        "html-bare": b"\n <html>\n<table></table></html>",
        "xml": b'<?xml version="1.0"?><rows></rows>',
        **{f"pickle-{n}": pickle.dumps([{"a": 1}] * 3, protocol=n) for n in (2, 3, 4, 5)},
    }
    for name, data in things.items():
        yield Nasty(f"other-{name}", "a.csv", data, refused="BinaryFile")
    for codec in ("utf-16", "utf-16-le", "utf-16-be"):
        plain = text_of(ROWS[:1]).encode(codec)
        yield Nasty(f"other-{codec}", "a.csv", plain, refused="UnreadableText")
    for codec in ("utf-32", "utf-32-be"):
        plain = text_of(ROWS[:1]).encode(codec)
        yield Nasty(f"other-{codec}", "a.csv", plain, refused="UnreadableText|BinaryFile")
    yield Nasty(
        "other-ebcdic",
        "a.csv",
        text_of(ROWS[1:2]).encode("cp037"),
        refused="HeaderMismatch|EmptyFile",
    )
    yield Nasty("other-prose", "a.txt", b"Dear all,\n\nplease find attached.\n\nBest\n",
                refused="HeaderMismatch")  # fmt: skip
    yield Nasty("other-yaml", "a.csv", b"task: binary\ntarget: y\n", refused="HeaderMismatch")
