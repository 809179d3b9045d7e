"""How long it took from a drop to the version that serves: what an installation promises."""

from __future__ import annotations

from shared import runs
from shared.errors import ObjectNotFound
from shared.events import ComparisonCompleted, TrainingCompleted, parse_time
from shared.manifests import read_manifest
from shared.noted import Noted
from shared.uploads import uploaded_at
from shared.usecases.promote import decide_version
from shared.usecases.promoting import Promote

SECONDS = "drop_to_served_seconds"


def decide_trained(event: TrainingCompleted | ComparisonCompleted, ports: Promote) -> Noted:
    """As `decide_version`, with what became of it and how long that took. Raises as it does."""
    action = decide_version(event.model, event.version, ports)
    noted = Noted(model=event.model, version=event.version, action=action)
    seconds = _seconds(event.model, event.version, ports) if action == "promoted" else None
    if seconds is not None:
        noted[SECONDS] = round(seconds, 1)
    return noted


def _seconds(model: str, version: str, ports: Promote) -> float | None:
    """From the last file of the run to the move of the manifest, by their own times: said again,
    it is the same. None where a person decided, or where no file began it."""
    manifest = read_manifest(model, lake=ports.lake)
    move = manifest.move_to(version) if manifest else None
    if move is None or move.by != "policy":
        return None
    try:
        inputs = runs.read_request(model, version, lake=ports.lake).inputs
    except ObjectNotFound:
        return None
    times = [time for one in inputs if (time := uploaded_at(one.source)) is not None]
    if not times:
        return None
    return max(0.0, (parse_time(move.at) - max(times)).total_seconds())
