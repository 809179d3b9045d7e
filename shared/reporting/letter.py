"""A decision as a person reads it: what came of a version, who said so, and rule by rule why.

The same words for decision.md beside the version and for the command line. Needs no numbers
library: promote writes it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from shared.reporting.markup import plain

OUTCOMES = {
    "promoted": "It was promoted and answers from then on.",
    "not_promoted": "It was not promoted. What served before goes on.",
    "superseded": "It was superseded before anybody decided: a later version took its place.",
    "expired": "Nobody decided in time, so it was not promoted. What served before goes on.",
    "asked": "It waits for a person. What served before goes on until then.",
    "in_canary": "It comes in by steps and answers a part already; it is decided when that ends.",
    "undecided": "It is not decided yet.",
}
# Where no version answered when this was decided.
NOTHING_SERVES = {
    "not_promoted": "It was not promoted, and nothing serves yet: the model has no champion.",
    "expired": "Nobody decided in time, so it was not promoted, and nothing serves yet.",
    "asked": "It waits for a person. Nothing serves until then.",
}
HELP = (
    "Nothing serves yet. What would help: more rows, or columns that say more about the target; or "
    "a person promotes it by hand."
)
MARKS = {"ok": "ok", "broken": "BROKEN", "unsure": "open"}
_WOULD = {
    "promote": "promoted it",
    "decline": "declined it",
    "ask": "asked a person",
    "compare_again": "compared it again",
}


def mark(rule: Mapping[str, Any]) -> str:
    """One word for a rule's verdict; decisions from before there were verdicts have `passed`."""
    return MARKS[rule.get("verdict") or ("ok" if rule["passed"] else "broken")]


def outcome(body: Mapping[str, Any]) -> str:
    """What came of it. `serving` is what answered then; older decisions do not know."""
    action = str(body["action"])
    if body.get("serving", "unknown") is None and action in NOTHING_SERVES:
        return NOTHING_SERVES[action]
    return OUTCOMES[action]


def by_whom(body: Mapping[str, Any]) -> str:
    """Who decided, when."""
    who = "the rules alone" if body["by"] == "policy" else str(body["by"])
    return f"Decided by {who} on {moment(str(body['at']))}."


def moment(time: str) -> str:
    """A stored time to the second."""
    return f"{time[:19].replace('T', ' ')} UTC"


def policy_said(body: Mapping[str, Any]) -> str:
    """What the rules alone would have done, where a person decided; empty elsewhere."""
    policy = body.get("policy")
    if not policy or body.get("by") == "policy":
        return ""
    would = _WOULD.get(str(policy["action"]), str(policy["action"]))
    return f"The rules alone would have {would}: {policy['sentence']}"


def markdown(body: Mapping[str, Any]) -> str:
    """decision.md from the body of decision.json."""
    lines = [
        f"# Decision on {plain(body['model'])}, version {plain(body['version'])}",
        "",
        f"**{outcome(body)}** {plain(by_whom(body))}",
        "",
        f"> {plain(body['sentence'])}",
        "",
    ]
    said = policy_said(body)
    if said:
        lines += [plain(said), ""]
    lines += _rules(body.get("rules") or ())
    lines += ["The numbers are in `comparison.json`, the model card is `card.html`.", ""]
    return "\n".join(lines)


def _rules(rules: Sequence[Mapping[str, Any]]) -> Iterable[str]:
    if not rules:
        return
    yield from ("| rule | | what was found |", "|---|---|---|")
    for rule in rules:
        decided = " **This decided.**" if rule.get("decides") else ""
        yield f"| {plain(rule['name'])} | {mark(rule)} | {plain(rule['sentence'])}{decided} |"
    yield ""
