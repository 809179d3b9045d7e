"""What labels say about a version in a window: on all rows, and on each slice of them. Pure.

The whole alarms by itself. A slice alarms where the spec declares its column (`promotion.slices`),
when it is certainly worse than the same slice of the holdout; any slice that is so is named when
the whole alarms.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from shared.documents import timestamp
from shared.spec.model import Spec
from shared.tabular.performance import (
    Evidence,
    Performance,
    effect_of,
    judge_performance,
    metric_name,
)
from shared.tabular.sliced import Slice, describe_slice, judge_slices
from shared.tabular.window import WindowRows
from shared.usecases.monitoring.rows import Labels, VersionFacts

# What an alarm of the whole rests on; slices are named `column=level`.
WHOLE = "all rows"
NAMED = 3  # slices in a message
Numbers = tuple[str, float, float, float, str]


@dataclass(frozen=True, slots=True)
class Realised:
    """`slices` have the worst first; those of `declared` columns may alarm by themselves."""

    performance: Performance
    slices: tuple[Slice, ...] = ()
    declared: tuple[str, ...] = ()

    @property
    def alarming(self) -> tuple[Slice, ...]:
        return tuple(item for item in self.worse if item.column in self.declared)

    @property
    def worse(self) -> tuple[Slice, ...]:
        return tuple(item for item in self.slices if item.worse)

    @property
    def breach(self) -> bool | None:
        """None without a judgement on the whole: then there is too little for slices, too."""
        whole = self.performance.breach
        return None if whole is None else whole or bool(self.alarming)

    @property
    def causes(self) -> list[str]:
        whole = [WHOLE] if self.performance.breach else []
        return [*whole, *(item.name for item in self.alarming)]

    @property
    def sentence(self) -> str:
        """The whole, and the slice that lost most."""
        said = self.performance.sentence
        if not self.breach or not self.worse:
            return said
        worst = describe_slice(self.worse[0], metric_name(self.performance.metric))
        if self.performance.breach:
            return f"{said}; worst is {worst}"
        return f"{worst}; on all rows {said}"

    @property
    def lines(self) -> list[str]:
        found = self.performance
        numbers = f"{found.labelled} labelled rows, {100 * found.coverage:.3g}% of the predictions"
        if found.positives is not None:
            numbers += f", {found.positives} positive"
        metric = metric_name(found.metric)
        worse = [describe_slice(item, metric) for item in self.worse[:NAMED]]
        return [found.sentence, numbers, *worse]

    @property
    def findings(self) -> list[Numbers]:
        """What is out of bounds: name, value, reference, threshold, and on what it rests."""
        found, named = self.performance, []
        if found.breach:
            numbers = (number or 0.0 for number in (found.value, found.reference, found.limit))
            named = [(found.metric, *numbers, f"{found.labelled} labelled rows")]
        for item in self.worse if self.breach else ():
            values = (number or 0.0 for number in (item.value, item.reference, item.limit))
            named.append((f"{found.metric} of {item.name}", *values, f"{item.rows} labelled rows"))
        return named  # type: ignore[return-value]


def judge_realised(
    facts: VersionFacts, rows: WindowRows, spec: Spec, labels: Labels, *, in_time: bool
) -> Realised:
    """`in_time`: rows are in order of time; those of a file may be in any."""
    settings, reference = spec.monitoring, facts.reference
    base = reference["performance"] if reference else None
    performance = judge_performance(
        rows.measured,
        base,
        Evidence(
            min_rows=settings.min_rows,
            min_coverage=settings.min_coverage,
            min_positives=settings.min_positives,
            min_effect=settings.min_effect,
        ),
        predictions=rows.rows,
        labelled=rows.labelled,
        in_time=in_time,
    )
    slices: Sequence[Slice] = ()
    if performance.breach is not None and rows.measured is not None:
        slices = judge_slices(
            rows.measured,
            rows.slices,
            base.get("slices", ()) if base else (),
            min_rows=spec.promotion.slices.min_rows,
            effect=effect_of(performance.metric, settings.min_effect),
            in_time=in_time,
        )
    if not labels.mature:
        performance = _immature(performance, labels)
    elif facts.challenger and performance.breach is not None:
        performance = _unjudged(performance)
    if spec.labels.biased and performance.labelled:
        performance = _biased(performance)
    return Realised(performance, tuple(slices), spec.promotion.slices.columns)


def _unjudged(found: Performance) -> Performance:
    """A challenger that does badly is what its experiment is there to show: nobody should roll back
    or train again because of it."""
    sentence = f"{found.sentence}; no alarm: it is the challenger of an experiment"
    return replace(found, breach=None, sentence=sentence)


def _biased(found: Performance) -> Performance:
    """Of labels that came because somebody acted."""
    why = "biased: only predictions that somebody acted on get a label (labels.selection)"
    return replace(found, biased=True, sentence=f"{found.sentence}; {why}")


def _immature(found: Performance, labels: Labels) -> Performance:
    when = timestamp(labels.count_from)
    sentence = f"no judgement on performance: labels of this window count from {when} on"
    return replace(found, breach=None, sentence=sentence)
