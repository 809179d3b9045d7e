"""The predictions of a window, per version, with the labels that count by now.

batch: the scored files of the runs that finished in the window
online: lines of the inference log whose time is in the window
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from shared import documents, paths
from shared.errors import ObjectNotFound
from shared.labelled import (
    LabelFile,
    fingerprint,
    hours_between,
    label_objects,
    last_words,
    open_summary,
)
from shared.manifests import read_manifest
from shared.ports import Bucket, ObjectInfo
from shared.predicted import BatchRun, batch_runs, log_days, online_lines
from shared.serving.columns import Schema
from shared.tabular.window import Gathering, WindowRows
from shared.usecases.scored_rows import scored_rows

# Of more labels, or lines in the log of the days in question, only so many are read.
MOST_LABELS = 250_000
MOST_LINES, LINE_BYTES = 2_000_000, 400


@dataclass(frozen=True, slots=True)
class Window:
    """`start` inclusive to `end` exclusive, of one channel of one model."""

    model: str
    channel: str
    start: datetime
    end: datetime

    @property
    def folder(self) -> str:
        return window_folder(self.start, self.end)


@dataclass(frozen=True, slots=True)
class Labels:
    """The label files that count for a window; none before they are old enough. `read_at` is when
    they were listed."""

    files: tuple[LabelFile, ...]
    mature: bool
    count_from: datetime
    read_at: datetime | None = None

    @property
    def fingerprint(self) -> str:
        return fingerprint(self.files)

    @property
    def count(self) -> int:
        """Labelled predictions at most; corrections count again."""
        return sum(file.summary.matched for file in self.files)


@dataclass(frozen=True, slots=True)
class VersionFacts:
    """What a version was trained to expect; `reference` is None when it has none. `challenger`: its
    rows were dealt to it by an experiment."""

    schema: Schema
    task: str
    reference: dict[str, Any] | None
    labels: tuple[str, ...] = ()
    challenger: bool = False

    @property
    def positive(self) -> str | None:
        return self.reference["positive"] if self.reference else None

    @property
    def sliced(self) -> list[str]:
        """The columns whose levels were looked at on the holdout."""
        performance = (self.reference or {}).get("performance") or {}
        return list(dict.fromkeys(item["column"] for item in performance.get("slices", ())))


def window_folder(start: datetime, end: datetime) -> str:
    return f"{start:%Y%m%dT%H%M%SZ}_{end:%Y%m%dT%H%M%SZ}"


def parse_window_folder(folder: str) -> tuple[datetime, datetime]:
    """Raises ValueError."""
    start, end = folder.split("_")
    return tuple(datetime.strptime(text, "%Y%m%dT%H%M%S%z") for text in (start, end))  # type: ignore[return-value]


# --- labels --------------------------------------------------------------------------------------


def labels_of(
    window: Window,
    runs: list[BatchRun],
    *,
    now: datetime,
    delay: timedelta,
    lake: Bucket,
    objects: list[ObjectInfo] | None = None,
) -> Labels:
    """Label files about the window's predictions, once the window is older than `delay`.
    `objects` spares the listing."""
    count_from = window.end + delay
    if now < count_from:
        return Labels((), mature=False, count_from=count_from, read_at=now)
    hours = hours_between(window.start, window.end) if window.channel == "online" else set()
    score_runs = [run.run_id for run in runs]
    found = []
    for info in label_objects(window.model, lake=lake) if objects is None else objects:
        try:
            file = open_summary(window.model, info, lake=lake)
        except ObjectNotFound:
            continue  # put there by hand: not of a label job, so nobody checked it
        if file.summary.is_about(score_runs, hours):
            found.append(file)
    return Labels(tuple(found), mature=True, count_from=count_from, read_at=now)


def truths_of(
    labels: Labels, runs: list[BatchRun], *, lake: Bucket, one_in: int = 1
) -> dict[str, str]:
    """The label of each prediction, or of one in so many, as its last word is."""
    score_runs: set[str | None] = {run.run_id for run in runs} or {None}
    words = last_words(labels.files, lake=lake, one_in=one_in)
    return {name: row["label"] for name, row in words.items() if row["run_id"] in score_runs}


# --- rows ----------------------------------------------------------------------------------------


def runs_of(window: Window, *, lake: Bucket) -> list[BatchRun]:
    """The scoring runs of a batch window; none for an online one."""
    if window.channel != "batch":
        return []
    return batch_runs(window.model, window.start, window.end, lake=lake)


def one_of(count: float, most: int) -> int:
    """Of how many (a power of two) one is taken, so that no more than `most` are left."""
    return 1 << math.ceil(math.log2(count / most)) if count > most else 1


def _log_one_in(window: Window, lake: Bucket) -> int:
    days = log_days(window.start, window.end)
    size = sum(info.size_bytes for day in days for info in lake.list(paths.inference_log(day)))
    return one_of(size / LINE_BYTES, MOST_LINES)


def read_window(
    window: Window,
    runs: list[BatchRun],
    labels: Labels,
    *,
    lake: Bucket,
    sliced: Sequence[str] = (),
) -> list[tuple[VersionFacts, WindowRows]]:
    """The window's rows per version, the version with most rows first; `sliced` are the columns
    that are looked at by level, else those of the version. Raises ObjectNotFound for a version that
    was never stored."""
    rows_one_in = 1 if window.channel == "batch" else _log_one_in(window, lake)
    labels_one_in = one_of(labels.count, MOST_LABELS)
    gathering = _Gatherings(
        window.model,
        truths_of(labels, runs, lake=lake, one_in=labels_one_in),
        lake,
        one_in=rows_one_in,
        labels_one_in=labels_one_in,
        expected=sum(run.rows for run in runs),
        sliced=sliced,
    )
    for run in runs:
        _read_run(window.model, run, gathering, lake)
    if window.channel == "online":
        lines = online_lines(window.model, window.start, window.end, lake=lake, one_in=rows_one_in)
        for line in lines:
            facts, rows = gathering.of(line.version)
            if line.by_challenger:
                gathering.challengers.add(line.version)
            values = [line.instance.get(name) for name in facts.schema.names]
            score = None if line.error else line.score
            rows.add(line.prediction_id, values, score, line.label, redacted=line.redacted)
    return gathering.done()


def no_rows(model: str, *, lake: Bucket) -> list[tuple[VersionFacts, WindowRows]]:
    """The champion with no rows at all; nothing while there is none."""
    manifest = read_manifest(model, lake=lake)
    if manifest is None:
        return []
    gathering = _Gatherings(model, {}, lake)
    gathering.of(manifest.version)
    return gathering.done()


class _Gatherings:
    """One gathering per version, made when its first row comes."""

    def __init__(
        self,
        model: str,
        truths: Mapping[str, str],
        lake: Bucket,
        *,
        sliced: Sequence[str] = (),
        **sampled: int,
    ) -> None:
        self._model, self.truths, self._lake = model, truths, lake
        self._sampled, self._sliced = sampled, sliced
        self._found: dict[str, tuple[VersionFacts, Gathering]] = {}
        self.challengers: set[str] = set()

    def of(self, version: str) -> tuple[VersionFacts, Gathering]:
        if version not in self._found:
            facts = version_facts(self._model, version, lake=self._lake)
            rows = Gathering(
                version,
                facts.schema,
                facts.task,
                truths=self.truths,
                positive=facts.positive,
                sliced=self._sliced or facts.sliced,
                **self._sampled,
            )
            self._found[version] = facts, rows
        return self._found[version]

    def done(self) -> list[tuple[VersionFacts, WindowRows]]:
        found = [
            (replace(facts, challenger=version in self.challengers), rows.done())
            for version, (facts, rows) in self._found.items()
        ]
        return sorted(found, key=lambda pair: (-pair[1].rows, pair[1].version))


def version_facts(model: str, version: str, *, lake: Bucket) -> VersionFacts:
    """Raises ObjectNotFound."""
    about = documents.require(lake, paths.version(model, version, "version.json"))
    # The package's schema, not the spec's: a short spec leaves the columns to the first training.
    package = documents.require(lake, paths.package(model, version, "package.json"))
    reference = documents.read(lake, about["reference"])
    return VersionFacts(
        Schema.from_json(package["schema"]),
        package["task"],
        reference.body if reference.exists else None,
        tuple(package["labels"]),
    )


def _read_run(model: str, run: BatchRun, gathering: _Gatherings, lake: Bucket) -> None:
    facts, rows = gathering.of(run.version)
    for block in scored_rows(model, run, facts.schema.names, lake=lake):
        fine = pc.equal(block.answers["error"], "")
        scores = pc.if_else(fine, block.answers["score"], None).cast(pa.float64())
        labels = block.answers.get("label")
        rows.add_block(
            block.answers["prediction_id"].to_pylist() if gathering.truths else (),
            block.cells,
            scores.to_numpy(zero_copy_only=False),
            None if labels is None else labels.to_pylist(),
        )
