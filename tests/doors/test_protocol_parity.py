"""The same rows, whatever the protocol: one answer, that of the trained scikit-learn pipeline.

Rows have everything that went wrong elsewhere: null, NaN and empty cells, categories that training
never saw, whole numbers where others have a fraction, columns in another order or left out,
letters of all alphabets.
"""

from __future__ import annotations

import csv
import io
import json
import math
import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shared.serving.columns import Schema
from shared.serving.features import Bounds, Feature
from shared.serving.loaded_model import LoadedModel
from shared.serving.package import Package, write
from shared.serving.protocols.vertex import Contract
from shared.spec.model import Candidate
from shared.tabular import candidates, spaces
from shared.tabular.candidates import Fitted
from shared.tabular.dataset import Examples
from tests.support.predictor import World
from tests.unit import test_score
from tests.unit.serving.models import serve
from tests.unit.tabular.fits import package_of

MODEL = "adult"
FEATURES = (
    Feature("age", "number", require=Bounds(min=0.0)),
    Feature("gain", "number"),
    Feature("city", "category"),
    Feature("grade", "category"),
)
NAMES = [feature.name for feature in FEATURES]
SCHEMA = Schema(FEATURES)
TASKS: dict[str, Candidate] = {
    "binary": "xgboost",
    "multiclass": "random_forest",
    "regression": "gradient_boosting",
}
Record = dict[str, Any]
# Scores (probabilities of all labels, or one value) and labels of each row.
Answers = tuple[list[list[float]], list[str | None]]


def rows(count: int, seed: int) -> list[Record]:
    """Records as a careless caller has them."""
    pick = random.Random(seed)
    found = []
    for number in range(count):
        record: Record = {
            "age": pick.choice([pick.randint(17, 90), pick.randint(17, 90) + 0.5, None, math.nan]),
            "gain": pick.choice([0, 0.0, 7688, 1e15, 2**24 + 1, -0.1, None]),
            "city": pick.choice(["Köln", "Paris", "東京", "", None, 'a, "b"\n', f"new {number}"]),
            "grade": pick.choice([1, 2.0, "3", "03", True, None]),
        }
        if number:  # a whole batch may lack a column, a single row not all of them
            names = pick.sample(NAMES, 4)
            record = {name: record[name] for name in names if pick.random() > 0.05 or name == "age"}
        found.append(record)
    return found


def fitted(task: Any) -> Fitted:
    columns = SCHEMA.from_records([dict(record) for record in rows(400, 1)])
    age, city = np.nan_to_num(columns["age"]), columns["city"] == "Köln"
    signal = age / 40 + city + np.random.default_rng(0).normal(0, 0.3, 400)
    cuts = {"binary": [1.3], "multiclass": [0.8, 1.6]}
    target = np.digitize(signal, cuts[task]).astype(float) if task in cuts else signal
    params = {**spaces.FIRST[TASKS[task]], "n_estimators": 20}
    return candidates.fit(
        TASKS[task], params, task, Examples(columns, target), features=FEATURES, seed=0
    )


class Case:
    """A trained model behind every door."""

    def __init__(self, task: str, folder: Path) -> None:
        self.task, self.trained = task, fitted(task)
        self.package: Package = package_of(self.trained, model=MODEL, version="v1", schema=SCHEMA)
        self.folder = folder
        write(self.package, folder / "package")
        self.world = World(contract=Contract(predict="/platform:predict"))
        serve(self.package, self.world.lake.bucket)
        self.rows = rows(80, 2)

    # --- doors -----------------------------------------------------------------------------------

    def plain(self, predictions: list[Any]) -> Answers:
        """Of rows that have everything."""
        labels = [row["label"] for row in predictions]
        if self.task == "multiclass":
            return [list(row["probabilities"].values()) for row in predictions], labels
        return [self.shares(row["score"]) for row in predictions], labels

    def shares(self, score: float) -> list[float]:
        return [1 - score, score] if self.task == "binary" else [score]

    def post(self, path: str, body: Any) -> Any:
        response = self.world.client.post(path, json=body)
        assert response.status_code == 200, response.get_data(as_text=True)
        return response.get_json()

    def mlflow(self, ask: Callable[[dict[str, Any]], list[Any]]) -> Answers:
        """Twice: for the labels, or values, and for the probabilities."""
        labels = ask({})
        if self.task == "regression":
            return [[value] for value in labels], [None] * len(labels)
        return ask({"params": {"output": "proba"}}), labels

    def invocations(self, body: dict[str, Any]) -> Answers:
        return self.mlflow(lambda more: self.post("/invocations", {**body, **more})["predictions"])

    def v2(self, inputs: list[dict[str, Any]]) -> Answers:
        answer = self.post(f"/v2/models/{MODEL}/infer", {"inputs": inputs})
        found = {output["name"]: output["data"] for output in answer["outputs"]}
        if self.task == "regression":
            return [[value] for value in found["score"]], [None] * len(found["score"])
        width = len(self.package.labels)
        data = found["probabilities"]
        shares = [data[at : at + width] for at in range(0, len(data), width)]
        return shares, found["label"]

    # --- forms -----------------------------------------------------------------------------------

    def complete(self) -> list[Record]:
        return [{name: record.get(name) for name in NAMES} for record in self.rows]

    def csv(self) -> str:
        out = io.StringIO(newline="")
        writer = csv.writer(out)
        writer.writerow(NAMES[::-1])
        for record in self.complete():
            cells = [record[name] for name in NAMES[::-1]]
            writer.writerow(["" if cell != cell or cell is None else cell for cell in cells])  # noqa: PLR0124
        return out.getvalue()

    def frame(self) -> Any:
        import pandas as pd

        return pd.DataFrame(self.rows)


