"""What a joined source adds to a model: aggregates of its rows, or the columns of its SQL.

    (source,) = sources_of(spec)                     # SourceAggregates
    source.values(rows, source.cutoff(record))       # {"spent": 135.0, ...} of ONE key's rows
    source.known(key, source.convert(rows))          # what the snapshot keeps of this key

Training and scoring (`shared.usecases.training.joined`) and the predictor all run this, so that
a customer gets the same bits from each. With a cut-off no row at or after it is seen.

Standard library only. The functions themselves are in `shared.serving.sources.aggregate_functions`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from shared.serving.cells import BadCell, CellRules
from shared.serving.sources.aggregate_functions import (
    FUNCTIONS,
    Aggregate,
    Input,
    Kind,
    Rows,
    Value,
    compute,
    days_between,
    literal_as_of,
    missing_of,
    parse,
    parse_all,
)
from shared.serving.sources.aggregate_recent import Recent
from shared.serving.sources.aggregate_rows import BadRecord, Record, SourceRows
from shared.serving.sources.snapshot import Known, SnapshotRef
from shared.serving.times import moment_of

if TYPE_CHECKING:  # the spec needs pydantic, which serving does not carry
    from shared.spec.model import JoinedSource, Spec

__all__ = [
    "FUNCTIONS",
    "Aggregate",
    "BadRecord",
    "Input",
    "Kind",
    "Known",
    "LaterRows",
    "Rows",
    "SnapshotRef",
    "SourceAggregates",
    "Value",
    "literal_as_of",
    "missing_of",
    "parse",
    "parse_all",
    "sources_of",
]


class LaterRows(ValueError):
    """The snapshot's values of a key are made of rows that a record must not see."""


