"""How `mlflow.pyfunc.load_model` opens a serving package: the loader that travels with it.

Logged as code beside the package together with `shared.serving`, so that whoever loads a version
needs numpy, pandas and onnxruntime and gets the predictor's answers. Imports no mlflow itself.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shared.serving.package import LoadedModel, load

if TYPE_CHECKING:
    import pandas as pd

# Of the folder `shared`; what serving imports, no more.
CODE = (
    "__init__.py",
    "errors.py",
    "adapters/__init__.py",
    "adapters/mlflow_pyfunc.py",
    "serving/__init__.py",
    "serving/columns.py",
    "serving/encoder.py",
    "serving/engine.py",
    "serving/features.py",
    "serving/package.py",
)


class ServedModel:
    """What MLflow calls: a frame (or records) in, a frame with `score` and `label` out."""

    def __init__(self, model: LoadedModel) -> None:
        self._model = model

    def predict(self, model_input: Any, params: dict[str, Any] | None = None) -> pd.DataFrame:  # noqa: ARG002  # MLflow's signature
        """Raises InvalidInstances."""
        import pandas as pd

        if isinstance(model_input, pd.DataFrame):
            known = model_input.astype(object).where(model_input.notna(), None)
            model_input = known.to_dict("records")
        found = self._model.predict_records(list(model_input))
        answers: dict[str, Any] = {"score": found.score}
        if found.label is not None:
            answers["label"] = found.label
        return pd.DataFrame(answers)


def _load_pyfunc(path: str) -> ServedModel:
    """MLflow's entry point; `path` is the package's folder."""
    folder = Path(path)
    files = {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in folder.iterdir()}
    return ServedModel(load(lambda name: (folder / name).read_bytes(), files))
