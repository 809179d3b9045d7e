"""Drift, data quality and realised performance as numbers: quiet on nothing, awake on something."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from shared.serving.columns import Columns
from shared.serving.features import Bounds, Feature
from shared.tabular.alarms import Alarm, news, settle
from shared.tabular.distances import benjamini_hochberg, chi_square_p, corrected_psi
from shared.tabular.drift import Drift, judge_drift
from shared.tabular.drift_page import draw, harmless
from shared.tabular.measures import Measures
from shared.tabular.performance import (
    Evidence,
    Measured,
    Performance,
    favourable_bound,
    judge_performance,
    realised,
    worth_measuring,
)
from shared.tabular.profile import SAMPLE_ROWS, bin_edges, build_reference
from shared.tabular.quality import judge_quality

FEATURES = [
    *(Feature(f"n{number}", "number") for number in range(6)),
    Feature("mostly_zero", "number"),
    Feature("years", "number"),
    *(Feature(f"c{number}", "category") for number in range(3)),
    Feature("many", "category"),
]


def draw_rows(rng: np.random.Generator, rows: int) -> Columns:
    columns: Columns = {f"n{number}": rng.normal(number, 1, rows) for number in range(6)}
    columns["mostly_zero"] = np.where(rng.random(rows) < 0.92, 0.0, rng.exponential(1000, rows))
    columns["years"] = rng.integers(1, 17, rows).astype(np.float64)
    for number in range(3):
        weights = 1 / np.arange(1, 4 + 10 * number) ** 1.5
        levels = [f"l{level}" for level in range(len(weights))]
        picked = rng.choice(levels, rows, p=weights / weights.sum())
        columns[f"c{number}"] = picked.astype(object)
    columns["many"] = rng.choice([f"m{level}" for level in range(120)], rows).astype(object)
    return columns


def reference_of(columns: Columns, rng: np.random.Generator, **more: Any) -> dict[str, Any]:
    scores = rng.random(2000)
    given: dict[str, Any] = {"labels": None, "targets": scores, "task": "regression", "metrics": {}}
    return build_reference(columns, FEATURES, scores=scores, **(given | more))


def judged(reference: dict[str, Any], columns: Columns, rng: np.random.Generator) -> Drift:
    rows = len(columns["n0"])
    return judge_drift(
        reference,
        columns,
        rng.random(rows),
        None,
        measures=Measures(0.1),
        drift_share=0.25,
        min_rows=200,
    )


# --- quiet ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("rows", "allowed"), [(200, 4), (1000, 0)])
def test_random_halves_of_one_distribution_stay_quiet(rows: int, allowed: int) -> None:
    """200 seeded windows from the reference's own distribution, 12 columns each, before any
    persistence: at the least number of rows one in a hundred may be called drifted, at a thousand
    none; none has broken data."""
    rng = np.random.default_rng(11)
    drifted = broken = 0
    for repetition in range(200):
        if repetition % 30 == 0:
            reference = reference_of(draw_rows(rng, 3000), rng)
        columns = draw_rows(rng, rows)
        drifted += judged(reference, columns, rng).verdict == "drifted"
        quality = judge_quality(
            reference, columns, rows=rows, refused=0, max_bad_rows=0.05, min_rows=200
        )
        broken += bool(quality.broken)
    assert drifted <= allowed
    assert broken == 0


def test_performance_as_on_the_holdout_stays_quiet() -> None:
    """40 seeded windows of labels that agree with the holdout: none breaches."""
    rng = np.random.default_rng(5)
    breaches = 0
    for _ in range(40):
        rows = binary(rng, 500, 1.0)
        found = judge(rows, {"metric": "auroc", "value": 0.7602}, 500)
        breaches += bool(found.breach)
    assert breaches == 0


# --- awake ---------------------------------------------------------------------------------------


def test_one_feature_moved_by_psi_a_fifth_is_found() -> None:
    """At 1,000 rows a window, a shift of PSI 0.2 on one of 12 features is called drift in most
    windows, and the feature is the one that is named."""
    rng = np.random.default_rng(3)
    reference = reference_of(draw_rows(rng, 5000), rng)
    found = 0
    for _ in range(40):
        columns = draw_rows(rng, 1000)
        columns["n3"] = columns["n3"] + 0.45  # PSI of a shifted normal: 0.45 squared
        drift = judged(reference, columns, rng)
        assert drift.columns[0].column == "n3"
        found += drift.verdict == "drifted"
    assert found >= 32  # so 2 of 3 windows alarm in more than 95 %


def test_a_shift_of_several_columns_is_found_by_their_share() -> None:
    """A quarter of the columns over the threshold is drift, though none went far."""
    rng = np.random.default_rng(4)
    reference = reference_of(draw_rows(rng, 5000), rng)
    columns = draw_rows(rng, 3000)
    for number in range(4):
        columns[f"n{number}"] = columns[f"n{number}"] + 0.36
    drift = judged(reference, columns, rng)
    assert drift.verdict == "drifted"
    assert "4 of 12 columns drifted" in drift.sentence


def test_copies_of_a_column_are_one_witness() -> None:
    """What is derived of a column that drifted counts no second time, and what did not drift does
    not thin the others out; what drifted though none of its columns did counts. References that do
    not say what is derived are read as before."""
    rng = np.random.default_rng(4)
    derived = {f"n{number}": ["n0"] for number in range(1, 6)}
    reference = reference_of(draw_rows(rng, 60_000), rng, made_of=derived)

    def moved(*numbers: int) -> Drift:
        columns = draw_rows(rng, 60_000)
        for number in numbers:
            columns[f"n{number}"] = columns[f"n{number}"] + 0.335
        return judged(reference, columns, rng)

    assert moved().sentence.startswith("0 of 7 columns drifted")
    copies = moved(*range(6))
    assert copies.verdict == "stable"
    assert copies.share == pytest.approx(1 / 7)
    assert sum(item.drifted for item in copies.columns) == 6
    assert moved(1).sentence.startswith("1 of 8 columns drifted")
    assert moved(1, 2, 3).sentence.startswith("3 of 10 columns drifted (30%)")
    del reference["made_of"]
    assert moved(*range(6)).verdict == "drifted"


def test_predictions_that_moved_alone_are_drift() -> None:
    """The inputs look the same, the scores do not."""
    rng = np.random.default_rng(4)
    reference = reference_of(draw_rows(rng, 5000), rng)
    columns = draw_rows(rng, 1000)
    drift = judge_drift(
        reference,
        columns,
        rng.beta(2, 5, 1000),
        None,
        measures=Measures(0.1),
        drift_share=0.25,
        min_rows=200,
    )
    assert drift.verdict == "drifted"
    assert "the predictions drifted" in drift.sentence


def test_a_category_that_took_over_is_found_and_named() -> None:
    """The line that people read says which level moved, from where to where."""
    rng = np.random.default_rng(4)
    reference = reference_of(draw_rows(rng, 5000), rng)
    columns = draw_rows(rng, 1000)
    columns["c0"][:500] = "l2"
    drift = judged(reference, columns, rng)
    assert drift.columns[0].column == "c0"
    assert drift.columns[0].change.startswith("share of 'l2' ")


def test_too_few_rows_or_values_are_no_verdict() -> None:
    """Below min_rows there is no verdict; a column of missing values is not judged."""
    rng = np.random.default_rng(4)
    reference = reference_of(draw_rows(rng, 5000), rng)
    assert judged(reference, draw_rows(rng, 199), rng).verdict == "insufficient_data"
    columns = draw_rows(rng, 500)
    columns["n0"] = np.full(500, np.nan)
    drift = judged(reference, columns, rng)
    assert next(item for item in drift.columns if item.column == "n0").value is None


def test_a_worse_model_breaches_and_a_slightly_worse_one_does_not() -> None:
    """The bound has to be worse than the holdout by more than the minimum effect."""
    rng = np.random.default_rng(6)
    reference = {"metric": "auroc", "value": 0.7602}
    assert judge(binary(rng, 3000, 0.5), reference, 3000).breach is True
    assert judge(binary(rng, 3000, 0.97), reference, 3000).breach is False


# --- numbers -------------------------------------------------------------------------------------


def test_auroc_is_the_textbooks() -> None:
    """Ties included, equal to scikit-learn's."""
    rng = np.random.default_rng(8)
    score = rng.integers(0, 20, 500) / 20
    target = np.where(rng.random(500) < score, "yes", "no").astype(object)
    rows = worth_measuring("binary", score, None, target, "yes")
    assert rows is not None
    assert realised(rows) == pytest.approx(roc_auc_score(target == "yes", score))


