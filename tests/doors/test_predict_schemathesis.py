"""What `/openapi.json` promises of answers is so, whatever is asked. `make fuzz` asks more."""

from __future__ import annotations

import pytest

from tests.support.fuzzing import fuzz, of_app, serve_kinds
from tests.support.predictor import World


@pytest.fixture(scope="module")
def world() -> World:
    found = World(access=lambda _: None)
    serve_kinds(found.lake.bucket)
    return found


@pytest.mark.parametrize("model", ["letters", "response"])
def test_answers_are_those_of_the_document(world: World, model: str) -> None:
    """Some requests in all protocols: no 5xx, no undocumented status, content type or body,
    and what breaks the document is refused."""
    statuses = fuzz(of_app(world.app, f"/models/{model}/openapi.json"), 60, seed=1)
    assert sum(statuses.values()) >= 60
    assert statuses.keys() >= {200, 400, 404, 422}
