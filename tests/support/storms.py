"""Random stories over the whole chain: files, people, jobs and time at once, with trouble on the
way. A storm is a seed; `calm` delivers what is left, then `tests.support.storm_promises` hold.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any

from shared import approvals, boundary, documents, paths, runs
from shared.adapters.memory.subscriptions import ACK_STATUSES, Delivery, envelope
from shared.boundary import Task
from shared.errors import Retryable
from shared.events import (
    ComparisonCompleted,
    DriftDetected,
    LabelsRecorded,
    RunEvent,
    RunRejected,
    ScoringCompleted,
    TrainingCompleted,
    publish,
)
from shared.manifests import read_manifest
from shared.ports import Execution
from shared.runs import RunRequest
from tests.support import canarying
from tests.support.experimenting import store_package
from tests.support.system import CSV, EVERY_FUNCTION, SPEC, System, comparison_of, store_version
from tests.support.weaving import Trouble, Weave

Process = Callable[[], object]
JOBS = ("train-s", "score-s", "label-s")
SPECS = [
    SPEC.replace("approval: auto", f"approval: {when}") for when in ("auto", "first", "always")
]
SPECS += [SPEC + "retrain: {drift: auto}\n", SPEC + "serving: {shadow: {share: 0.5}}\n"]
SPECS += [canarying.BACK, canarying.ASK, canarying.PROMOTE]
BASELINE = {"value": 0.5, "beats": True, "sentence": "It beats.", "constant_gain_lower": 0.1}
COMPARISONS: list[dict[str, Any]] = [
    {},
    {},
    {"gain": -0.05, "gain_lower": -0.1},
    {"evidence": "insufficient_evidence"},
]
ENDS = {"score": ScoringCompleted, "label": LabelsRecorded}
SOME = Trouble(crash=0.002, refused=0.004, done_but_refused=0.002, done_but_lost=0.003)


class Storm:
    """One story, told by its seed. `told` is what happened."""

    def __init__(self, seed: int, trouble: Trouble = SOME) -> None:
        self.chance = random.Random(seed)
        self.weave = Weave(self.chance, trouble)
        self.system = System(self.weave.wrap, EVERY_FUNCTION)
        self.sources: list[str] = []
        self.told: list[str] = []
        self._number = 0

    def tell(self, rounds: int) -> None:
        self._drop("_specs/m.yaml", self.chance.choice(SPECS))
        self._drop("m/train/a.csv", CSV)
        for _ in range(rounds):
            acts = [self._something() for _ in range(self.chance.randint(0, 3))]
            processes = [act for act in acts if act] + self._deliveries(self.chance.randint(1, 6))
            self.chance.shuffle(processes)
            self.weave.run(processes)
            waits = [0.001, 1, 20, 100, 400, 400, 4000, 10_000, 40_000]
            self.system.clock.advance(self.chance.choice(waits))
        self._calm()

    def _calm(self) -> None:
        """No more trouble, and time for everything."""
        self.weave.trouble = Trouble()
        self.system.fresh_doors()
        for _ in range(14):
            self.system.drain(advance=True)
            self.system.tick()
            self.system.drain(advance=True)
            for job in JOBS:
                for execution in self.system.running(job):
                    self._run(execution)
            self.system.clock.advance(400)
        self.system.drain(advance=True)

    def _something(self) -> Process | None:
        often = [self._some_drop] * 4 + [self._some_decision] * 5 + [self._some_end] * 6
        seldom = [self._some_death, self._some_ticks, self._some_ticks, self._some_repeat]
        return self.chance.choice(
            [*often, *seldom, self._some_drift, self._some_alias, self._some_traffic]
        )()

    # --- files, people ---------------------------------------------------------------------------

    def _drop(self, name: str, data: bytes | str) -> None:
        self.sources.append(self.system.drop(name, data))
        self.told.append(f"drop {name}")

    def _some_drop(self) -> None:
        self._number += self.chance.choice([0, 1, 1])
        n, few = self._number, self._number % 3
        files: dict[str, bytes | str] = {
            f"m/train/t{n}.csv": CSV + b"%d,z,no\n" % n,
            f"m/score/s{few}.csv": b"a,b\n%d,x\n" % few,
            f"m/labels/l{n}.csv": b"prediction_id,label\n%d,yes\n" % n,
            "_specs/m.yaml": self.chance.choice(SPECS),
            f"m/train/bad{n}.csv": b"nothing\n%d\n" % n,
        }
        name = self.chance.choices(list(files), [4, 4, 1, 2, 1])[0]
        self._drop(name, files[name])

    def _some_decision(self) -> Process | None:
        lake, manifest = self.system.lake, read_manifest("m", lake=self.system.lake)
        versions = [folder.split("/")[2] for folder in lake.folders("models/m/")]
        pending = [item.version for item in approvals.every("m", lake=lake) if item.pending]
        beside = [manifest.beside.id] if manifest and manifest.beside else []
        about: dict[str, list[str]] = {
            **dict.fromkeys(("approve", "decline"), pending),
            **dict.fromkeys(("promote", "shadow-start"), versions),
            **dict.fromkeys(("canary-stop", "shadow-stop"), beside),
            **dict.fromkeys(("rollback", "pin", "unpin"), [manifest.version] if manifest else []),
        }
        action = self.chance.choice(list(about))
        if not about[action]:
            return None
        body = {"model": "m", "action": action, "version": self.chance.choice(about[action])}
        self.told.append(json.dumps(body))
        return lambda: self._ask(body)

    def _ask(self, body: dict[str, Any]) -> None:
        """A person asks until there is an answer, or for a while."""
        for _ in range(8):
            reply, status = self.system.decide(**body)
            if status != 503:
                assert status in (200, 409), (body, reply, status)
                return

    def _some_alias(self) -> None:
        registry = self.system.cloud.registry
        version = self.chance.choice([version for _, version in registry.facts] or [""])
        tracked = registry.find("m", version)
        if tracked and self.chance.random() < 0.3:
            self.told.append(f"alias to {version}")
            registry.set_alias("m", "champion", tracked)

    # --- messages, time --------------------------------------------------------------------------

    def _some_ticks(self) -> None:
        for _ in range(self.chance.randint(1, 2)):
            self.system.publisher.publish("ticks", b'{"type":"SweepDue"}', {"type": "SweepDue"})

    def _some_repeat(self) -> None:
        """A message comes again, maybe days later."""
        published = self.system.cloud.publisher.published
        if published:
            item = self.chance.choice(published)
            self.told.append(f"again {item.attributes.get('type')}")
            topic = item.topic.rpartition("/")[2]
            self.system.publisher.publish(topic, item.data, item.attributes)

    def _some_drift(self) -> None:
        manifest, now = read_manifest("m", lake=self.system.lake), self.system.clock.now()
        if manifest is None:
            return
        incident = f"m-online-{self.chance.randint(0, 2)}"
        event = DriftDetected(
            model="m",
            version=manifest.version,
            incident_id=incident,
            revision=1,
            channel="online",
            window_start=now,
            window_end=now,
            sentence="It drifts.",
            facts=[],
            report=f"reports/m/online/{incident}/report.html",
            asks="know",
        )
        publish(event, publisher=self.system.publisher, clock=self.system.clock)

    def _some_traffic(self) -> None:
        manifest = read_manifest("m", lake=self.system.lake)
        if manifest and manifest.beside and manifest.beside.kind == "canary":
            canarying.answer(self.system, 30, differ=self.chance.choice([0, 1, 20]))
        elif manifest:
            canarying.traffic(self.system)

    def _deliveries(self, most: int) -> list[Process]:
        pubsub = self.system.cloud.pubsub
        names = [item.name for item in pubsub.subscriptions() if item.push in EVERY_FUNCTION]
        found = [one for name in names for one in pubsub.lease(name, self.chance.randint(1, 2))]
        self.chance.shuffle(found)
        for late in found[most:]:
            pubsub.nack(late.ack_id)
        return [lambda one=one: self._push(one) for one in found[:most]]  # type: ignore[misc]

    def _push(self, delivery: Delivery) -> None:
        pubsub, acked = self.system.cloud.pubsub, False
        config = pubsub.subscription(delivery.subscription)
        try:
            body = json.dumps(envelope(delivery, config)).encode()
            status = self.system.post(str(config.push), body)[1]
            acked = status in ACK_STATUSES and self.chance.random() > 0.1
        finally:
            (pubsub.ack if acked else pubsub.nack)(delivery.ack_id)

    # --- jobs ------------------------------------------------------------------------------------

    def _some_end(self) -> Process | None:
        running = [execution for job in JOBS for execution in self.system.running(job)]
        if not running:
            return None
        execution = self.chance.choice(running)
        return lambda: self._run(execution)

    def _some_death(self) -> None:
        for job in JOBS:
            for execution in self.system.running(job):
                if self.chance.random() < 0.5:
                    self.told.append(f"{execution.name} dies")
                    self.system.cloud.jobs.end(execution.name, "failed")

    def _run(self, execution: Execution) -> None:
        env, ports, clock = execution.env, self.system.ports, self.system.clock
        task = Task("m", env["RUN_ID"], int(env["ATTEMPT"]), execution.name, 0, 1)
        lake, publisher = ports["lake"], ports["publisher"]
        state: Any = "failed"
        try:
            boundary.run_task(task, self._work, lake=lake, publisher=publisher, clock=clock)
            state = "succeeded"
        except Retryable:
            pass
        finally:
            self.system.cloud.jobs.end(execution.name, state)

    def _work(self, task: Task) -> None:
        request = runs.read_request("m", task.run_id, lake=self.system.lake)
        ports = self.system.ports
        event = self._end(request)
        runs.finish(event, lake=ports["lake"], publisher=ports["publisher"], clock=ports["clock"])

    def _end(self, request: RunRequest) -> RunEvent:
        run_id, lake = request.run_id, self.system.lake
        if request.kind == "score":
            version = runs.read_launch("m", run_id, lake=lake)["champion"]
            facts: dict[str, Any] = {"version": version, "rows": 1, "errors": 0, "output": "o"}
            return ScoringCompleted(model="m", run_id=run_id, **facts)
        if request.kind == "label":
            return LabelsRecorded(model="m", run_id=run_id, rows=1, matched=1, unknown=0)
        if request.kind == "train" and int(run_id[-1], 16) == 0:
            return RunRejected(model="m", run_id=run_id, reason="BadRows", message="bad rows")
        version = request.version or run_id
        self._store(request, version)
        done = TrainingCompleted if request.kind == "train" else ComparisonCompleted
        return done(model="m", run_id=run_id, version=version)

    def _store(self, request: RunRequest, version: str) -> None:
        lake, manifest = self.system.lake, read_manifest("m", lake=self.system.lake)
        against = manifest.version if manifest else None
        facts = {
            "spec_generation": request.spec_generation,
            "disagreement": canarying.GATE,
            "baseline": BASELINE,
            **self.chance.choice(COMPARISONS),
        }
        if request.kind == "compare":
            body = comparison_of(version, request.against, **facts)
            lake.write(paths.version("m", version, "comparison.json"), documents.dumps(body))
        elif not documents.read(lake, paths.version("m", version, "version.json")).exists:
            store_version(lake, "m", version, against=against, **facts)
            store_package(self.system, version)
