"""Who touches what: every call that reaches the memory cloud, with the function, job or service
whose code makes it.

Nothing that is tested knows of it. The memory adapters' methods are watched, and the caller is
found on the stack: the door it came through, else the use case that a test called. What tests do
themselves counts for nobody.
"""

from __future__ import annotations

import ast
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import FrameType
from typing import Any, Literal, NamedTuple

from shared.adapters.memory import MemoryBucket, MemoryJobs, MemoryPublisher

Operation = Literal["read", "list", "create", "change", "publish", "run", "watch"]

ROOT = Path(__file__).resolve().parents[2]
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


@contextmanager
def recording() -> Iterator[set[Touch]]:
    """Every touch of this process from here on, its threads' too."""
    found = set[Touch]()
    with watching(found.add):
        yield found


@contextmanager
def watching(look: Callable[[Touch], object]) -> Iterator[None]:
    """Call `look` before each touch, which does not happen when it raises."""
    kept = {cls: {name: getattr(cls, name) for name in names} for cls, names in _METHODS.items()}
    start = threading.Thread.start
    try:
        for cls, methods in kept.items():
            for name, method in methods.items():
                setattr(cls, name, _watched(cls, name, method, look))
        threading.Thread.start = _for_its_parent(start)  # type: ignore[method-assign,assignment]
        yield
    finally:
        threading.Thread.start = start  # type: ignore[method-assign]
        for cls, methods in kept.items():
            for name, method in methods.items():
                setattr(cls, name, method)


def _watched(cls: type, name: str, method: Any, look: Callable[[Touch], object]) -> Any:
    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        who = caller()
        if who:
            for operation, where, what in _touches(cls, name, self, args, kwargs):
                look(Touch(who, operation, where, what))
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
    """What kind of code a frame is, and who works when it does."""
    kind, who = "", ""
    match _parts(frame.f_code.co_filename):
        case ("tests", *_):
            kind = "test"
        case ("functions" | "jobs", who, "main.py"):
            kind = "door"
        case ("shared", "serving", "direct.py"):  # as a model of Vertex AI, whose agent reads
            kind, who = "door", "vertex"
        case ("shared", "serving", *_):
            who = "predict"
        case ("shared", "cli", "rehearsing.py"):  # whoever deploys may make and delete everything
            kind, who = "door", "deployer"
        case ("shared", "cli", *_):
            who = "people"
        case ("shared", "usecases", *_):
            who = _doors().get(frame.f_code.co_name, "")
        case ("shared", "boundary.py"):
            who = _at_the_boundary(frame)
    return kind, who


def _at_the_boundary(frame: FrameType) -> str:
    match frame.f_code.co_name:
        case "run_task":
            execution: str = frame.f_locals["task"].execution
            return execution.removeprefix("millrace-").partition("-")[0]
        case "keep_rejected":
            return str(frame.f_locals["name"])
    return ""


@cache
def _doors() -> dict[str, str]:
    """Whose door calls a use case of this name."""
    found = {"look_after": "sweep"}  # its parts, which tests call alone
    for door in (*ROOT.glob("functions/*/main.py"), *ROOT.glob("jobs/*/main.py")):
        tree = ast.parse(door.read_text(encoding="utf-8"))
        imported = {
            alias.name
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom)
            and (node.module or "").startswith("shared.usecases")
            for alias in node.names
        }
        called = {
            node.attr
            for node in ast.walk(tree)
            if isinstance(node, ast.Attribute)
            and isinstance(node.value, ast.Name)
            and node.value.id in imported
        }
        found |= dict.fromkeys(imported | called, door.parent.name)
    return found


_known: dict[str, tuple[str, ...]] = {}


def _parts(filename: str) -> tuple[str, ...]:
    if filename not in _known:
        path = Path(filename)
        inside = path.is_absolute() and path.is_relative_to(ROOT)
        _known[filename] = path.relative_to(ROOT).parts if inside else ()
    return _known[filename]


def _for_its_parent(
    start: Callable[[threading.Thread], None],
) -> Callable[[threading.Thread], None]:
    """A thread works for whoever started it; but not a stack's servers for who called `up`."""

    def started(thread: threading.Thread) -> None:
        who = caller()
        thread.millrace_who = "" if who == "people" else who  # type: ignore[attr-defined]
        start(thread)

    return started
