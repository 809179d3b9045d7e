"""Starts the parts of a stack in order, and puts their stopping on the way out.

    ports -> addresses -> environment -> storage, Pub/Sub, Slack, Cloud Run -> functions -> pushes

Ports are chosen before anything listens, because the environment of every process names all of
them.
"""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from infra import bundle as bundles
from infra.local import assemble, pubsub_server, run_server, storage_server
from infra.local.addresses import MAIL, Addresses, client_env, job_env
from infra.local.children import Children
from infra.local.code_version import code_version
from infra.local.dispatch import Dispatcher, push_to_url
from infra.local.export import Exporter, Write
from infra.local.gateway import Gateway
from infra.local.hosting import Hosted, Keeper, usable_port
from infra.local.lifecycle import Lifecycle
from infra.local.processes import function_launch, mlflow_launch, service_launch
from infra.local.schedule import Scheduler
from infra.local.slack_sink import SlackSink
from infra.local.state import read_ports, write_ports
from infra.topology import Topology
from shared.adapters.memory import Engine, FaultPlan, Faults, MemoryPublisher
from shared.adapters.memory.objects import Describe
from shared.config import Config
from shared.ports import Publisher

if TYPE_CHECKING:
    from infra.local.external import ExternalStorage

Kind = Literal["functions", "jobs"]
BuildBundle = Callable[[str, Kind], Path]

PORTS = ("storage", "pubsub", "pubsub_rest", "run", "slack", "functions", "predict", "mlflow")


@dataclass(frozen=True, slots=True)
class Options:
    """`ports` are wishes by name (see PORTS); a taken one is replaced by a free one. `bundle`
    gives the folder of a function or job, by infra.bundle unless told otherwise. `environ` may
    name foreign emulators (STORAGE_EMULATOR_HOST, PUBSUB_EMULATOR_HOST)."""

    host: str = "127.0.0.1"
    ports: Mapping[str, int] = field(default_factory=dict)
    context: str = "local"
    project: str = assemble.PROJECT
    scale_to_zero_seconds: float | None = None
    mlflow: bool = True
    schedules: bool = True
    parallel_tasks: int = 4
    faults: FaultPlan = field(default_factory=FaultPlan)
    bundle: BuildBundle | None = None
    environ: Mapping[str, str] = field(default_factory=dict)


