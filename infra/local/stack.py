"""The whole system on one machine: `Stack(directory)` starts it, and leaves nothing behind.

    with Stack(Path(".millrace/local")) as stack:
        subprocess.run([...], env={**os.environ, **stack.env})

Storage, Pub/Sub, Cloud Run and the Slack sink are threads of this process, functions, predictor,
tasks and MLflow are processes of their own. Everything that must survive lies in the directory.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from types import FrameType
from typing import Self

from infra import topology as topologies
from infra.local.addresses import Addresses
from infra.local.children import Children
from infra.local.parts import Options, Parts
from infra.local.schedule import tick
from infra.local.state import AlreadyRunning, Hold, Running, find
from infra.topology import Topology
from shared.adapters.memory import Engine
from shared.adapters.system_clock import SystemClock

__all__ = ["AlreadyRunning", "Options", "Running", "Stack", "find"]


class Stack:
    """One directory, one stack. `addresses`, `env`, `urls` and `engine` are there once it is
    started; so can other shells find them (`find`)."""

    def __init__(
        self, directory: Path, options: Options | None = None, *, topology: Topology | None = None
    ) -> None:
        self.directory = directory.resolve()
        self.options = options or Options()
        self.topology = topology or topologies.load(local=True)
        self._cleanup = ExitStack()
        self._parts: Parts | None = None

    def start(self) -> Self:
        """Everything listens when it returns; the predictor and MLflow may still be starting,
        functions start at their first message. Raises AlreadyRunning."""
        with ExitStack() as cleanup:
            hold = Hold(self.directory)
            cleanup.callback(hold.release)
            engine = Engine(SystemClock(), self.directory / "engine")
            cleanup.callback(engine.close)
            parts = Parts(self.directory, self.options, self.topology, engine, cleanup)
            children = Children(self.directory)
            cleanup.callback(children.close)
            parts.start(children)
            self._parts = parts
            hold.announce(self.addresses, self.env, self.urls)
            if "sweep" in self.topology.schedules:
                self.tick("sweep")  # promises that came due while nothing ran
            self._cleanup = cleanup.pop_all()
        return self

    def stop(self) -> None:
        """Stop everything in order; what was under way is delivered again at the next start."""
        self._cleanup.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_error: object) -> None:
        self.stop()

    @property
    def parts(self) -> Parts:
        if self._parts is None:
            raise RuntimeError("the stack is not started")
        return self._parts

    @property
    def addresses(self) -> Addresses:
        return self.parts.addresses

    @property
    def env(self) -> Mapping[str, str]:
        """For a process that talks to the stack."""
        return self.parts.env

    @property
    def urls(self) -> Mapping[str, str]:
        """Base addresses for people, by name: predict, mlflow, slack and every function."""
        addresses = self.addresses
        functions = {name: addresses.function(name) for name in self.topology.functions}
        others = {
            "predict": addresses.predict,
            "mlflow": addresses.mlflow,
            "slack": addresses.slack,
            "storage": addresses.storage,
            "functions": addresses.functions,
        }
        return functions | others

    @property
    def engine(self) -> Engine:
        return self.parts.engine

    def tick(self, schedule: str) -> str:
        """Publish what a schedule publishes, now; the message id comes back."""
        return tick(self.topology.schedules[schedule], self.parts.publisher)

    def run_until_signalled(self) -> None:
        """Block until SIGINT or SIGTERM. Only in the main thread, after `start`."""
        done = threading.Event()

        def stop(_number: int, _frame: FrameType | None) -> None:
            done.set()

        numbers = (signal.SIGINT, signal.SIGTERM)
        before = {number: signal.signal(number, stop) for number in numbers}
        done.wait()
        for number, handler in before.items():
            signal.signal(number, handler)
