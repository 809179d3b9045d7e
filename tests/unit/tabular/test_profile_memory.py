"""Profiles of hostile columns: as large as their texts, and JSON whatever their numbers."""

from __future__ import annotations

import json
import tracemalloc

import numpy as np
import pytest

from shared.serving.features import Bounds
from shared.tabular.profile import number_profile, profile


def test_one_long_cell_costs_its_own_length_only() -> None:
    """2,000 rows with a cell of 20,000 characters are 160 MB as an array of texts."""
    cells = np.array(["a", "b", "", "c"] * 500, object)
    cells[7] = "x" * 20_000
    tracemalloc.start()
    found = profile(cells, "category", Bounds(values=("a", "b")))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2_000_000
    assert (found["distinct"], found["present"], found["missing"]) == (4, 1500, 0.25)
    assert found["outside"] == 500 / 2000


@pytest.mark.parametrize("size", [1e160, 1.7e308])
def test_moments_that_no_float_holds_are_left_out(size: float) -> None:
    """A profile is JSON for anybody: what overflows is null, never Infinity."""
    found = number_profile(np.array([size, size, -size / 3, np.nan]))
    assert found["std"] is None
    assert found["max"] == size
    json.dumps(found, allow_nan=False)