class Parts:
    """What runs. Made once per start; everything that must stop is on `cleanup`."""

    def __init__(
        self,
        directory: Path,
        options: Options,
        topology: Topology,
        engine: Engine,
        cleanup: ExitStack,
    ) -> None:
        self.directory, self.options, self.topology = directory, options, topology
        self.engine, self._cleanup = engine, cleanup
        # Emptied after the processes have stopped, while the engine still takes notes.
        self._late = cleanup.enter_context(ExitStack())
        self.logs = directory / "logs"
        self.hosted: dict[str, Hosted] = {}
        self.faults = Faults(options.faults)
        self._bundles: dict[tuple[str, Kind], Path] = {}
        self._bundle_lock = threading.Lock()
        self._foreign_storage = options.environ.get("STORAGE_EMULATOR_HOST", "")
        self._foreign_pubsub = options.environ.get("PUBSUB_EMULATOR_HOST", "")
        self._external: ExternalStorage | None = None
        self._ports = self._choose_ports()
        self.addresses = self._addresses()
        self.env = client_env(
            self.addresses, topology, project=options.project, context=options.context
        )
        told = options.environ.get("MILLRACE_CODE_VERSION", "")
        self.env["MILLRACE_CODE_VERSION"] = told or code_version(bundles.REPOSITORY)
        self.env |= {name: options.environ[name] for name in MAIL if name in options.environ}
        self.publisher: Publisher = MemoryPublisher(engine.pubsub, options.project)

    def _choose_ports(self) -> dict[str, int]:
        before = read_ports(self.directory)
        wanted = {name: self.options.ports.get(name) or before.get(name, 0) for name in PORTS}
        found: dict[str, int] = {}
        for name, port in wanted.items():
            found[name] = usable_port(self.options.host, port, taken=found.values())
        write_ports(self.directory, found)
        return found

    def _addresses(self) -> Addresses:
        host, ports = self.options.host, self._ports

        def url(name: str) -> str:
            return f"http://{host}:{ports[name]}"

        storage, pubsub = self._foreign_storage, self._foreign_pubsub
        if storage and "://" not in storage:
            storage = f"http://{storage}"
        # Scaled to zero, the predictor is woken by the gateway; else callers reach it directly.
        lazy = self.options.scale_to_zero_seconds is not None
        return Addresses(
            storage=storage.rstrip("/") or url("storage"),
            pubsub_grpc=pubsub or f"{host}:{ports['pubsub']}",
            pubsub_rest=f"http://{pubsub}" if pubsub else url("pubsub_rest"),
            run=url("run"),
            slack=url("slack"),
            functions=url("functions"),
            predict=f"{url('functions')}/predict" if lazy else url("predict"),
            mlflow=url("mlflow") if self.options.mlflow else "",
        )

    def bundle(self, name: str, kind: Kind) -> Path:
        """The folder that is deployed; the same one until the stack stops, whatever is edited."""
        with self._bundle_lock:
            key = (name, kind)
            if key not in self._bundles:
                build = self.options.bundle or self._build
                self._bundles[key] = build(name, kind)
            return self._bundles[key]

    def _build(self, name: str, kind: Kind) -> Path:
        return bundles.build(name, kind, self.directory / "bundles" / kind)

    # --- starting --------------------------------------------------------------------------------

    def start(self, children: Children) -> None:
        options, engine = self.options, self.engine
        assemble.prepare(engine, self.topology, options.project, bridge=bool(self._foreign_pubsub))
        engine.pubsub.release_leases()
        write = self._start_storage()
        self._start_servers(children)
        self._start_processes(children)
        gateway = Gateway(
            self.hosted, engine, self.faults, host=options.host, port=self._ports["functions"]
        )
        self._cleanup.callback(gateway.close)
        self._start_pushing(gateway)
        self._start_pubsub(write)
        if self._foreign_storage:
            self._start_lister()
        if options.schedules:
            scheduler = Scheduler(self.topology.schedules, self.publisher, engine.clock)
            self._cleanup.callback(scheduler.close)

    def _start_storage(self) -> Write:
        """Ours, or the foreign one; a function that writes an object comes back."""
        if self._foreign_storage:
            from infra.local.external import ExternalStorage

            self._external = ExternalStorage(
                self.addresses.storage, self.topology, self.options.project
            )
            return self._external.write
        server = storage_server.serve(self.engine, self.options.host, self._ports["storage"])
        self._cleanup.callback(server.close)
        self._cleanup.callback(Lifecycle(self.engine, self.topology.buckets).close)
        storage = self.engine.storage

        def write(bucket: str, name: str, data: bytes) -> None:
            with storage.stage() as staging:
                staging.write(data)
                storage.put(bucket, name, staging.finish(), Describe("text/plain"))

        return write

    def _start_servers(self, children: Children) -> None:
        host, ports = self.options.host, self._ports
        slack = SlackSink(self.directory / "slack", self.engine.clock, host, ports["slack"])
        self._cleanup.callback(slack.close)
        run = run_server.serve(
            self.engine,
            assemble.jobs(self.topology, lambda name: self.bundle(name, "jobs"), job_env(self.env)),
            host=host,
            port=ports["run"],
            children=children,
            logs=self.logs / "jobs",
            parallel=self.options.parallel_tasks,
        )
        self._cleanup.callback(run.close)

    def _start_processes(self, children: Children) -> None:
        """Functions start at their first request; the predictor (unless it scales to zero) and
        MLflow start now, in the background."""
        host, idle = self.options.host, self.options.scale_to_zero_seconds
        for function in self.topology.functions.values():
            launch = function_launch(
                function, self._folder(function.name), lambda: self.env, host, self.logs
            )
            self.hosted[function.name] = Hosted(launch, children, host=host, idle_seconds=idle)
        for service in self.topology.services.values():
            launch = service_launch(
                service, self._folder(service.name), lambda: self.env, host, self.logs
            )
            at = replace(launch, port=0 if idle is not None else self._ports["predict"])
            hosted = Hosted(at, children, host=host, idle_seconds=idle)
            self.hosted[service.name] = hosted
            if idle is None:
                self._cleanup.callback(Keeper(hosted, children).close)
        for hosted in self.hosted.values():
            self._cleanup.callback(hosted.close)
        if self.options.mlflow:
            launch = mlflow_launch(self.directory, host, self._ports["mlflow"], self.logs)
            mlflow = Keeper(Hosted(launch, children, host=host), children)
            self._cleanup.callback(mlflow.close)

    def _folder(self, name: str) -> Callable[[], Path]:
        return lambda: self.bundle(name, "functions")

    def _start_pushing(self, gateway: Gateway) -> None:
        """By our own Pub/Sub; with a foreign one it only carries our storage's notifications
        over there."""

        def push(receiver: str, body: bytes, seconds: float) -> int:
            if receiver == assemble.BRIDGE:
                return self._carry_over(body)
            if "://" in receiver:
                return push_to_url(receiver, body, seconds)
            return gateway.push(receiver, body)

        def limit(receiver: str) -> int:
            function = self.topology.functions.get(receiver)
            return function.concurrency if function else 4

        log = self.logs / "pushes.log"
        dispatcher = Dispatcher(self.engine, push, limit=limit, log=log, faults=self.faults)
        self._late.callback(dispatcher.join)
        self._cleanup.callback(dispatcher.close)

    def _carry_over(self, body: bytes) -> int:
        message = json.loads(body)["message"]
        self.publisher.publish("uploads", base64.b64decode(message["data"]), message["attributes"])
        return 204

    def _start_pubsub(self, write: Write) -> None:
        if self._foreign_pubsub:
            from infra.local.external import ExternalPubsub, PullingExporter

            foreign = ExternalPubsub(
                Config.from_env(self.env), self.topology, self.addresses.functions
            )
            self.publisher = foreign.publisher
            for config in foreign.exports:
                self._cleanup.callback(PullingExporter(foreign, config, write).close)
            return
        server = pubsub_server.serve(
            self.engine, self.options.host, self._ports["pubsub"], self._ports["pubsub_rest"]
        )
        self._cleanup.callback(server.close)
        self._cleanup.callback(Exporter(self.engine, write).close)

    def _start_lister(self) -> None:
        from infra.local.external import Lister

        for bucket in self.topology.buckets.values():
            if bucket.notify_topic and self._external:
                lister = Lister(
                    *(self._external, bucket.name, bucket.notify_topic, self.publisher),
                    self.directory / f"seen-{bucket.name}.json",
                )
                self._cleanup.callback(lister.close)
