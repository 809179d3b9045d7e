"""One person's forgetting while it is under way: what was found and emptied so far."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from shared.ports import Bucket, Clock, ObjectInfo, VersionedBucket
from shared.runs import RunRequest
from shared.usecases.forgetting import report
from shared.usecases.forgetting.rewriting import Change, rewrite
from shared.usecases.forgetting.subject import Subject


@dataclass
class Forgetting:
    """One person, one installation. With `dry` nothing is changed."""

    subject: Subject
    lake: Bucket
    inbox: VersionedBucket
    clock: Clock
    report: dict[str, Any]
    requests: list[RunRequest]
    dry: bool = False
    emptied: Counter[str] = field(default_factory=Counter)
    remains: list[str] = field(default_factory=list)

    @property
    def id(self) -> str:
        return str(self.report["id"])

    def rewrite(self, info: ObjectInfo, change: Change) -> int:
        """How many rows of an object were emptied under this id."""
        if self.dry:
            rows = counted(self.lake, info, change)
        else:
            rows = rewrite(self.lake, info, change, forget_id=self.id)
        if rows:
            self.emptied[info.name] = rows
        return rows

    def delete(self, info: ObjectInfo) -> None:
        """An object of the lake that is of no use without what was emptied."""
        folder = info.name.rpartition("/")[0] + "/"
        if folder not in self.report["deleted"]:
            self.report["deleted"].append(folder)
            if not self.dry:
                report.keep(self.report, lake=self.lake)
        if not self.dry:
            self.lake.delete(info.name, if_generation=info.generation)

    def places(self) -> list[dict[str, Any]]:
        """Objects and rows by prefix."""
        sums: dict[str, list[int]] = {}
        for name, rows in self.emptied.items():
            found = sums.setdefault(name.partition("/")[0] + "/", [0, 0])
            found[0] += 1
            found[1] += rows
        return [
            {"where": name, "objects": objects, "rows": rows}
            for name, (objects, rows) in sorted(sums.items())
        ]


def counted(bucket: Bucket, info: ObjectInfo, change: Change) -> int:
    """What `rewrite` would empty."""
    with (
        bucket.open_reader(info.name, generation=info.generation) as source,
        open(os.devnull, "wb") as nowhere,  # noqa: PTH123 - the null device
    ):
        return change(source, nowhere)


def by_id(requests: Iterable[RunRequest]) -> Mapping[str, RunRequest]:
    return {request.run_id: request for request in requests}
