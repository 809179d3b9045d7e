"""How `mlflow.pyfunc.load_model` opens a serving package: the loader that travels with it.

Logged as code beside the package together with `shared.serving`, so that whoever loads a version
needs numpy, pandas and onnxruntime and gets the predictor's answers. Imports no mlflow itself.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from shared.serving.loaded_model import LoadedModel, Predictions, load
from shared.serving.sources.resolving import Resolver

# Of the folder `shared`; what serving imports, no more.
CODE = (
    "__init__.py",
    "errors.py",
    "rules/expressions.py",
    "paths.py",
    "rules/regex_trees.py",
    "rules/regexes.py",
    "rules/__init__.py",
    "rules/binding.py",
    "rules/functions.py",
    "rules/nodes.py",
    "adapters/__init__.py",
    "adapters/mlflow_pyfunc.py",
    "serving/__init__.py",
    "serving/sources/__init__.py",
    "serving/sources/aggregate_functions.py",
    "serving/sources/aggregate_recent.py",
    "serving/sources/aggregate_rows.py",
    "serving/sources/aggregates.py",
    "serving/blend.py",
    "serving/cells.py",
    "serving/columns.py",
    "serving/declared.py",
    "serving/encoder.py",
    "serving/engine.py",
    "serving/features.py",
    "serving/sources/forms.py",
    "serving/loaded_model.py",
    "serving/onnx_trees.py",
    "serving/package.py",
    "serving/problems.py",
    "serving/sources/resolving.py",
    "serving/sources/snapshot.py",
    "serving/texts.py",
    "serving/times.py",
    "serving/tree_lines.py",
    "serving/tree_tables.py",
    "serving/value_tables.py",
    "serving/watching.py",
)
# What MLflow hands through of a caller's `params`: labels, probabilities, or a frame of everything.
PARAMS = [{"name": "output", "type": "string", "default": "label", "shape": None}]


class ServedModel:
    """What MLflow calls: a frame (or records) in, labels out, or values of a regression. With
    `params={"output": "proba"}` probabilities [n_rows, n_labels] in the order of the package's
    labels, with `"full"` a frame of `score` and `label`. Columns of joined sources are given, or
    computed from rows in the record; the lake's snapshots are not here, so a key alone is
    refused."""

    def __init__(self, model: LoadedModel) -> None:
        self._model = model
        sources = model.package.sources
        self._resolver = Resolver(model.schema, sources, {}) if sources else None

    def predict(self, model_input: Any, params: dict[str, Any] | None = None) -> Any:
        """Raises InvalidInstances, ValueError for an output that there is not."""
        import pandas as pd

        if isinstance(model_input, pd.DataFrame):
            known = model_input.astype(object).where(model_input.notna(), None)
            # MLflow leaves out columns that it does not know, and with all of them the rows: that
            # is refused like a record without any known field, not answered with nothing.
            model_input = known.to_dict("records") or ([] if len(known.columns) else [{}])
        records = list(model_input)
        if self._resolver is not None:
            records = self._resolver.resolve(records, datetime.now(UTC)).records
        found = self._model.predict_records(records)
        return _wanted(found, (params or {}).get("output", "label"))


def _wanted(found: Predictions, output: str) -> Any:
    import pandas as pd

    if output == "label":
        return found.score if found.label is None else np.array(found.label, object)
    if output == "proba" and found.label is not None:
        if found.probabilities is not None:
            return found.probabilities
        return np.column_stack([1.0 - found.score, found.score])
    if output == "full":
        labels = {} if found.label is None else {"label": found.label}
        return pd.DataFrame({"score": found.score, **labels})
    raise ValueError("output must be label, full, or proba where the model has probabilities")


def _load_pyfunc(path: str) -> ServedModel:
    """MLflow's entry point; `path` is the package's folder."""
    folder = Path(path)
    files = {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in folder.iterdir()}
    return ServedModel(load(lambda name: (folder / name).read_bytes(), files))
