"""The serving package: everything the predictor and the score job need of one model version.

    package.json   schema, fitted encoder, engine, threshold, labels, calibrator (plain JSON)
    trees.onnx     only for tree ensembles; trees-1.onnx, ... for a blend of several

Nothing is pickled. Training writes it, serving loads it, both run the same code:

    schema  = Schema.of(spec)                                   # shared.serving.columns
    columns, problems = schema.from_cells({"age": ["39", ""], "sex": ["Male", "?"]})
    encoder = Encoder.fit(columns, schema.seen, layout="tree")  # or "linear"
    x       = encoder.transform(columns)                        # float64 [n_rows, n_encoded]
    # linear: fit the estimator on x, then
    engine  = linear_engine(coef, intercept, link="logit")      # or "identity", "softmax"
    # trees: fit on x.astype(np.float32), convert ONLY the estimator (zipmap off), then
    engine  = tree_engine(onnx_bytes, output="probability")     # or "value" (regression)
    package = Package(model="adult_income", version=run_id, task="binary", schema=schema,
                      encoder=encoder, engine=engine, created="2026-01-01T00:00:00Z",
                      labels=("<=50K", ">50K"),                 # binary: (negative, positive)
                      threshold=0.41,                           # binary: positive when score >= it
                      calibrator=isotonic(x_points, y_points))  # or sigmoid(a, b), or None
    # regression: target=TargetScale(scale=100_000.0, low=0.0, high=None): value = raw * scale
    # several sources: sources=(SourceAggregates, ...), each with its snapshot in the lake
    hashes  = write(package, directory)                         # {"package.json": sha256, ...}

`shared.serving.loaded_model` answers from it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from shared.errors import PackageInvalid
from shared.serving.columns import Schema
from shared.serving.encoder import Encoder, NumberCode
from shared.serving.engine import (
    Calibrator,
    Engine,
    LinearEngine,
    Scores,
    isotonic,
    linear_engine,
    sigmoid,
    tree_engine,
)

if TYPE_CHECKING:
    from shared.serving.blend import JoinedEncoder
    from shared.serving.sources.aggregates import SourceAggregates

__all__ = [
    "Package",
    "TargetScale",
    "UNREADABLE",
    "content_sha256",
    "isotonic",
    "linear_engine",
    "package_sha256",
    "sigmoid",
    "tree_engine",
    "write",
]

FORMAT = 1
PACKAGE_FILE = "package.json"
# What reading JSON of another form than ours ends in.
UNREADABLE = (KeyError, TypeError, ValueError, AttributeError, IndexError, RecursionError)
Task = Literal["binary", "multiclass", "regression"]


@dataclass(frozen=True, slots=True)
class TargetScale:
    """From an engine's raw value to the file's own unit: `raw * scale`, kept within the ends."""

    scale: float = 1.0
    low: float | None = None
    high: float | None = None

    def apply(self, raw: Scores) -> Scores:
        values: Scores = raw * self.scale
        if self.low is None and self.high is None:
            return values
        return np.clip(values, self.low, self.high)


@dataclass(frozen=True, slots=True, eq=False)
class Package:
    """One model version, ready to serve.

    Args:
        labels: As the data spells them; binary: (negative, positive), regression: none.
        threshold: Binary only: the positive label from this score on.
        metrics: Holdout figures worth showing with the model.
        example: One record of the training data, shown to people who ask how to call.
        sources: What joined sources add to a record. `predict` takes their columns like any
            others; `shared.serving.sources.resolving` makes them from a key or from rows.
    """

    model: str
    version: str
    task: Task
    schema: Schema
    encoder: Encoder | JoinedEncoder
    engine: Engine
    created: str
    labels: tuple[str, ...] = ()
    threshold: float | None = None
    calibrator: Calibrator | None = None
    target: TargetScale = field(default_factory=TargetScale)
    metrics: Mapping[str, float] = field(default_factory=dict)
    example: Mapping[str, float | str | None] = field(default_factory=dict)
    sources: tuple[SourceAggregates, ...] = ()

    def __post_init__(self) -> None:
        if self.task == "binary" and (len(self.labels) != 2 or self.threshold is None):
            raise PackageInvalid("a binary package needs labels (negative, positive) and threshold")
        if self.task == "multiclass" and len(self.labels) < 2:
            raise PackageInvalid("a multiclass package needs its labels")
        if [code.name for code in self.encoder.codes] != [item.name for item in self.schema.seen]:
            raise PackageInvalid("the encoder's columns are not what the schema says is seen")

    def example_record(self) -> dict[str, float | str | None]:
        """The example, or one made of medians and first levels."""
        known = {
            code.name: code.median
            if isinstance(code, NumberCode)
            else next(iter(code.levels), None)
            for code in self.encoder.codes
        }
        return dict(self.example) or {name: known.get(name) for name in self.schema.names}

    def to_json(self) -> dict[str, Any]:
        # A model of one source keeps the bytes that it always had.
        sources = [source.to_json() for source in self.sources]
        return {
            **({"sources": sources} if sources else {}),
            "format": FORMAT,
            "model": self.model,
            "version": self.version,
            "task": self.task,
            "created": self.created,
            "labels": list(self.labels),
            "threshold": self.threshold,
            "schema": self.schema.to_json(),
            "encoder": self.encoder.to_json(),
            "engine": self.engine.to_json(),
            "calibrator": self.calibrator.to_json() if self.calibrator else None,
            "target": {
                "scale": self.target.scale,
                "low": self.target.low,
                "high": self.target.high,
            },
            "metrics": dict(self.metrics),
            "example": dict(self.example),
        }

    @classmethod
    def from_json(
        cls, body: Mapping[str, Any], files: Mapping[str, bytes], *, threads: int = 1
    ) -> Package:
        """Raises PackageInvalid for a format of another time or an engine that does not load."""
        if body.get("format") != FORMAT:
            raise PackageInvalid(
                f"package format {body.get('format')!r}, this version of Millrace reads {FORMAT}"
            )
        calibrator = body["calibrator"]
        return cls(
            model=body["model"],
            version=body["version"],
            task=body["task"],
            schema=Schema.from_json(body["schema"]),
            encoder=_encoder(body["encoder"]),
            engine=_engine(body["engine"], files, threads=threads),
            created=body["created"],
            labels=tuple(body["labels"]),
            threshold=body["threshold"],
            calibrator=Calibrator.from_json(calibrator) if calibrator else None,
            target=TargetScale(**body["target"]),
            metrics=body["metrics"],
            example=body["example"],
            sources=_sources(body.get("sources", ())),
        )


def _encoder(body: Mapping[str, Any]) -> Encoder | JoinedEncoder:
    if body["layout"] != "joined":
        return Encoder.from_json(body)
    from shared.serving.blend import JoinedEncoder  # cold start: few packages have several

    return JoinedEncoder.from_json(body)


def _engine(body: Mapping[str, Any], files: Mapping[str, bytes], *, threads: int) -> Engine:
    if body["kind"] == "linear":
        coef = np.asarray(body["coef"], np.float64)
        return LinearEngine(coef, np.asarray(body["intercept"], np.float64), body["link"])
    if body["kind"] == "trees":
        return tree_engine(files[body["file"]], body["output"], threads=threads)
    if body["kind"] == "blend":
        from shared.serving.blend import BlendEngine, BlendPart  # cold start, as above

        return BlendEngine(
            [
                BlendPart(
                    part["weight"],
                    part["start"],
                    part["stop"],
                    _engine(part["engine"], files, threads=threads),
                )
                for part in body["parts"]
            ]
        )
    raise PackageInvalid(f"engine kind {body['kind']!r} is unknown to this version of Millrace")


def _sources(bodies: Sequence[Mapping[str, Any]]) -> tuple[SourceAggregates, ...]:
    if not bodies:
        return ()
    from shared.serving.sources.aggregates import (
        SourceAggregates,  # cold start: few models have sources
    )

    return tuple(map(SourceAggregates.from_json, bodies))


def write(package: Package, directory: Path) -> dict[str, str]:
    """Write the package's files; their SHA-256 by name comes back. Equal packages, equal bytes."""
    files = _files(package, package.to_json())
    directory.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        (directory / name).write_bytes(data)
    return {name: hashlib.sha256(data).hexdigest() for name, data in sorted(files.items())}


