"""What each kind of event says to people: what happened, value against threshold, since when, what
happens next or what you can do, links. Pure; `shared.messages` makes Slack's blocks of it.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast
from urllib.parse import quote

from shared import paths
from shared.events import (
    ApprovalRequested,
    AutomationNoted,
    DataQualityBroken,
    DataQualityRestored,
    DataRejected,
    DriftDetected,
    DriftResolved,
    Event,
    LabelsRecorded,
    ModelNotPromoted,
    ModelPromoted,
    MonitorAlert,
    PerformanceDropped,
    PerformanceRestored,
    RunFailed,
    RunRejected,
    ScoringCompleted,
)
from shared.reporting import letter
from shared.routes import FOLDERS
from shared.uploads import name_of

SPEC_FACTS = 20  # changes that a message lists
OPEN_FACTS = 4  # what else the rules found
LEADS = {"act now": "Act now", "decide": "Please decide", "know": "For your information"}


@dataclass(frozen=True, slots=True)
class Where:
    """What links and commands need to know. `console_url` shows an object when `/<bucket>/<name>`
    is appended to it; empty means that there is none."""

    lake: str
    context: str
    console_url: str = ""

    def command(self, *words: str) -> str:
        """A line to copy into a shell."""
        context = () if self.context == "local" else ("--context", self.context)
        return " ".join(["./millrace", *context, *words])

    def object(self, name: str) -> str:
        """An object of the lake in mrkdwn: its gs:// name, and a link where a console shows it."""
        code = f"`gs://{self.lake}/{escaped(name)}`"
        if not self.console_url:
            return code
        return f"{code} (<{self.console_url}/{self.lake}/{quote(name)}|open>)"


@dataclass(frozen=True, slots=True)
class Draft:
    """A message before it becomes blocks. `title`, `sentence` and `facts` are plain text, `next`
    and `links` are mrkdwn of ours, `commands` are shell lines."""

    asks: str
    title: str
    sentence: str
    facts: Sequence[str] = ()
    next: str = ""
    commands: Sequence[str] = ()
    links: Sequence[str] = ()
    footer: Sequence[str] = ()