def of_original(case: Case) -> Answers:
    """scikit-learn's own answer, in the file's unit."""
    answer = case.trained.answer(SCHEMA.from_records([dict(row) for row in case.rows]))
    labels: list[str | None] = [None] * len(case.rows)
    if case.task == "regression":
        return [[value * case.package.target.scale] for value in answer.tolist()], labels
    shares = np.column_stack([1 - answer, answer]) if answer.ndim == 1 else answer
    names, threshold = case.package.labels, case.package.threshold
    best = shares.argmax(axis=1) if threshold is None else (shares[:, 1] >= threshold).astype(int)
    return shares.tolist(), [names[index] for index in best.tolist()]


def of_a_list(case: Case) -> Answers:
    return case.plain(case.post("/predict", case.rows)["predictions"])


def of_instances(case: Case) -> Answers:
    return case.plain(case.post("/predict", {"instances": case.complete()})["predictions"])


def of_vertex(case: Case) -> Answers:
    return case.plain(case.post("/platform:predict", {"instances": case.rows})["predictions"])


def of_vertex_batches(case: Case) -> Answers:
    """As Vertex AI asks for lines of CSV."""
    rows = [list(record.values()) for record in case.complete()]
    return case.plain(case.post("/platform:predict", {"instances": rows})["predictions"])


def of_split(case: Case) -> Answers:
    data = [list(record.values()) for record in case.complete()]
    return case.invocations({"dataframe_split": {"columns": NAMES, "data": data}})


def of_records(case: Case) -> Answers:
    return case.invocations({"dataframe_records": case.rows})


def of_inputs(case: Case) -> Answers:
    records = case.complete()
    return case.invocations(
        {"inputs": {name: [record[name] for record in records] for name in NAMES[::-1]}}
    )


def of_csv(case: Case) -> Answers:
    """CSV has no place for params: the labels, or values."""
    response = case.world.client.post("/invocations", data=case.csv(), content_type="text/csv")
    labels = response.get_json()["predictions"]
    if case.task == "regression":
        return [[value] for value in labels], [None] * len(labels)
    return of_records(case)[0], labels


def of_columns(case: Case) -> Answers:
    """v2, a tensor a column; texts where a column has several types."""
    records = case.complete()
    inputs = []
    for feature in FEATURES:
        data = [record[feature.name] for record in records]
        datatype = "FP64"
        if feature.kind == "category":
            datatype, data = "BYTES", [None if cell is None else str(cell) for cell in data]
        inputs.append(
            {"name": feature.name, "datatype": datatype, "shape": [len(data), 1], "data": data}
        )
    return case.v2(inputs[::-1])


def of_matrix(case: Case) -> Answers:
    """v2, one matrix of texts; the missing ones empty."""
    data = [
        ["" if cell is None or cell != cell else str(cell) for cell in record.values()]  # noqa: PLR0124
        for record in case.complete()
    ]
    return case.v2([{"name": "x", "datatype": "BYTES", "shape": [len(data), 4], "data": data}])


def of_pyfunc(case: Case) -> Answers:
    """What mlflow.pyfunc says of the version that training logs."""
    model = loaded(case)

    def ask(more: dict[str, Any]) -> list[Any]:
        answer: list[Any] = model.predict(case.frame(), **more).tolist()
        return answer

    return case.mlflow(ask)


