"""The promotion rule. Pure: a comparison, a spec and the state of the champion in, a decision out.

Rules are tried in this order; the first that does not let the version through decides. A wrong
baseline or guardrail declines, missing evidence asks a person, and only then is the gain judged.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from shared.spec.model import Promotion

Action = Literal["promote", "decline", "ask", "compare_again"]


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule as it was applied, in words a manager understands."""

    name: str
    passed: bool
    sentence: str


@dataclass(frozen=True, slots=True)
class Verdict:
    action: Action
    sentence: str
    rules: tuple[Rule, ...]

    def as_dict(self) -> dict[str, Any]:
        return {**asdict(self), "rules": [asdict(rule) for rule in self.rules]}


def judge(
    comparison: Mapping[str, Any], promotion: Promotion, *, champion: str | None, pinned: bool
) -> Verdict:
    """What to do with the version that was compared. `champion` is who serves now."""
    if comparison["against"] != champion:
        compared = comparison["against"] or "no champion"
        sentence = f"It was compared with {compared}, but {champion} serves now."
        return Verdict("compare_again", sentence, ())
    rules = _entry_rules(comparison)
    failed = next((rule for rule in rules if not rule.passed), None)
    if failed:
        return Verdict("decline", failed.sentence, rules)
    if champion is None:
        return _first(comparison, promotion, rules)
    return _challenge(comparison, promotion, rules, pinned=pinned)


def _entry_rules(comparison: Mapping[str, Any]) -> tuple[Rule, ...]:
    """What every version must pass, whoever it competes with."""
    baseline = Rule("baseline", bool(comparison["eligible"]), comparison["baseline"]["sentence"])
    guardrails = (
        Rule(item["name"], bool(item["pass"]), item["sentence"])
        for item in comparison["guardrails"]
    )
    return (baseline, *guardrails)


def _first(comparison: Mapping[str, Any], promotion: Promotion, rules: tuple[Rule, ...]) -> Verdict:
    sentence = f"First version: {comparison['sentence']}"
    if promotion.approval == "auto":
        if (
            comparison["evidence"] == "sufficient"
            or comparison["baseline"]["constant_gain_lower"] > 0
        ):
            return Verdict("promote", sentence, rules)
        # On few rows noise may look like a model.
        doubt = "It may be no better than always the same answer"
        return Verdict("ask", f"{sentence} {doubt}, so a person decides.", rules)
    return Verdict("ask", f"{sentence} A model's first version needs an approval.", rules)


def _challenge(
    comparison: Mapping[str, Any], promotion: Promotion, rules: tuple[Rule, ...], *, pinned: bool
) -> Verdict:
    if comparison["evidence"] != "sufficient":
        sentence = f"The evidence does not decide: {comparison['sentence']}"
        return Verdict("ask", sentence, rules)
    gain = _gain_rule(comparison, promotion)
    rules = (*rules, gain)
    if not gain.passed:
        return Verdict("decline", gain.sentence, rules)
    if pinned:
        sentence = f"{gain.sentence} The model is pinned, so a person decides."
        return Verdict("ask", sentence, rules)
    if promotion.approval == "always":
        sentence = f"{gain.sentence} Every version of this model needs an approval."
        return Verdict("ask", sentence, rules)
    return Verdict("promote", gain.sentence, rules)


def _gain_rule(comparison: Mapping[str, Any], promotion: Promotion) -> Rule:
    lower, gain, metric = comparison["gain_lower"], comparison["gain"], comparison["metric"]
    floor = promotion.min_gain if promotion.rule == "better" else -promotion.margin
    passed = lower > floor
    wanted = "better than" if promotion.rule == "better" else "not worse than"
    so = "That is" if passed else "That is not certainly"
    sentence = (
        f"On {comparison['holdout']['rows']} holdout rows the gain in {metric} is {gain:+.4f}, "
        f"at least {lower:+.4f} with 95 % confidence (needed: above {floor:+.4f}). "
        f"{so} {wanted} the champion."
    )
    return Rule(promotion.rule, passed, sentence)
