"""Ports that allow a function what infra/topology.yaml grants its service account, no more."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

WRITES = {"write", "upload", "copy", "compose", "delete"}


class NotGranted(BaseException):
    """The cloud would refuse this for ever. No handler of ours may catch it."""


def granted(function: str, rights: Mapping[str, Any], ports: Mapping[str, Any]) -> dict[str, Any]:
    """The ports of a function, each with its door keeper."""

    def bucket(name: str) -> _Guarded:
        def check(method: str, *args: Any) -> None:
            if method == "copy":
                _need(function, f"reads {args[0]}", args[0] in rights["reads"])
            kind = "writes" if method in WRITES else "reads"
            _need(function, f"{kind} {name}", name in rights[kind])

        return _Guarded(ports[name], check)

    def publish(_: str, topic: str, *args: Any) -> None:
        _need(function, f"publishes {topic}", topic in rights["publishes"])

    def run(_: str, job: str, *args: Any) -> None:
        _need(function, f"runs {job}", job.partition("-")[0] in rights.get("runs", ()))

    return {
        **ports,
        "inbox": bucket("inbox"),
        "lake": bucket("lake"),
        "publisher": _Guarded(ports["publisher"], publish),
        "jobs": _Guarded(ports["jobs"], run),
    }


def _need(function: str, what: str, allowed: bool) -> None:
    if not allowed:
        raise NotGranted(f"{function} {what}, which infra/topology.yaml does not grant")


class _Guarded:
    def __init__(self, port: Any, check: Any) -> None:
        self._port, self._check = port, check

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._port, name)
        if not callable(found):
            return found

        def call(*args: Any, **kwargs: Any) -> Any:
            self._check(name, *args)
            return found(*args, **kwargs)

        return call
