"""A served model whose rows are made of several sources."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from shared.ports import Bucket
from shared.serving.columns import Columns, Schema
from shared.serving.encoder import Encoder
from shared.serving.features import Feature
from shared.serving.package import Package, linear_engine
from shared.serving.sources.aggregates import Known, SourceAggregates
from shared.serving.sources.snapshot import SnapshotMeta, write_snapshot
from shared.spec.model import JoinedSource
from tests.unit.serving.models import serve

MODEL = "response"
AGE = Feature("age", "number")
AGGREGATES = {
    "visits": "count",
    "spent": "sum(amount)",
    "average": "mean(amount)",
    "least": "min(amount)",
    "most": "max(amount)",
    "newest": "last(amount)",
    "shop": "last(shop)",
    "shops": "distinct(shop)",
    "days": "recency",
    "visits_lately": "count over 30d",
    "spent_lately": "sum(amount) over 490d",
    "average_lately": "mean(amount) over 30d",
    "least_lately": "min(amount) over 30d",
    "most_lately": "max(amount) over 30d",
    "newest_lately": "last(amount) over 12h",
    "shop_lately": "last(shop) over 365d",
    "shops_lately": "distinct(shop) over 31d",
}
Rows = list[dict[str, Any]]


def transactions(**more: Any) -> SourceAggregates:
    """Every aggregate there is, as of 2026."""
    body = {"key": "customer", "time": "at", "as_of": "2026-01-01", "aggregates": AGGREGATES}
    joined = JoinedSource.model_validate({**body, **more})
    return SourceAggregates.of(
        "transactions", joined, types={"shop": "category", "shop_lately": "category"}
    )


def scores(**more: Any) -> SourceAggregates:
    """A source made by SQL."""
    body = {"key": "customer", "sql": "SELECT 1", "sql_columns": {"rating": "number"}, **more}
    return SourceAggregates.of("scores", JoinedSource.model_validate(body))


def keep(
    source: SourceAggregates,
    known: Iterable[Known],
    lake: Bucket,
    *,
    version: str = "v1",
    features_as_of: str = "2026-01-01T00:00:00Z",
) -> SourceAggregates:
    """Store a snapshot where training puts it; the source that knows it comes back."""
    meta = SnapshotMeta(MODEL, version, source.name, features_as_of, tuple(source.types))
    with tempfile.TemporaryDirectory() as folder:
        ref = write_snapshot(Path(folder) / "s", known, meta)
        lake.upload(ref.object, Path(folder) / "s")
    return replace(source, snapshot=ref)


def known_of(source: SourceAggregates, rows: Mapping[str, Rows]) -> list[Known]:
    return [source.known(key, source.convert(found)) for key, found in rows.items()]


def package_of(*sources: SourceAggregates, version: str = "v1", **more: Any) -> Package:
    """A regression over `age` and all that the sources add; each column moves the answer."""
    derived = {name: kind for source in sources for name, kind in source.types.items()}
    features = (AGE, *(Feature(name, kind) for name, kind in derived.items()))
    schema = Schema(features, **more)
    columns: Columns = {
        feature.name: np.array([1.0, 4.0, 9.0, np.nan])
        if feature.kind == "number"
        else np.array(["A", "B", "7", ""], object)
        for feature in features
    }
    encoder = Encoder.fit(columns, features, "linear", min_frequency=1)
    return Package(
        model=MODEL,
        version=version,
        task="regression",
        schema=schema,
        encoder=encoder,
        engine=linear_engine(np.linspace(0.1, 1.0, len(encoder.names)), 0.5, "identity"),
        created="2026-01-01T00:00:00Z",
        sources=sources,
    )


def serve_sources(package: Package, lake: Bucket, *, log: str = "sync") -> None:
    serve(package, lake, log=log)


def canonical(instance: Mapping[str, Any]) -> str:
    """To be compared to the bit."""
    return json.dumps(dict(sorted(instance.items())))
