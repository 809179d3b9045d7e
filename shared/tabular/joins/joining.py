"""Several sources as one: columns made of the other sources' rows, beside each primary row.

    load(source, rows)  for each joined source     place(rows)  keys and cut-offs of the primary
                     `--------------> compute() <--------------'
                                         |
                     read().beside(block): the block with its new columns, in the primary's order

Everything lies in one DuckDB file that is thrown away at the end; in memory are a block, and the
rows of one key. Keys join in the spelling of `CellRules.category_of` (`3`, `3.0` and `"3"` are
one); columns come from `shared.serving.sources.aggregates`, as in the predictor. A new cell is a
text that reads back as the very same value. Knows no buckets and no specs.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from shared.errors import BadSource, HeaderMismatch
from shared.serving.cells import BadCell, CellRules
from shared.serving.sources.aggregates import Kind, Known, SourceAggregates
from shared.serving.times import moment_of
from shared.tabular.joins import sandbox
from shared.tabular.joins.loading import Origin, Reasons, read_column
from shared.tabular.joins.sandbox import Limits
from shared.tabular.joins.sides import Side
from shared.tabular.joins.tables import Appender, stream
from shared.tabular.validating.row_reasons import BadRow

if TYPE_CHECKING:
    import duckdb

    from shared.tabular.reading.sheets import Block


@dataclass(frozen=True, slots=True)
class Unusable:
    """Why a primary row has no columns: a key of ROW_REASONS, and a sentence."""

    code: str
    sentence: str


@dataclass(frozen=True, slots=True)
class Beside:
    """New cells of the rows of a block, and by row why some of them have none."""

    cells: dict[str, pa.Array]
    unusable: dict[int, Unusable]


class Join:
    """One join. `rules` say how the primary's cells are written; `sql` has the SELECT of sources
    that are made by one. Close it with `close`."""

    def __init__(
        self,
        folder: Path,
        sources: Sequence[SourceAggregates],
        rules: CellRules,
        *,
        sql: Mapping[str, str] | None = None,
        limits: Limits | None = None,
    ) -> None:
        """Raises BadSource, BadSql."""
        self.rules = rules
        self.database: duckdb.DuckDBPyConnection = sandbox.connect(folder / "join.duckdb", limits)
        self.sides: list[Side] = []
        with ExitStack() as undo:
            undo.callback(self.close)
            for place, source in enumerate(sources):
                select = (sql or {}).get(source.name)
                side = Side(place, source, self.database, folder, sql=select, limits=limits)
                self.sides.append(side)
            undo.pop_all()
        self._records = 0

    def close(self) -> None:
        for side in self.sides:
            side.close()
        self.database.close()

    @property
    def columns(self) -> dict[str, Kind]:
        """The new columns, in order."""
        return {name: kind for side in self.sides for name, kind in side.source.types.items()}

    # --- rows come in ----------------------------------------------------------------------------

    def load(self, name: str, origins: Iterable[Origin]) -> None:
        """All rows of a joined source. Raises HeaderMismatch."""
        self.side(name).load(origins)

    def side(self, name: str) -> Side:
        return next(side for side in self.sides if side.source.name == name)

    def bad(self) -> Iterator[BadRow]:
        """Records of joined sources that could not be joined."""
        for side in self.sides:
            yield from side.bad()

    def place(self, blocks: Iterable[Block]) -> None:
        """Keys and cut-offs of all rows of the primary. Raises HeaderMismatch, BadSource."""
        keys = [(f"k{side.place}", pa.string()) for side in self.sides]
        cutoffs = [(f"a{side.place}", pa.float64()) for side in self.sides]
        fixed = [("rid", pa.int64()), ("code", pa.string()), ("sentence", pa.string())]
        records = Appender(self.database, "records", pa.schema([*fixed, *keys, *cutoffs]))
        for block in blocks:
            records.insert(
                self._keys(block).select([name for name, _ in [*fixed, *keys, *cutoffs]])
            )
            self._records += len(block)

    def _keys(self, block: Block) -> pa.Table:
        """The block's rows as the join sees them."""
        reasons = Reasons()
        columns: dict[str, pa.Array] = {}
        done: dict[str, pa.Array] = {}
        for side in self.sides:
            source = side.source
            self._check_names(source, block)
            if source.key not in done:
                done[source.key] = self._key(block, source.key, reasons)
            columns[f"k{side.place}"] = done[source.key]
            columns[f"a{side.place}"] = self._cutoff(block, source, reasons)
        why: list[tuple[str | None, str | None]] = [(None, None)] * len(block)
        for row, found in reasons.by_row.items():
            why[row] = (found[0][0], "; ".join(sentence for _, sentence in found))
        rids = np.arange(self._records, self._records + len(block))
        columns["rid"] = pa.array(rids, pa.int64())
        columns["code"] = pa.array([code for code, _ in why], pa.string())
        columns["sentence"] = pa.array([sentence for _, sentence in why], pa.string())
        return pa.table(columns)

    def _key(self, block: Block, column: str, reasons: Reasons) -> pa.Array:
        found = read_column(block.cells[column], self.rules.category_of, number=False)
        for row in np.flatnonzero(found.values == "").tolist():
            reasons.add(row, "key", f"{column}: must be present, it joins the sources")
        return pa.array(found.values, pa.string())

    def _cutoff(self, block: Block, source: SourceAggregates, reasons: Reasons) -> pa.Array:
        column = source.as_of_column
        if column is None:
            return pa.nulls(len(block), pa.float64())

        def read(text: str) -> float:
            moment = moment_of(text, self.rules.missing)
            if math.isnan(moment):
                raise BadCell(f"must be present: {source.name} are seen up to it", "time")
            return moment

        found = read_column(block.cells[column], read, number=True)
        reasons.add_all(column, block.cells[column], found, "time")
        return pa.array(found.values, pa.float64())

    def _check_names(self, source: SourceAggregates, block: Block) -> None:
        if source.key not in block.cells:
            raise HeaderMismatch(
                f"the primary lacks {source.key}, which joins {source.name} to it; its columns are "
                f"{', '.join(block.cells)[:300]}"
            )
        if source.as_of_column is not None and source.as_of_column not in block.cells:
            raise BadSource(
                f"sources.{source.name}.as_of is {source.as_of!r}: neither a date such as "
                f"2026-01-31 nor a column of the primary, which has {', '.join(block.cells)[:300]}"
            )

    # --- columns come out ------------------------------------------------------------------------

    def compute(self) -> None:
        """Make the new columns. Raises BadSql."""
        for side in self.sides:
            side.compute()
        tables, lacks = ["records r"], "NULL"
        for side in reversed(self.sides):
            if side.there:
                tables.insert(1, f"LEFT JOIN {side.found_by}")
                if side.source.join == "inner":
                    lacks = f"CASE WHEN {side.alias}.k IS NULL THEN {side.place} ELSE {lacks} END"
        columns = ["r.rid", "r.code", "r.sentence", f"CAST({lacks} AS INTEGER) AS lacks"]
        for side in self.sides:
            columns += side.answers()
        self.database.execute(
            f"CREATE TABLE joined AS SELECT {', '.join(columns)} "
            f"FROM {' '.join(tables)} ORDER BY rid"
        )
        self.database.execute("CHECKPOINT")

    def read(self) -> Reading:
        """The new columns from the first primary row on; as often as wanted."""
        return Reading(self)

    def known(self, name: str) -> Iterator[Known]:
        """What a snapshot of a source keeps: all its keys and those of the primary, in order."""
        side = self.side(name)
        for batch in stream(self.database, side.every_key()):
            columns = [column.to_pylist() for column in batch.columns]
            for key, there, latest, recent, *values in zip(*columns, strict=True):
                made = zip(side.source.types, values, strict=True) if there else ()
                yield Known(key, dict(made) or side.empty.values, latest, recent)


