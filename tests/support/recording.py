"""Who touched what: every call that reaches the memory cloud, with the function, job or service
whose code made it.

Nothing that is tested knows of it. The memory adapters' methods are watched while a recording
runs, and the caller is found on the stack: the door it came through, else the use case that a
test called. What tests do themselves counts for nobody.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, Literal, NamedTuple

from shared import boundary
from shared.adapters.memory import MemoryBucket, MemoryJobs, MemoryPublisher
from shared.errors import ObjectNotFound
from shared.usecases import launch, promote
from shared.usecases.deadletter import park
from shared.usecases.decisions import take_decision
from shared.usecases.digest import digest
from shared.usecases.intake import take_in
from shared.usecases.label import record_labels
from shared.usecases.mirror import (
    look_for_moved_aliases,
    mirror_challenger,
    mirror_promotion,
    mirror_refusal,
)
from shared.usecases.monitor import judge_window
from shared.usecases.monitor_due import find_due
from shared.usecases.notify import notify, remind
from shared.usecases.retrain import consider
from shared.usecases.score import score_file
from shared.usecases.sweep import sweep
from shared.usecases.train import train_model

Operation = Literal["read", "list", "create", "change", "publish", "run", "watch"]

ROOT = Path(__file__).resolve().parents[2]
_ENTRIES: dict[str, tuple[Callable[..., Any], ...]] = {
    "intake": (take_in,),
    "launch": (launch.take_request, launch.take_outcome),
    "promote": (
        promote.decide_version,
        promote.request_promotion,
        promote.take_failure,
        take_decision,
    ),
    "mirror": (mirror_challenger, mirror_promotion, mirror_refusal, look_for_moved_aliases),
    "monitor": (find_due, judge_window),
    "notify": (notify, digest, remind),
    "retrain": (consider,),
    "sweep": (sweep,),
    "deadletter": (park,),
    "train": (train_model,),
    "score": (score_file,),
    "label": (record_labels,),
}
_BY_CODE: dict[CodeType, str] = {
    entry.__code__: name for name, entries in _ENTRIES.items() for entry in entries
}
_READS = ("stat", "read", "read_if_changed", "download", "open_reader")
_WRITES = ("write", "upload")
_METHODS: Mapping[type, tuple[str, ...]] = {
    MemoryBucket: (*_READS, *_WRITES, "copy", "compose", "delete", "list", "folders"),
    MemoryPublisher: ("publish",),
    MemoryJobs: ("run", "executions"),
}
# Tests put ports of their own in front of the memory ones; these frames are on the way.
_ON_THE_WAY = {"call", *(name for names in _METHODS.values() for name in names)}


class Touch(NamedTuple):
    """`where` is a bucket, topic or job; `name` an object's name or the prefix of a list."""

    who: str
    operation: Operation
    where: str
    name: str = ""


class Recording(set[Touch]):
    """What was touched. `open` is False once the recording is over."""

    open = True


@contextmanager
def recording() -> Iterator[Recording]:
    """Record every touch of this process, its threads too."""
    found = Recording()
    kept = {cls: {name: getattr(cls, name) for name in names} for cls, names in _METHODS.items()}
    start = threading.Thread.start
    try:
        for cls, methods in kept.items():
            for name, method in methods.items():
                setattr(cls, name, _watched(cls, name, method, found))
        threading.Thread.start = _with_parent(start)  # type: ignore[method-assign]
        yield found
    finally:
        threading.Thread.start = start  # type: ignore[method-assign]
        for cls, methods in kept.items():
            for name, method in methods.items():
                setattr(cls, name, method)


def _watched(cls: type, name: str, method: Any, found: Recording) -> Any:
    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        who = caller()
        if who:
            found.update(Touch(who, *what) for what in _touches(cls, name, self, args, kwargs))
        return method(self, *args, **kwargs)

    return call


def _touches(
    cls: type, method: str, port: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> Iterator[tuple[Operation, str, str]]:
    first = args[0] if args else next(iter(kwargs.values()), "")
    if cls is MemoryPublisher:
        yield "publish", first, ""
    elif cls is MemoryJobs:
        yield "run" if method == "run" else "watch", first.partition("-")[0], ""
    elif method in _READS:
        yield "read", port.name, first
    elif method in ("list", "folders"):
        yield "list", port.name, first
    elif method == "delete":
        yield "change", port.name, first
    else:
        yield from _writes(method, port, args, kwargs)


def _writes(
    method: str, port: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> Iterator[tuple[Operation, str, str]]:
    kind: Operation = "create" if kwargs.get("if_generation") == 0 else "change"
    if method == "copy":
        yield "read", args[0], args[1]
        yield kind, port.name, args[2]
    elif method == "compose":
        yield from (("read", port.name, source) for source in args[0])
        yield kind, port.name, args[1]
    else:
        yield kind, port.name, args[0]


# --- who -----------------------------------------------------------------------------------------


def caller() -> str:
    """The function, job or service whose code is at work in this thread, or nobody."""
    frame: FrameType | None = sys._getframe(2)
    found, on_the_way = "", True
    while frame is not None:
        kind, who = _place(frame)
        if kind == "door":
            return who
        if kind == "test" and not (on_the_way and frame.f_code.co_name in _ON_THE_WAY):
            return found
        on_the_way = on_the_way and kind == "test"
        found = who or found
        frame = frame.f_back
    return found or getattr(threading.current_thread(), "millrace_who", "")


def _place(frame: FrameType) -> tuple[str, str]:
    code = frame.f_code
    if code in _BY_CODE:
        return "entry", _BY_CODE[code]
    if code is boundary.run_task.__code__:
        execution: str = frame.f_locals["task"].execution
        return "entry", execution.removeprefix("millrace-").partition("-")[0]
    if code is boundary.keep_rejected.__code__:
        return "entry", frame.f_locals["name"]
    parts = _parts(code.co_filename)
    if parts[:1] == ("tests",):
        return "test", ""
    if len(parts) == 3 and parts[0] in ("functions", "jobs"):
        return "door", parts[1]
    if parts[:2] in (("shared", "serving"), ("shared", "cli")):
        return "entry", {"serving": "predict", "cli": "people"}[parts[1]]
    return "", ""


_known: dict[str, tuple[str, ...]] = {}


def _parts(filename: str) -> tuple[str, ...]:
    if filename not in _known:
        path = Path(filename)
        inside = path.is_absolute() and path.is_relative_to(ROOT)
        _known[filename] = path.relative_to(ROOT).parts if inside else ()
    return _known[filename]


def _with_parent(start: Callable[[threading.Thread], None]) -> Callable[[threading.Thread], None]:
    """A thread works for whom it was started by."""

    def started(thread: threading.Thread) -> None:
        thread.millrace_who = caller()  # type: ignore[attr-defined]
        start(thread)

    return started
