"""A served model in memory: its reference, its predictions, its labels, moved by a test's clock."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared import boundary, claims, decoding, documents, paths, runs
from shared.adapters.memory import FixedClock, MemoryCloud
from shared.boundary import Task
from shared.documents import timestamp
from shared.events import Event, MonitorAlert, WindowDue
from shared.manifests import move_champion, read_manifest
from shared.runs import InputRef, RunRequest
from shared.serving.columns import Columns, Schema
from shared.spec.model import Spec
from shared.spec.registry import register
from shared.tabular.profile import build_reference
from shared.usecases.label import record_labels
from shared.usecases.monitor import Monitor
from tests.support.system import memory_cloud

MODEL = "m"
VERSION = "20260101T000000-aaaaaaaa"
MONDAY = datetime(2026, 1, 5, 0, 0, tzinfo=UTC)
DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
MONITORING: dict[str, Any] = {"persistence": [1, 1], "label_delay": "0s"}


def spec_of(task: str = "binary", monitoring: Mapping[str, Any] | None = None, **more: Any) -> Spec:
    target = {"column": "y", "positive": "yes"} if task == "binary" else {"column": "y"}
    return Spec.model_validate(
        {
            "task": task,
            "target": target,
            "columns": {
                "age": {"type": "number", "expect": {"min": -10, "max": 10}},
                "income": {"type": "number"},
                "job": {},
                "town": {},
                "y": {"type": "number" if task == "regression" else "category"},
            },
            "monitoring": {**MONITORING, **(monitoring or {})},
            **more,
        }
    )


def draw_rows(rng: np.random.Generator, rows: int, shift: float = 0.0) -> Columns:
    """Rows of one distribution; `shift` moves `age` and `job`."""
    job = rng.choice(["a", "b", "c"], rows, p=[0.6, 0.3, 0.1])
    job = np.where(rng.random(rows) < shift / 2, "c", job)
    return {
        "age": rng.normal(shift, 1, rows),
        "income": np.where(rng.random(rows) < 0.9, 0.0, rng.exponential(100, rows)),
        "job": job.astype(object),
        "town": rng.choice(["x", "y"], rows).astype(object),
    }


def answer(
    columns: Columns, rng: np.random.Generator, blur: float = 0.0
) -> tuple[NDArray[np.float64], NDArray[Any]]:
    """Scores of a model that knows `age`, and true labels; `blur` makes the labels forget it."""
    logit = 1.5 * columns["age"]
    score = 1 / (1 + np.exp(-logit))
    truth = 1 / (1 + np.exp(-logit * (1 - blur)))
    labels = np.where(rng.random(len(score)) < truth, "yes", "no").astype(object)
    return score, labels


class World:
    """`wrap` may put a dying port in place of one that works, by its name."""

    def __init__(
        self, spec: Spec | None = None, wrap: Callable[[str, Any], Any] = lambda _, port: port
    ) -> None:
        self.clock = FixedClock(MONDAY - DAY)
        self.cloud: MemoryCloud = memory_cloud(self.clock)
        self.lake = self.cloud.lake
        self.spec = spec or spec_of()
        self.registered = register(MODEL, self.spec, "test", lake=self.lake, clock=self.clock)
        self.schema = Schema.of(self.spec)
        self.store_version(VERSION)
        self.promote(VERSION)
        self.ports = Monitor(
            wrap("lake", self.lake), wrap("publisher", self.cloud.publisher), self.clock, 660
        )
        self.clock.advance_to(MONDAY)

    # --- versions --------------------------------------------------------------------------------

    def store_version(self, version: str, *, labels_used: Iterable[str] = ()) -> None:
        request = RunRequest(
            model=MODEL,
            run_id=version,
            kind="train",
            requested_at=timestamp(self.clock.now()),
            requested_by="upload",
            spec_generation=1,
        )
        runs.save_request(request, lake=self.lake)
        rng = np.random.default_rng(1)
        columns = draw_rows(rng, 4000)
        unseen = draw_rows(rng, 2000)
        scores, truths = answer(unseen, rng)
        labels = [("yes" if score >= 0.5 else "no") for score in scores]
        regression = self.spec.task == "regression"
        reference = build_reference(
            columns,
            self.schema.features,
            scores=scores,
            labels=None if regression else labels,
            targets=scores + rng.normal(0, 0.1, 2000) if regression else truths,
            task=self.spec.task,
            positive="yes",
            metrics={},
            slices={name: unseen[name] for name in ("job", "town")},
        )
        name = paths.dataset(MODEL, version, "reference.json")
        documents.create(self.lake, name, reference)
        body = {
            "model": MODEL,
            "version": version,
            "run_id": version,
            "created": timestamp(self.clock.now()),
            "spec_generation": 1,
            "task": self.spec.task,
            "package": {"files": {}, "sha256": ""},
            "reference": name,
            "labels_used": list(labels_used),
        }
        documents.create(self.lake, paths.version(MODEL, version, "version.json"), body)
        package = {
            "labels": [] if regression else ["no", "yes"],
            "schema": self.schema.to_json(),
            "task": self.spec.task,
        }
        documents.create(self.lake, paths.package(MODEL, version, "package.json"), package)

    def promote(self, version: str, *, pinned: bool = False) -> None:
        current = read_manifest(MODEL, lake=self.lake)
        body = documents.require(self.lake, paths.version(MODEL, version, "version.json"))
        move_champion(
            current,
            body,
            by="test",
            cause=version,
            log="sync",
            pinned=pinned,
            lake=self.lake,
            clock=self.clock,
        )

    # --- predictions -----------------------------------------------------------------------------

    def score(
        self,
        rows: int = 1000,
        *,
        shift: float = 0.0,
        blur: float = 0.0,
        seed: int = 0,
        version: str = VERSION,
        change: Callable[[Columns], None] = lambda _: None,
        refused: int = 0,
    ) -> tuple[str, NDArray[Any]]:
        """A scoring run that finishes now; its id and the rows' true labels."""
        rng = np.random.default_rng([seed, 7])
        columns = draw_rows(rng, rows, shift)
        scores, truths = answer(columns, rng, blur)
        change(columns)
        run_id = claims.run_id_for(f"{timestamp(self.clock.now())}{seed}", self.clock.now())
        text = io.StringIO(newline="")
        writer = csv.writer(text, lineterminator="\n")
        label = [] if self.spec.task == "regression" else ["label"]
        writer.writerow([*columns, "score", *label, "model_version", "prediction_id", "error"])
        for row in range(rows):
            cells = [_cell(columns[name][row]) for name in columns]
            bad = row < refused
            answers = ["" if bad else repr(float(scores[row]))]
            answers += ["" if bad else "yes" if scores[row] >= 0.5 else "no"] if label else []
            error = "age must be a number" if bad else ""
            writer.writerow([*cells, *answers, version, f"{run_id}-{row + 1}", error])
        name = paths.predictions(MODEL, run_id, "predictions.csv")
        self.lake.write(name, text.getvalue().encode())
        now = timestamp(self.clock.now())
        summary = {
            "run_id": run_id,
            "version": version,
            "rows": rows,
            "errors": refused,
            "started": now,
            "finished": now,
            "channel": "batch",
            "object": name,
        }
        documents.create(self.lake, paths.predictions(MODEL, run_id, "summary.json"), summary)
        return run_id, truths

    def ask_online(
        self,
        rows: int,
        *,
        shift: float = 0.0,
        model: str = MODEL,
        twice: bool = False,
        exported_after: timedelta = timedelta(0),
        refused: int = 0,
        redacted: tuple[str, ...] = (),
    ) -> None:
        """Online answers made now and exported to the log a little later; the first `refused` are
        rows that got none."""
        rng = np.random.default_rng([rows, 3])
        columns = draw_rows(rng, rows, shift)
        scores, _ = answer(columns, rng)
        lines = []
        for row in range(rows):
            line: dict[str, Any] = {
                "model": model,
                "version": VERSION,
                "time": timestamp(self.clock.now()),
                "prediction_id": f"call-{row}",
                "instance": {name: column[row] for name, column in columns.items()},
                "score": float(scores[row]),
                "label": "yes" if scores[row] >= 0.5 else "no",
                "error": None,
            }
            if row < refused:
                line |= {"score": None, "label": None, "error": "age: must be a number"}
            if redacted:
                line["instance"] |= dict.fromkeys(redacted)
                line["redacted"] = list(redacted)
            lines.append(json.dumps(line))
        text = "\n".join(lines * (2 if twice else 1)) + "\n"
        exported = self.clock.now() + exported_after
        name = f"{paths.inference_log(exported.date())}{exported:%H-%M-%S}-{model}"
        self.lake.write(name, text.encode())

    # --- labels ----------------------------------------------------------------------------------

    def request_labels(self, text: str) -> Task:
        """A label run that intake accepted; the task that is to do it."""
        key = f"{text}{self.clock.now()}"
        run_id = claims.run_id_for(key, self.clock.now())
        name = paths.input_copy(MODEL, "label", run_id, "labels.csv")
        info = self.lake.write(name, text.encode())
        request = RunRequest(
            model=MODEL,
            run_id=run_id,
            kind="label",
            requested_at=timestamp(self.clock.now()),
            requested_by="upload",
            spec_generation=1,
            inputs=(InputRef.of(info, "gs://inbox/m/labels/labels.csv#1"),),
        )
        runs.save_request(request, lake=self.lake)
        return Task(MODEL, run_id, 1, f"label-{run_id[-4:]}", 0, 1)

    def label(self, run_id: str, truths: Iterable[object]) -> Task:
        """Record labels for the first rows of a scoring run."""
        rows = [f"{run_id}-{number},{truth}" for number, truth in enumerate(truths, start=1)]
        task = self.request_labels("\n".join(["prediction_id,label", *rows]) + "\n")
        self.run_labels(task)
        return task

    def run_labels(self, task: Task) -> str:
        publisher = self.cloud.publisher
        return boundary.run_task(
            task,
            lambda task: record_labels(task, lake=self.lake, publisher=publisher, clock=self.clock),
            lake=self.lake,
            publisher=publisher,
            clock=self.clock,
        )

    # --- looking ---------------------------------------------------------------------------------

    def events(self, cls: type[Event] | None = None) -> list[Event]:
        """What was published, in order; each id once, however often it was published."""
        found: dict[str, Event] = {}
        for item in self.cloud.publisher.published:
            if item.topic == "predictions":  # lines of the log, no event of ours
                continue
            event = decoding.decode(json.loads(item.data))
            if cls is None or isinstance(event, cls):
                found.setdefault(event.id, event)
        return list(found.values())

    def alerts(self) -> list[MonitorAlert]:
        return [event for event in self.events() if isinstance(event, MonitorAlert)]

    def report(self, event: WindowDue, name: str = "latest.json") -> dict[str, Any]:
        folder = f"{event.window_start:%Y%m%dT%H%M%SZ}_{event.window_end:%Y%m%dT%H%M%SZ}"
        return documents.require(self.lake, paths.reports(MODEL, event.channel, folder, name))


def window(start: datetime, length: timedelta = HOUR, channel: str = "batch") -> WindowDue:
    return WindowDue(model=MODEL, channel=channel, window_start=start, window_end=start + length)


def _cell(value: object) -> str:
    if isinstance(value, float):
        return "" if np.isnan(value) else repr(float(value))
    return str(value)
