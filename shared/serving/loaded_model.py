"""A serving package that answers: in the predictor, in the score job and, before it is stored, in
training.

    answers = LoadedModel(package).predict(columns)                        # Predictions
    model   = load(lambda name: (directory / name).read_bytes(), hashes)   # LoadedModel

`Predictions.score` is float64 [n_rows]: binary probability of the positive label, multiclass
probability of the chosen label, regression value in the file's own unit. `Predictions.label` is a
list of str (None for regression); `Predictions.probabilities` is [n_rows, n_labels] for
multiclass, else None. Knows neither manifests nor requests.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shared.errors import InvalidInstances, PackageInvalid
from shared.serving.columns import Columns
from shared.serving.encoder import Encoder
from shared.serving.engine import Scores, TreeEngine
from shared.serving.package import PACKAGE_FILE, UNREADABLE, Package, checked
from shared.serving.watching import Odd, Watch


@dataclass(frozen=True, slots=True)
class Predictions:
    """Answers in row order. `plain`: each of the
    records is known to have all inputs and nothing else."""

    score: Scores
    label: list[str] | None
    probabilities: Scores | None = None
    plain: bool = False


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
        with suppress(InvalidInstances):  # one made of medians may break a rule
            self.predict_records([package.example_record()], {})

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


def loaded(files: Mapping[str, bytes], *, threads: int = 1) -> LoadedModel:
    """The model of checked files. Raises PackageInvalid."""
    try:
        body = json.loads(files[PACKAGE_FILE])
        return LoadedModel(Package.from_json(body, files, threads=threads))
    except UNREADABLE as error:
        raise PackageInvalid(f"{PACKAGE_FILE} does not read: {error!r}") from error
