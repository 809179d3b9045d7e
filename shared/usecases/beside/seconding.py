"""What it takes to put a second version beside a champion, of whatever kind: asked in one place."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from shared import documents, paths
from shared.beside import canaries
from shared.beside.second_version import PREDICTION_ID, Kind, SecondVersion
from shared.documents import timestamp
from shared.errors import NotAllowed, ObjectNotFound
from shared.manifests import Manifest, package_of, read_manifest, set_beside
from shared.ports import Bucket
from shared.spec.registry import read_spec

if TYPE_CHECKING:
    from shared.usecases.promoting import Promote


def planned(
    kind: Kind,
    manifest: Manifest,
    challenger: str,
    *,
    share: float,
    key: str = PREDICTION_ID,
    until: str | None = None,
    steps: tuple[float, ...] = (),
    by: str,
    reason: str,
    now: datetime,
    lake: Bucket,
) -> SecondVersion:
    """The second version that would run from `now` on. Raises NotAllowed with what stands in its
    way."""
    model = manifest.model
    if challenger == manifest.version:
        raise NotAllowed(f"{challenger} is the champion of {model}; name another version")
    version = documents.read(lake, paths.version(model, challenger, "version.json"))
    if not version.exists:
        raise NotAllowed(f"{model} has no version {challenger}")
    if manifest.log == "off":
        raise NotAllowed(
            f"{model} keeps no prediction log (serving.log: {manifest.log}), so nothing could be "
            "judged; set it to sync or buffered in the spec and promote again"
        )
    if kind == "experiment" and key in manifest.redact:
        # The others are judged on pairs: units that only one instance can tell apart will do.
        raise NotAllowed(
            f"serving.redact of {model} keeps {key!r} out of the log, so rows of one value could "
            "not be told to belong together; deal by another column"
        )
    _check_packages(model, manifest.version, challenger, key, lake)
    started = timestamp(now)
    # The champion's turn and the moment: another one deals the keys anew.
    digest = paths.digest(f"{model}|{challenger}|{manifest.revision}|{started}", 8)
    found = SecondVersion(
        id=f"{now:%Y%m%dT%H%M%S}-{digest}",
        **package_of(version.body),
        against=manifest.version,
        revision=manifest.turn,
        share=share,
        key=key,
        started_at=started,
        by=by,
        reason=reason,
        until=until,
        kind=kind,
        steps=steps,
        step_started_at=started if steps else None,
    )
    if kind != "canary":  # it takes the place of what runs
        _check_place(model, manifest.beside, found)
    return found


def take_out(manifest: Manifest, ports: Promote, *, by: str, reason: str, how: str) -> None:
    """Let the champion answer alone again. Raises AliasMoved."""
    running = manifest.beside
    if running is not None and running.kind == "canary":
        canaries.keep(manifest.model, running, lake=ports.lake)
    set_beside(manifest, None, by=by, reason=reason, how=how, lake=ports.lake, clock=ports.clock)


def gate_of(model: str, second: SecondVersion, *, lake: Bucket) -> dict[str, Any] | None:
    """What the gate measured of the two, None where it did not."""
    name = paths.version(model, second.version, "comparison.json")
    comparison = documents.read(lake, name).body
    found = comparison.get("disagreement") if comparison.get("against") == second.against else None
    return dict(found) if found else None


def served(model: str, lake: Bucket) -> Manifest:
    """Raises NotAllowed without a champion."""
    manifest = read_manifest(model, lake=lake)
    if manifest is None:
        raise NotAllowed(f"{model} has no champion to hold a challenger against")
    return manifest


def _check_place(model: str, running: SecondVersion | None, wanted: SecondVersion) -> None:
    """Nothing else runs. The same may: whoever starts it again gets that."""
    if running is None or running.is_same_question(wanted):
        return
    keep = " --keep" if running.kind == "experiment" else ""
    raise NotAllowed(
        f"{running.kind} {running.id} of {model} runs already ({running.version} gets "
        f"{running.share:.0%} by {running.key}); one at a time, so stop it first: "
        f"millrace {running.kind} stop {model}{keep}"
    )


def _check_packages(model: str, champion: str, challenger: str, key: str, lake: Bucket) -> None:
    """Both answer the same question, with labels in the same order, and the key is a column that a
    record may have."""
    try:
        mine, theirs = (
            documents.require(lake, paths.package(model, version, "package.json"))
            for version in (champion, challenger)
        )
    except ObjectNotFound as error:
        raise NotAllowed(f"a package is not there to be served: {error}") from error
    # In one order: scores and probabilities of the two stand side by side in answers and in the
    # log, and of two labels the second one is what a score is about.
    if mine["task"] != theirs["task"] or mine["labels"] != theirs["labels"]:
        raise NotAllowed(
            f"{challenger} answers another question than {champion}: {theirs['task']} "
            f"{theirs['labels']}, not {mine['task']} {mine['labels']}"
        )
    if key == PREDICTION_ID:
        return
    spec = read_spec(model, lake=lake).spec
    known = {feature["name"]: None for feature in mine["schema"]["features"]}
    known |= dict.fromkeys(spec.all_columns)
    known |= dict.fromkeys(source.key for source in spec.sources.values())
    known.pop(spec.target.column, None)
    if key not in known:
        raise NotAllowed(
            f"{model} has no column {key!r} that a record could be dealt by; known: "
            f"{', '.join(known)}, or {PREDICTION_ID} (each prediction by itself)"
        )