def escaped(text: str) -> str:
    """Text that Slack's mrkdwn shows as it is (https://docs.slack.dev/messaging/formatting-message-text)."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def draft_of(event: Event, where: Where) -> Draft:
    """Raises KeyError for an event that nobody is told about."""
    for cls in type(event).__mro__:
        if cls in DRAFTS:
            return DRAFTS[cls](event, where)
    raise KeyError(event.type)


def _monitor_alert(event: MonitorAlert, where: Where) -> Draft:
    title, following, commands = _ALERTS[type(event)]
    words = {"model": event.model}
    return Draft(
        asks=event.asks,
        title=f"{event.model} {title}",
        sentence=event.sentence,
        facts=event.facts,
        next=following,
        commands=[where.command(*(word.format(**words) for word in line)) for line in commands],
        links=[f"Report: {where.object(event.report)}"],
        footer=[
            f"{event.model} {event.version}",
            f"{event.channel} {_when(event.window_start)} to {_when(event.window_end)}",
            f"incident {event.incident_id}",
            f"revision {event.revision}" if event.revision else "",
        ],
    )


_MEND = "Mend the source, then drop the file again. Broken data never starts a training."
_LABEL = (
    "The retrain guard says in a message of its own whether there is anything to learn from. "
    "Labels of this period tell whether the drift does any harm:"
)
_GO_BACK = (
    "The retrain guard decides now and says so in a message of its own. If an earlier version "
    "served better, put it back meanwhile:"
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


def _data_rejected(event: DataRejected, where: Where) -> Draft:
    led = f" for {event.model}" if paths.is_model_name(event.model) else ""
    following, commands = "Correct it and drop it again:", [_drop_again(event, where)]
    if event.reason == "UnknownModel":
        following = "Drop the model's spec, then the file again; or was its name misspelled?"
        spec = where.command("drop", f"{event.model}.yaml", "--model", event.model)
        commands = [where.command("status"), spec, *commands]
    return Draft(
        asks="act now",
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


def _run_rejected(event: RunRejected, where: Where) -> Draft:
    following = "Correct the file and drop it again; a new upload is a new run."
    commands = [["why", event.run_id]]
    if event.reason == "TooManyBadRows":
        following = "Correct the file and drop it again, or correct only the rows in quarantine:"
        commands = [["quarantine", "show", event.run_id], ["quarantine", "export", event.run_id]]
    elif event.reason == "DataStopped":
        following = "Change the spec as it says, drop the spec, then the file again."
    return Draft(
        asks="act now",
        title=f"a run of {event.model} was rejected",
        sentence=event.message,
        facts=[f"reason: {event.reason}"],
        next=following,
        commands=[where.command(*words) for words in commands],
        footer=[f"{event.model} run {event.run_id}"],
    )


def _run_failed(event: RunFailed, where: Where) -> Draft:
    return Draft(
        asks="act now",
        title=f"a run of {event.model} failed",
        sentence=event.message,
        next="It was started again as often as it may be. See why, then drop the file again with "
        "`--force`:",
        commands=[where.command("why", event.run_id)],
        footer=[f"{event.model} run {event.run_id}"],
    )


def _model_promoted(event: ModelPromoted, where: Where) -> Draft:
    return Draft(
        asks="know",
        title=f"{event.model} has a new champion",
        sentence=event.sentence,
        facts=[
            f"champion: {event.version}",
            f"before: {event.previous or 'none'}",
            f"by: {event.by}",
        ],
        next="It answers now. Ask it, or put the previous version back:"
        if event.previous
        else "It answers now, as the first version to do so. Ask it:",
        commands=[
            where.command("predict", event.model, "--example"),
            *([where.command("rollback", event.model)] if event.previous else []),
        ],
        links=[_card(event.model, event.version, where)],
        footer=[f"{event.model} {event.version}", f"revision {event.revision}"],
    )


def _model_not_promoted(event: ModelNotPromoted, where: Where) -> Draft:
    goes_on = "What served before goes on." if event.serves else letter.HELP
    return Draft(
        asks="know",
        title=f"a version of {event.model} was not promoted",
        sentence=event.sentence,
        facts=[f"version: {event.version}", f"by: {event.by}"],
        next=f"{goes_on} Rule by rule, or to serve it all the same:",
        commands=[
            where.command("decision", "show", event.model, event.version),
            where.command("versions", "promote", event.model, event.version),
        ],
        links=[_card(event.model, event.version, where)],
        footer=[f"{event.model} run {event.run_id}"],
    )


def _approval_requested(event: ApprovalRequested, where: Where) -> Draft:
    answer = (event.model, event.version)
    generation = paths.generation_asked(event.version)
    if generation is not None:
        return _spec_approval_requested(event, generation, where)
    return Draft(
        asks="decide",
        title=f"a version of {event.model} waits for you",
        sentence=event.sentence,
        facts=[f"version: {event.version}", *event.facts[:OPEN_FACTS]],
        next="Read the card and what the rules found, then say yes or no:",
        commands=[
            where.command("decision", "show", *answer),
            where.command("approvals", "approve", *answer),
            where.command("approvals", "decline", *answer, "--reason", '"..."'),
        ],
        links=[_card(event.model, event.version, where)],
        footer=[f"{event.model} run {event.run_id}"],
    )


def _spec_approval_requested(event: ApprovalRequested, new: int, where: Where) -> Draft:
    answer = (event.model, event.version)
    more = len(event.facts) - SPEC_FACTS
    return Draft(
        asks="decide",
        title=f"a changed spec of {event.model} waits for you",
        sentence=event.sentence,
        facts=[*event.facts[:SPEC_FACTS], *([f"and {more} more"] if more > 0 else [])],
        next="Look at all of it, then say yes or no to all of it:",
        commands=[
            where.command("spec", "diff", event.model, str(event.against), str(new)),
            where.command("approvals", "approve", *answer, "--reason", '"..."'),
            where.command("approvals", "decline", *answer, "--reason", '"..."'),
        ],
        footer=[f"{event.model} spec generation {new}", f"in force: {event.against}"],
    )


def _scoring_completed(event: ScoringCompleted, where: Where) -> Draft:
    refused = f"{event.errors} of them with an error instead of a score" if event.errors else ""
    return Draft(
        asks="know",
        title=f"{event.model} scored a file",
        sentence=f"{event.rows} rows are scored{', ' if refused else ''}{refused}.",
        next="Monitoring judges them when their window has closed.",
        links=[f"Predictions: {where.object(event.output)}"],
        footer=[f"{event.model} {event.version}", f"run {event.run_id}"],
    )


def _labels_recorded(event: LabelsRecorded, where: Where) -> Draft:
    unknown = f"; {event.unknown} name no prediction that we made" if event.unknown else ""
    return Draft(
        asks="know",
        title=f"{event.model} has new labels",
        sentence=f"{event.rows} labels are recorded, {event.matched} of them for predictions that "
        f"we made{unknown}.",
        next="Monitoring judges the windows they belong to at its next tick. To tick now:",
        commands=[where.command("tick", "monitor")],
        footer=[f"{event.model} run {event.run_id}"],
    )


def _automation_noted(event: AutomationNoted, where: Where) -> Draft:
    about = f"{event.model}: " if event.model else ""
    commands = [where.command("status")] if event.asks != "know" else []
    title = f"{about}a note from {event.source}"
    if event.source == "experiment":
        title = f"{about}a note on its experiment"
        commands = [where.command("experiment", "status", event.model)]
        if event.asks == "decide":
            commands += [
                where.command("experiment", "stop", event.model, who, "--reason", '"..."')
                for who in ("--keep", "--promote")
            ]
    if event.source == "predict":
        title = f"{about}a version does not load"
        commands = [where.command("versions", "list", event.model)]
        if event.asks == "act now":
            commands.append(where.command("rollback", event.model))
        if event.asks == "know":
            title, commands = f"{about}its version is loaded", []
    return Draft(
        asks=event.asks if event.asks in LEADS else "know",
        title=title,
        sentence=event.sentence,
        commands=commands,
        footer=[event.subject],
    )


def _when(time: datetime) -> str:
    return f"{time:%Y-%m-%d %H:%M:%S} UTC".replace(":00 UTC", " UTC")


def _card(model: str, version: str, where: Where) -> str:
    return f"Card: {where.object(paths.version(model, version, 'card.html'))}"


def _typed(draft: Callable[[Any, Where], Draft]) -> Callable[[Event, Where], Draft]:
    return cast("Callable[[Event, Where], Draft]", draft)


DRAFTS: dict[type, Callable[[Event, Where], Draft]] = {
    MonitorAlert: _typed(_monitor_alert),
    DataRejected: _typed(_data_rejected),
    RunRejected: _typed(_run_rejected),
    RunFailed: _typed(_run_failed),
    ModelPromoted: _typed(_model_promoted),
    ModelNotPromoted: _typed(_model_not_promoted),
    ApprovalRequested: _typed(_approval_requested),
    ScoringCompleted: _typed(_scoring_completed),
    LabelsRecorded: _typed(_labels_recorded),
    AutomationNoted: _typed(_automation_noted),
}
