"""Declared limits, slices, size and latency: what breaks them, and how it is said."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from shared.errors import BadSpec
from shared.policy import Verdict, judge
from shared.rule import Rule
from shared.spec.load import load_spec
from shared.spec.model import Promotion

BASE: dict[str, Any] = {
    "against": "old",
    "eligible": True,
    "evidence": "sufficient",
    "guardrails": [],
    "baseline": {"sentence": "It beats the best column.", "gain_lower": 0.1},
    "holdout": {"rows": 1000, "positives": 300},
    "metric": "auroc",
    "challenger": 0.9,
    "champion": 0.88,
    "gain": 0.02,
    "gain_lower": 0.01,
    "sentence": "Better.",
}


def _measure(value: float, error: float = 0.01, rows: int = 1000, **more: Any) -> dict[str, Any]:
    low, high = value - 2 * error, value + 2 * error
    return {
        "value": value,
        "low": low,
        "high": high,
        "error": error,
        "freedom": 1e9,
        "rows": rows,
        **more,
    }


def _dropped(drop: float) -> dict[str, Any]:
    return _measure(0.7, drop=drop, drop_low=0.0, drop_high=1.0, champion=0.7 + drop)


def _slice(level: str, value: float, error: float, **more: Any) -> dict[str, Any]:
    measure = _measure(value, error, 400, **more)
    return {"column": "sex", "level": level, "rows": 400, "measures": {"auroc": measure}}


def _judge(promotion: dict[str, Any], champion: str | None = "old", **comparison: Any) -> Verdict:
    body = {**BASE, "against": champion, **comparison}
    rule = Promotion.model_validate({"approval": "auto", **promotion})
    return judge(body, rule, champion=champion, pinned=False)


def _rule(verdict: Verdict, name: str) -> Rule:
    (found,) = [rule for rule in verdict.rules if rule.name == name]
    return found


@pytest.mark.parametrize(
    ("rail", "measure", "action"),
    [
        ({"recall": {"min": 0.6}}, _measure(0.6), "promote"),
        ({"recall": {"min": 0.6}}, _measure(0.599, 0.05), "decline"),
        ({"recall": {"max_drop": 0.01}}, _dropped(0.01), "promote"),
        ({"recall": {"max_drop": 0.01}}, _dropped(0.02), "decline"),
        ({"log_loss": {"max": 0.4}}, _measure(0.41, 0.05), "decline"),
        ({"log_loss": {"max": 0.4}}, _measure(0.39, 0.05), "promote"),
        ({"log_loss": {"max_drop": 0.0}}, _measure(0.39), "ask"),
        ({"ece": {"max": 0.1}}, None, "ask"),
    ],
)
def test_the_measured_value_decides_a_guardrail(
    rail: dict[str, Any], measure: dict[str, Any] | None, action: str
) -> None:
    """At the limit is kept, beyond it is broken however wide the interval; what could not be
    measured asks a person."""
    (metric,) = rail
    measures = {metric: measure} if measure else {}
    verdict = _judge({"guardrails": rail}, measures=measures)
    assert verdict.action == action


def test_a_guardrail_says_value_interval_rows_and_limit() -> None:
    """A manager reads all four in one sentence, and a program finds them beside it."""
    measures = {"recall": _measure(0.55, 0.02, 300)}
    verdict = _judge({"guardrails": {"recall": {"min": 0.6}}}, measures=measures)
    rule = _rule(verdict, "guardrail recall")
    assert rule.decides
    assert verdict.sentence == rule.sentence
    for text in ("0.5500", "0.5100 to 0.5900", "300 rows", "at least 0.6"):
        assert text in rule.sentence
    assert (rule.value, rule.threshold, rule.rows) == (0.55, 0.6, 300)


def test_what_a_perfect_model_would_break_too_asks_a_person() -> None:
    """On few rows every model's calibration error is large: too few to judge a small limit by."""
    rail = {"guardrails": {"ece": {"max": 0.02}}}
    for value, action in ((0.019, "promote"), (0.03, "ask"), (0.04, "decline")):
        measure = _measure(value, chance=0.023, chance_high=0.031)
        verdict = _judge(rail, measures={"ece": measure})
        assert verdict.action == action
    assert (
        "up to 0.0310 may be chance"
        in _rule(
            _judge(rail, measures={"ece": _measure(0.03, chance_high=0.031)}), "guardrail ece"
        ).sentence
    )