def test_the_bound_is_one_sided_and_covers() -> None:
    """The favourable end lies above the true AUROC in about 95 % of samples."""
    rng = np.random.default_rng(9)
    truth = realised(binary(rng, 400_000, 1.0))
    above = sum(favourable_bound(binary(rng, 300, 1.0)) > truth for _ in range(100))
    assert 88 <= above <= 99


def test_less_is_better_for_rmse() -> None:
    """For RMSE the favourable end is the low one, and 5 % more is the limit."""
    rng = np.random.default_rng(10)
    score, target = np.zeros(1000), rng.normal(0, 1.2, 1000)
    rows = worth_measuring("regression", score, None, target.astype(object), None)
    assert rows is not None
    assert favourable_bound(rows) < realised(rows)
    found = judge(rows, {"metric": "rmse", "value": 1.0}, 1000)
    assert (found.breach, found.limit) == (True, 1.05)


def test_multiclass_is_judged_by_accuracy() -> None:
    """A multiclass prediction keeps its own label's probability only."""
    labels = np.array(["a", "b", "c"] * 100, object)
    rows = worth_measuring("multiclass", np.full(300, 0.5), labels, labels, None)
    assert rows is not None
    assert (rows.metric, realised(rows)) == ("accuracy", 1.0)


def test_psi_has_no_bias_left() -> None:
    """On equal distributions the corrected PSI is near 0 on average, the plain one is not."""
    rng = np.random.default_rng(12)
    values = []
    for _ in range(300):
        before = np.bincount(rng.integers(0, 10, 3000), minlength=10).astype(np.float64)
        now = np.bincount(rng.integers(0, 10, 200), minlength=10).astype(np.float64)
        values.append(corrected_psi(before, now))
    assert np.median(values) < 0.005  # uncorrected: about 0.048


