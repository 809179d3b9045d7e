"""Does a canary go on, wait, or go back? Pure: counts of the log in, a verdict with a sentence out.

    back     certainly: it fails on more than FAILURES of its requests, or the two versions answer
             more rows differently than the gate measured (its upper bound) plus the tolerance;
             or instances have given it up, so that most of its rows get no answer of its own
    go_on    the rows are there, of enough values of the key, and neither share is above its limit
             (the gate's own share)
    wait     anything else: too few rows, or a share above its limit that may be chance

Each certainty holds at all looks together (`shared.beside.anytime`), so it does not matter that
sweep looks every five minutes. A challenger that differs by no more than is tolerated is sent back
in at most BUDGET of all canaries: a fifth of it each for failures, labels, scores and the two
bounds of the gate, the first three in equal parts for all steps.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from shared.beside.anytime import at_least, evidence
from shared.beside.tally import FEWEST_UNITS, NO_KEY, Tally, Trials

BUDGET = 0.05
FAILURES = 0.02
# A handful of requests may all have met the same cold start.
FEWEST_REQUESTS = 20

Verdict = Literal["go_on", "wait", "back"]
_REASONS = {
    "challenger_failed": "it failed on",
    "challenger_slow": "it took too long for",
    "challenger_refuses": "it refused",
    "challenger_not_loaded": "it was not loaded for",
    "challenger_stopped": "an instance no longer asked it about",
}
_DIFFERENT = {
    "labels": "get another label than from the champion",
    "scores": "get a score further away than one in twenty did at the gate",
}


@dataclass(frozen=True, slots=True)
class Terms:
    """How a step is judged. `gate` is what comparison.json has as `disagreement`, None where the
    gate did not measure it; `sticky` where rows are dealt by a key."""

    step: int
    shares: tuple[float, ...]
    min_rows: int
    tolerance: float
    gate: Mapping[str, Any] | None
    sticky: bool = False

    @property
    def alpha(self) -> float:
        return BUDGET / 5 / len(self.shares)

    @property
    def far(self) -> float | None:
        """The distance of scores to count, None where they say nothing."""
        scores = self.gate.get("scores") if self.gate else None
        return float(scores["far"]) if scores else None


@dataclass(frozen=True, slots=True)
class Judged:
    """`facts` are the numbers behind the sentence."""

    verdict: Verdict
    sentence: str
    facts: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        return {"verdict": self.verdict, "sentence": self.sentence, **self.facts}


def judge(tally: Tally, terms: Terms) -> Judged:
    """What the log of one step says."""
    kinds = [kind for kind in ("labels", "scores") if terms.gate and terms.gate.get(kind)]
    facts = _facts(tally, terms, kinds)
    broken = _fails(tally, terms) or next(
        (text for kind in kinds if (text := _differs(kind, tally, terms))), ""
    )
    if broken:
        return Judged("back", f"{_where(terms)}: {broken}.{_sample(tally)}", facts)
    open_ = _lacks(tally, terms, kinds)
    said = "; ".join([*_looks(tally, terms, kinds)])
    if open_:
        return Judged("wait", f"{_where(terms)}: {open_}. {said}.{_sample(tally)}", facts)
    rows = f"{tally.compared:,} rows are judged and nothing speaks against it"
    return Judged("go_on", f"{_where(terms)}: {rows}. {said}.{_sample(tally)}", facts)


def sofar(tally: Tally, terms: Terms) -> tuple[str, dict[str, Any]]:
    """The numbers in words and as facts, without a verdict: what a shadow is looked at for."""
    kinds = [kind for kind in ("labels", "scores") if terms.gate and terms.gate.get(kind)]
    return "; ".join(_looks(tally, terms, kinds)), _facts(tally, terms, kinds)


# --- certain -------------------------------------------------------------------------------------


def _fails(tally: Tally, terms: Terms) -> str:
    found, given_up = tally.failed, tally.left_out.get("challenger_stopped", 0)
    if given_up >= terms.min_rows and given_up > tally.compared:
        return (
            f"it has been given up: {_reasons(tally)}, of {tally.dealt:,} rows that were its to "
            f"answer, and it answered {tally.compared:,}"
        )
    enough = max(found.count, given_up) >= FEWEST_REQUESTS or tally.dealt >= terms.min_rows
    if not enough or evidence(found.total, found.count, FAILURES) < 1 / terms.alpha:
        return ""
    least = at_least(found.total, found.count, terms.alpha)
    return (
        f"it fails too often: {_reasons(tally)}, of {tally.dealt:,} rows that were its to answer; "
        f"certainly {_percent(least)} of its requests or more, and {_percent(FAILURES)} are allowed"
    )


def _differs(kind: str, tally: Tally, terms: Terms) -> str:
    found, gate = _trials(tally, kind), _gate(terms, kind)
    limit = gate["upper"] + terms.tolerance
    if evidence(found.total, found.count, limit) < 1 / terms.alpha:
        return ""
    least = at_least(found.total, found.count, terms.alpha)
    return (
        f"{_percent(found.share)} of {found.rows:,} rows {_DIFFERENT[kind]}, certainly "
        f"{_percent(least)} or more; the gate measured {_percent(gate['share'])}, at most "
        f"{_percent(gate['upper'])}, and {_percent(terms.tolerance)} more are tolerated"
    )


# --- not certain ---------------------------------------------------------------------------------


def _lacks(tally: Tally, terms: Terms, kinds: list[str]) -> str:
    """What keeps the step from being passed, or nothing."""
    if tally.compared < terms.min_rows:
        return f"{tally.compared:,} of {terms.min_rows:,} rows are judged"
    if terms.sticky and len(tally.units) < FEWEST_UNITS:
        return (
            f"{tally.compared:,} rows are judged, but of {len(tally.units)} values of the key, and "
            f"it takes {FEWEST_UNITS} to say something"
        )
    if max(tally.failed.share, tally.failed.total / tally.failed.count) > FAILURES:
        return (
            f"its failures are above {_percent(FAILURES)}, which may still be chance, so more rows "
            "are waited for"
        )
    for kind in kinds:
        if _trials(tally, kind).share > _gate(terms, kind)["share"] + terms.tolerance:
            return (
                f"more rows {_DIFFERENT[kind]} than are tolerated, which may still be chance, so "
                "more rows are waited for"
            )
    return ""


def _looks(tally: Tally, terms: Terms, kinds: list[str]) -> list[str]:
    """The numbers so far, for people."""
    found = []
    for kind in kinds:
        trials, gate = _trials(tally, kind), _gate(terms, kind)
        if trials.rows:
            limit = _percent(gate["share"] + terms.tolerance)
            found.append(
                f"{_percent(trials.share)} {_DIFFERENT[kind]} (gate {_percent(gate['share'])}, "
                f"tolerated {limit})"
            )
    if not kinds:
        found.append(
            "the gate did not measure how differently the two answer: failures alone count"
        )
    found.append(_reasons(tally) or "no failure")
    if undealt := tally.left_out.get(NO_KEY):
        found.append(f"{undealt:,} rows had no value of the key and are the champion's")
    return found


# --- words ---------------------------------------------------------------------------------------


def _facts(tally: Tally, terms: Terms, kinds: list[str]) -> dict[str, Any]:
    found: dict[str, Any] = {
        "step": terms.step,
        "share": terms.shares[terms.step],
        "dealt": tally.dealt,
        "compared": tally.compared,
        "min_rows": terms.min_rows,
        "left_out": tally.left_out,
        "requests": int(tally.failed.count),
        "sampled": tally.skipped_bytes > 0,
    }
    for kind in kinds:
        trials, gate = _trials(tally, kind), _gate(terms, kind)
        found[kind] = {
            "rows": trials.rows,
            "differ": trials.differ,
            "trials": int(trials.count),
            "share": trials.share,
            "gate": gate["share"],
            "gate_upper": gate["upper"],
            "tolerated": gate["share"] + terms.tolerance,
        }
    return found


def _where(terms: Terms) -> str:
    share = terms.shares[terms.step]
    return f"Step {terms.step + 1} of {len(terms.shares)} ({_percent(share)})"


def _reasons(tally: Tally) -> str:
    told = [
        f"{_REASONS[reason]} {count:,}"
        for reason, count in tally.left_out.items()
        if reason in _REASONS
    ]
    return ", ".join(told)


def _sample(tally: Tally) -> str:
    if not tally.skipped_bytes:
        return ""
    mib = tally.skipped_bytes / 2**20
    return f" This is a sample: {mib:,.0f} MiB of the log were more than a look reads."


def _trials(tally: Tally, kind: str) -> Trials:
    return tally.labels if kind == "labels" else tally.scores


def _gate(terms: Terms, kind: str) -> Mapping[str, float]:
    found: Mapping[str, float] = (terms.gate or {})[kind]
    return found


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"