def test_a_broken_guardrail_declines_a_first_version_that_would_have_asked() -> None:
    """Nobody is asked about what the spec excludes; a person may still promote it by hand."""
    measures = {"recall": _measure(0.5)}
    rails = {"guardrails": {"recall": {"min": 0.6}}, "approval": "first"}
    assert _judge(rails, None, measures=measures).action == "decline"


def test_no_champion_is_no_drop() -> None:
    """A first version cannot be worse than nobody."""
    verdict = _judge(
        {"guardrails": {"auroc": {"max_drop": 0}}}, None, measures={"auroc": _measure(0.8)}
    )
    assert verdict.action == "promote"


def test_all_rules_are_listed_and_one_decides() -> None:
    """A declined version shows what else holds and what else is broken."""
    measures = {"recall": _measure(0.5), "log_loss": _measure(0.9)}
    rails = {"recall": {"min": 0.6}, "log_loss": {"max": 0.4}}
    verdict = _judge({"guardrails": rails}, measures=measures, gain_lower=-0.1)
    assert [(rule.name, rule.verdict) for rule in verdict.rules] == [
        ("baseline", "ok"),
        ("guardrail recall", "broken"),
        ("guardrail log_loss", "broken"),
        ("evidence", "ok"),
        ("better", "broken"),
        ("approval", "ok"),
    ]
    assert [rule.name for rule in verdict.rules if rule.decides] == ["guardrail recall"]


def test_too_little_evidence_leaves_the_gain_open() -> None:
    """With few rows the gain rule says neither ok nor broken."""
    verdict = _judge({}, evidence="insufficient_evidence", gain_lower=-0.1)
    assert verdict.action == "ask"
    assert _rule(verdict, "better").verdict == "unsure"
    assert _rule(verdict, "evidence").decides


SLICES = {"columns": ["sex"], "worst": {"auroc": 0.8}}


@pytest.mark.parametrize(
    ("value", "error", "count", "verdict"),
    [
        (0.82, 0.01, 2, "ok"),
        (0.79, 0.01, 2, "ok"),  # maybe chance
        (0.77, 0.01, 2, "broken"),  # 3 standard errors of 2 tests (z 1.96)
        (0.77, 0.01, 100, "ok"),  # 3 standard errors of 100 tests (z 3.29)
        (0.70, 0.01, 100, "broken"),
    ],
)
def test_a_slice_breaks_its_limit_only_with_certainty_over_all_slices(
    value: float, error: float, count: int, verdict: str
) -> None:
    """The more slices are looked at, the more certain each has to be."""
    others = [_slice(f"m{at}", 0.9, 0.01) for at in range(count - 1)]
    found = _judge({"slices": SLICES}, slices=[_slice("f", value, error), *others])
    rule = _rule(found, "slices auroc")
    assert rule.verdict == verdict
    assert "sex=f" in rule.sentence
    assert f"{count} slice tests" in rule.sentence


@pytest.mark.parametrize(("share", "rows"), [(0.7, 25), (0.95, 30), (0.95, 400), (0.3, 60)])
def test_slices_that_just_keep_their_limit_are_seldom_called_broken(
    share: float, rows: int
) -> None:
    """Of models whose twelve slices all have exactly the limit, at most 5 % are declined; few
    positives and shares near 1 included."""
    random = np.random.default_rng(rows)
    limits = {"slices": {"columns": ["sex"], "worst": {"recall": share}}}
    trials, declined = 600, 0
    for hits in random.binomial(rows, share, (trials, 12)):
        found = []
        for at, value in enumerate(hits / rows):
            error = math.sqrt(value * (1 - value) / rows)
            measure = _measure(float(value), error, rows)
            found.append(
                {"column": "sex", "level": str(at), "rows": 400, "measures": {"recall": measure}}
            )
        declined += _judge(limits, slices=found).action == "decline"
    assert declined / trials <= 0.06  # 5 %, and what 600 trials may add


def test_a_gap_is_how_much_worse_a_slice_is_than_all_other_rows() -> None:
    """Certain beyond the limit is broken; a slice that is better never is."""
    wanted = {"columns": ["sex"], "max_gap": {"auroc": 0.05}}
    for gap, verdict in ((0.06, "ok"), (0.09, "broken"), (-0.3, "ok")):
        one = _slice("f", 0.7, 0.01, gap=gap, gap_error=0.01, gap_freedom=1e9, rest=0.7 + gap)
        rule = _rule(_judge({"slices": wanted}, slices=[one]), "slices auroc gap")
        assert rule.verdict == verdict


