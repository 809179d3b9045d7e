"""Fixtures of the contract suite: one implementation per parameter, fresh resources per test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.stores import Store, kinds, open_store


@pytest.fixture(params=kinds())
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    with open_store(request.param, tmp_path / "engine") as opened:
        yield opened
