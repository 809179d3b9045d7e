"""A model of several sources in each protocol: by key, by columns, by rows, one answer."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.sources import MODEL
from tests.support.sources_world import CS1, ROWS, Sources

# The same customer in all three forms.
KEY: dict[str, Any] = {"age": 4, "customer": "CS1"}
COLUMNS: dict[str, Any] = {"age": 4, **CS1}
GIVEN: dict[str, Any] = {"age": 4, "transactions": ROWS["CS1"]}
INVOCATIONS = f"/models/{MODEL}/invocations"


@pytest.fixture
def world() -> Sources:
    return Sources(known=ROWS)


@pytest.fixture
def score(world: Sources) -> float:
    (row,) = world.ask(KEY, f"/models/{MODEL}/predict")[1]["predictions"]
    found: float = row["score"]
    return found


@pytest.mark.parametrize("record", [KEY, COLUMNS, GIVEN], ids=["key", "columns", "rows"])
def test_mlflow_takes_all_three_forms(world: Sources, score: float, record: dict[str, Any]) -> None:
    """Rows are a value of their own, in a record, a row of a frame, or a column."""
    for body in (
        {"dataframe_records": [record]},
        {"dataframe_split": {"columns": list(record), "data": [list(record.values())]}},
        {"instances": [record]},
        {"inputs": {name: [value] for name, value in record.items()}},
    ):
        assert world.ask(body, INVOCATIONS) == (200, {"predictions": [score]})


@pytest.mark.parametrize("record", [KEY, COLUMNS], ids=["key", "columns"])
def test_flat_forms_take_key_and_columns(
    world: Sources, score: float, record: dict[str, Any]
) -> None:
    """CSV and tensors, which have no place for rows."""
    text = ",".join(record) + "\n" + ",".join(map(str, record.values())) + "\n"
    response = world.client.post(INVOCATIONS, data=text.encode(), content_type="text/csv")
    assert response.get_json() == {"predictions": [score]}
    inputs = [
        {
            "name": name,
            "shape": [1],
            "datatype": "BYTES" if isinstance(value, str) else "FP64",
            "data": [value],
        }
        for name, value in record.items()
    ]
    status, answer = world.ask({"inputs": inputs}, f"/v2/models/{MODEL}/infer")
    assert status == 200
    assert answer["outputs"][0]["data"] == [score]


def test_fields_of_sources_are_known(world: Sources) -> None:
    """Key, moment, columns and rows are nobody's slip of the pen."""
    for record in (KEY, COLUMNS, {**GIVEN, "customer": "CS1"}):
        response = world.client.post(f"/models/{MODEL}/predict", json=record)
        assert response.status_code == 200
        assert "X-Millrace-Unknown-Fields" not in response.headers


def test_mlflows_model_says_the_same_of_columns_and_rows(world: Sources, score: float) -> None:
    """mlflow.pyfunc has no snapshot to look a key up in; the other two forms it has."""
    from shared.adapters.mlflow_pyfunc import ServedModel

    served = world.app.extensions["millrace"].models.get(MODEL)
    model = ServedModel(served.model)
    for record in (COLUMNS, GIVEN):
        assert model.predict([json.loads(json.dumps(record))]).tolist() == [score]
