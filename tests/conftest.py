"""For all tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.granting import finished_topology, refusing


@pytest.fixture(scope="session", autouse=True)
def least_privilege() -> Iterator[None]:
    """Functions, jobs and the predictor can do in every test what they may do when deployed."""
    with refusing(finished_topology()):
        yield
