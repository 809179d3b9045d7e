"""Listings: prefix, delimiter, pages, versions. Pure SQL reading."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from shared.adapters.memory.objects import Page, Stored, from_row

_LAST = chr(0x10FFFF)


@dataclass(frozen=True, slots=True)
class Query:
    """`start` is inclusive, `end` exclusive, both plain names; `start_generation` continues
    inside the versions of `start`."""

    prefix: str = ""
    delimiter: str = ""
    start: str = ""
    start_generation: int = 0
    end: str = ""
    limit: int = 1000
    versions: bool = False


def page(tx: sqlite3.Connection, bucket: str, query: Query) -> Page:
    """Items and prefixes count together towards the limit, as at Google."""
    items: list[Stored] = []
    prefixes: list[str] = []
    at, generation = max(query.start, query.prefix), query.start_generation
    while True:
        room = query.limit - len(items) - len(prefixes)
        rows = _rows(tx, bucket, query, (at, generation), room + 1)
        for row in rows:
            name = row["name"]
            if room == 0:
                return Page(items, prefixes, (name, row["generation"]))
            folder = _folder(name, query)
            if folder:
                prefixes.append(folder)
                # Jump over everything inside the folder instead of reading it.
                at, generation = _after(folder), 0
                break
            items.append(from_row(row))
            room -= 1
        else:
            return Page(items, prefixes, None)


def _rows(
    tx: sqlite3.Connection, bucket: str, query: Query, at: tuple[str, int], limit: int
) -> list[sqlite3.Row]:
    ends = [end for end in (_after(query.prefix), query.end) if end]
    return tx.execute(
        f"SELECT * FROM objects WHERE bucket = ? AND (name, generation) >= (?, ?)"  # noqa: S608
        f"{'' if query.versions else ' AND live = 1'}{' AND name < ?' if ends else ''}"
        " ORDER BY name, generation LIMIT ?",
        (bucket, *at, *([min(ends)] if ends else []), limit),
    ).fetchall()


def _folder(name: str, query: Query) -> str | None:
    if not query.delimiter:
        return None
    cut = name.find(query.delimiter, len(query.prefix))
    return None if cut < 0 else name[: cut + len(query.delimiter)]


def _after(prefix: str) -> str:
    """The smallest name behind every name with this prefix; empty: there is none."""
    prefix = prefix.rstrip(_LAST)
    if not prefix:
        return ""
    following = ord(prefix[-1]) + 1
    if 0xD800 <= following <= 0xDFFF:  # surrogates are no characters
        following = 0xE000
    return prefix[:-1] + chr(following)
