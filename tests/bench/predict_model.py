"""One model in every form that `predict.py` starts servers of, rows to ask for, and their scores.

The spec is the shipped one of adult_income, the rows are `tests.bench.adult`'s. XGBoost (300 trees
of depth 6) is fitted once; the package and the scikit-learn pipeline hold the same trees over the
same encoded columns, so that all servers have to give the same scores.
"""

from __future__ import annotations

import csv
import io
import json
import logging
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from shared.adapters.mlflow_model import make_model
from shared.cli.demo.settings import shipped
from shared.ports import Bucket
from shared.serving.columns import Schema
from shared.serving.encoder import CategoryCode
from shared.serving.loaded_model import LoadedModel
from shared.serving.package import Package, write
from shared.tabular import candidates
from shared.tabular.compiling import compile_estimator
from shared.tabular.dataset import Examples
from tests.bench.adult import lines
from tests.unit.serving.models import serve

MODEL, VERSION = "adult_income", "20260101T000000-00000000"
TRAINED_ROWS = 20_000
PARAMS = {"n_estimators": 300, "max_depth": 6, "learning_rate": 0.1}
SAME = 1e-5
LABELS = ("<=50K", ">50K")


@dataclass(frozen=True, slots=True)
class World:
    """`rows` are records to ask for and `scores` the right answers. `mlflow` is the version as
    training logs it, `plain` the scikit-learn pipeline as `mlflow.sklearn` does."""

    package: Package
    pipeline: Path
    mlflow: Path
    rows: list[dict[str, Any]]
    scores: list[float]
    plain: Path = Path()

    def instances(self, count: int) -> bytes:
        return json.dumps({"instances": self.rows[:count]}).encode()

    def dataframe_split(self, count: int) -> bytes:
        """The same rows as MLflow takes them, in the shortest of its forms."""
        names = list(self.rows[0])
        data = [list(row.values()) for row in self.rows[:count]]
        asked = {"dataframe_split": {"columns": names, "data": data}}
        return json.dumps({**asked, "params": {"output": "proba"}}).encode()

    def plain_split(self, count: int) -> bytes:
        """That, for a model whose signature has no parameters."""
        asked = json.loads(self.dataframe_split(count))
        return json.dumps({"dataframe_split": asked["dataframe_split"]}).encode()

    def are_right(self, scores: list[float]) -> bool:
        """Whether they are the answers to the first rows, as many as there are."""
        expected = self.scores[: len(scores)]
        return bool(scores) and bool(np.allclose(scores, expected, rtol=0.0, atol=SAME))


def build(folder: Path, rows: int = 1_000) -> World:
    """Fit, compile, save for the peers, and see that both forms agree."""
    table = list(csv.reader(io.StringIO(b"".join(lines(TRAINED_ROWS)).decode())))
    cells = dict(zip(table[0], map(list, zip(*table[1:], strict=True)), strict=True))
    schema = Schema.of(shipped(MODEL))
    # Numbers first: the order in which scikit-learn's ColumnTransformer puts them.
    ordered = sorted(schema.features, key=lambda feature: feature.kind != "number")
    schema = replace(schema, features=tuple(ordered))
    columns, problems = schema.from_cells({name: cells[name] for name in schema.names})
    bad = {int(str(problem["row"])) for problem in problems}
    # The pipeline knows one spelling of missing; the rows that are broken on purpose have another.
    bad |= {at for at, row in enumerate(table[1:]) if "" in row or row[-1] not in LABELS}
    good = np.array([at not in bad for at in range(len(cells["income"]))])
    target = (np.array(cells["income"]) == ">50K").astype(np.float64)
    examples = Examples(columns, target).take(good)
    fitted = candidates.fit(
        "xgboost", PARAMS, "binary", examples, features=tuple(schema.features), seed=0
    )
    package = Package(
        model=MODEL,
        version=VERSION,
        task="binary",
        schema=schema,
        encoder=fitted.encoder,
        engine=compile_estimator(fitted),
        created="2026-01-01T00:00:00Z",
        labels=LABELS,
        threshold=0.5,
    )
    records = [
        {
            feature.name: float(cells[feature.name][row])
            if feature.kind == "number"
            else cells[feature.name][row]
            for feature in schema.features
        }
        for row in np.flatnonzero(good)[:rows].tolist()
    ]
    write(package, folder / "mlflow" / "package")
    make_model(folder / "mlflow", VERSION)
    _save_pipeline(fitted, records, folder / "pipeline.joblib")
    scores = LoadedModel(package).predict_records(records).score.tolist()
    pipeline = folder / "pipeline.joblib"
    world = World(package, pipeline, folder / "mlflow", records, scores, folder / "plain")
    _check(world)
    _save_plain(world)
    return world


def name_by(log: str) -> str:
    """The model whose log is in this mode."""
    return f"adult_{log}"


def serve_as(world: World, model: str, lake: Bucket, log: str) -> None:
    """The package as the champion of a model of that name."""
    serve(replace(world.package, model=model), lake, log=log)


def _save_pipeline(fitted: candidates.Fitted, records: list[dict[str, Any]], path: Path) -> None:
    """The same encoding by scikit-learn, before the same fitted trees."""
    import joblib
    import pandas as pd
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import OneHotEncoder

    categories = [code for code in fitted.encoder.codes if isinstance(code, CategoryCode)]
    numbers = [code.name for code in fitted.encoder.codes if not isinstance(code, CategoryCode)]
    levels = [[*code.levels, *(["?"] if code.missing else [])] for code in categories]
    one_hot = OneHotEncoder(categories=levels, handle_unknown="ignore", sparse_output=False)
    encoding = ColumnTransformer(
        [
            ("numbers", SimpleImputer(strategy="median"), numbers),
            ("categories", one_hot, [code.name for code in categories]),
        ]
    )
    encoding.fit(pd.DataFrame(records))
    joblib.dump(Pipeline([("encoding", encoding), ("trees", fitted.estimator)]), path)


def _save_plain(world: World) -> None:
    """What a team without us has: its pipeline, logged and served by MLflow."""
    import joblib
    import mlflow.sklearn
    import pandas as pd
    from mlflow.models import infer_signature

    logging.getLogger("mlflow").setLevel(logging.ERROR)  # it warns of pickles
    mlflow.sklearn.save_model(
        joblib.load(world.pipeline),
        world.plain,
        signature=infer_signature(pd.DataFrame(world.rows[:10])),
        serialization_format="cloudpickle",
        pip_requirements=[],
        pyfunc_predict_fn="predict_proba",  # labels alone could not be checked for their scores
    )


def _check(world: World) -> None:
    import joblib
    import pandas as pd

    found = joblib.load(world.pipeline).predict_proba(pd.DataFrame(world.rows))[:, 1].tolist()
    if not world.are_right(found):
        raise RuntimeError("the pipeline and the package do not answer alike")
