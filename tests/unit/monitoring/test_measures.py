"""Statistics that a spec may choose: what scipy and Evidently say, less chance, and how sure."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from scipy.spatial.distance import jensenshannon
from scipy.stats import ks_2samp, wasserstein_distance
from scipy.stats.contingency import association
from sklearn.datasets import load_breast_cancer

from shared.serving.features import Feature
from shared.statistic_names import OF_KIND, Statistic
from shared.tabular import ordered
from shared.tabular.column_drift import ColumnDrift, compare, over_bins
from shared.tabular.distances import cramers_v, jensen_shannon
from shared.tabular.drift_page import draw
from shared.tabular.measures import Measures, equal_to
from shared.tabular.profile import build_reference, profile

CELLS = load_breast_cancer(as_frame=True)
COLUMNS = ["mean radius", "mean texture", "area error", "worst concavity"]
MANY = 400  # times the rows: nothing is left to chance

Floats = NDArray[np.float64]


def halves(name: str) -> tuple[Floats, Floats]:
    """A real column of the first and of the second half of the patients."""
    values = CELLS.data[name].to_numpy(np.float64)
    return values[:284], values[284:568]


def evidently(name: str, before: NDArray[Any], now: NDArray[Any]) -> float:
    """The score of one of Evidently's own tests."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its own, about its dependencies
        from evidently.legacy.calculations.stattests import registry
        from evidently.legacy.core import ColumnType

        number = before.dtype == np.float64
        kind = ColumnType.Numerical if number else ColumnType.Categorical
        sides = pd.Series(before), pd.Series(now)
        score: float = registry.get_stattest(*sides, kind, name)(*sides, kind, None).drift_score
    return score


def measured(
    before: NDArray[Any], now: NDArray[Any], statistic: Statistic, **more: Any
) -> ColumnDrift:
    kind = "number" if before.dtype == np.float64 else "category"
    sample = before.tolist() if kind == "number" else None
    given: dict[str, Any] = {"measures": Measures(0.1, columns={"x": statistic}), "min_rows": 20}
    given["sample"] = sample
    return compare("x", profile(before, kind), now, **(given | more))


@pytest.mark.parametrize("name", COLUMNS)
def test_numbers_are_as_far_apart_as_scipy_and_evidently_say(name: str) -> None:
    """Each patient many times, so that the correction for chance is none."""
    before, now = halves(name)
    often = ordered.samples_apart(np.tile(before, MANY), np.tile(now, MANY), 284.0 * MANY)
    assert ordered.wasserstein(often)[0] == pytest.approx(wasserstein_distance(before, now), 0.01)
    assert ordered.kolmogorov_smirnov(often)[0] == pytest.approx(ks_2samp(before, now)[0], 0.01)
    once = ordered.samples_apart(before, now, 284.0)
    p_value = ks_2samp(before, now, method="asymp").pvalue
    assert ordered.kolmogorov_smirnov(once)[1] == pytest.approx(p_value)
    area = ordered.wasserstein(often)[0] / before.std()
    assert area == pytest.approx(evidently("wasserstein", before, now), 0.01)
    assert ordered.kolmogorov_smirnov(once)[1] == pytest.approx(
        evidently("ks", before, now), rel=0.3, abs=1e-6
    )


def test_categories_are_as_far_apart_as_scipy_and_evidently_say() -> None:
    """Texture in six levels, of patients with and without cancer."""
    texture = pd.cut(CELLS.data["mean texture"], 6, labels=list("abcdef")).astype(str)
    sick, well = texture[CELLS.target == 0][:200], texture[CELLS.target == 1][:200]
    levels = sorted(set(texture))
    counts = [
        np.array([(side == level).sum() for level in levels], np.float64) for side in (sick, well)
    ]
    many = [of * MANY for of in counts]
    distance = jensenshannon(*counts)
    assert jensen_shannon(many[0], many[1]) == pytest.approx(distance, 0.01)
    theirs = evidently("jensenshannon", sick.to_numpy(), well.to_numpy())
    assert jensen_shannon(many[0], many[1]) == pytest.approx(theirs, 0.01)
    table = np.array(counts).astype(int)
    assert cramers_v(many[0], many[1]) == pytest.approx(association(table, "cramer"), 0.01)
    # However many rows the model learned from.
    assert cramers_v(many[0] * 50, many[1]) == pytest.approx(cramers_v(many[0], many[1]), 0.01)