def _files(package: Package, body: Mapping[str, Any]) -> dict[str, bytes]:
    text = json.dumps(body, sort_keys=True, ensure_ascii=False, allow_nan=False, indent=1)
    return {PACKAGE_FILE: text.encode() + b"\n", **package.engine.files()}


def package_sha256(files: Mapping[str, str]) -> str:
    """One hash for a whole package: SHA-256 of its sorted `name:sha256` lines."""
    lines = "".join(f"{name}:{sha}\n" for name, sha in sorted(files.items()))
    return hashlib.sha256(lines.encode()).hexdigest()


def content_sha256(package: Package) -> str:
    """One hash for what a package answers: that of the same package without its version, its time
    and the names and times of its snapshots. Equal data, spec and seed give equal ones in every
    run."""
    body = {**package.to_json(), "version": "", "created": ""}
    if package.sources:
        body["sources"] = [{**source, "snapshot": None} for source in body["sources"]]
    hashes = {
        name: hashlib.sha256(data).hexdigest() for name, data in _files(package, body).items()
    }
    return package_sha256(hashes)


def checked(read: Callable[[str], bytes], files: Mapping[str, str]) -> dict[str, bytes]:
    """The files of a package as they were promised, by name. Raises PackageInvalid."""
    found = {}
    for name, expected in files.items():
        found[name] = read(name)
        actual = hashlib.sha256(found[name]).hexdigest()
        if actual != expected:
            raise PackageInvalid(f"{name} has SHA-256 {actual}, its manifest promises {expected}")
    if PACKAGE_FILE not in found:
        raise PackageInvalid(f"the manifest names no {PACKAGE_FILE}")
    return found
