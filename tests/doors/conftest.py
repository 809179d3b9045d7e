"""A predictor with one model, for the tests of protocols; others build a world of their own."""

from __future__ import annotations

from typing import Any

import pytest

from shared.serving.loaded_model import LoadedModel
from tests.support.predictor import OTHER, RECORD, World
from tests.unit.serving.models import binary_package, serve


@pytest.fixture
def world() -> World:
    found = World()
    serve(binary_package(), found.lake.bucket, log="sync")
    return found


@pytest.fixture
def expected() -> Any:
    """What the model says of RECORD and OTHER, asked without any protocol."""
    return LoadedModel(binary_package()).predict_records([RECORD, OTHER])
