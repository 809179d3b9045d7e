"""Files as people, spreadsheets and broken transfers make them: each named, each with its verdict.

    for file in corpus(): file.rows      what a reader must give, cell for cell, or
                          file.refused   the class of the refusal, or neither: either will do

Deterministic, and no file on disk: a test reads them from memory.
"""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Iterator

from tests.support.nasty_csv import (
    NAMES,
    ROWS,
    SPEC,
    Nasty,
    blank_lines,
    dialects,
    headers,
    headless,
    text_of,
)
from tests.support.nasty_formats import (
    json_files,
    json_records,
    json_table,
    other_files,
    parquet,
    parquet_files,
)
from tests.support.nasty_rows import dirt, late

__all__ = ["NAMES", "SPEC", "Nasty", "corpus"]


def corpus() -> list[Nasty]:
    """All of them; names differ."""
    found = [
        *dialects(),
        *blank_lines(),
        *headless(),
        *headers(),
        *dirt(),
        *late(),
        *json_files(),
        *parquet_files(),
        *other_files(),
        *_cut(),
        *_random(),
    ]
    assert len({item.name for item in found}) == len(found)
    return found


# --- broken transfers and noise ------------------------------------------------------------------


def _cut() -> Iterator[Nasty]:
    text = text_of(ROWS[:3]).encode()
    for cut in range(1, len(text), 9):
        yield Nasty(f"cut-csv-{cut}", "a.csv", text[:cut])
    packed = gzip.compress(text)
    for cut in range(3, len(packed) - 1, 8):
        yield Nasty(f"cut-gz-{cut}", "a.csv.gz", packed[:cut], refused="UnreadableText")
    array = json.dumps(json_records()).encode()
    for cut in range(2, len(array), 23):
        yield Nasty(f"cut-json-{cut}", "a.json", array[:cut])


def _random() -> Iterator[Nasty]:
    chance = random.Random(7)
    text = text_of().encode()
    for n in range(25):
        yield Nasty(f"noise-{n}", "a.csv", chance.randbytes(chance.randint(1, 2000)))
    for n in range(25):
        data = bytearray(text)
        for _ in range(chance.randint(1, 12)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        yield Nasty(f"flipped-{n}", "a.csv", bytes(data))
    table = parquet(json_table())
    for n in range(15):
        broken = bytearray(table)
        for _ in range(3):
            broken[chance.randrange(4, len(broken))] = chance.randrange(256)
        yield Nasty(f"flipped-parquet-{n}", "a.parquet", bytes(broken))
    for n in range(15):
        broken = bytearray(gzip.compress(text))
        broken[chance.randrange(10, len(broken))] ^= 1 << chance.randrange(8)
        yield Nasty(f"flipped-gz-{n}", "a.csv", bytes(broken), refused="UnreadableText")
