"""A person mutes alerts of a model for a while, or ends that."""

from __future__ import annotations

from collections.abc import Mapping

from shared import mutes
from shared.errors import NotAllowed
from shared.serving.times import format_duration, parse_duration
from shared.spec.registry import find_spec
from shared.usecases.promoting import Promote


def mute(model: str, facts: Mapping[str, object], by: str, reason: str, ports: Promote) -> str:
    """Mute from now on; a sentence comes back. Raises NotAllowed."""
    kind = _kind(model, facts, ports)
    try:
        lasts = parse_duration(facts.get("for", ""))
    except ValueError as error:
        raise NotAllowed(f"for {error}") from error
    made = mutes.mute(model, kind, lasts, by=by, reason=reason, lake=ports.lake, clock=ports.clock)
    return (
        f"{made.what} of {model} is muted for {format_duration(lasts)}, until {made.until}. Muted "
        f"alerts are counted in the daily digest; millrace unmute {model} ends it."
    )


def unmute(model: str, facts: Mapping[str, object], by: str, ports: Promote) -> str:
    """End the mutes of a kind, or all; a sentence comes back. Raises NotAllowed."""
    kind = _kind(model, facts, ports)
    ended = mutes.unmute(model, kind, by=by, lake=ports.lake, clock=ports.clock)
    if not ended:
        return f"Nothing of {model} was muted."
    return f"{', '.join(item.what for item in ended)} of {model} is heard again."


def _kind(model: str, facts: Mapping[str, object], ports: Promote) -> str:
    if find_spec(model, lake=ports.lake) is None:
        raise NotAllowed(f"there is no model {model!r}")
    return mutes.checked_kind(str(facts.get("kind") or ""))
