"""Processes that run at the same time, woven call by call from a seed: whatever order the ports are
touched in, and whatever they do meanwhile.

weave = Weave(random.Random(7), Trouble(crash=0.01))
system = System(weave.wrap)
weave.run([lambda: system.post("promote", ...), lambda: system.tick()])

One process goes on at a time, from one port call to the next, so a seed tells a story again.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from shared.errors import PreconditionFailed, ServiceUnavailable
from tests.support.crashing import READS, Crash

CONDITIONAL = {"write", "upload", "copy", "compose", "delete"}


@dataclass(frozen=True, slots=True)
class Trouble:
    """Chances per port call: a process dies before or after it, the service refuses it, does it and
    says it did not, or (a client that tries again by itself) does it and then says that the
    precondition failed."""

    crash: float = 0.0
    refused: float = 0.0
    done_but_refused: float = 0.0
    done_but_lost: float = 0.0


class Weave:
    """Ports that let other processes go first, and the processes."""

    def __init__(self, chance: random.Random, trouble: Trouble | None = None) -> None:
        self._random = chance
        self.trouble = trouble or Trouble()
        self._here = threading.local()
        self._back = threading.Semaphore(0)
        self.calls = 0
        self.troubles: list[str] = []

    def wrap(self, name: str, port: Any) -> Any:
        return _Woven(name, port, self)

    def run(self, processes: Sequence[Callable[[], object]]) -> None:
        """All of them at the same time, to their ends. Raises what one of them raised, but for
        crashes."""
        strands = [_Strand(process, self) for process in processes]
        live = list(strands)
        while live:
            strand = self._random.choice(live)
            strand.go.release()
            self._back.acquire()
            if strand.over:
                live.remove(strand)
        for strand in strands:
            strand.thread.join()
        for strand in strands:
            if strand.error is not None:
                raise strand.error

    # --- inside ----------------------------------------------------------------------------------

    def call(self, name: str, what: str, do: Callable[[], Any], *, conditional: bool) -> Any:
        strand: _Strand | None = getattr(self._here, "strand", None)
        if strand is None:
            return do()
        self._back.release()
        strand.go.acquire()
        self.calls += 1
        dice, trouble = self._random.random(), self.trouble
        reads = name in READS
        if dice < trouble.crash:
            self._note("died before", what)
            raise Crash(what)
        dice -= trouble.crash
        if dice < trouble.crash and not reads:
            do()
            self._note("died after", what)
            raise Crash(what)
        dice -= trouble.crash
        if dice < trouble.refused:
            self._note("refused", what)
            raise ServiceUnavailable(what)
        dice -= trouble.refused
        if dice < trouble.done_but_refused and not reads:
            do()
            self._note("done, but refused", what)
            raise ServiceUnavailable(what)
        dice -= trouble.done_but_refused
        if dice < trouble.done_but_lost and conditional:
            do()
            self._note("done, but lost", what)
            raise PreconditionFailed("memory", what)
        return do()

    def _note(self, how: str, what: str) -> None:
        self.troubles.append(f"{how}: {what}")


class _Strand:
    def __init__(self, process: Callable[[], object], weave: Weave) -> None:
        self.go = threading.Semaphore(0)
        self.over = False
        self.error: BaseException | None = None
        self._process, self._weave = process, weave
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        self.go.acquire()
        self._weave._here.strand = self
        try:
            self._process()
        except Crash:
            pass
        except BaseException as error:  # noqa: BLE001 - the weave raises it in its own thread
            self.error = error
        self.over = True
        self._weave._back.release()


class _Woven:
    def __init__(self, name: str, port: Any, weave: Weave) -> None:
        self._name, self._port, self._weave = name, port, weave

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._port, name)
        if not callable(found):
            return found

        def call(*args: Any, **kwargs: Any) -> Any:
            what = f"{self._name}.{name} {args[0] if args else ''}"
            conditional = name in CONDITIONAL and kwargs.get("if_generation") is not None
            return self._weave.call(
                name, what, lambda: found(*args, **kwargs), conditional=conditional
            )

        return call
