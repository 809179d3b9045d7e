"""The promotion rule. Pure: a comparison, a spec and the state of the champion in, a decision out.

All rules are applied and listed. An answer to another question, a broken baseline or guardrail
declines, missing evidence asks a person, and only then is the gain judged. What would be promoted
is asked about where the checks of its data warn that a column may give the answer away. The rule
that settled it is marked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from shared.budget import briefly, certainty
from shared.guardrails import declared_rules
from shared.rule import Outcome, Rule
from shared.spec.model import Promotion

Action = Literal["promote", "decline", "ask", "compare_again"]


@dataclass(frozen=True, slots=True)
class Verdict:
    action: Action
    sentence: str
    rules: tuple[Rule, ...]

    def as_dict(self) -> dict[str, Any]:
        return {
            "action": self.action,
            "sentence": self.sentence,
            "rules": [rule.as_dict() for rule in self.rules],
        }


def judge(
    comparison: Mapping[str, Any],
    promotion: Promotion,
    *,
    champion: str | None,
    pinned: bool,
    question: Rule | None = None,
) -> Verdict:
    """What to do with the version that was compared. `champion` is who serves now, `question` the
    rule whether a version of another spec answers what is asked now."""
    if comparison["against"] != champion and (question is None or question.passed):
        compared = comparison["against"] or "no champion"
        sentence = f"It was compared with {compared}, but {champion} serves now."
        return Verdict("compare_again", sentence, ())
    entry = (*([question] if question else []), *_entry_rules(comparison, promotion))
    evidence, rival = _evidence(comparison, champion), _rival_rules(comparison, promotion, champion)
    consent = _consent(promotion, champion, pinned=pinned)
    checks = _data_checks(comparison)
    rules = (*entry, evidence, *rival, *_differs(comparison), *checks, consent)
    broken = _first(entry, "broken")
    if broken:
        return _settled("decline", broken.sentence, broken, rules)
    unsure = _first(entry, "unsure")
    if unsure:
        return _settled("ask", f"{unsure.sentence} So a person decides.", unsure, rules)
    verdict = (
        _newcomer(comparison, evidence, consent, rules)
        if champion is None
        else _challenger(comparison, evidence, rival, consent, rules)
    )
    warned = _first(checks, "unsure")
    if warned and (verdict.action == "promote" or consent.name in _deciding(verdict)):
        # How good it is says nothing if it learned the answer itself.
        advice = " ".join(one["advice"] for one in _new(comparison))
        text = f"{verdict.sentence} {warned.sentence} {advice} So a person decides."
        return _settled("ask", text, warned, rules)
    return verdict


def worth_knowing(verdict: Verdict | None) -> list[str]:
    """What somebody who is asked should know beside the reason: rules that are broken or open."""
    rules = verdict.rules if verdict else ()
    return [rule.sentence for rule in rules if not rule.passed and not rule.decides]


def _newcomer(
    comparison: Mapping[str, Any], evidence: Rule, consent: Rule, rules: tuple[Rule, ...]
) -> Verdict:
    sentence = f"First version: {comparison['sentence']}"
    if not consent.passed:
        text = f"{sentence} A model's first version needs an approval."
        return _settled("ask", text, consent, rules)
    if evidence.passed or (comparison["baseline"]["constant_gain_lower"] or 0.0) > 0:
        return _settled("promote", sentence, None, rules)
    # On few rows noise may look like a model.
    doubt = "It may be no better than always the same answer"
    return _settled("ask", f"{sentence} {doubt}, so a person decides.", evidence, rules)


def _challenger(
    comparison: Mapping[str, Any],
    evidence: Rule,
    rival: Sequence[Rule],
    consent: Rule,
    rules: tuple[Rule, ...],
) -> Verdict:
    if not evidence.passed:
        sentence = f"The evidence does not decide: {comparison['sentence']}"
        return _settled("ask", sentence, evidence, rules)
    gain = rival[0]
    said = briefly(gain.sentence)
    if gain.verdict == "unsure":
        return _settled("ask", f"{said} So a person decides.", gain, rules)
    if not gain.passed:
        return _settled("decline", said, gain, rules)
    if not consent.passed:
        return _settled("ask", f"{said} {consent.sentence}", consent, rules)
    return _settled("promote", said, gain, rules)


def _settled(
    action: Action, sentence: str, deciding: Rule | None, rules: tuple[Rule, ...]
) -> Verdict:
    marked = (replace(rule, decides=True) if rule is deciding else rule for rule in rules)
    return Verdict(action, sentence, tuple(marked))


def _deciding(verdict: Verdict) -> set[str]:
    return {rule.name for rule in verdict.rules if rule.decides}


def _first(rules: Sequence[Rule], verdict: Outcome) -> Rule | None:
    return next((rule for rule in rules if rule.verdict == verdict), None)


# --- rules ---------------------------------------------------------------------------------------


def _entry_rules(comparison: Mapping[str, Any], promotion: Promotion) -> tuple[Rule, ...]:
    """What every version must pass, whoever it competes with."""
    base = comparison["baseline"]
    eligible: Outcome = "ok" if comparison["eligible"] else "broken"
    baseline = Rule("baseline", eligible, base["sentence"], base.get("gain_lower"), 0.0)
    guardrails = (
        Rule(
            item["name"],
            "ok" if item["pass"] else "broken",
            item["sentence"],
            item.get("value"),
            item.get("threshold"),
        )
        for item in comparison["guardrails"]
    )
    return (baseline, *guardrails, *declared_rules(comparison, promotion))


def _evidence(comparison: Mapping[str, Any], champion: str | None) -> Rule:
    """Are there rows enough to decide on, and can the champion be held against them?"""
    holdout, found = comparison.get("holdout", {}), comparison["evidence"]
    rows = int(holdout.get("rows", 0))
    on = f"{rows:,} holdout rows"
    if holdout.get("positives") is not None:
        on += f", {holdout['positives']:,} of them positive"
    if found == "sufficient":
        return Rule("evidence", "ok", f"{on}: enough to decide on.", rows=rows)
    if found == "not_comparable":
        why = f"The champion {champion} could not be held against the same rows"
        return Rule("evidence", "unsure", f"{why} ({on}).", rows=rows)
    return Rule("evidence", "unsure", f"{on}: too few to be certain.", rows=rows)


def _rival_rules(
    comparison: Mapping[str, Any], promotion: Promotion, champion: str | None
) -> tuple[Rule, ...]:
    """Is it better than the champion? Nothing without one."""
    if champion is None:
        return ()
    if comparison.get("gain_lower") is None:
        sentence = "How much better than the champion it certainly is could not be measured."
        return (Rule(promotion.rule, "unsure", sentence),)
    gain = _gain_rule(comparison, promotion)
    if comparison["evidence"] != "sufficient":
        gain = replace(gain, verdict="unsure")
    return (gain,)


def _gain_rule(comparison: Mapping[str, Any], promotion: Promotion) -> Rule:
    lower, gain, metric = comparison["gain_lower"], comparison["gain"], comparison["metric"]
    floor = promotion.min_gain if promotion.rule == "better" else -promotion.margin
    passed = lower > floor
    wanted = "better than" if promotion.rule == "better" else "not worse than"
    so = "That is" if passed else "That is not certainly"
    rows = f"On {comparison['holdout']['rows']:,} holdout rows"
    same = f"{rows} the new version answers exactly as the champion, so the gain"
    begin = same if comparison.get("identical") else f"{rows} the gain"
    sentence = (
        f"{begin} in {metric} is {gain:+.4f}, "
        f"at least {lower:+.4f} (needed: above {floor:+.4f}; {certainty(comparison)}). "
        f"{so} {wanted} the champion."
    )
    verdict: Outcome = "ok" if passed else "broken"
    return Rule(promotion.rule, verdict, sentence, lower, floor, low=lower)


def _differs(comparison: Mapping[str, Any]) -> tuple[Rule, ...]:
    """How differently it answers: nothing to decide by, and worth knowing. Nothing without a
    champion, and in comparisons of before it was measured."""
    found = comparison.get("disagreement")
    if not found:
        return ()
    by = found["labels"] or found["scores"]
    return (Rule("disagreement", "ok", found["sentence"], by["share"], rows=found["rows"]),)


def _data_checks(comparison: Mapping[str, Any]) -> tuple[Rule, ...]:
    """May a column give the answer away? Nothing where the checks had no word about one; what the
    champion learned from as well was settled when it was promoted."""
    found, new = comparison.get("data_checks") or (), _new(comparison)
    if not found:
        return ()
    said = " ".join(f"{one['sentence']}." for one in new or found)
    if new:
        return (Rule("data_checks", "unsure", f"The checks warn: {said}"),)
    return (Rule("data_checks", "ok", f"As with the champion, the checks warn: {said}"),)


def _new(comparison: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [one for one in comparison.get("data_checks") or () if not one["known"]]


def _consent(promotion: Promotion, champion: str | None, *, pinned: bool) -> Rule:
    """Who has the last word."""
    if champion is not None and pinned:
        return Rule("approval", "unsure", "The model is pinned, so a person decides.")
    if promotion.approval == "always":
        return Rule("approval", "unsure", "Every version of this model needs an approval.")
    if champion is None and promotion.approval != "auto":
        return Rule("approval", "unsure", "A model's first version needs an approval.")
    return Rule("approval", "ok", "The spec lets these rules decide alone.")
