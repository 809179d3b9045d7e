"""From a window's judgement to an alarm: persistence over windows, opening and resolving.

    breach in m of the last n judged windows --> firing --> alert, incident of this window
    judged, not firing, the last judged window fired --> resolved, incident of that window

A window without a judgement of a kind (too few rows, no labels yet) neither opens nor resolves it
and is skipped when the past is counted. Pure; knows neither statistics nor messages.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

Kind = Literal["data_quality", "drift", "performance"]
KINDS: tuple[Kind, ...] = ("data_quality", "drift", "performance")


@dataclass(frozen=True, slots=True)
class Alarm:
    """The state of one kind of alert in one window. `breach` is None when the window could not be
    judged; `since` is the start of the first window of an unbroken row of firing ones, `opened_by`
    that window's incident, kept also by the window that ends the row."""

    breach: bool | None
    firing: bool = False
    incident_id: str = ""
    since: str = ""
    resolves: str = ""
    opened_by: str = ""

    @property
    def row(self) -> str:
        """The incident that the unbroken row goes by; alarms of older versions do not know."""
        return self.opened_by or self.incident_id or self.resolves

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, body: Mapping[str, Any]) -> Alarm:
        """Of any version: what this one does not know is left out."""
        return cls(**{item.name: body[item.name] for item in fields(cls) if item.name in body})


def settle(
    breach: bool | None,
    past: Sequence[Alarm],
    *,
    incident_id: str,
    window_start: str,
    persistence: tuple[int, int],
) -> Alarm:
    """The alarm of a window, given those of earlier windows, newest first."""
    if breach is None:
        return Alarm(None)
    judged = [alarm for alarm in past if alarm.breach is not None]
    needed, among = persistence
    breaches = int(breach) + sum(bool(alarm.breach) for alarm in judged[: among - 1])
    last = judged[0] if judged else None
    fired = last if last is not None and last.firing else None
    if breach and breaches >= needed:
        since, row = (fired.since, fired.row) if fired else (window_start, incident_id)
        return Alarm(True, True, incident_id, since, opened_by=row)
    if fired is None:
        return Alarm(breach)
    return Alarm(breach, resolves=fired.incident_id, since=fired.since, opened_by=fired.row)


def news(now: Alarm, before: Alarm | None) -> Literal["opened", "resolved"] | None:
    """What this revision of a window has to say that its previous revision did not."""
    if now.firing:
        return None if before is not None and before.firing else "opened"
    if before is not None and before.firing:
        # Corrected labels took the alarm back.
        return "resolved" if now.breach is not None else None
    if now.resolves and (before is None or before.breach is None):
        return "resolved"
    return None
