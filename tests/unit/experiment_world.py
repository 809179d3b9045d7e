"""A whole experiment in memory: two real packages behind the real predictor, labels by the job."""

from __future__ import annotations

import tempfile
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np

from shared import documents, paths
from shared.beside import experiments
from shared.beside.experiments import Record
from shared.serving.app import create_app
from shared.serving.encoder import Encoder
from shared.serving.package import Package, linear_engine, package_sha256, write
from shared.spec.model import Spec
from shared.usecases.beside import experimenting
from shared.usecases.beside.experiment_look import Seen, look_at
from shared.usecases.promoting import Promote
from tests.unit.monitoring.world import MODEL, VERSION, World, answer, draw_rows, spec_of

CHALLENGER = "20260102T000000-bbbbbbbb"
COLUMNS: dict[str, Any] = {
    "customer": {"exclude": True},
    "age": {"type": "number"},
    "income": {"type": "number"},
    "job": {},
    "town": {},
    "y": {},
}
MIXED = {"age": 0.5, "town=x": 1.0}
MINUTE = timedelta(minutes=1)


def trial_spec(**monitoring: Any) -> Spec:
    return spec_of(columns=COLUMNS, monitoring=monitoring)


class Trial(World):
    """Only `age` tells the truth; the champion's score is made of `age` and `town`, if nothing else
    is said, and the challenger's of what it `knows`."""

    def __init__(
        self,
        knows: dict[str, float],
        spec: Spec | None = None,
        seed: int = 0,
        champion: dict[str, float] = MIXED,
    ) -> None:
        self.coefficients = {VERSION: champion, CHALLENGER: knows}
        self.rng = np.random.default_rng(seed)
        self.truths: dict[str, str] = {}
        super().__init__(spec or trial_spec())
        super().store_version(CHALLENGER)
        self._store_package(CHALLENGER)
        self.promoting = Promote(self.lake, self.cloud.publisher, self.clock, 60)
        self.client = create_app(
            lake=lambda: self.lake,
            publisher=lambda: self.cloud.publisher,
            clock=lambda: self.clock,
            interval_seconds=0,
        ).test_client()

    def promote(self, version: str, *, pinned: bool = False) -> None:
        self._store_package(version)
        super().promote(version, pinned=pinned)

    def _store_package(self, version: str) -> None:
        fitted = draw_rows(np.random.default_rng(0), 500)
        encoder = Encoder.fit(fitted, self.schema.features, "linear", min_frequency=1)
        knows = self.coefficients[version]
        package = Package(
            model=MODEL,
            version=version,
            task="binary",
            schema=self.schema,
            encoder=encoder,
            engine=linear_engine([knows.get(name, 0.0) for name in encoder.names], 0.0, "logit"),
            created="2026-01-01T00:00:00Z",
            labels=("no", "yes"),
            threshold=0.5,
            metrics={"auroc": 0.7, "base_rate": 0.5, "n": 2000.0},
        )
        with tempfile.TemporaryDirectory() as folder:
            files = write(package, Path(folder))
            for name in files:
                data = (Path(folder) / name).read_bytes()
                self.lake.write(paths.package(MODEL, version, name), data)
        name = paths.version(MODEL, version, "version.json")
        found = documents.read(self.lake, name)
        body = {**found.body, "package": {"files": files, "sha256": package_sha256(files)}}
        documents.swap(self.lake, name, body, generation=found.generation)

    # --- the experiment --------------------------------------------------------------------------

    def start(self, **facts: Any) -> Record:
        facts = {"share": 0.5, "key": "customer", **facts}
        experimenting.start(
            MODEL, CHALLENGER, facts, by="ada", reason="to see", ports=self.promoting
        )
        return self.record()

    def stop(self, how: str = "kept") -> Record:
        verdict = self.look().to_json()
        facts = {"how": how, "verdict": verdict}
        running = self.record().experiment
        experimenting.stop(MODEL, running.id, facts, by="ada", reason="seen", ports=self.promoting)
        return self.record()

    def record(self) -> Record:
        return next(experiments.latest(MODEL, lake=self.lake))

    def look(self) -> Seen:
        return look_at(self.record(), self.spec, now=self.clock.now(), lake=self.lake)

    # --- traffic ---------------------------------------------------------------------------------

    def ask(self, rows: int, *, customers: int | None = None) -> list[dict[str, Any]]:
        """Predictions of new rows, one a customer or of so many customers; their answers."""
        columns = draw_rows(self.rng, rows)
        _, truths = answer(columns, self.rng)
        who, made = self._customers(rows, customers), len(self.truths)
        answers: list[dict[str, Any]] = []
        for start in range(0, rows, 100):
            # Ids of our own making carry this machine's time, not that of the test's clock.
            records = [
                {
                    "prediction_id": f"call-{made + row}",
                    "customer": who[row],
                    **{name: values[row] for name, values in columns.items()},
                }
                for row in range(start, min(start + 100, rows))
            ]
            response = self.client.post(f"/models/{MODEL}/predict", json=records)
            assert response.status_code == 200, response.get_data()
            answers += response.get_json()["predictions"]
        for item, truth in zip(answers, truths.tolist(), strict=True):
            self.truths[item["prediction_id"]] = truth
        self._export()
        self.clock.advance(MINUTE)
        return answers

    def _customers(self, rows: int, customers: int | None) -> list[int]:
        if customers is None:
            return list(range(len(self.truths), len(self.truths) + rows))
        return [int(who) for who in self.rng.integers(0, customers, rows)]

    def _export(self) -> None:
        """What the lake's subscription does with the log."""
        published = self.cloud.publisher.published
        lines = [item.data for item in published if item.topic == "predictions"]
        now = self.clock.now()
        self.lake.write(f"{paths.inference_log(now.date())}log", b"\n".join(lines) + b"\n")

    def label_all(self, keep: float = 1.0) -> None:
        """Record the labels of all predictions, or of a part of them."""
        rows = [item for item in self.truths.items() if self.rng.random() < keep]
        lines = ["prediction_id,label", *(f"{name},{label}" for name, label in rows)]
        self.run_labels(self.request_labels("\n".join(lines) + "\n"))
