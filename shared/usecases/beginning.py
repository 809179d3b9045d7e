"""What an upload begins: a run of its own, its part of a batch, or a replay of corrected rows.

    request there? -> finish it | read first bytes -> replay | batch | single file

The one place that chooses; `intake` calls it for an upload, `waiting` for one that waited for its
spec.
"""

from __future__ import annotations

from typing import Any

from shared.errors import UnknownSource
from shared.ports import ObjectInfo
from shared.routes import DataUpload, source_of_file
from shared.spec.model import RegisteredSpec
from shared.usecases.batches import arrive
from shared.usecases.replaying import is_replay, replay
from shared.usecases.starting import (
    Intake,
    announce_again,
    end_as_superseded,
    first_bytes,
    start_run,
)


def begin(
    destination: DataUpload,
    upload: ObjectInfo,
    run_id: str,
    registered: RegisteredSpec,
    ports: Intake,
) -> dict[str, Any]:
    """Carry an upload as far as it goes now; what became of it comes back. Raises Rejected."""
    finished = announce_again(destination.model, run_id, ports)
    if finished is not None:
        return finished
    if destination.batch:
        return arrive(destination, upload, run_id, registered, ports)
    head = first_bytes(upload, ports)
    if head is None:
        return end_as_superseded(destination.model, run_id, upload, ports)
    if destination.intent == "train" and is_replay(head):
        return replay(destination, head, run_id, registered, ports)
    _check_alone(destination, registered)
    return start_run(destination, head, run_id, registered, ports)


def _check_alone(destination: DataUpload, registered: RegisteredSpec) -> None:
    """A training file of a model of several sources belongs to a batch. A file to be scored may
    come alone: what its other sources would add is in it or looked up."""
    sources = registered.spec.sources
    if not sources or destination.intent != "train":
        return
    source = source_of_file(destination.file_name)
    place = f"{destination.model}/{destination.intent}/<batch>"
    exact = f"{place}/{destination.file_name}"
    if source not in sources:
        exact = " or ".join(f"{place}/{name}.csv" for name in sources)
    raise UnknownSource(
        f"{destination.model} is made of several files ({', '.join(sources)}), so each lies in a "
        f"batch: drop this one as {exact}, with one name of your choice as <batch> for all of them"
    )
