"""The small functions behind their real doors, on the memory cloud, driven step by step.

system = System()
system.drop("_specs/m.yaml", SPEC)
system.drop("m/train/a.csv", CSV)
system.drain()
"""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

from werkzeug.test import EnvironBuilder
from werkzeug.wrappers import Request

from infra.local import assemble
from shared import boundary, documents, paths, runs
from shared.adapters.memory import (
    Faults,
    FixedClock,
    MemoryCloud,
)
from shared.boundary import Task
from shared.config import Config
from shared.events import TrainingCompleted
from shared.ports import Bucket, Clock, Execution, JobRunner, Publisher
from shared.runs import RunRequest
from tests.support.granting import finished_topology

ROOT = Path(__file__).resolve().parents[2]
FUNCTIONS = ("intake", "launch", "promote", "mirror", "sweep", "deadletter")
EVERY_FUNCTION = (*FUNCTIONS, "retrain", "notify")
CONFIG = Config.from_env(
    {
        "MILLRACE_PROJECT": "local",
        "MILLRACE_CONTEXT": "local",
        "MILLRACE_INBOX": "inbox",
        "MILLRACE_LAKE": "lake",
        "STORAGE_EMULATOR_HOST": "http://127.0.0.1:9",
        "MILLRACE_IDENTITY": "header",
        "MILLRACE_SPEC_WAIT_SECONDS": "600",
        "SLACK_WEBHOOK_URL": "https://slack.example/hook",
    }
)
SPEC = """
task: binary
target: y
columns:
  a: {type: number}
  b: {}
  y: {}
promotion: {approval: auto}
"""
CSV = b"a,b,y\n1,x,yes\n2,y,no\n"