@pytest.mark.parametrize("statistic", ["js", "chi_square", "ks", "wasserstein"])
def test_chance_alone_is_taken_off(statistic: Statistic) -> None:
    """500 rows against 2,000 of the same distribution: on the scale of squares hardly anything is
    left, and one in a hundred p-values is below 1 %."""
    rng = np.random.default_rng(5)
    kind = "number" if statistic in OF_KIND["number"] else "category"
    found = []
    for _ in range(400):
        if kind == "number":
            before, now = np.exp(rng.normal(size=2000)), np.exp(rng.normal(size=500))
        else:
            picked = rng.choice(list("abcdefgh"), 2500).astype(object)
            before, now = picked[:2000], picked[2000:]
        found.append(measured(before, now, statistic))
    # Not below 0, so that half of what chance adds and takes is left.
    squares = np.array([item.value or 0.0 for item in found]) ** 2
    assert squares.mean() < equal_to(statistic, 0.02) ** 2
    p_values = np.array([item.p_value for item in found], np.float64)
    assert 0.02 < (p_values < 0.05).mean() < 0.08
    assert (p_values < 0.01).mean() < 0.025
    assert {item.statistic for item in found} == {statistic}
    assert not any(item.drifted for item in found)


def test_a_threshold_stands_for_the_same_move_by_every_statistic() -> None:
    """A normal column that moved until its PSI is 0.1 is at the threshold of each, within 8 %."""
    rng = np.random.default_rng(2)
    before, now = rng.normal(size=200_000), rng.normal(np.sqrt(0.1), 1, 200_000)
    for statistic in OF_KIND["number"]:
        found = measured(before, now, statistic)
        assert found.threshold == pytest.approx(equal_to(statistic, 0.1), abs=1e-4)
        assert found.value == pytest.approx(found.threshold, rel=0.08)
        assert found.far == pytest.approx(1, rel=0.15)
    levels = np.array(list("abcdefghij"), object)
    texts = [levels[np.clip(np.round(side * 2 + 5), 0, 9).astype(int)] for side in (before, now)]
    for statistic in OF_KIND["category"]:
        assert measured(texts[0], texts[1], statistic).far == pytest.approx(1, rel=0.15)


def test_a_threshold_of_its_own_is_taken() -> None:
    """In the unit of its statistic; of the target a part of it, as a move half as squared."""
    chosen = Measures(0.1, number="wasserstein", thresholds={"wasserstein": 0.2})
    assert chosen.threshold("wasserstein") == 0.2
    assert chosen.threshold("wasserstein", 0.5) == pytest.approx(0.2 * np.sqrt(0.5))
    assert chosen.threshold("ks") == pytest.approx(equal_to("ks", 0.1), abs=1e-4)
    assert Measures(0.1).threshold("psi", 0.5) == pytest.approx(0.05)


def test_tails_within_the_last_bin_are_seen_by_values_only() -> None:
    """The largest tenth ten times as large: the bins are as they were, the area is not."""
    rng = np.random.default_rng(3)
    before, now = np.exp(rng.normal(size=5000)), np.exp(rng.normal(size=2000))
    now = np.where(now > np.quantile(before, 0.91), now * 10, now)
    assert not measured(before, now, "psi").drifted
    found = measured(before, now, "wasserstein")
    assert found.drifted
    assert found.p_value is not None
    assert found.p_value < 1e-4


def test_where_no_values_are_kept_psi_stands_in() -> None:
    """A reference without a sample, or one whose values hardly differ from nothing."""
    before, now = halves("mean radius")
    assert measured(before, now, "ks", sample=None).statistic == "psi"
    assert measured(before, now, "wasserstein", sample=before[:10].tolist()).statistic == "psi"
    constant = np.full(300, 5.0)
    assert measured(constant, constant + 1, "wasserstein").statistic == "psi"


@pytest.mark.parametrize("statistic", ["js", "ks", "wasserstein"])
def test_earlier_weeks_are_compared_by_the_same_statistic_over_bins(statistic: Statistic) -> None:
    """Of the stored rows per bin: near what the values say, and nothing where nothing moved."""
    rng = np.random.default_rng(4)
    before, now = rng.normal(size=20_000), rng.normal(0.5, 1, 20_000)
    found, made = measured(before, now, statistic), profile(before, "number")
    stored = np.array(made["shares"]) * len(before)
    counts = np.array(found.counts, np.float64)
    assert over_bins(statistic, made, stored, counts) == pytest.approx(found.value, rel=0.15)
    assert over_bins(statistic, made, counts, counts) == 0.0


def test_evidently_draws_by_the_same_statistics() -> None:
    """Features by theirs, the score by that of numbers."""
    rng = np.random.default_rng(6)
    before, now = halves("mean radius")
    texts = rng.choice(list("abc"), 284).astype(object)
    features = [Feature("<radius>", "number"), Feature("level", "category")]
    scores = rng.random(284)
    reference = build_reference(
        {"<radius>": before, "level": texts},
        features,
        scores=scores,
        labels=None,
        targets=scores,
        task="regression",
        metrics={},
    )
    measures = Measures(0.1, "wasserstein", "js", columns={"<radius>": "ks"})
    page = draw(
        reference, {"<radius>": now, "level": texts}, scores, measures=measures, drift_share=0.25
    )
    assert page is not None
    for name in ("K-S p_value", "Jensen-Shannon distance", "Wasserstein distance (normed)"):
        assert name in page
    assert "PSI" not in page
