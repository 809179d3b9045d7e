"""What alerts say: judgements about windows, refused files, notes of the automation. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from datetime import datetime, timedelta

from shared import paths
from shared.events import (
    AutomationNoted,
    DataQualityBroken,
    DataQualityRestored,
    DataRejected,
    DriftDetected,
    DriftResolved,
    MonitorAlert,
    PerformanceDropped,
    PerformanceRestored,
    parse_time,
)
from shared.routes import FOLDERS
from shared.telling.draft import Draft, Where, when
from shared.telling.kinds import asks_of
from shared.uploads import name_of


def monitor_alert(event: MonitorAlert, where: Where) -> Draft:
    title, following, commands = _ALERTS[type(event)]
    if event.decided_by:
        following = _LEFT
        commands = commands if event.asks != "know" else []
    return Draft(
        asks=asks_of(event),
        title=f"{event.model} {title}",
        sentence=event.sentence,
        fields=[
            ("Model", f"{event.model}, version {event.version}" if event.version else event.model),
            ("Window", f"{event.channel}, {_span(event.window_start, event.window_end)}"),
            *([("Since", _since(event))] if event.since else []),
        ],
        facts=[fact for fact in event.facts if fact not in event.sentence],
        next=following,
        commands=[
            where.command(*(word.format(model=event.model) for word in line)) for line in commands
        ],
        links=[
            f"Report: {where.object(event.report)}",
            *([_version(event, where)] if event.version else []),
        ],
        footer=[
            f"incident {event.incident}",
            f"window {event.incident_id}" if event.incident != event.incident_id else "",
            f"revision {event.revision}" if event.revision else "",
            f"decided by {event.decided_by}" if event.decided_by else "",
        ],
    )


def _version(event: MonitorAlert, where: Where) -> str:
    """The version's run, which has the version's name."""
    return f"Run: {where.object(paths.version(event.model, event.version, 'card.html'))}"


def _span(start: datetime, end: datetime) -> str:
    return f"{when(start)} to {when(end)}"


def _since(event: MonitorAlert) -> str:
    """When the row of windows out of bounds began, and for how long it lasts by now."""
    since = parse_time(event.since)
    lasts = event.window_end - since
    if lasts <= event.window_end - event.window_start:
        return when(since)
    for unit in ("days", "hours", "minutes"):
        count = lasts / timedelta(**{unit: 1})
        if count >= 2:
            return f"{when(since)} ({count:.0f} {unit})"
    return when(since)


_MEND = "Mend the source, then drop the file again. Broken data never starts a training."
_LABEL = (
    "The retrain guard says in a message of its own whether there is anything to learn from. "
    "Labels of this period tell whether the drift does any harm:"
)
_GO_BACK = (
    "The retrain guard decides now and says so in a message of its own. If an earlier version "
    "served better, put it back meanwhile:"
)
_LEFT = (
    "What the retrain guard says of the model's other alert holds for this one, too: it answers "
    "both in one message."
)
_ALERTS: dict[type[MonitorAlert], tuple[str, str, Sequence[Sequence[str]]]] = {
    DataQualityBroken: (
        "gets broken data",
        _MEND,
        [["drop", "FILE", "--model", "{model}", "--as", "score"]],
    ),
    DriftDetected: (
        "drifts",
        _LABEL,
        [["drop", "LABELS.csv", "--model", "{model}", "--as", "labels"]],
    ),
    PerformanceDropped: ("performs worse", _GO_BACK, [["rollback", "{model}"]]),
    DataQualityRestored: ("gets good data again", "Nothing to do.", []),
    DriftResolved: ("no longer drifts", "Nothing to do.", []),
    PerformanceRestored: ("performs well again", "Nothing to do.", []),
}


def data_rejected(event: DataRejected, where: Where) -> Draft:
    led = f" for {event.model}" if paths.is_model_name(event.model) else ""
    following, commands = "Correct it and drop it again:", [_drop_again(event, where)]
    if event.reason == "UnknownModel":
        following = "Drop the model's spec, then the file again; or was its name misspelled?"
        spec = where.command("drop", f"{event.model}.yaml", "--model", event.model)
        commands = [where.command("status"), spec, *commands]
    return Draft(
        asks=asks_of(event),
        title=f"a file{led} was refused",
        sentence=event.message,
        facts=[f"file: {event.source}", f"reason: {event.reason}"],
        next=f"The original is where it was. {following}",
        commands=commands,
        links=[f"Record: {where.object(paths.rejection(event.model, event.run_id))}"],
        footer=[f"{event.model} run {event.run_id}"],
    )


def _drop_again(event: DataRejected, where: Where) -> str:
    """The drop that was refused, as a command: same file name, same kind."""
    parts = name_of(event.source).split("/")
    file_name = shlex.quote(parts[-1]) if parts[-1] else "FILE"
    model = event.model if paths.is_model_name(event.model) else "MODEL"  # it led to none
    kind = ("--as", parts[1]) if len(parts) > 2 and parts[1] in FOLDERS else ()
    if len(parts) == 3 and kind:
        return where.command("drop", file_name, "--model", model, *kind)
    if len(parts) == 4 and kind:
        # A batch that was closed takes no more files.
        closed = event.reason in ("BatchClosed", "SourceMissing")
        files, batch = ("FILE...", "NAME") if closed else (file_name, shlex.quote(parts[2]))
        return where.command("drop", files, "--model", model, "--batch", batch, *kind)
    return where.command("drop", file_name, "--model", model)


def _canary_title(subject: str) -> str:
    """By what happened: `canary-<id>-started`, `-step-2`, `-ended`, `canary-skipped-<version>`."""
    if subject.startswith("canary-skipped-"):
        return "promoted without a canary"
    what = subject.split("-")[3:4]
    titles = {"started": "a new version comes in by steps", "step": "its canary is a step further"}
    return titles.get("".join(what), "its canary is over")


def automation_noted(event: AutomationNoted, where: Where) -> Draft:
    about = f"{event.model}: " if event.model else ""
    asks = asks_of(event)
    commands = [where.command("status")] if asks != "know" else []
    title = f"{about}a note from {event.source}"
    if event.source == "retrain":
        title = f"{about}what the retrain guard says"
    if event.source == "experiment":
        title = f"{about}a note on its experiment"
        commands = [where.command("experiment", "status", event.model)]
        if asks == "decide":
            commands += [
                where.command("experiment", "stop", event.model, who, "--reason", '"..."')
                for who in ("--keep", "--promote")
            ]
    if event.source == "canary":
        title, commands = f"{about}{_canary_title(event.subject)}", []
        if "skipped" not in event.subject:
            commands = [where.command("canary", "status", event.model)]
    if event.source == "predict":
        title = f"{about}a version does not load"
        commands = [where.command("versions", "list", event.model)]
        if asks == "act now":
            commands.append(where.command("rollback", event.model))
        if asks == "know":
            title, commands = f"{about}its version is loaded", []
    return Draft(
        asks=asks,
        title=title,
        sentence=event.sentence,
        commands=commands,
        footer=[f"incident {event.incident}" if event.incident else event.subject],
    )
