"""The rows of one joined source, on their way into the database: read, checked, spelled to join.

    block of texts -> key as category_of spells it, moment in seconds, numbers, categories
                   -> or a bad row with its reasons and its original cells

Each distinct text of a block is read once, by the functions that serving reads cells with.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from shared.errors import HeaderMismatch
from shared.serving.cells import BadCell
from shared.serving.sources.aggregates import SourceAggregates
from shared.tabular.validating.row_reasons import BadRow

if TYPE_CHECKING:
    from shared.tabular.reading.sheets import Block

Origin = tuple[str, "Block"]  # a file's name for people, and a block of it
_SHOWN = 200


@dataclass(frozen=True, slots=True)
class Read:
    """A column as values, and by row the rule that its text breaks."""

    values: NDArray[Any]
    broken: dict[int, str]


@dataclass(slots=True)
class Reasons:
    """Why rows of one block cannot be used: by row, codes with sentences."""

    by_row: dict[int, list[tuple[str, str]]] = field(default_factory=dict)

    def add(self, row: int, code: str, sentence: str) -> None:
        self.by_row.setdefault(row, []).append((code, sentence))

    def add_all(self, column: str, texts: pa.Array, read: Read, code: str) -> None:
        for row, rule in read.broken.items():
            shown = texts[row].as_py()[:_SHOWN]
            self.add(row, code, f"{column}: {rule} (it is {shown!r})")


def read_column(texts: pa.Array, read: Callable[[str], float | str], *, number: bool) -> Read:
    """Every text of a column through `read`, each different one once."""
    encoded = texts.dictionary_encode()
    found: list[Any] = []
    rules: dict[int, str] = {}
    for position, text in enumerate(encoded.dictionary.to_pylist()):
        try:
            found.append(read(text))
        except BadCell as error:
            found.append(np.nan if number else "")
            rules[position] = str(error)
    different: NDArray[Any] = np.empty(len(found), np.float64 if number else object)
    different[:] = found
    places = encoded.indices.to_numpy(zero_copy_only=False)
    broken = {}
    if rules:
        for row in np.flatnonzero(np.isin(places, list(rules))).tolist():
            broken[row] = rules[int(places[row])]
    return Read(different[places] if found else different, broken)


@dataclass(frozen=True, slots=True)
class Loaded:
    """A block's good rows as a table: `k`, `t` (with a time column), `c0`... one for each of
    `inputs`, and `r0`... the original cells, by which copies are found."""

    table: pa.Table
    bad: list[BadRow]


def load_block(origin: str, block: Block, source: SourceAggregates) -> Loaded:
    """Separate the rows of a block that can be joined. Raises HeaderMismatch."""
    check_columns(source, tuple(block.cells))
    reasons = Reasons()
    columns: dict[str, NDArray[Any]] = {}
    keys = _read_into(reasons, block, source.key, source.key_of, "key")
    for row in np.flatnonzero(keys == "").tolist():
        if row not in reasons.by_row:
            reasons.add(row, "key", f"{source.key}: must be present, it joins the sources")
    columns["k"] = keys
    if source.time is not None:
        columns["t"] = _read_into(reasons, block, source.time, source.time_of, "time")
    for position, (column, kind) in enumerate(source.inputs):
        number = kind == "number"
        read = source.number_of if number else source.rules.category_of
        columns[f"c{position}"] = _read_into(
            reasons, block, column, read, "number" if number else "set"
        )
    good = np.ones(len(keys), np.bool_)
    good[list(reasons.by_row)] = False
    table = pa.table(
        {
            **{name: _arrow(values) for name, values in columns.items()},
            **{f"r{place}": texts for place, texts in enumerate(block.cells.values())},
        }
    )
    kept = table if good.all() else table.filter(pa.array(good))
    return Loaded(kept, list(_bad_rows(origin, block, source.name, reasons)))


def check_columns(source: SourceAggregates, names: Sequence[str]) -> None:
    """Raises HeaderMismatch when a column that the join needs is not there."""
    missing = [name for name in source.columns_needed if name not in names]
    if missing:
        raise HeaderMismatch(
            f"{source.name} lacks {', '.join(missing)}; its columns are {', '.join(names)[:300]}"
        )


def _read_into(
    reasons: Reasons, block: Block, column: str, read: Callable[[str], float | str], code: str
) -> NDArray[Any]:
    texts = block.cells[column]
    found = read_column(texts, read, number=code in ("number", "time"))
    reasons.add_all(column, texts, found, code)
    return found.values


def _bad_rows(origin: str, block: Block, role: str, reasons: Reasons) -> Iterator[BadRow]:
    names = tuple(block.cells)
    for ragged in block.ragged:
        yield BadRow(
            origin, ragged.record, ragged.cells, (ragged.reason,), (ragged.code,), role, names
        )
    for row, why in sorted(reasons.by_row.items()):
        yield BadRow(
            source=origin,
            record=int(block.record[row]),
            cells=tuple(texts[row].as_py() for texts in block.cells.values()),
            reasons=tuple(sentence for _, sentence in why),
            codes=tuple(code for code, _ in why),
            role=role,
            names=names,
        )


def _arrow(values: NDArray[Any]) -> pa.Array:
    return pa.array(values, pa.float64() if values.dtype == np.float64 else pa.string())
