"""From a window's judgement to an alarm: persistence over windows, opening and resolving.

    breach, for one same cause, in m of the last n judged windows; or a breach that earlier windows
        show, too --> firing --> alert, incident of this window
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
    that window's incident, kept also by the window that ends the row. `causes` of the breach, such
    as the columns: chance seldom hits the same one twice. Alarms of older versions name none."""

    breach: bool | None
    firing: bool = False
    incident_id: str = ""
    since: str = ""
    resolves: str = ""
    opened_by: str = ""
    causes: tuple[str, ...] = ()

    @property
    def row(self) -> str:
        """The incident that the unbroken row goes by; alarms of older versions do not know."""
        return self.opened_by or self.incident_id or self.resolves

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, body: Mapping[str, Any]) -> Alarm:
        """Of any version: what this one does not know is left out."""
        known = {item.name: body[item.name] for item in fields(cls) if item.name in body}
        return cls(**{**known, "causes": tuple(known.get("causes", ()))})

    def shares(self, causes: Sequence[str]) -> bool:
        """True for a breach that has one of these causes."""
        same = not self.causes or not causes or not set(causes).isdisjoint(self.causes)
        return bool(self.breach) and same


def settle(
    breach: bool | None,
    past: Sequence[Alarm],
    *,
    incident_id: str,
    window_start: str,
    persistence: tuple[int, int],
    causes: Sequence[str] = (),
    lasting: bool = False,
) -> Alarm:
    """The alarm of a window, given those of earlier windows, newest first. A `lasting` breach has
    seen all windows of `persistence` already, and needs no others."""
    if breach is None:
        return Alarm(None)
    judged = [alarm for alarm in past if alarm.breach is not None]
    needed, among = persistence
    breaches = int(breach) + sum(alarm.shares(causes) for alarm in judged[: among - 1])
    named = tuple(causes) if breach else ()
    last = judged[0] if judged else None
    fired = last if last is not None and last.firing else None
    if breach and (lasting or breaches >= needed):
        since, row = (fired.since, fired.row) if fired else (window_start, incident_id)
        return Alarm(True, True, incident_id, since, opened_by=row, causes=named)
    if fired is None:
        return Alarm(breach, causes=named)
    return Alarm(
        breach,
        resolves=fired.incident_id,
        since=fired.since,
        opened_by=fired.row,
        causes=named,
    )


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
