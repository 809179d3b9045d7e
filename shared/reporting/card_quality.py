"""How good a version is, for its card: metrics with intervals, calibration, slices, importances."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from shared.guardrails import declared_rules
from shared.metric_names import METRICS, OF_SLICES, words
from shared.reporting.figures import measured, number, share, span
from shared.reporting.letter import mark
from shared.reporting.page import Block, Figures, Grid, Row, Section, Words
from shared.spec.model import Spec
from shared.tabular.metrics import Floats, bins_of, called

APART = ("calibration", "importances")  # figures that stand in sections of their own
RELIABILITY_BINS = 10
SHOWN_SMALL = 40

Comparison = Mapping[str, Any]
Drawn = Mapping[str, str]


def sections(
    spec: Spec, comparison: Comparison, metrics: Mapping[str, float], figures: Drawn
) -> list[Section]:
    """Every metric with its interval, beside the champion's; then the figures."""
    measures = comparison.get("measures", {})
    compared = any("champion" in one for one in measures.values())
    head = ["metric", "value>", "95 % interval>", *(["champion>"] if compared else []), "means"]
    rows = []
    for name, value in metrics.items():
        measure = measures.get(name, {})
        whole = f"{int(value):,}" if name == "n" else number(value)
        champion = [number(measure.get("champion"))] if compared else []
        known = span(measure) if measure else "-"
        meaning = METRICS[name].meaning if name in METRICS else ""
        rows.append([words(name), whole, known, *champion, meaning])
    kept = {name: svg for name, svg in figures.items() if name not in APART}
    blocks: list[Block] = [Grid(head, rows), Figures(kept)]
    removed = comparison["holdout"]["removed"]
    if removed:
        text = (
            f"Values are of all holdout rows; intervals and the champion of the rows that neither "
            f"model was fitted on ({removed:,} fewer)."
        )
        blocks.insert(1, Words(text))
    if spec.task == "regression" and spec.target.scale != 1:
        blocks.insert(1, Words(f"In units of {spec.target.scale:,.0f}."))
    return [Section("Quality on the holdout", blocks)]


def calibration(task: str, target: Floats, answers: Floats, figures: Drawn) -> list[Section]:
    """Does a probability mean what it says? Nothing for a regression."""
    if task == "regression" or not len(target):
        return []
    is_so, scores = called(target, answers)
    rows = [
        [
            f"{scores[part].min():.3f} to {scores[part].max():.3f}",
            f"{len(part):,}",
            share(float(scores[part].mean())),
            share(float(is_so[part].mean())),
        ]
        for part in bins_of(scores, RELIABILITY_BINS)
    ]
    of_what = "the answer was right" if task == "multiclass" else "it was so"
    grid = Grid(["score", "rows>", "mean score>", f"{of_what}>"], rows)
    drawn = {name: figures[name] for name in ("calibration",) if name in figures}
    text = "Rows in bins of equal size: the two shares of a line should be alike."
    return [Section("Calibration", [Words(text), grid, Figures(drawn)])]


def slices(spec: Spec, comparison: Comparison) -> list[Section]:
    """Every level that was looked at, enforced or not."""
    found: Sequence[Mapping[str, Any]] = comparison.get("slices", ())
    if not found:
        return []
    binary = spec.task == "binary"
    metrics = list(OF_SLICES[spec.task])
    limited = {*spec.promotion.slices.worst, *spec.promotion.slices.max_gap}
    metrics += sorted(limited - set(metrics))
    head = [
        "slice",
        "rows>",
        *(["positive>"] if binary else []),
        *(f"{words(m)}>" for m in metrics),
    ]
    rows = []
    for one in (one for one in found if one["enough"]):
        positive = [share(one["positives"] / one["rows"])] if binary else []
        values = [measured(one["measures"].get(metric)) for metric in metrics]
        rows.append([_named(one), f"{one['rows']:,}", *positive, *values])
    what = "with limits in the spec" if limited else "reported; the spec sets no limits on them"
    text = (
        f"Values with their 95 % intervals, {what}. Where too few of a slice's rows say something "
        f"about a metric, there is a dash. Many slices are looked at: one of twenty intervals "
        f"misses by chance."
    )
    small = [f"{_named(one)} ({one['rows']:,})" for one in found if not one["enough"]]
    blocks: list[Block] = [Words(text), Grid(head, rows)] if rows else []
    if small:
        shown, more = small[:SHOWN_SMALL], len(small) - SHOWN_SMALL
        also = f", and {more} more" if more > 0 else ""
        few = f"Fewer than {spec.promotion.slices.min_rows} rows, so not measured"
        blocks.append(Words(f"{few}: {', '.join(shown)}{also}."))
    return [Section("Slices", blocks)]


def _named(one: Mapping[str, Any]) -> str:
    return f"{one['column']} = {one['level']}"


def importances(figures: Drawn) -> list[Section]:
    drawn = {name: figures[name] for name in ("importances",) if name in figures}
    if not drawn:
        return []
    text = (
        "How much worse the answers get when one column is shuffled. Columns that say the same "
        "share their importance."
    )
    return [Section("What the answers depend on", [Words(text), Figures(drawn)])]


def declared(spec: Spec, comparison: Comparison) -> list[Row]:
    """The spec's own limits as they stood when this was measured."""
    return [
        (rule.name, f"{mark(rule.as_dict())}: {rule.sentence}")
        for rule in declared_rules(comparison, spec.promotion)
    ]


def disagreement(comparison: Comparison) -> list[Row]:
    """How differently it answers from the champion; nothing without one, and in cards of before."""
    found = comparison.get("disagreement")
    return [("disagreement", str(found["sentence"]))] if found else []