def of_mlflows_server(case: Case) -> Answers:
    """What `mlflow models serve` answers to what MLflow's client sends."""
    from mlflow.pyfunc import scoring_server
    from mlflow.utils.proto_json_utils import dump_input_data

    model = loaded(case)

    def ask(more: dict[str, Any]) -> list[Any]:
        body = dump_input_data(case.frame(), **more)
        schema = model.metadata.get_input_schema()
        answered: Any = scoring_server.invocations
        found = answered(body, "application/json", model, schema)
        answer: list[Any] = json.loads(found.response)["predictions"]
        return answer

    return case.mlflow(ask)


def of_mlflows_client(case: Case) -> Answers:
    """The same client's body to our predictor; it writes NaN as JSON does not know it."""
    from mlflow.utils.proto_json_utils import dump_input_data

    def ask(more: dict[str, Any]) -> list[Any]:
        response = case.world.client.post(
            "/invocations",
            data=dump_input_data(case.frame(), **more),
            content_type="application/json",
        )
        assert response.status_code == 200, response.get_data(as_text=True)
        answer: list[Any] = response.get_json()["predictions"]
        return answer

    return case.mlflow(ask)


def loaded(case: Case) -> Any:
    import mlflow.pyfunc

    from shared.adapters.mlflow_model import make_model

    if not (case.folder / "MLmodel").exists():
        make_model(case.folder, "run")
    return mlflow.pyfunc.load_model(str(case.folder))


BITWISE = [
    of_a_list,
    of_instances,
    of_vertex,
    of_vertex_batches,
    of_split,
    of_records,
    of_inputs,
    of_csv,
    of_columns,
    of_matrix,
    of_pyfunc,
    of_mlflows_server,
    of_mlflows_client,
]


@pytest.fixture(scope="module", params=TASKS)
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Case:
    return Case(request.param, tmp_path_factory.mktemp(request.param))


@pytest.fixture
def environment() -> Iterator[None]:
    """MLflow keeps settings in the process's environment."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


def expected(case: Case) -> Answers:
    """The engine on this batch, by the columns that a file's cells make."""
    cells = {
        name: [
            None if cell is None or cell != cell else str(cell)  # noqa: PLR0124
            for cell in (record.get(name) for record in case.rows)
        ]
        for name in NAMES
    }
    columns, problems = SCHEMA.from_cells(cells)
    assert not problems
    found = LoadedModel(case.package).predict(columns)
    labels: list[str | None] = [*found.label] if found.label else [None] * len(case.rows)
    if found.probabilities is not None:
        return found.probabilities.tolist(), labels
    return [case.shares(score) for score in found.score.tolist()], labels


@pytest.mark.usefixtures("environment")
@pytest.mark.filterwarnings("ignore:.*Any type hint is inferred")  # MLflow's own, at import
@pytest.mark.parametrize("ask", BITWISE, ids=lambda ask: ask.__name__)
def test_every_protocol_and_form_gives_the_same_bits(
    case: Case, ask: Callable[[Case], Answers]
) -> None:
    """Same engine, same batch: not a bit differs from what the file's cells would get."""
    wanted = expected(case)
    assert len({share for shares in wanted[0] for share in shares}) > 20
    assert ask(case) == wanted


def test_the_trained_pipeline_says_the_same(case: Case) -> None:
    """Within 1e-5, in a regression of the value or the spread; labels that are not near the
    threshold are equal."""
    (scores, labels), (wanted, wanted_labels) = expected(case), of_original(case)
    spread = 1.0
    if case.task == "regression":
        low, high = np.percentile(np.array(wanted), [25, 75])
        spread = float(high - low)
    for mine, theirs in zip(scores, wanted, strict=True):
        for one, other in zip(mine, theirs, strict=True):
            assert abs(one - other) <= 1e-5 * max(abs(other), spread)
    threshold = case.package.threshold
    near = [threshold is not None and abs(row[-1] - threshold) < 1e-5 for row in wanted]
    pairs = zip(labels, wanted_labels, near, strict=True)
    assert all(one == other for one, other, close in pairs if not close)


def test_a_row_alone_is_the_row_of_its_batch(case: Case) -> None:
    """Another batch shape may round the engine's sum otherwise, by less than 1e-5."""
    scores, labels = expected(case)
    for record, shares, label in zip(case.rows, scores, labels, strict=True):
        (alone,), (own,) = case.plain(case.post("/predict", record)["predictions"])
        assert np.allclose(alone, shares, rtol=1e-5, atol=1e-5)
        assert own == label


def test_the_score_job_says_the_same(case: Case) -> None:
    """A file with these rows, empty cells for missing ones."""
    world = test_score.World(case.csv().encode(), package=case.package)
    world.score()
    scores, labels = expected(case)
    found = world.rows()
    chosen = [max(shares) if case.task == "multiclass" else shares[-1] for shares in scores]
    assert [float(row["score"]) for row in found] == chosen
    assert [row.get("label") or None for row in found] == labels