@dataclass(frozen=True, kw_only=True)
class SourceAggregates(SourceRows):
    """What one joined source adds to a model, and how it is given at prediction time.

    Args:
        types: The columns it adds, in order.
        as_of: A date, or the name of a time column of the primary.
        defaults: For keys that the snapshot does not know. Training and scoring never use them:
            there a key without rows has no rows.
        snapshot: Where the values of all keys lie; None where a version has none.
    """

    types: Mapping[str, Kind]
    as_of: str | None = None
    join: Literal["left", "inner"] = "left"
    defaults: Mapping[str, Value] = field(default_factory=dict)
    max_age_seconds: float | None = None
    too_old: Literal["flag", "refuse"] = "flag"
    snapshot: SnapshotRef | None = None

    @classmethod
    def of(
        cls, name: str, source: JoinedSource, *, types: Mapping[str, Kind] | None = None
    ) -> SourceAggregates:
        """The aggregates of a spec's source. `types` are those that the spec's `columns` give to
        columns it adds. Raises ValueError."""
        kinds: dict[str, Kind] = {**source.derived}
        kinds |= {key: kind for key, kind in (types or {}).items() if key in kinds}
        age = source.max_age
        return cls(
            name=name,
            key=source.key,
            aggregates=parse_all(
                source.aggregates, time=source.time, as_of=source.as_of, types=kinds
            ),
            types=kinds,
            time=source.time,
            as_of=source.as_of,
            join=source.join,
            defaults=source.defaults,
            max_age_seconds=None if age is None else age.total_seconds(),
            too_old=source.too_old,
            rules=CellRules(missing=source.missing, strip=source.strip, decimal=source.decimal),
        )

    # --- what it reads ---------------------------------------------------------------------------

    @cached_property
    def recent(self) -> Recent:
        """What a window may need when a record brings a cut-off after a key's last row: kept in
        the snapshot, because rows leave a window as time goes on."""
        moves = () if self.as_of_column is None else self.aggregates
        return Recent(tuple(one for one in moves if one.window_seconds is not None))

    @property
    def is_sql(self) -> bool:
        return not self.aggregates

    @cached_property
    def fixed_as_of(self) -> float | None:
        """The cut-off, when it is one moment for all records."""
        return literal_as_of(self.as_of)

    @property
    def as_of_column(self) -> str | None:
        """The primary's column that holds the cut-off, when each record has its own."""
        return None if self.fixed_as_of is not None else self.as_of

    def cutoff(self, record: Record, rules: CellRules | None = None) -> float | None:
        """The moment before which rows are seen for this record of the primary (`rules` are the
        primary's), None without one. Raises BadRecord."""
        column = self.as_of_column
        if column is None:
            return self.fixed_as_of
        value = record.get(column)
        try:
            moment = moment_of(value, (rules or self.rules).missing)
        except BadCell as error:
            raise BadRecord(column, value, error.rule) from error
        if math.isnan(moment):
            raise BadRecord(column, value, f"must be present: {self.name} are seen up to it")
        return moment

    # --- values ----------------------------------------------------------------------------------

    def values(self, rows: Iterable[Record], as_of: float | None = None) -> dict[str, Value]:
        """The columns that the rows of one key give, in any order. Raises BadRecord."""
        return self.aggregate(self.convert(rows), as_of)

    def aggregate(self, rows: Rows, as_of: float | None = None) -> dict[str, Value]:
        """The columns that converted rows of one key give; a row at `as_of` or later is not seen.
        A source made by SQL gives none.

        Raises ValueError without the cut-off that the spec declares.
        """
        if self.as_of is not None and (as_of is None or math.isnan(as_of)):
            raise ValueError(f"{self.name} declares as_of, so a cut-off is needed")
        seen = self.seen(rows, as_of)
        return {one.name: compute(one, seen, as_of) for one in self.aggregates}

    def seen(self, rows: Rows, as_of: float | None) -> Rows:
        """The rows that happened before the cut-off; all of them where there is none."""
        if as_of is None:
            return rows
        places = [place for place, time in enumerate(rows.times) if time < as_of]
        if len(places) == len(rows.times):
            return rows
        columns = {key: [cells[place] for place in places] for key, cells in rows.columns.items()}
        return Rows([rows.times[place] for place in places], columns)

    def nothing(self) -> dict[str, Value]:
        """What no rows give; a source made by SQL gives missing values."""
        rows = Rows([], {key: [] for key in self.inputs})
        made = {one.name: compute(one, rows, None) for one in self.aggregates}
        return {name: made.get(name, missing_of(kind)) for name, kind in self.types.items()}

    def known(self, key: str, rows: Rows) -> Known:
        """What the snapshot keeps of a key's rows: of all keys of the source, and of those of the
        primary that have no rows unless they are left out of training (`join: inner`)."""
        if self.as_of_column is None:
            return Known(key, self.aggregate(rows, self.fixed_as_of))
        values = {one.name: compute(one, rows, None) for one in self.aggregates}
        latest = max(rows.times, default=None)
        return Known(key, values, latest, self.recent.text_of(rows))

    def recall(self, known: Known, as_of: float | None) -> dict[str, Value]:
        """The values of a key of the snapshot for a record with this cut-off: exactly what
        `aggregate` gives for its rows. Raises LaterRows when some of them are not to be seen."""
        if self.as_of_column is None or known.latest is None or as_of is None:
            return dict(known.values)
        if known.latest >= as_of:
            raise LaterRows(self.name)
        days = {
            one.name: days_between(known.latest, as_of)
            for one in self.aggregates
            if one.function == "recency"
        }
        windows = self.recent.values(known.recent, as_of)
        return {**known.values, **days, **windows}

    # --- JSON ------------------------------------------------------------------------------------

    def to_json(self) -> dict[str, Any]:
        made = {one.name: str(one) for one in self.aggregates}
        return {
            "name": self.name,
            "key": self.key,
            # A list: package.json sorts the keys of objects.
            "columns": [
                {"name": name, "type": kind, "aggregate": made.get(name)}
                for name, kind in self.types.items()
            ],
            "time": self.time,
            "as_of": self.as_of,
            "join": self.join,
            "defaults": dict(self.defaults),
            "max_age_seconds": self.max_age_seconds,
            "too_old": self.too_old,
            "missing": list(self.rules.missing),
            "strip": self.rules.strip,
            "decimal": self.rules.decimal,
            "snapshot": self.snapshot and asdict(self.snapshot),
        }

    @classmethod
    def from_json(cls, body: Mapping[str, Any]) -> SourceAggregates:
        """Raises KeyError, TypeError, ValueError."""
        time, as_of, snapshot = body["time"], body["as_of"], body["snapshot"]
        types: dict[str, Kind] = {item["name"]: item["type"] for item in body["columns"]}
        made = {item["name"]: item["aggregate"] for item in body["columns"] if item["aggregate"]}
        return cls(
            name=body["name"],
            key=body["key"],
            aggregates=parse_all(made, time=time, as_of=as_of, types=types),
            types=types,
            time=time,
            as_of=as_of,
            join=body["join"],
            defaults=body["defaults"],
            max_age_seconds=body["max_age_seconds"],
            too_old=body["too_old"],
            rules=CellRules(
                missing=tuple(body["missing"]), strip=body["strip"], decimal=body["decimal"]
            ),
            snapshot=SnapshotRef(**snapshot) if snapshot else None,
        )


def sources_of(spec: Spec) -> tuple[SourceAggregates, ...]:
    """What every source but the primary adds, in the spec's order. Raises ValueError."""
    types: dict[str, Kind] = {
        name: "number" if column.type == "number" else "category"
        for name, column in spec.derived.items()
    }
    return tuple(
        SourceAggregates.of(name, source, types=types)
        for name, source in spec.sources.items()
        if name != spec.primary
    )