def load_door(kind: str, name: str) -> ModuleType:
    """A fresh copy of a door, as the platform would load it."""
    path = ROOT / kind / name / "main.py"
    spec = importlib.util.spec_from_file_location(f"door_{kind}_{name}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def memory_cloud(clock: Clock | None = None) -> MemoryCloud:
    """Buckets, topics and subscriptions of infra/topology.yaml, delivering at once."""
    topology = finished_topology()
    return MemoryCloud(
        buckets=assemble.buckets(topology),
        topics=assemble.topics(topology),
        subscriptions=assemble.subscriptions(topology),
        clock=clock or FixedClock(),
        project=assemble.PROJECT,
    )


class System:
    """`wrap` may put a faulty port in place of one that works, by its name in the wiring."""

    def __init__(
        self,
        wrap: Callable[[str, Any], Any] = lambda _, port: port,
        functions: tuple[str, ...] = FUNCTIONS,
        config: Config = CONFIG,
    ) -> None:
        self.functions, self.config = functions, config
        self.clock = FixedClock()
        self.cloud = memory_cloud(self.clock)
        self.lake: Bucket = self.cloud.lake
        self.inbox: Bucket = self.cloud.inbox
        self.publisher: Publisher = self.cloud.publisher
        self.jobs: JobRunner = self.cloud.jobs
        self.ports: dict[str, Any] = {
            "lake": wrap("lake", self.cloud.lake),
            "inbox": wrap("inbox", self.cloud.inbox),
            "publisher": wrap("publisher", self.cloud.publisher),
            "jobs": wrap("jobs", self.cloud.jobs),
            "registry": wrap("registry", self.cloud.registry),
            "channels": {"slack": self.cloud.messenger},
            "clock": self.clock,
        }
        self.doors = {name: self._door(name) for name in self.functions}

    def _door(self, name: str) -> ModuleType:
        module = load_door("functions", name)
        module.wiring._given = self.config
        # Stands where cached properties would.
        module.wiring.__dict__.update(self.ports)
        return module

    # --- driving ---------------------------------------------------------------------------------

    def drop(self, name: str, data: bytes | str, **metadata: str) -> str:
        """Upload into the inbox; the upload's natural identity comes back."""
        raw = data.encode() if isinstance(data, str) else data
        info = self.inbox.write(name, raw, metadata=metadata)
        return f"gs://inbox/{name}#{info.generation}"

    def post(
        self, function: str, body: bytes, path: str = "/", headers: Mapping[str, str] | None = None
    ) -> tuple[str, int]:
        """One request to a door, whatever its body."""
        builder = EnvironBuilder(
            path=path, method="POST", data=body, headers=list((headers or {}).items())
        )
        try:
            result: tuple[str, int] = self.doors[function].main(Request(builder.get_environ()))
        finally:
            builder.close()
        return result

    def decide(self, **body: Any) -> tuple[dict[str, Any], int]:
        headers = {"X-Millrace-User": "ada"}
        text, status = self.post("promote", json.dumps(body).encode(), "/decide", headers)
        return json.loads(text), status

    def drain(
        self,
        *,
        advance: bool = False,
        only: tuple[str, ...] | None = None,
        faults: Faults | None = None,
    ) -> None:
        """Deliver until nothing is due (or, advancing the clock, until nothing waits)."""
        handlers = {name: self._handler(name) for name in only or self.functions}
        self.cloud.drain(handlers, advance=advance, faults=faults)

    def _handler(self, name: str) -> Callable[[dict[str, Any]], int]:
        return lambda body: self.post(name, json.dumps(body).encode())[1]

    def tick(self, name: str = "SweepDue") -> None:
        self.publisher.publish("ticks", json.dumps({"type": name}).encode(), {"type": name})
        self.drain()

    # --- jobs ------------------------------------------------------------------------------------

    def running(self, job: str = "train-s") -> list[Execution]:
        return [item for item in self.jobs.executions(job) if item.state == "running"]

    def work(self, use_case: Callable[[Task], object], job: str = "train-s") -> None:
        """Run every running execution of a job to its end with this use case."""
        for execution in self.running(job):
            task = Task(
                model=execution.env["MILLRACE_MODEL"],
                run_id=execution.env["RUN_ID"],
                attempt=int(execution.env["ATTEMPT"]),
                execution=execution.name,
                index=0,
                count=1,
            )
            boundary.run_task(
                task, use_case, lake=self.lake, publisher=self.publisher, clock=self.clock
            )
            self.cloud.jobs.end(execution.name, "succeeded")

    def train(self, **comparison: Any) -> None:
        """Finish running trainings with a version that compares as given."""
        self.work(lambda task: self._store_version(task, comparison))

    def _store_version(self, task: Task, comparison: dict[str, Any]) -> None:
        request = runs.read_request(task.model, task.run_id, lake=self.lake)
        version = request.version or task.run_id
        manifest = documents.read(self.lake, paths.manifest(task.model)).body
        against = manifest["champion"]["version"] if manifest else None
        facts = {"against": against, "spec_generation": request.spec_generation, **comparison}
        store_version(self.lake, task.model, version, **facts)
        event = TrainingCompleted(model=task.model, run_id=task.run_id, version=version)
        runs.finish(event, lake=self.lake, publisher=self.publisher, clock=self.clock)

    # --- looking ---------------------------------------------------------------------------------

    def claim(self, source: str) -> dict[str, Any]:
        return documents.require(self.lake, paths.claim(source))

    def state(self, source: str, model: str = "m") -> str:
        return runs.state(model, self.claim(source)["run_id"], lake=self.lake).state

    def run_ids(self, model: str = "m") -> list[str]:
        return [folder.split("/")[2] for folder in self.lake.folders(f"runs/{model}/")]

    def request(self, run_id: str, model: str = "m") -> RunRequest:
        return runs.read_request(model, run_id, lake=self.lake)

    def champion(self, model: str = "m") -> str | None:
        body = documents.read(self.lake, paths.manifest(model)).body
        return str(body["champion"]["version"]) if body else None

    def published(self, kind: str) -> list[dict[str, Any]]:
        """Bodies of all published messages of a type, repeats included."""
        return [
            json.loads(item.data)
            for item in self.cloud.publisher.published
            if item.attributes.get("type") == kind
        ]

    def fresh_doors(self) -> None:
        """New processes, as after a crash of the old ones, on ports that work."""
        self.ports |= {
            "lake": self.cloud.lake,
            "inbox": self.cloud.inbox,
            "publisher": self.cloud.publisher,
            "jobs": self.cloud.jobs,
            "registry": self.cloud.registry,
        }
        self.doors = {name: self._door(name) for name in self.functions}


def store_version(
    lake: Bucket,
    model: str,
    version: str,
    *,
    against: str | None,
    spec_generation: int | None = None,
    **changes: Any,
) -> None:
    """What a training leaves behind for promote: version.json and comparison.json."""
    lake.write(
        paths.version(model, version, "version.json"),
        documents.dumps(
            {
                "version": version,
                "model": model,
                "package": {"files": {"package.json": "0" * 64}, "sha256": "0" * 64},
                "tracking_run_id": None,
                "spec_generation": spec_generation,
            }
        ),
    )
    documents.create(lake, paths.package(model, version, "package.json"), {})
    name = paths.version(model, version, "comparison.json")
    lake.write(name, documents.dumps(comparison_of(version, against, **changes)))


def comparison_of(version: str, against: str | None, **changes: Any) -> dict[str, Any]:
    """A comparison that was won, if nothing else is said."""
    return {
        "version": version,
        "against": against,
        "holdout": {"kind": "random", "rows": 1000, "positives": 250, "overlap": 0},
        "metric": "auroc",
        "challenger": 0.9,
        "champion": 0.88 if against else None,
        "gain": 0.02 if against else None,
        "gain_lower": 0.01 if against else None,
        "baseline": {"value": 0.5, "beats": True, "sentence": "It beats guessing."},
        "eligible": True,
        "evidence": "sufficient",
        "guardrails": [],
        "sentence": "AUROC 0.9 on 1,000 holdout rows.",
        **changes,
    }


def with_env(config: Config, **changes: Any) -> Config:
    return replace(config, **changes)
