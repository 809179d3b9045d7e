"""Profiles of texts: as large as the texts, not as rows times the longest of them."""

from __future__ import annotations

import tracemalloc

import numpy as np

from shared.serving.features import Bounds
from shared.tabular.profile import profile


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
