"""Look at an experiment: its rows from the inference log, with the labels that count by now.

Runs on the machine of whoever asks (the command line): it reads the log of the experiment's days
and needs numpy and scipy, which the small functions do not have. Batch scoring is no part of an
experiment: a file is scored by the champion. Writes nothing; a look may be repeated as one likes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

import numpy as np

from shared.beside.experiments import Record
from shared.documents import timestamp
from shared.events import parse_time
from shared.ports import Bucket
from shared.predicted import OnlineLine, online_lines
from shared.serving.cells import BadCell
from shared.spec.model import Spec
from shared.tabular.arms import Arm, Look, judge
from shared.usecases.monitoring.rows import (
    VersionFacts,
    Window,
    labels_of,
    truths_of,
    version_facts,
)


@dataclass(frozen=True, slots=True)
class Seen:
    """A look with what it was made of. `counted_until`: predictions up to here are old enough for
    their labels to count; `left_out` counts rows by the reason why they are no part of it."""

    look: Look
    counted_until: datetime
    left_out: dict[str, int]

    def to_json(self) -> dict[str, Any]:
        found = asdict(self.look)
        until = timestamp(self.counted_until)
        return {**found, "counted_until": until, "left_out": self.left_out}


def look_at(record: Record, spec: Spec, *, now: datetime, lake: Bucket) -> Seen:
    """What an experiment says at this moment. Raises ObjectNotFound for a version that is gone."""
    running, delay = record.experiment, spec.monitoring.label_delay
    start, end = parse_time(running.started_at), _end_of(record, now)
    until = max(start, min(end, now - delay))
    window = Window(record.model, "online", start, until)
    truths = truths_of(labels_of(window, [], now=now, delay=delay, lake=lake), [], lake=lake)
    arms = {
        version: _Rows(version, version_facts(record.model, version, lake=lake))
        for version in (running.against, running.version)
    }
    left_out = Counter[str]()
    for line in _dealt(online_lines(record.model, start, end, lake=lake), running.id):
        mark = line.beside or {}
        if mark["left_out"]:
            left_out[str(mark["left_out"])] += 1
        elif line.version in arms:
            counts = line.time < until
            arms[line.version].add(line, str(mark["unit"]), truths, counts=counts)
    planned = running.until is not None
    look = judge(
        spec.task,
        arms[running.against].done(),
        arms[running.version].done(),
        share=running.share,
        final=planned and end == parse_time(str(running.until)) and until == end,
        planned=planned,
        min_coverage=spec.monitoring.min_coverage,
    )
    return Seen(_with_warnings(look, left_out), until, dict(left_out))


def _end_of(record: Record, now: datetime) -> datetime:
    """Until when records were dealt."""
    ends = [now]
    if record.experiment.until is not None:
        ends.append(parse_time(record.experiment.until))
    if record.ended is not None:
        ends.append(parse_time(record.ended.at))
    return min(ends)


def _dealt(lines: Iterable[OnlineLine], experiment_id: str) -> Iterable[OnlineLine]:
    return (line for line in lines if (line.beside or {}).get("id") == experiment_id)


@dataclass
class _Rows:
    """The rows of one arm as they are read."""

    version: str
    facts: VersionFacts
    rows: int = 0
    counted: int = 0
    units: set[str] = field(default_factory=set)
    found: list[tuple[float, float, str, str]] = field(default_factory=list)

    def add(self, line: OnlineLine, unit: str, truths: dict[str, str], *, counts: bool) -> None:
        self.rows += 1
        self.units.add(unit)
        if not counts:
            return
        self.counted += 1
        truth = truths.get(line.prediction_id)
        if truth is None or line.score is None:
            return
        pair = self._pair(line, truth)
        if pair is not None:
            self.found.append((*pair, truth, unit))

    def _pair(self, line: OnlineLine, truth: str) -> tuple[float, float] | None:
        """Target and answer as metrics take them; None for a label that says nothing."""
        schema, task, score = self.facts.schema, self.facts.task, float(line.score or 0.0)
        try:
            if task == "regression":
                target = schema.number_of(truth)
                return None if np.isnan(target) else (target, score)
            said = schema.category_of(truth)
        except BadCell:
            return None
        if task == "binary":
            positive = schema.category_of(self.facts.labels[1])
            return float(said == positive), score
        return 1.0, float(said == schema.category_of(line.label))

    def done(self) -> Arm:
        targets = np.array([item[0] for item in self.found], np.float64)
        positives = int(targets.sum()) if self.facts.task == "binary" else None
        return Arm(
            version=self.version,
            rows=self.rows,
            counted=self.counted,
            units=len(self.units),
            target=targets,
            answers=np.array([item[1] for item in self.found], np.float64),
            unit=np.array([item[3] for item in self.found], str),
            positives=positives,
            rarer=self._rarer(),
        )

    def _rarer(self) -> int | None:
        if self.facts.task == "regression":
            return None
        category_of = self.facts.schema.category_of
        counts = Counter(category_of(truth) for _, _, truth, _ in self.found)
        return min(counts[category_of(label)] for label in self.facts.labels)


def _with_warnings(look: Look, left_out: Counter[str]) -> Look:
    """What was left out on one side only makes the sides unlike."""
    rows = left_out["challenger_failed"] + left_out["challenger_slow"]
    if rows:
        look.warnings.append(
            f"the challenger failed on {rows:,} rows or took too long, which the champion answered "
            "and which count for neither: such rows are missing on the challenger's side only. See "
            "the predictor's log"
        )
    return look
