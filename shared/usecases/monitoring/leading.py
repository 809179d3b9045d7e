"""Which alert of a model speaks for the loop where drift and performance are both out of bounds.

Each of them has its own policy (`retrain.on_drift`, `on_performance`), so two answers to one window
would contradict each other: one asks a person to train, the other trains. Performance decides,
since labels prove harm and drift does not; drift does only where it alone may train. Pure but for a
look at the reports of earlier windows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from shared import documents, paths
from shared.ports import Bucket
from shared.spec.model import Retrain
from shared.tabular.alarms import Alarm, Kind, news
from shared.usecases.monitoring.rows import Window
from shared.usecases.monitoring.verdict import VersionJudged, spokesman

_READY = {"never": 0, "ask": 1, "train": 2}
_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Lead:
    """The alarm that decides for the alert of kind `follower`, too. `lines` are the follower's, for
    the message of the lead."""

    kind: Kind
    alarm: Alarm
    follower: Kind
    lines: tuple[str, ...] = ()

    @property
    def sentence(self) -> str:
        """For the follower."""
        since = self.alarm.since.partition("T")[0]
        return f"Its {self.kind} alert (since {since}) decides what is done about both."

    @property
    def facts(self) -> list[str]:
        """For the lead."""
        too = {"drift": "drifts, too", "performance": "performs worse, too"}[self.follower]
        said = [f"{too}: {line}" for line in self.lines[:_SHOWN]]
        return [*said, f"what is decided here holds for its {self.follower} alert as well"]


@dataclass(frozen=True, slots=True)
class Now:
    """A window as it is judged now; `before` are the alarms of its last revision."""

    window: Window
    versions: Sequence[VersionJudged]
    alarms: Mapping[Kind, Alarm]
    before: Mapping[Kind, Alarm]


def lead_of(now: Now, past: Sequence[Alarm], settings: Retrain, *, lake: Bucket) -> Lead | None:
    """Who decides, where one alert does for another. `past` are the performance alarms of earlier
    windows, newest first."""
    drift, performance = now.alarms["drift"], now.alarms["performance"]
    about, worse = spokesman(now.versions, "drift"), spokesman(now.versions, "performance")
    if not drift.firing or about is None:
        return None
    drift_trains = _READY[settings.on_drift] > _READY[settings.on_performance]
    if performance.breach is None and not drift_trains:
        waiting = _open_of(now.window, past, about.version, lake=lake)
        return Lead("performance", waiting, "drift") if waiting else None
    if not performance.firing or worse is None or about.version != worse.version:
        return None
    if not drift_trains:
        return Lead("performance", performance, "drift", tuple(about.lines("drift")))
    # The loop decides when an alert comes: one that came with an earlier revision was answered.
    told = news(drift, now.before.get("drift")) != "opened"
    lines = tuple(worse.lines("performance"))
    return None if told else Lead("drift", drift, "performance", lines)


def _open_of(window: Window, past: Sequence[Alarm], version: str, *, lake: Bucket) -> Alarm | None:
    """The performance alarm of the newest judged one of the earlier windows, if it is firing and
    was about this version, too."""
    last = next((alarm for alarm in past if alarm.breach is not None), None)
    if last is None or not last.firing:
        return None
    folder = last.incident_id.rpartition("-")[2]
    latest = documents.read(
        lake, paths.reports(window.model, window.channel, folder, "latest.json")
    )
    report = documents.read(lake, latest.body["report"]) if latest.exists else latest
    about = [
        item["version"]
        for item in report.body.get("versions", [])
        if item["performance"]["breach"] is not None
    ]
    return last if version in about else None