class Reading:
    """The new columns, read along with the primary's blocks."""

    def __init__(self, join: Join) -> None:
        self._join = join
        self._batches = stream(join.database, "SELECT * FROM joined")
        self._left: list[pa.RecordBatch] = []

    def beside(self, block: Block) -> Beside:
        """What belongs beside the rows of the next block."""
        table = self._take(len(block))
        sources = [side.source.name for side in self._join.sides]
        unusable = {}
        codes, lacks = table["code"], table["lacks"]
        for row in np.flatnonzero(codes.is_valid().to_numpy() | lacks.is_valid().to_numpy()):
            code, lacking = codes[int(row)].as_py(), lacks[int(row)].as_py()
            unusable[int(row)] = (
                Unusable(code, table["sentence"][int(row)].as_py())
                if code is not None
                else Unusable("no_partner", f"{sources[lacking]} has no rows of this key")
            )
        columns = zip(self._join.columns.items(), table.columns[4:], strict=True)
        cells = {
            name: as_cells(column.to_pylist(), kind, self._join.rules)
            for (name, kind), column in columns
        }
        return Beside(cells, unusable)

    def _take(self, rows: int) -> pa.Table:
        found: list[pa.RecordBatch] = []
        missing = rows
        while missing:
            batch = self._left.pop() if self._left else next(self._batches)
            found.append(batch.slice(0, missing))
            if len(batch) > missing:
                self._left.append(batch.slice(missing))
            missing -= len(found[-1])
        return pa.Table.from_batches(found, schema=found[0].schema if found else self._schema())

    def _schema(self) -> pa.Schema:
        with self._join.database.cursor() as cursor:
            return cursor.sql("SELECT * FROM joined LIMIT 0").to_arrow_table().schema


def as_cells(values: Sequence[Any], kind: Kind, rules: CellRules) -> pa.Array:
    """Values as cells of the primary's file; None and NaN are missing."""
    if kind == "category":
        return pa.array(["" if text is None else text for text in values], pa.string())
    known: dict[float, str] = {}
    texts = []
    for value in values:
        text = known.get(value)
        if text is None:
            text = known[value] = spell(value, rules)
        texts.append(text)
    return pa.array(texts, pa.string())


def spell(value: Any, rules: CellRules) -> str:
    """A number as a cell that these rules read back as the very same float; "" for missing."""
    if value is None or math.isnan(value):
        return ""
    for text in (repr(value), f"{value:.17e}", f"{value:.18e}"):
        found = text.replace(".", rules.decimal)
        if found not in rules.missing:  # somebody's marker for a missing value may be 999.0
            return found
    return ""
