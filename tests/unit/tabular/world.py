"""A lake with a registered spec and generated data, ready to train on."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import numpy as np

from shared import documents, paths, runs
from shared.adapters.memory import BucketConfig, FixedClock, MemoryCloud, topic_path
from shared.boundary import Task
from shared.manifests import move_champion, read_manifest
from shared.ports import Bucket
from shared.runs import InputRef, RetrainCause, RunRequest
from shared.spec.model import Spec
from shared.spec.registry import register
from shared.usecases.train import train_model

MODEL = "m"
RUN = "20260105T090000-0a1b2c3d"
COLUMNS: dict[str, Any] = {
    "age": {"type": "number", "require": {"min": 0}},
    "gain": {"type": "number"},
    "city": {},
    "y": {},
}


def rows(count: int, seed: int = 0, *, shift: float = 0.0) -> list[list[str]]:
    """age, gain, city, y: the older, the more gain and in `b`, the more often `yes`."""
    random = np.random.default_rng(seed)
    age = random.integers(18, 80, count)
    gain = np.round(random.exponential(100, count), 1)
    city = random.choice(["a", "b", "c"], count, p=[0.5, 0.3, 0.2])
    odds = (age - 50 + shift) / 8 + (city == "b") * 1.5 + gain / 100 - 1.5
    yes = random.random(count) < 1 / (1 + np.exp(-odds))
    found = []
    for row in range(count):
        missing = random.random() < 0.05
        found.append(
            [
                str(age[row]),
                "?" if missing else str(gain[row]),
                str(city[row]),
                "yes" if yes[row] else "no",
            ]
        )
    return found


def csv_bytes(data: list[list[str]], header: list[str] | None = None) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header or list(COLUMNS))
    writer.writerows(data)
    return text.getvalue().encode()


def spec_of(**changes: Any) -> Spec:
    body = {
        "task": "binary",
        "target": {"column": "y", "positive": "yes"},
        "columns": COLUMNS,
        "training": {"candidates": ["linear"], "trials": 1, "false_positive_ceiling": 0.5},
        **changes,
    }
    return Spec.model_validate(body)


class World:
    """`lake` and `publisher` may be replaced by ports that die."""

    def __init__(self, spec: Spec | None = None) -> None:
        self.clock = FixedClock()
        self.cloud = MemoryCloud(
            buckets=[BucketConfig("lake")],
            topics=[topic_path("local", "outcomes")],
            clock=self.clock,
        )
        self.lake: Bucket = self.cloud.lake
        self.ports: dict[str, Any] = {"lake": self.lake, "publisher": self.cloud.publisher}
        self.spec = spec or spec_of()
        self.generation = register(
            MODEL, self.spec, "test", lake=self.lake, clock=self.clock
        ).generation

    def ask(self, data: bytes, run_id: str = RUN) -> RunRequest:
        """A request to train on this file."""
        info = self.lake.write(paths.input_copy(MODEL, "train", run_id, "a.csv"), data)
        item = InputRef.of(info, "gs://inbox/m/train/a.csv#1")
        return self._save(run_id, "train", inputs=(item,))

    def ask_again(self, champion: str, labels: list[str], run_id: str) -> RunRequest:
        """A request of the loop to train on labels that came back."""
        cause = RetrainCause("incident-1", champion, tuple(labels))
        return self._save(run_id, "train", retrain=cause)

    def ask_comparison(self, version: str, run_id: str) -> RunRequest:
        return self._save(run_id, "compare", version=version)

    def ask_score(self, run_id: str, inputs: tuple[InputRef, ...]) -> RunRequest:
        return self._save(run_id, "score", inputs=inputs)

    def _save(self, run_id: str, kind: Any, **more: Any) -> RunRequest:
        request = RunRequest(
            model=MODEL,
            run_id=run_id,
            kind=kind,
            requested_at="2026-01-05T09:00:00Z",
            requested_by="test",
            spec_generation=self.generation,
            **more,
        )
        runs.save_request(request, lake=self.lake)
        return request

    def train(self, run_id: str = RUN, attempt: int = 1, **ports: Any) -> Any:
        task = Task(MODEL, run_id, attempt, f"execution-{attempt}", 0, 1)
        return train_model(task, clock=self.clock, **{**self.ports, **ports})

    def promote(self, version: str) -> None:
        move_champion(
            read_manifest(MODEL, lake=self.lake),
            self.document(paths.version(MODEL, version, "version.json")),
            by="test",
            cause=version,
            log="sync",
            pinned=False,
            lake=self.lake,
            clock=self.clock,
        )

    def scored(
        self, run_id: str, data: list[list[str]], names: Sequence[str] = tuple(COLUMNS)[:-1]
    ) -> None:
        """What a scoring run leaves behind (the target column is not in it)."""
        header = [*names, "score", "label", "model_version", "prediction_id", "error"]
        lines = [
            [*row[:-1], "0.5", "no", RUN, f"{run_id}-{number}", ""]
            for number, row in enumerate(data, start=1)
        ]
        name = paths.predictions(MODEL, run_id, "predictions.csv")
        self.lake.write(name, csv_bytes(lines, header))
        now = documents.timestamp(self.clock.now())
        summary = {
            "run_id": run_id,
            "version": RUN,
            "rows": len(lines),
            "errors": 0,
            "started": now,
            "finished": now,
            "channel": "batch",
            "object": name,
        }
        documents.create(self.lake, paths.predictions(MODEL, run_id, "summary.json"), summary)

    def labelled(self, run_id: str, data: Sequence[tuple[str, str, str | None, int]]) -> str:
        """A label file of (prediction id, label, score run, minutes after the clock)."""
        lines = [
            json.dumps(
                {
                    "prediction_id": prediction_id,
                    "label": label,
                    "label_time": documents.timestamp(self.clock.now() + timedelta(minutes=after)),
                    "matched": True,
                    "run_id": score_run,
                    "prediction_time": documents.timestamp(
                        self.clock.now() + timedelta(minutes=after)
                    ),
                    "record": number,
                }
            )
            for number, (prediction_id, label, score_run, after) in enumerate(data, start=1)
        ]
        name = paths.labels(MODEL, self.clock.now().date(), run_id)
        self.lake.write(name, ("\n".join(lines) + "\n").encode())
        return name

    def document(self, name: str) -> dict[str, Any]:
        return documents.require(self.lake, name)

    def names(self, prefix: str) -> list[str]:
        return [info.name for info in self.lake.list(prefix)]

    def events(self, run_id: str = RUN) -> list[str]:
        return [event["name"] for event in runs.history(MODEL, run_id, lake=self.lake)]
