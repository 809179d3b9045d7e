"""Tiny models for tests: real packages, no training library."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from shared import paths
from shared.documents import dumps
from shared.ports import Bucket
from shared.serving.columns import Columns, Schema
from shared.serving.encoder import Encoder
from shared.serving.features import Bounds, Feature
from shared.serving.package import Package, TargetScale, linear_engine, package_sha256, write

FEATURES = (
    Feature("age", "number", require=Bounds(min=0.0)),
    Feature("gain", "number"),
    Feature("city", "category"),
    Feature("grade", "category"),
)
SCHEMA = Schema(FEATURES)
CELLS = {
    "age": ["39", "50", "", "28", "61", "44"],
    "gain": ["0", "12.5", "3", "0", "99999", "1"],
    "city": ["Köln", "Paris", "?", "Paris", "東京", "Köln"],
    "grade": ["1", "2", "2", "3", "1", "1"],
}


def training_columns() -> Columns:
    columns, problems = SCHEMA.from_cells(CELLS)
    assert not problems
    return columns


def binary_package(version: str = "v1", *, model: str = "adult", shift: float = 0.0) -> Package:
    """A logistic model over four columns; `shift` moves every score."""
    encoder = Encoder.fit(training_columns(), FEATURES, "linear", min_frequency=1)
    coef = np.linspace(-1.0, 1.0, len(encoder.names))
    return Package(
        model=model,
        version=version,
        task="binary",
        schema=SCHEMA,
        encoder=encoder,
        engine=linear_engine(coef, shift, "logit"),
        created="2026-01-01T00:00:00Z",
        labels=("<=50K", ">50K"),
        threshold=0.5,
        metrics={"auroc": 0.9},
    )


def regression_package(version: str = "v1", *, model: str = "houses") -> Package:
    encoder = Encoder.fit(training_columns(), FEATURES, "linear", min_frequency=1)
    return Package(
        model=model,
        version=version,
        task="regression",
        schema=SCHEMA,
        encoder=encoder,
        engine=linear_engine(np.linspace(-1.0, 1.0, len(encoder.names)), 2.0, "identity"),
        created="2026-01-01T00:00:00Z",
        target=TargetScale(scale=1000.0, low=0.0),
    )


def store(package: Package, lake: Bucket) -> dict[str, str]:
    """Put a package where training puts it; its hashes come back."""
    with tempfile.TemporaryDirectory() as folder:
        hashes = write(package, Path(folder))
        for name in hashes:
            data = (Path(folder) / name).read_bytes()
            lake.write(paths.package(package.model, package.version, name), data)
    return hashes


def version_json(package: Package, hashes: dict[str, str]) -> dict[str, Any]:
    files = {"files": hashes, "sha256": package_sha256(hashes)}
    return {"model": package.model, "version": package.version, "package": files}


def serve(
    package: Package,
    lake: Bucket,
    *,
    log: str = "off",
    hashes: dict[str, str] | None = None,
    **more: Any,
) -> None:
    """Store a package and point the serving manifest, with `more` keys, at it."""
    found = store(package, lake)
    body = {
        "model": package.model,
        "revision": 1,
        "champion": {
            "version": package.version,
            "package": paths.package(package.model, package.version),
            "sha256": package_sha256(found),
            "files": hashes or found,
        },
        "previous": None,
        "pinned": False,
        "log": log,
        "promoted_at": "2026-01-01T00:00:00Z",
        "by": "test",
        "moves": [],
        **more,
    }
    lake.write(paths.manifest(package.model), dumps(body))
