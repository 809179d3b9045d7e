"""What a version must keep whoever it competes with: declared limits, slices, size, latency. Pure.

A limit on the whole holdout is broken when the measured value breaks it: that is the number that
people read, and there are few. Slices are many and small, so that chance alone breaks some: a
slice breaks its limit only when it does so with 95 % confidence over all of them together
(Bonferroni: each at 5 % by their number). Latency is broken beyond a factor, and never while both
are fast.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from shared.intervals import certainly_worse, student
from shared.metric_names import METRICS, figure_of, words
from shared.rule import Rule
from shared.spec.guarding import Guardrail, Slices
from shared.spec.model import Promotion

CONFIDENCE_LOST = 0.05  # over all slices together
MAX_SLOWER = 2.0
FAST_MS = 1.0
_SHOWN = 3

Comparison = Mapping[str, Any]


def declared_rules(comparison: Comparison, promotion: Promotion) -> Iterator[Rule]:
    """The rules that the spec in force adds to a comparison's own ones."""
    for metric, rail in promotion.guardrails.items():
        yield from _guardrail(metric, rail, comparison)
    yield from _slices(promotion.slices, comparison)
    yield from _size(promotion.max_package_mb, comparison)
    yield from _latency(comparison)


# --- limits on the whole holdout -----------------------------------------------------------------


def _guardrail(metric: str, rail: Guardrail, comparison: Comparison) -> Iterator[Rule]:
    measure = comparison.get("measures", {}).get(metric)
    if measure is None:
        sentence = f"{start(metric)} has a limit, but could not be measured on this holdout."
        yield Rule(f"guardrail {metric}", "unsure", sentence)
        return
    value = measure["value"]
    facts = {"low": measure["low"], "high": measure["high"], "rows": measure["rows"]}
    shown = partial(figure_of, metric)
    for limit, kept, wanted in (
        (rail.min, rail.min is None or value >= rail.min, "at least"),
        (rail.max, rail.max is None or value <= rail.max, "at most"),
    ):
        if limit is not None:
            sentence = f"{said(metric, measure)}; {wanted} {limit:g} is wanted."
            name, verdict = f"guardrail {metric}", _verdict(kept)
            if not kept and value <= measure.get("chance_high", value - 1):
                # On few rows a perfect model is as far off: too few to judge this limit by.
                chance = f"up to {shown(measure['chance_high'])} may be chance on so few rows"
                sentence, verdict = f"{sentence[:-1]}, but {chance}.", "unsure"
            yield Rule(name, verdict, sentence, value, limit, **facts)
    if rail.max_drop is not None:
        yield _drop(metric, rail.max_drop, measure, comparison)


def _drop(metric: str, allowed: float, measure: Mapping[str, Any], comparison: Comparison) -> Rule:
    name = f"guardrail {metric} drop"
    if comparison["against"] is None:
        sentence = f"There is no champion that {words(metric)} could be worse than."
        return Rule(name, "ok", sentence, threshold=allowed)
    if "drop" not in measure:
        sentence = f"{start(metric)} of the champion could not be measured on these rows."
        return Rule(name, "unsure", sentence, threshold=allowed)
    drop, low, high = measure["drop"], measure["drop_low"], measure["drop_high"]
    certain, shown = "", partial(figure_of, metric)
    if low is not None and high is not None:
        ends_of = (low, high) if drop > 0 else (0 - high, 0 - low)
        certain = " ({} to {} with 95 % confidence)".format(*map(shown, ends_of))
    word = "worse" if drop > 0 else "better"
    sentence = (
        f"{start(metric)} {shown(measure['value'])} is {shown(abs(drop))} {word}{certain} than "
        f"the champion's {shown(measure['champion'])}; {allowed:g} worse is allowed."
    )
    facts = {"low": low, "high": high, "rows": measure["rows"]}
    return Rule(name, _verdict(drop <= allowed), sentence, drop, allowed, **facts)


def start(metric: str) -> str:
    """A metric's name as a sentence begins with it."""
    name = words(metric)
    return name[0].upper() + name[1:]


def said(metric: str, measure: Mapping[str, Any]) -> str:
    """A measured value with its interval and what it rests on."""
    rows, value = f"{measure['rows']:,} rows", figure_of(metric, measure["value"])
    return f"{start(metric)} is {value} ({ends(metric, measure)}, {rows})"


def ends(metric: str, measure: Mapping[str, Any]) -> str:
    """The interval in words."""
    if measure["low"] is None or measure["high"] is None:
        return "how certain that is cannot be said"
    shown = partial(figure_of, metric)
    return f"{shown(measure['low'])} to {shown(measure['high'])} with 95 % confidence"


def _verdict(kept: bool) -> Any:
    return "ok" if kept else "broken"


# --- slices --------------------------------------------------------------------------------------


def _slices(declared: Slices, comparison: Comparison) -> Iterator[Rule]:
    if not (declared.worst or declared.max_gap):
        return
    found: Sequence[Mapping[str, Any]] = comparison.get("slices", ())
    missing = [name for name in declared.columns if all(one["column"] != name for one in found)]
    if missing:
        sentence = f"Nothing was measured by {', '.join(missing)}, which has limits."
        yield Rule("slices", "unsure", sentence)
    # By the spec in force, which may want more rows than when this was measured.
    mine = [
        one
        for one in found
        if one["column"] in declared.columns and one["rows"] >= declared.min_rows
    ]
    tests = [
        (kind, metric, one)
        for kind, limits in (("worst", declared.worst), ("gap", declared.max_gap))
        for metric in limits
        for one in mine
        if _testable(kind, metric, one)
    ]
    alpha = CONFIDENCE_LOST / max(len(tests), 1)
    for metric, limit in declared.worst.items():
        judged = [one for kind, name, one in tests if (kind, name) == ("worst", metric)]
        yield _worst(metric, limit, judged, alpha, len(tests))
    for metric, limit in declared.max_gap.items():
        judged = [one for kind, name, one in tests if (kind, name) == ("gap", metric)]
        yield _gap(metric, limit, judged, alpha, len(tests))


