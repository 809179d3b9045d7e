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
    answers = LoadedModel(package).predict(columns)             # what serving will answer
    hashes  = write(package, directory)                         # {"package.json": sha256, ...}
    model   = load(lambda name: (directory / name).read_bytes(), hashes)   # LoadedModel

`Predictions.score` is float64 [n_rows]: binary probability of the positive label, multiclass
probability of the chosen label, regression value in the file's own unit. `Predictions.label` is a
list of str (None for regression); `Predictions.probabilities` is [n_rows, n_labels] for
multiclass, else None.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from shared.errors import PackageInvalid
from shared.serving.columns import Columns, Schema
from shared.serving.encoder import Encoder, NumberCode
from shared.serving.engine import (
    Calibrator,
    Engine,
    Scores,
    TreeEngine,
    engine_from_json,
    isotonic,
    linear_engine,
    sigmoid,
    tree_engine,
)
from shared.serving.watching import Odd, Watch

if TYPE_CHECKING:
    from shared.serving.blend import JoinedEncoder
    from shared.serving.sources.aggregates import SourceAggregates

__all__ = [
    "LoadedModel",
    "Package",
    "Predictions",
    "TargetScale",
    "UNREADABLE",
    "content_sha256",
    "isotonic",
    "linear_engine",
    "load",
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


@dataclass(frozen=True, slots=True)
class Predictions:
    """Answers in row order; see the module's docstring for their meaning. `plain`: each of the
    records is known to have all inputs and nothing else."""

    score: Scores
    label: list[str] | None
    probabilities: Scores | None = None
    plain: bool = False


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
            engine=engine_from_json(body["engine"], files, threads=threads),
            created=body["created"],
            labels=tuple(body["labels"]),
            threshold=body["threshold"],
            calibrator=Calibrator.from_json(calibrator) if calibrator else None,
            target=TargetScale(**body["target"]),
            metrics=body["metrics"],
            example=body["example"],
            sources=_sources(body.get("sources", ())),
        )


class LoadedModel:
    """A package that answers. Safe to share between threads."""

    def __init__(self, package: Package) -> None:
        """Makes one prediction, so that a package whose parts do not fit never gets to serve.
        Raises PackageInvalid."""
        self.package = package
        self.model, self.version, self.task = package.model, package.version, package.task
        self.schema, self.names = package.schema, tuple(package.schema.names)
        self._encoder, self._engine = package.encoder, package.engine
        self._watch = Watch(package.encoder.codes, package.schema.features)
        width = len(package.encoder.names)
        if self._engine.width != width:
            raise PackageInvalid(f"the encoder makes {width} columns for {self._engine.width}")
        self._tables = None
        if isinstance(self._engine, TreeEngine) and isinstance(self._encoder, Encoder):
            self._tables = self._engine.tables_for(self._encoder)
        # Tables have answered as the engine does.
        scores = np.zeros(1) if self._tables else self._engine.score(np.zeros((1, width)))
        expected = (1, len(package.labels)) if package.task == "multiclass" else (1,)
        if scores.shape != expected:
            raise PackageInvalid(f"the engine's scores are {scores.shape}, expected {expected}")

    def predict(self, columns: Columns) -> Predictions:
        """Answers for columns of this model's schema."""
        return self._answer(self._raw(columns))

    def predict_records(self, records: Sequence[object], odd: Odd | None = None) -> Predictions:
        """Answers for JSON objects; what is odd about them is counted in `odd`.
        Raises InvalidInstances."""
        if len(records) == 1:
            values = self.schema.from_record(records[0])
            if odd is not None:
                self._watch.row(values, odd)
            return self._answer(self._raw_of_row(values))
        columns, complete = self.schema.read_records(records)
        if odd is not None:
            self._watch.columns(columns, odd)
        plain = complete and set(map(len, records)) == {len(self.names)}  # type: ignore[arg-type]  # dicts
        return self._answer(self._raw(columns), plain=plain)

    def predict_many(self, columns: Columns) -> tuple[Scores, NDArray[np.intp] | None]:
        """Scores and the labels' places among the package's: `predict` without a Python object
        for each row."""
        score, label, _ = self._judge(self._raw(columns))
        return score, label

    def _raw(self, columns: Columns) -> Scores:
        """What the engine says of columns."""
        if self._tables is not None:
            return self._tables.score(columns).astype(np.float64)
        encoder = self._encoder
        if isinstance(self._engine, TreeEngine) and isinstance(encoder, Encoder):
            return self._engine.score(encoder.transform(columns, np.float32))  # as trees compare
        return self._engine.score(encoder.transform(columns))

    def _raw_of_row(self, values: Sequence[float | str]) -> Scores:
        if self._tables is not None:
            return np.array([self._tables.score_one(values)])
        return self._engine.score(self._encoder.transform_row(values))

    def _answer(self, raw: Scores, *, plain: bool = False) -> Predictions:
        score, label, probabilities = self._judge(raw)
        if label is None:
            return Predictions(score, None, plain=plain)
        labels = list(map(self.package.labels.__getitem__, label.tolist()))
        return Predictions(score, labels, probabilities, plain)

    def _judge(self, raw: Scores) -> tuple[Scores, NDArray[np.intp] | None, Scores | None]:
        """Score, label's place and all probabilities of raw scores."""
        package = self.package
        if package.task == "regression":
            return package.target.apply(raw), None, None
        if package.task == "multiclass":
            best = raw.argmax(axis=1)
            return raw[np.arange(len(raw)), best], best, raw
        score = package.calibrator.apply(raw) if package.calibrator else raw
        threshold = math.inf if package.threshold is None else package.threshold
        return score, (score >= threshold).astype(np.intp), None


def _encoder(body: Mapping[str, Any]) -> Encoder | JoinedEncoder:
    if body["layout"] != "joined":
        return Encoder.from_json(body)
    from shared.serving.blend import JoinedEncoder  # cold start: few packages have several

    return JoinedEncoder.from_json(body)


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


def load(
    read: Callable[[str], bytes], files: Mapping[str, str], *, threads: int = 1
) -> LoadedModel:
    """The model of a package, each file checked against its SHA-256 before anything parses it.

    Args:
        read: Gives the bytes of a file by its name in the package.
        files: SHA-256 by name, from the serving manifest or version.json.

    Raises PackageInvalid.
    """
    return loaded(checked(read, files), threads=threads)


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


def loaded(files: Mapping[str, bytes], *, threads: int = 1) -> LoadedModel:
    """The model of checked files. Raises PackageInvalid."""
    try:
        body = json.loads(files[PACKAGE_FILE])
        return LoadedModel(Package.from_json(body, files, threads=threads))
    except UNREADABLE as error:
        raise PackageInvalid(f"{PACKAGE_FILE} does not read: {error!r}") from error