def test_slices_that_cannot_be_judged_ask_a_person() -> None:
    """Columns that were not measured and slices that are all too small are no silent yes."""
    assert _judge({"slices": SLICES}, slices=[]).action == "ask"
    small = {"column": "sex", "level": "f", "rows": 40, "measures": {}}
    assert _judge({"slices": SLICES}, slices=[small]).action == "ask"


def test_slices_without_limits_decide_nothing() -> None:
    """They are reported, however bad."""
    assert _judge({}, slices=[_slice("f", 0.1, 0.001)]).action == "promote"


@pytest.mark.parametrize(
    ("mine", "champion", "verdict"),
    [(0.9, 0.1, "ok"), (4.0, 2.0, "ok"), (4.1, 2.0, "broken"), (50.0, None, "ok")],
)
def test_latency_is_broken_beyond_twice_the_champions(
    mine: float, champion: float | None, verdict: str
) -> None:
    """Two fast models are never told apart by their ratio, and a first one by nothing."""
    timing = {"challenger_ms": mine, "champion_ms": champion}
    assert _rule(_judge({}, latency=timing), "latency").verdict == verdict


def test_a_package_that_is_too_large_is_declined() -> None:
    """The predictor has to hold it."""
    assert _judge({}, package_bytes=101_000_000).action == "decline"
    assert _judge({"max_package_mb": 200}, package_bytes=101_000_000).action == "promote"


def test_a_comparison_from_before_these_rules_is_still_judged() -> None:
    """Old versions have no measures: without declared limits nothing changes for them."""
    assert _judge({}).action == "promote"


SPEC = """
task: {task}
target: y
columns: {{a: {{type: number}}, b: {{}}, c: {{exclude: true}}, y: {{}}}}
promotion: {promotion}
"""


@pytest.mark.parametrize(
    ("task", "promotion", "words"),
    [
        (
            "binary",
            "{guardrails: {recal: {min: 0.6}}}",
            "guardrails.recal is no metric of a binary model; did you mean recall?",
        ),
        (
            "regression",
            "{guardrails: {auroc: {min: 0.6}}}",
            "auroc is no metric of a regression model; known here: rmse, mae, r2",
        ),
        (
            "binary",
            "{guardrails: {log_loss: {min: 0.6}}}",
            "log_loss.min is the wrong end: less log_loss is better; write max",
        ),
        (
            "binary",
            "{guardrails: {recall: {min: 60}}}",
            "promotion.guardrails.recall.min is 60, but recall is 0 to 1",
        ),
        ("binary", "{guardrails: {recall: {}}}", "promotion.guardrails.recall: says nothing"),
        (
            "binary",
            "{guardrails: {base_rate: {min: 0.1}}}",
            "promotion.guardrails.base_rate is no metric",
        ),
        (
            "binary",
            "{slices: {worst: {auroc: 0.8}}}",
            "promotion.slices.worst is for named columns only",
        ),
        (
            "binary",
            "{slices: {columns: [b], worst: {aurok: 0.8}}}",
            "promotion.slices.worst.aurok is no metric",
        ),
        (
            "binary",
            "{slices: {columns: [b], worst: {ece: 0.1}}}",
            "promotion.slices.worst.ece is not for slices",
        ),
        (
            "binary",
            "{slices: {columns: [b], max_gap: {auroc: -1}}}",
            "promotion.slices.max_gap.auroc is -1",
        ),
        (
            "binary",
            "{slices: {columns: [bb]}}",
            "promotion.slices.columns 'bb' is no column; did you mean",
        ),
        ("binary", "{slices: {columns: [c]}}", "'c' is no feature, and the stored rows"),
        (
            "binary",
            "{slices: {columns: [a]}}",
            "'a' is a number; slices are the levels of a category",
        ),
        ("binary", "{slices: {columns: [y]}}", "'y' is the target"),
    ],
)
def test_a_limit_that_cannot_be_meant_is_refused_with_its_key(
    task: str, promotion: str, words: str
) -> None:
    """Unknown metrics, the wrong end, impossible values, columns that are no slices."""
    with pytest.raises(BadSpec) as refused:
        load_spec(SPEC.format(task=task, promotion=promotion), "m.yaml")
    assert words in str(refused.value).replace("  ", " ")
