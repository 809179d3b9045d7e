"""JSON lines and JSON arrays in blocks of texts.

The columns are the keys of the objects in the first step of the file (4 MiB). An object that has
others later is ragged: it is neither dropped silently nor can it add a column to rows that have
been given already. Absent keys and null are "".
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain

from shared.errors import EmptyFile, HeaderMismatch
from shared.tabular.reading.blocks import Block, Ragged, block_of, check_lengths, rows_for
from shared.tabular.reading.json_values import Broken, array_values, line_values
from shared.tabular.reading.lines import Text
from shared.tabular.reading.spelling import storable, text_of, texts_of

Record = dict[str, object]


class JsonReader:
    """A JSON file; `names` are its columns."""

    def __init__(self, text: Text, *, block_rows: int) -> None:
        """Raises EmptyFile, UnreadableText, HeaderMismatch."""
        steps = text.steps()
        lines = text.source.format == "jsonl"
        self._values = line_values(steps) if lines else array_values(steps)
        self._decimal, self._block_rows = text.source.decimal, block_rows
        self._first = self._first_step()
        if not self._first:
            raise EmptyFile("the file holds no JSON records")
        keys = dict.fromkeys(
            key for _, value in self._first if isinstance(value, dict) for key in value
        )
        if not keys:
            raise HeaderMismatch(
                "no record at the file's start is a JSON object with fields; write one object per "
                "record, with the columns as its keys"
            )
        self._keys = list(keys)
        self.names = [
            storable(key).strip() or f"column_{place}" for place, key in enumerate(keys, start=1)
        ]

    def _first_step(self) -> list[tuple[int, object]]:
        found = []
        for number, value in self._values:
            found.append((number, value))
            if number > 1:  # the first of the second step is known too
                break
        return found

    def blocks(self) -> Iterator[Block]:
        """Once only. Raises UnreadableText."""
        values, self._first = self._first, []
        limit = rows_for(len(self.names), self._block_rows)
        known = set(self._keys)
        rows: list[Record] = []
        record: list[int] = []
        ragged: list[Ragged] = []
        began = 1
        for number, (step, value) in enumerate(chain(values, self._values), start=1):
            if step != began or len(rows) + len(ragged) >= limit:
                if rows or ragged:
                    yield self._block(rows, record, ragged)
                began, rows, record, ragged = step, [], [], []
            if isinstance(value, dict) and known.issuperset(value):
                rows.append(value)
                record.append(number)
            else:
                ragged.append(_ragged(number, value, known))
        if rows or ragged:
            yield self._block(rows, record, ragged)

    def _block(self, rows: Sequence[Record], record: list[int], ragged: list[Ragged]) -> Block:
        columns = [texts_of((row.get(key) for row in rows), self._decimal) for key in self._keys]
        try:
            block = block_of(self.names, columns, record, ragged)
        except UnicodeEncodeError:
            clean = [[storable(text) for text in column] for column in columns]
            block = block_of(self.names, clean, record, ragged)
        check_lengths(block)
        return block


def _ragged(number: int, value: object, known: set[str]) -> Ragged:
    if isinstance(value, Broken):
        return Ragged(number, (value.text,), value.why, "not_an_object")
    text = storable(text_of(value))
    if isinstance(value, dict):
        new = ", ".join(repr(storable(key)) for key in value if key not in known)[:200]
        reason = f"has the fields {new}, which no record in the file's first 4 MiB has"
        return Ragged(number, (text,), reason, "width")
    return Ragged(number, (text,), "is no JSON object", "not_an_object")
