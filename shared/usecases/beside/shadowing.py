"""Shadows: a version scores a share of the predictions after the champion, and nobody gets it.

    begun by a person, or by promote for a version that waits for one (serving.shadow)
    ended by a person, by the decision about the version, by a move of the champion

The manifest alone says what runs; what it found is in the prediction log. Nothing is judged.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from shared.beside.second_version import SecondVersion
from shared.errors import NotAllowed
from shared.manifests import Manifest, read_manifest, set_beside
from shared.ports import Bucket
from shared.spec.registry import read_spec
from shared.usecases.beside.seconding import planned, served, take_out
from shared.usecases.promoting import Promote


def plan(
    model: str,
    version: str,
    facts: Mapping[str, object],
    *,
    by: str,
    reason: str,
    now: datetime,
    lake: Bucket,
    manifest: Manifest | None = None,
) -> SecondVersion:
    """The shadow that a start would begin. Raises NotAllowed."""
    share = facts.get("share")
    if not isinstance(share, int | float) or isinstance(share, bool) or not 0 < share <= 1:
        raise NotAllowed(f"share is {share!r}; give a number above 0 and up to 1, such as 0.1")
    return planned(
        "shadow",
        manifest or served(model, lake),
        version,
        share=float(share),
        by=by,
        reason=reason or "no reason given",
        now=now,
        lake=lake,
    )


def start(
    model: str,
    version: str,
    facts: Mapping[str, object],
    *,
    by: str,
    reason: str,
    ports: Promote,
) -> str:
    """Begin a shadow; the one that runs already, when it is the same. Raises NotAllowed,
    AliasMoved."""
    manifest = served(model, ports.lake)
    about: dict[str, Any] = {"by": by, "reason": reason, "manifest": manifest}
    second = plan(model, version, facts, now=ports.clock.now(), lake=ports.lake, **about)
    running = manifest.beside
    if running is None:
        set_beside(
            manifest, second, by=by, reason=second.reason, lake=ports.lake, clock=ports.clock
        )
    return running_sentence(model, running or second)


def stop(model: str, shadow_id: str, *, by: str, reason: str, ports: Promote) -> str:
    """End a shadow; a repeat finds it ended. Raises NotAllowed, AliasMoved."""
    manifest = served(model, ports.lake)
    running = manifest.beside
    if running is not None and running.kind == "shadow" and running.id == shadow_id:
        take_out(manifest, ports, by=by, reason=reason or "no reason given", how="stopped")
    elif not any(
        move.beside == shadow_id and move.action.startswith("shadow-") for move in manifest.policies
    ):
        raise NotAllowed(f"{model} has no shadow {shadow_id!r}")
    return f"Shadow {shadow_id} of {model} is over."


def begin_waiting(model: str, version: str, ports: Promote) -> None:
    """A version that waits for a person is tried unseen, where the spec wants it and nothing else
    runs. Raises AliasMoved."""
    shadow = read_spec(model, lake=ports.lake).spec.serving.shadow
    manifest = read_manifest(model, lake=ports.lake)
    if shadow is None or manifest is None or manifest.beside is not None:
        return
    if any(
        move.challenger == version and move.kind == "shadow" and move.revision > manifest.turn
        for move in manifest.policies
    ):
        return  # it was, and somebody stopped it: a question that is put again starts nothing
    why, now = "it waits for a person (serving.shadow)", ports.clock.now()
    facts = {"share": shadow.share}
    try:
        second = plan(model, version, facts, by="policy", reason=why, now=now, lake=ports.lake)
    except NotAllowed:
        return  # it cannot answer for the champion's records: who decides is told that anyway
    set_beside(manifest, second, by="policy", reason=why, lake=ports.lake, clock=ports.clock)


def running_sentence(model: str, running: SecondVersion) -> str:
    """What a shadow does, for people."""
    return (
        f"Shadow {running.id} of {model}: {running.version} scores {100 * running.share:.3g} % of "
        f"the predictions after the champion {running.against}; nobody gets its answers. Started "
        f"by {running.by}: {running.reason}."
    )
