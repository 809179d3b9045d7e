"""A run's stages: each writes its files, then its record, then a line in the history.

    files -> runs/<model>/<run_id>/stages/<name>.json (create-only) -> note

A retry finds the record and takes the stage as done; what a crash left between files and record is
written again. Files are the same bytes for the same run, so that changes nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from shared import documents, paths, runs
from shared.ports import Bucket, Clock
from shared.runs import RunRequest
from shared.spec.model import Spec


@dataclass(frozen=True, slots=True)
class Training:
    """One training run and what it works with. `workers` is how many things run at once."""

    request: RunRequest
    spec: Spec
    lake: Bucket
    clock: Clock
    workers: int = 2
    code_version: str = ""

    @property
    def model(self) -> str:
        return self.request.model

    @property
    def version(self) -> str:
        """The run's id names the version that it makes."""
        return self.request.run_id

    def find(self, stage: str) -> dict[str, Any] | None:
        """A stage's record, None while it is not complete."""
        found = documents.read(self.lake, self._record(stage))
        return found.body if found.exists else None

    def stage(self, name: str, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """The stage's record, made now unless an earlier attempt did. `make` writes the files;
        what it says under `facts` goes into the history, with the seconds it took."""
        body = self.find(name)
        if body is None:
            started = time.monotonic()
            body = {"seconds": 0.0, **make()}
            body["seconds"] = body["seconds"] or round(time.monotonic() - started, 2)
            documents.create(self.lake, self._record(name), body)
            body = documents.require(self.lake, self._record(name))
        facts = {**body.get("facts", {}), "seconds": body["seconds"]}
        runs.note(self.model, self.version, name, lake=self.lake, clock=self.clock, **facts)
        return body

    def _record(self, stage: str) -> str:
        return paths.run_stage(self.model, self.version, f"{stage}.json")
