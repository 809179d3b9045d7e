"""One rollout at a time: an object that says who moves the traffic, and until when.

    nobody has it   -> created, if it is not there (generation 0)
    it has run out  -> written over, if it is still that generation
    renewed         -> before every change of traffic; who is too late to renew touches nothing more

Standard library only, as all of this package.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from infra.rollout.traffic import GcloudFailed, run


class Taken(Exception):
    """Another rollout has the lease, or took it over: it alone may move the traffic."""


class Lease(Protocol):
    def take(self) -> None:
        """Raises Taken, GcloudFailed."""

    def renew(self) -> None:
        """Raises Taken when another has taken over, GcloudFailed."""

    def release(self) -> None:
        """Let go, if it is still ours. Raises GcloudFailed."""


@dataclass(slots=True)
class ObjectLease:
    """`address` is gs://bucket/object, `owner` a name that no other rollout has."""

    address: str
    owner: str
    seconds: float
    program: Sequence[str] = ("gcloud",)
    now: Callable[[], float] = time.time
    _generation: str = field(default="", init=False)

    def take(self) -> None:
        try:
            self._write("0")
        except GcloudFailed as error:
            self._take_over(error)

    def renew(self) -> None:
        try:
            self._write(self._generation)
        except GcloudFailed as error:
            body, generation = self._read(error)
            if body.get("owner") == self.owner:  # written, but the answer was lost
                self._generation = generation
                return
            raise Taken(f"{body.get('owner', 'another rollout')} has taken over") from error

    def release(self) -> None:
        condition = f"--if-generation-match={self._generation}"
        run([*self.program, "storage", "rm", self.address, condition, "--quiet"])

    def _take_over(self, refused: GcloudFailed) -> None:
        body, generation = self._read(refused)
        until, owner = float(body.get("until", 0)), body.get("owner")
        if owner != self.owner and self.now() < until:
            left = round(until - self.now())
            raise Taken(
                f"{owner} is moving this service's traffic, for at most {left} s more; "
                "wait for it, or start again then"
            )
        try:
            self._write(generation)
        except GcloudFailed as error:
            raise Taken("another rollout took the lease in this moment") from error

    def _read(self, refused: GcloudFailed) -> tuple[dict[str, Any], str]:
        """The lease as it is. Raises the refusal when there is none to be read: that was no
        condition which did not hold."""
        try:
            generation = self._newest()
            body = run([*self.program, "storage", "cat", f"{self.address}#{generation}"])
        except GcloudFailed:
            raise refused from None
        return json.loads(body), generation

    def _write(self, generation: str) -> None:
        body = json.dumps({"owner": self.owner, "until": self.now() + self.seconds})
        condition = f"--if-generation-match={generation}"
        copy = [*self.program, "storage", "cp", "-", self.address, condition, "--quiet"]
        run(copy, body, want=f"to have the lease {self.address}, one rollout at a time")
        self._generation = self._newest()

    def _newest(self) -> str:
        asked = ["storage", "objects", "describe", self.address, "--format=value(generation)"]
        return run([*self.program, *asked]).strip()
