"""What one look at all rows finds before any is sifted: types, samples, the cut in time."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.errors import NotTrainable
from shared.spec.model import Spec
from shared.tabular.reading.blocks import block_of
from shared.tabular.splitting import time_cut
from shared.tabular.validating.inferring import COUNTED, Inference, _Different
from shared.tabular.validating.surveying import Thinned


def _infer(cells: dict[str, list[str]], spec: Spec, rows: int = 64) -> Spec:
    inference = Inference(spec, cells)
    count = len(next(iter(cells.values())))
    for start in range(0, count, rows):
        columns = [column[start : start + rows] for column in cells.values()]
        inference.add(block_of(list(cells), columns, range(len(columns[0])), []))
    return inference.spec()


def test_types_come_from_the_data_when_the_spec_names_none() -> None:
    """Numbers, categories; constants, empties and identifiers are left out."""
    count = 300
    cells = {
        "amount": [str(number / 3) for number in range(count)],
        "zip": ["0" + str(number % 7) if number % 2 else "x" for number in range(count)],
        "name": [f"person {number}" for number in range(count)],
        "same": ["1"] * count,
        "none": ["?"] * count,
        "y": ["yes" if number % 3 else "no" for number in range(count)],
    }
    spec = _infer(cells, Spec.model_validate({"task": "binary", "target": "y"}))
    assert spec.feature_names() == ["amount", "zip"]
    assert spec.columns["amount"].type == "number"
    assert list(spec.columns) == list(cells)
    with pytest.raises(NotTrainable, match="no usable column"):
        _infer({"same": ["1"], "y": ["a"]}, spec.model_copy(update={"columns": {}}))


def test_a_few_typing_errors_do_not_make_a_column_of_texts() -> None:
    """Their rows are quarantined, and the column is not lost; row numbers tell nothing."""
    cells = {
        "row": [str(number) for number in range(7, 307)],
        "amount": ["12o" if number == 5 else str(number / 3) for number in range(300)],
        "again": ["old" if number % 25 == 0 else str(number % 67) for number in range(300)],
        "mixed": ["x" if number % 3 == 0 else str(number / 3) for number in range(300)],
        "y": ["yes" if number % 3 else "no" for number in range(300)],
    }
    spec = _infer(cells, Spec.model_validate({"task": "binary", "target": "y"}))
    assert spec.feature_names() == ["amount", "again"]
    assert {spec.columns[name].type for name in ("amount", "again")} == {"number"}


def test_the_time_of_the_split_is_a_time_though_no_columns_are_named() -> None:
    """And no feature."""
    cells = {"when": ["2026-01-01", "2026-01-02"] * 50, "n": ["1", "2"] * 50, "y": ["a", "b"] * 50}
    training = {"split": "time", "time_column": "when"}
    body = {"task": "binary", "target": "y", "training": training}
    spec = _infer(cells, Spec.model_validate(body))
    assert spec.columns["when"].type == "time"
    assert spec.feature_names() == ["n"]


def test_very_many_different_values_are_estimated() -> None:
    """Within two percent, in bounded memory, the same in every process."""
    different = _Different()
    values = np.random.default_rng(0).integers(0, 2**63, 400_000).astype(np.uint64) * np.uint64(2)
    for part in np.array_split(np.concatenate([values, values[:50_000]]), 20):
        different.add(part)
    assert different.count() == pytest.approx(len(np.unique(values)), rel=0.02)
    assert len(different._smallest) == COUNTED


@given(st.lists(st.integers(0, 30), max_size=20), st.integers(2, 40))
@settings(max_examples=60, deadline=None)
def test_a_thinned_sample_is_every_nth_number(sizes: list[int], limit: int) -> None:
    """However they come."""
    thinned, total = Thinned(limit), sum(sizes)
    start = 0
    for size in sizes:
        thinned.add(np.arange(start, start + size, dtype=float))
        start += size
    found = thinned.values()
    step = int(found[1] - found[0]) if len(found) > 1 else 1
    assert len(found) <= limit
    assert len(found) in {0, 1} or found.tolist() == list(range(0, total, step))


@given(st.lists(st.integers(0, 8), min_size=2, max_size=40), st.floats(0.05, 0.6))
@settings(max_examples=80, deadline=None)
def test_a_cut_in_time_leaves_every_moment_on_one_side(times: list[int], share: float) -> None:
    """About the share asked for, nothing empty."""
    array = np.array(times, float)
    if len(set(times)) < 2:
        with pytest.raises(NotTrainable, match="two times or more"):
            time_cut(array, share)
        return
    cut = time_cut(array, share)
    held = (array >= cut).mean()
    assert 0 < held < 1
    others = [(array >= other).mean() for other in sorted(set(times))[1:]]
    assert abs(held - share) == min(abs(other - share) for other in others)