def _testable(kind: str, metric: str, one: Mapping[str, Any]) -> bool:
    measure = one["measures"].get(metric)
    return measure is not None and (kind == "worst" or "gap" in measure)


def _worst(
    metric: str, limit: float, judged: list[Mapping[str, Any]], alpha: float, tests: int
) -> Rule:
    about, name = METRICS[metric], f"slices {metric}"
    wanted = f"{'at least' if about.higher_is_better else 'at most'} {limit:g} is wanted"
    if not judged:
        return _untested(name, metric, limit)
    broken = [
        one
        for one in judged
        if certainly_worse(metric, one["measures"][metric], limit, alpha=alpha)
    ]
    judged.sort(key=lambda one: about.worse_by(one["measures"][metric]["value"], limit))
    lowest = judged[-1]
    measure = lowest["measures"][metric]
    facts = {"low": measure["low"], "high": measure["high"], "rows": measure["rows"]}
    shown = partial(figure_of, metric)
    sentence = _slice_sentence(
        f"{start(metric)} by slice: the worst is {_named(lowest)} with "
        f"{shown(measure['value'])} ({ends(metric, measure)}, {lowest['rows']:,} rows); {wanted}",
        broken,
        tests,
        beyond=about.worse_by(measure["value"], limit) > 0,
    )
    return Rule(name, _verdict(not broken), sentence, measure["value"], limit, **facts)


def _gap(
    metric: str, limit: float, judged: list[Mapping[str, Any]], alpha: float, tests: int
) -> Rule:
    name = f"slices {metric} gap"
    if not judged:
        return _untested(name, metric, limit)

    def certain(one: Mapping[str, Any]) -> float:
        found = one["measures"][metric]
        return float(found["gap"] - student(alpha, found["gap_freedom"]) * found["gap_error"])

    broken = [one for one in judged if certain(one) > limit]
    widest = max(judged, key=lambda one: float(one["measures"][metric]["gap"]))
    measure = widest["measures"][metric]
    shown = partial(figure_of, metric)
    sentence = _slice_sentence(
        f"{start(metric)} by slice: {_named(widest)} is {shown(measure['gap'])} worse than all "
        f"other rows ({shown(measure['value'])} against {shown(measure['rest'])}); {limit:g} is "
        "allowed",
        broken,
        tests,
        beyond=measure["gap"] > limit,
    )
    rows = int(widest["rows"])
    return Rule(name, _verdict(not broken), sentence, measure["gap"], limit, rows=rows)


def _slice_sentence(text: str, broken: list[Mapping[str, Any]], tests: int, *, beyond: bool) -> str:
    """`beyond`: the value itself breaks the limit, certainly or not."""
    together = f"with 95 % confidence over all {tests} slice tests together"
    if not broken:
        maybe = "That may be chance: no slice" if beyond else "No slice"
        return f"{text}. {maybe} breaks the limit {together}."
    names = ", ".join(map(_named, broken[:_SHOWN]))
    more = f" and {len(broken) - _SHOWN} more" if len(broken) > _SHOWN else ""
    return f"{text}. Broken {together} by {names}{more}."


def _untested(name: str, metric: str, limit: float) -> Rule:
    sentence = f"No slice has enough rows to judge {words(metric)} in it, which has a limit."
    return Rule(name, "unsure", sentence, threshold=limit)


def _named(one: Mapping[str, Any]) -> str:
    return f"{one['column']}={one['level']}"


# --- the package ---------------------------------------------------------------------------------


def _size(limit: float, comparison: Comparison) -> Iterator[Rule]:
    size_bytes = comparison.get("package_bytes")
    if size_bytes is None:  # compared before this was measured
        return
    size = size_bytes / 1e6
    sentence = f"The package has {_mb(size)} MB; at most {limit:g} MB is wanted."
    yield Rule("package size", _verdict(size <= limit), sentence, round(size, 3), limit)


def _mb(size: float) -> str:
    return f"{size:.3f}" if size < 1 else f"{size:.1f}"


def too_slow(timing: Mapping[str, Any]) -> bool:
    """Is the challenger more than twice as slow as the champion, and slow at all?"""
    other = timing["champion_ms"]
    return other is not None and timing["challenger_ms"] > _allowed_ms(other)


def _allowed_ms(champion_ms: float) -> float:
    return max(MAX_SLOWER * champion_ms, FAST_MS)


def _latency(comparison: Comparison) -> Iterator[Rule]:
    found = comparison.get("latency")
    if not found:
        return
    mine, other = found["challenger_ms"], found["champion_ms"]
    one_row = f"One row takes {mine:.2f} ms"
    if other is None:
        sentence = f"{one_row}; there is no champion to hold that against."
        yield Rule("latency", "ok", sentence, mine)
        return
    allowed = _allowed_ms(other)
    sentence = (
        f"{one_row}, the champion {other:.2f} ms, measured side by side; up to {allowed:.2f} ms "
        f"is allowed (twice the champion's, or {FAST_MS:g} ms)."
    )
    yield Rule("latency", _verdict(not too_slow(found)), sentence, mine, allowed)
