"""A batch of several sources as data: which files came, what is missing, until when it waits.

    batches/<model>/<intent>/<batch>/arrivals/<source>/<generation>-<key>.json
                                    /closed.json   what was decided, once: `run` or `refused`
    batches-open/<model>/<intent>/<batch>.json     there while the batch waits or is being closed

`shared.usecases.batches` is the only one that writes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any, cast

from shared import documents, paths
from shared.documents import timestamp
from shared.events import parse_time
from shared.ports import Bucket, ObjectInfo
from shared.routes import DataUpload, Intent
from shared.runs import InputRef
from shared.spec.model import JoinedSource
from shared.uploads import as_document, of_document

OPEN = "batches-open/"
RUN, REFUSED = "run", "refused"


@dataclass(frozen=True, slots=True)
class Batch:
    """One batch of one model, by the folder its files are dropped in."""

    model: str
    intent: Intent
    name: str

    @classmethod
    def of(cls, destination: DataUpload) -> Batch:
        return cls(destination.model, destination.intent, destination.batch)

    @classmethod
    def of_marker(cls, name: str) -> Batch:
        """The batch behind the name of an open marker."""
        model, intent, batch = name.removeprefix(OPEN).removesuffix(".json").split("/", 2)
        return cls(model, cast("Intent", intent), batch)

    @property
    def open_marker(self) -> str:
        return paths.batch_open(self.model, self.intent, self.name)

    @property
    def closed_name(self) -> str:
        return paths.batch_closed(self.model, self.intent, self.name)

    def __str__(self) -> str:
        return f"batch {self.name!r} of {self.model}"


@dataclass(frozen=True, slots=True)
class Arrival:
    """One accepted file of one source, with its copy in the lake."""

    source: str
    upload: ObjectInfo
    run_id: str
    at: datetime
    copy: InputRef

    @classmethod
    def of(cls, body: Mapping[str, Any]) -> Arrival:
        return cls(
            source=body["source"],
            upload=of_document(body["upload"]),
            run_id=body["run_id"],
            at=parse_time(body["at"]),
            copy=InputRef(**body["copy"]),
        )

    def body(self) -> dict[str, Any]:
        return {
            "source": self.source,
            "upload": as_document(self.upload),
            "run_id": self.run_id,
            "at": timestamp(self.at),
            "copy": asdict(self.copy),
        }


@dataclass(frozen=True, slots=True)
class Outlook:
    """Where a batch stands: the newest file of each source, what is missing, until when it waits
    for that, and what then becomes of it."""

    chosen: dict[str, Arrival]
    missing: tuple[str, ...] = ()
    since: datetime | None = None
    due: datetime | None = None
    goes_on: bool = True

    def is_over(self, now: datetime) -> bool:
        return self.due is not None and now >= self.due


def arrivals(batch: Batch, *, lake: Bucket) -> list[Arrival]:
    """All accepted files of a batch; of one source the newest last."""
    prefix = paths.batch_arrivals(batch.model, batch.intent, batch.name)
    return [Arrival.of(documents.require(lake, info.name)) for info in lake.list(prefix)]


def outlook_of(found: Sequence[Arrival], sources: Mapping[str, JoinedSource]) -> Outlook:
    """Pure. Each missing source is waited for since the first arrival as long as it says; with
    the last of those waits over, the batch goes on only if it can do without all of them. The
    primary's rows are what the run is about, so nothing goes on without it."""
    newest = {item.source: item for item in found}  # the newest last
    chosen = {name: newest[name] for name in sources if name in newest}
    missing = tuple(name for name in sources if name not in newest)
    if not missing:
        return Outlook(chosen)
    since = min(item.at for item in found) if found else None
    wait = timedelta(hours=max(sources[name].wait_hours for name in missing))
    return Outlook(
        chosen,
        missing,
        since,
        since + wait if since else None,
        all(
            sources[name].on_timeout == "without" and not sources[name].primary for name in missing
        ),
    )


def hours(time: timedelta) -> str:
    """`12 h`, or minutes for less than one."""
    seconds = max(0.0, time.total_seconds())
    return f"{seconds / 3600:.0f} h" if seconds >= 3600 else f"{seconds / 60:.0f} min"
