"""MLflow's own client over real HTTP: it cannot tell our predictor from `mlflow models serve`."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from werkzeug.serving import make_server

from shared.serving.describing import VERSION
from shared.serving.loaded_model import LoadedModel
from tests.support.predictor import RECORD, World
from tests.unit.serving.models import binary_package, serve

pytestmark = pytest.mark.filterwarnings("ignore:.*Any type hint is inferred")  # at import


@pytest.fixture
def client() -> Iterator[Any]:
    from mlflow.pyfunc.scoring_server.client import ScoringServerClient

    world = World()
    serve(binary_package(), world.lake.bucket)
    server = make_server("127.0.0.1", 0, world.app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    make: Any = ScoringServerClient
    yield make("127.0.0.1", server.server_port)
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_frame_goes_out_and_predictions_come_back(client: Any) -> None:
    """Probes, version, a frame with missing values, params, and the client's view of an error."""
    import pandas as pd

    client.wait_server_ready(timeout=10)
    assert client.get_version() == VERSION
    records: list[Any] = [RECORD, {**RECORD, "age": None, "city": None}, {**RECORD, "gain": 2.5}]
    expected = LoadedModel(binary_package()).predict_records(records)
    frame = pd.DataFrame(records)
    found = client.invoke(frame).get_predictions()
    assert found[0].tolist() == expected.label
    found = client.invoke(frame, params={"output": "proba"}).get_predictions()
    np.testing.assert_array_equal(found[1], expected.score)
    with pytest.raises(
        Exception, match=r"422.*INVALID_PARAMETER_VALUE.*row 1, age: must be a numb"
    ):
        client.invoke(frame.assign(age=[1, "x", 2]))