def test_p_values_are_uniform_without_an_effect() -> None:
    """About one in twenty p-values is below 0.05 when nothing moved."""
    rng = np.random.default_rng(13)
    small = 0
    for _ in range(400):
        before = np.bincount(rng.integers(0, 8, 2000), minlength=8).astype(np.float64)
        now = np.bincount(rng.integers(0, 8, 500), minlength=8).astype(np.float64)
        small += chi_square_p(before, now) < 0.05
    assert 8 <= small <= 34


def test_false_discoveries_are_controlled() -> None:
    """Benjamini-Hochberg's own example: only what survives the growing limits is rejected."""
    p = [0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459, 0.3240]
    p += [0.4262, 0.5719, 0.6528, 0.7590, 1.0]
    assert benjamini_hochberg(p, 0.05) == [True] * 4 + [False] * 11
    assert benjamini_hochberg([]) == []


def test_bins_fit_what_they_hold() -> None:
    """Few values get a bin each, a constant is left noticeably, a value that holds most rows does
    not hide the others."""
    assert bin_edges(np.array([1.0, 2.0, 2.0, 3.0])).tolist() == [1.0, 2.0]
    constant = bin_edges(np.full(10, 5.0))
    assert constant[0] < 5.0 == constant[1]
    rng = np.random.default_rng(0)
    zeros = np.where(rng.random(5000) < 0.92, 0.0, rng.exponential(10, 5000))
    assert len(bin_edges(zeros)) >= 4


def test_a_reference_is_plain_json_and_bounded() -> None:
    """No NaN, at most SAMPLE_ROWS rows, the same for the same data; wrong lengths are refused."""
    import json

    rng = np.random.default_rng(1)
    columns = draw_rows(rng, 5000)
    columns["n0"][:50] = np.nan
    columns["n1"][:] = np.nan
    text = json.dumps(reference_of(columns, np.random.default_rng(2)), allow_nan=False)
    assert text == json.dumps(reference_of(columns, np.random.default_rng(2)), allow_nan=False)
    sample = json.loads(text)["sample"]
    assert len(sample["columns"]["n0"]) == SAMPLE_ROWS == len(sample["score"])
    with pytest.raises(ValueError, match="not of the same rows"):
        reference_of(columns, rng, targets=np.zeros(3))
    with pytest.raises(ValueError, match="positive label"):
        reference_of(columns, rng, task="binary")


