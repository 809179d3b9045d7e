"""Waiting for what the system does next, by looking where a user could look: the lake, the
predictor, Slack. Nothing here changes anything."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import click

from shared import documents, paths
from shared.cli.contexts import Context
from shared.cli.demo.timeline import Timeline
from shared.cli.predict import request
from shared.cli.slack_view import panel
from shared.cli.stack import slack_messages

JUDGE_SECONDS = 120.0
SLACK_SECONDS = 45.0
POLL_SECONDS = 0.3


class DemoFailed(click.ClickException):
    """A step did not end as the story says; the message says what came instead."""


@dataclass
class Window:
    """A judged window of a scoring run; `latest` is its latest.json."""

    run_id: str
    start: datetime
    end: datetime
    latest: dict[str, Any] = field(default_factory=dict)

    @property
    def folder(self) -> str:
        return f"{self.start:%Y%m%dT%H%M%SZ}_{self.end:%Y%m%dT%H%M%SZ}"

    def incident(self, kind: str) -> str:
        return str(self.latest["alarms"][kind]["incident_id"])


@dataclass
class Watcher:
    """Raises DemoFailed for what does not come in time. `slack_seen` counts the messages that
    were shown or passed over."""

    model: str
    context: Context
    timeline: Timeline
    slack_seen: int = 0

    def report(self, window: Window, *, revision: int) -> None:
        """Wait until a window is judged for the revision-th time."""
        name = paths.reports(self.model, "batch", window.folder, "latest.json")

        def found() -> bool:
            window.latest = documents.read(self.context.lake, name).body
            return int(window.latest.get("revision", -1)) >= revision

        wait(found, JUDGE_SECONDS, f"a report (revision {revision}) at {name}")

    def sentence(self, window: Window, kind: str) -> str:
        """What the latest report says about drift, quality or performance."""
        report = documents.require(self.context.lake, str(window.latest["report"]))
        return str(report["versions"][0][kind]["sentence"]) if report["versions"] else ""

    def decision(self, incident_id: str) -> dict[str, Any]:
        """What retrain decided about an alert."""
        name = paths.incident(self.model, incident_id)
        found: dict[str, Any] = {}

        def decided() -> bool:
            found.update(documents.read(self.context.lake, name).body)
            return bool(found)

        wait(decided, JUDGE_SECONDS, f"a decision at {name}")
        decision: dict[str, Any] = found["decision"]
        return decision

    def answer(self, url: str, body: object) -> dict[str, Any]:
        """The predictor's answer; it follows the manifest every few seconds."""
        found: dict[str, Any] = {}

        def answered() -> bool:
            status, answer = request("POST", url, body)
            if status == 200:
                found.update(answer)
            elif status not in (404, 503):
                raise DemoFailed(f"the predictor answered {status}: {answer}")
            return bool(found)

        wait(answered, JUDGE_SECONDS, f"an answer of {url}")
        return found

    def skip_slack(self) -> None:
        """What was posted so far is not about what comes next."""
        self.slack_seen = len(slack_messages(self.context.local.slack))

    def show_slack(self, about: str, *, messages: int) -> None:
        """Show what was posted about something, once `messages` of it came; others in short."""
        new: list[dict[str, Any]] = []

        def is_about(kept: dict[str, Any]) -> bool:
            return about in json.dumps(kept["message"])

        def posted() -> bool:
            new[:] = slack_messages(self.context.local.slack)[self.slack_seen :]
            return sum(map(is_about, new)) >= messages

        wait(posted, SLACK_SECONDS, f"{messages} Slack messages about {about}")
        for kept in new:
            if is_about(kept):
                when = str(kept["received"])[:19].replace("T", " ")
                self.timeline.show(panel(kept["message"], when))
            else:
                title = str(kept["message"].get("text", "")).split(". ")[0]
                self.timeline.say(f"also in Slack: {title}", style="dim")
        self.slack_seen += len(new)


def wait(done: Callable[[], bool], seconds: float, what: str) -> None:
    """Raises DemoFailed."""
    end = time.monotonic() + seconds
    while not done():
        if time.monotonic() > end:
            raise DemoFailed(f"waited {seconds:.0f} s for {what}")
        time.sleep(POLL_SECONDS)
