"""Whatever form a record of several sources comes in, the answer is one, to the bit."""

from __future__ import annotations

import io
import json
import random
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pyarrow as pa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.serving.cells import CellRules
from shared.serving.sources.aggregates import SourceAggregates
from shared.serving.times import moment_of
from shared.spec.model import Source
from shared.tabular.joins.joining import Join
from shared.tabular.reading.sheets import Block, open_sheet
from tests.support.sources import (
    Rows,
    canonical,
    transactions,
)
from tests.support.sources_world import PATH, Sources

_AMOUNTS = (
    st.none() | st.integers(-(10**9), 10**9) | st.floats(allow_nan=False, allow_infinity=False)
)
_TIMES = ["2025-11-30", "2025-12-31T23:59:59.999999Z", "2025-12-31 22:00:00+01:00", "2026-01-01"]
_ROW = st.fixed_dictionaries(
    {
        "at": st.sampled_from([*_TIMES, "2027-05-05"]),
        "amount": _AMOUNTS,
        "shop": st.none() | st.text(max_size=4) | st.integers(-9, 9) | st.sampled_from(["A", "7"]),
    }
)
_CUSTOMERS = st.dictionaries(
    st.text(st.characters(codec="utf-8"), min_size=1, max_size=6).filter(
        lambda key: key == transactions().key_of(key) and key != ""
    ),
    st.lists(_ROW, max_size=8),
    min_size=1,
    max_size=4,
)


def as_texts(row: dict[str, Any]) -> dict[str, str]:
    """The row as a JSON lines file holds it, once read as cells of text."""
    return {
        name: "" if value is None else value if isinstance(value, str) else json.dumps(value)
        for name, value in row.items()
    }


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    _CUSTOMERS,
    st.sampled_from(["2026-01-01", "2027-05-05T12:00:00Z", "2028-01-01T00:00:00Z"]),
    st.booleans(),
    st.randoms(use_true_random=False),
)
def test_all_forms_agree_to_the_bit(
    customers: dict[str, Rows], moment: str, own_cutoff: bool, shuffle: random.Random
) -> None:
    """Key, columns, rows in any order, and what a job makes of the texts of a file sorted by key
    and time: one answer, one log line."""
    world = Sources(known=customers, as_of="decided" if own_cutoff else moment)
    own = {"decided": moment} if own_cutoff else {}
    source = world.source
    cutoff = source.cutoff(own)
    for key, rows in customers.items():
        if own_cutoff and any(moment_of(row["at"]) >= moment_of(moment) for row in rows):
            continue  # a look-up is refused, see test_a_records_own_cutoff
        by_job = source.values(
            sorted(map(as_texts, rows), key=lambda row: (source.time_of(row["at"]), str(row))),
            cutoff,
        )
        columns = {
            name: None if value == "" or value != value else value  # noqa: PLR0124 - NaN
            for name, value in by_job.items()
        }
        mixed = list(rows)
        shuffle.shuffle(mixed)
        forms: list[dict[str, Any]] = [
            {"customer": key},
            {"customer": key, **columns},
            {"customer": key, "transactions": mixed},
            {"customer": key, "transactions": [as_texts(row) for row in rows]},
        ]
        found = set()
        for form in forms:
            prediction = world.one({"age": 7, **own, **form})
            found.add((repr(prediction["score"]), canonical(world.instance())))
        assert len(found) == 1
        many = world.ask([{"age": 7, **own, **form} for form in forms], PATH)[1]["predictions"]
        assert len({row["score"] for row in many}) == 1


def joined(
    customers: dict[str, Rows], source: SourceAggregates, own: dict[str, str]
) -> dict[str, dict[str, str]]:
    """The columns that training and scoring make of the files, as cells."""
    lines = [{"customer": key, **row} for key, rows in customers.items() for row in rows]
    data = "".join(json.dumps(line) + "\n" for line in lines).encode()
    primary = "".join(json.dumps({"customer": key, **own}) + "\n" for key in customers).encode()

    def blocks(content: bytes) -> Iterator[Block]:
        yield from open_sheet(io.BytesIO(content), Source(format="jsonl")).blocks

    with (
        tempfile.TemporaryDirectory() as folder,
        closing(Join(Path(folder), [source], CellRules())) as join,
    ):
        join.load(source.name, [("file", block) for block in blocks(data)] if lines else [])
        join.place(blocks(primary))
        join.compute()
        reading = join.read()
        found: list[dict[str, str]] = []
        for block in blocks(primary):
            cells = reading.beside(block).cells
            found += pa.table(cells).to_pylist()
    return dict(zip(customers, found, strict=True))


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(_CUSTOMERS, st.sampled_from([None, "2027-05-05T12:00:00Z", "2028-01-01"]))
def test_the_join_of_a_training_agrees(customers: dict[str, Rows], decided: str | None) -> None:
    """What DuckDB's join writes into the training's rows is what a look-up and rows give."""
    world = Sources(known=customers, as_of="decided" if decided else "2026-01-01")
    schema, own = world.package.schema, {"decided": decided} if decided else {}
    for key, cells in joined(customers, world.source, own).items():
        columns, problems = schema.from_cells({"age": ["7"], **{n: [c] for n, c in cells.items()}})
        assert not problems
        wanted = {name: column[0] for name, column in columns.items()}
        for form in ({"customer": key}, {"transactions": customers[key]}):
            world.one({"age": 7, **own, **form})
            instance = {name: world.instance()[name] for name in schema.names}
            found = schema.from_records([instance])
            assert repr({name: column[0] for name, column in found.items()}) == repr(wanted)