def test_what_breaks_expect_is_compared_with_the_reference() -> None:
    """Values outside `expect` count only beyond what training had."""
    rng = np.random.default_rng(1)
    features = [
        Feature("n", "number", Bounds(max=1.0)),
        Feature("k", "category", Bounds(values=("a",))),
    ]
    columns: Columns = {
        "n": rng.normal(0, 1, 3000),
        "k": rng.choice(["a", "b"], 3000).astype(object),
    }
    scores = rng.random(500)
    reference = build_reference(
        columns,
        features,
        scores=scores,
        labels=None,
        targets=scores,
        task="regression",
        metrics={},
    )
    same = {"n": rng.normal(0, 1, 500), "k": rng.choice(["a", "b"], 500).astype(object)}
    kept: dict[str, Any] = {"rows": 500, "refused": 0, "max_bad_rows": 0.05, "min_rows": 200}
    assert judge_quality(reference, same, **kept).broken is False
    jumped = {**same, "n": same["n"] * 1000}
    found = judge_quality(reference, jumped, **kept)
    assert found.broken is True
    assert "% outside what the spec expects (..1)" in found.sentence


# --- alarms --------------------------------------------------------------------------------------


def chain(breaches: list[bool | None], persistence: tuple[int, int]) -> list[Alarm]:
    past: list[Alarm] = []
    for number, breach in enumerate(breaches):
        alarm = settle(
            breach,
            past,
            incident_id=f"i{number}",
            window_start=f"t{number}",
            persistence=persistence,
        )
        past.insert(0, alarm)
    return past[::-1]


def test_persistence_counts_judged_windows_only() -> None:
    """2 of 3: windows without a judgement neither count nor break the row."""
    alarms = chain([True, None, True, False, True, False, False, True], (2, 3))
    assert [alarm.firing for alarm in alarms] == [
        False, False, True, False, True, False, False, False,
    ]  # fmt: skip
    assert [alarm.resolves for alarm in alarms] == ["", "", "", "i2", "", "i4", "", ""]


def test_an_unbroken_row_remembers_its_start() -> None:
    """Firing windows in a row are the same story since the first one."""
    alarms = chain([True, True, None, True], (1, 1))
    assert [alarm.since for alarm in alarms] == ["t0", "t0", "", "t0"]


def test_a_revision_tells_only_news() -> None:
    """Opened once, resolved once, silent otherwise."""
    firing, calm, unjudged = Alarm(True, True, "i"), Alarm(False), Alarm(None)
    resolving = Alarm(False, resolves="h")
    assert news(firing, None) == "opened"
    assert news(firing, firing) is None
    assert news(firing, unjudged) == "opened"
    assert news(calm, firing) == "resolved"
    assert news(unjudged, firing) is None
    assert news(resolving, None) == "resolved"
    assert news(resolving, unjudged) == "resolved"
    assert news(resolving, calm) is None
    assert news(calm, None) is None


# --- drawing -------------------------------------------------------------------------------------


def test_hopeless_columns_are_left_out_of_the_drawing() -> None:
    """All missing, constant, nearly empty: the page is drawn from the others, or not at all."""
    rng = np.random.default_rng(1)
    columns = draw_rows(rng, 400)
    columns["n0"] = np.full(400, np.nan)
    columns["n1"] = np.full(400, 3.0)
    columns["c0"] = np.full(400, "", object)
    page = draw(
        reference_of(columns, rng),
        columns,
        rng.random(400),
        measures=Measures(0.1),
        drift_share=0.25,
    )
    assert page is not None
    assert "years" in page
    nothing = draw(
        {"features": [], "sample": {"columns": {}, "score": []}},
        {},
        np.array([]),
        measures=Measures(0.1),
        drift_share=0.25,
    )
    assert nothing is None


def test_markup_in_names_is_made_harmless() -> None:
    """What Evidently embeds in a script cannot end that script."""
    assert harmless('</script>"&\\') == "\u2039/script\u203a'+/"


def binary(rng: np.random.Generator, rows: int, strength: float) -> Measured:
    """Scores that know the label as well as `strength` says (1.0: AUROC about 0.76)."""
    hit = rng.random(rows) < 0.3
    score = rng.normal(hit * strength, 1)
    target = np.where(hit, "yes", "no").astype(object)
    found = worth_measuring("binary", score, None, target, "yes")
    assert found is not None
    return found


def judge(rows: Measured, reference: dict[str, Any], number: int) -> Performance:
    return judge_performance(
        rows,
        reference,
        Evidence(min_rows=200, min_coverage=0.8, min_positives=50),
        predictions=number,
        labelled=number,
    )
