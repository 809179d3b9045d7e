"""What outcomes say: runs that ended, versions that serve or wait, files scored, labels. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from shared import paths
from shared.events import (
    ApprovalRequested,
    LabelsRecorded,
    ModelNotPromoted,
    ModelPromoted,
    RunFailed,
    RunRejected,
    ScoringCompleted,
)
from shared.reporting import letter
from shared.telling.draft import Draft, Where, card

SPEC_FACTS = 20  # changes that a message lists
OPEN_FACTS = 4  # what else the rules found


def run_rejected(event: RunRejected, where: Where) -> Draft:
    following = "Correct the file and drop it again; a new upload is a new run."
    commands = [["why", event.run_id]]
    if event.reason == "TooManyBadRows":
        following = "Correct the file and drop it again, or correct only the rows in quarantine:"
        commands = [["quarantine", "show", event.run_id], ["quarantine", "export", event.run_id]]
    elif event.reason == "NotRelearnable":
        following = "The loop asked for it; the champion serves on. A training file is another way."
    elif event.reason == "DataStopped":
        following = "Change the spec as it says, drop the spec, then the file again."
    return Draft(
        asks="act now",
        title=f"a run of {event.model} was rejected",
        sentence=event.message,
        facts=[f"reason: {event.reason}"],
        next=following,
        commands=[where.command(*words) for words in commands],
        links=[_run(event, where)],
        footer=[f"{event.model} run {event.run_id}"],
    )


def run_failed(event: RunFailed, where: Where) -> Draft:
    return Draft(
        asks="act now",
        title=f"a run of {event.model} failed",
        sentence=event.message,
        next="It was started again as often as it may be. See why, then drop the file again with "
        "`--force`:",
        commands=[where.command("why", event.run_id)],
        links=[_run(event, where)],
        footer=[f"{event.model} run {event.run_id}"],
    )


def model_promoted(event: ModelPromoted, where: Where) -> Draft:
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
        links=[card(event.model, event.version, where)],
        footer=[f"{event.model} {event.version}", f"revision {event.revision}"],
    )


def model_not_promoted(event: ModelNotPromoted, where: Where) -> Draft:
    goes_on = "What served before goes on." if event.serves else letter.HELP
    return Draft(
        asks="know",
        title=f"a version of {event.model} was not promoted",
        sentence=event.sentence,
        facts=[f"version: {event.version}", f"by: {event.by}"],
        next=f"{goes_on} Rule by rule, or to serve it all the same:",
        commands=[
            where.command("decision", "show", event.model, event.version),
            where.command("versions", "promote", event.model, event.version, "--reason", '"..."'),
        ],
        links=[card(event.model, event.version, where)],
        footer=[f"{event.model} run {event.run_id}"],
    )


def approval_requested(event: ApprovalRequested, where: Where) -> Draft:
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
        links=[card(event.model, event.version, where)],
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


def scoring_completed(event: ScoringCompleted, where: Where) -> Draft:
    if event.scored_nothing:
        return Draft(
            asks="act now",
            title=f"{event.model} could score no row of a file",
            sentence=f"Each of the {event.rows} rows has an error instead of a score.",
            next="The column `error` of the scored file says why. Correct the file, drop it again.",
            commands=[where.command("get", event.run_id)],
            links=[f"Predictions: {where.object(event.output)}"],
            footer=[f"{event.model} {event.version}", f"run {event.run_id}"],
        )
    refused = f"{event.errors} of them with an error instead of a score" if event.errors else ""
    return Draft(
        asks="know",
        title=f"{event.model} scored a file",
        sentence=f"{event.rows} rows are scored{', ' if refused else ''}{refused}.",
        next="Monitoring judges them when their window has closed.",
        links=[f"Predictions: {where.object(event.output)}"],
        footer=[f"{event.model} {event.version}", f"run {event.run_id}"],
    )


def labels_recorded(event: LabelsRecorded, where: Where) -> Draft:
    return Draft(
        asks="know",
        title=f"{event.model} has new labels",
        sentence=f"{event.rows} labels are recorded, {event.matched} of them for predictions that "
        f"we made{about_labels(asdict(event))}.",
        next="Monitoring judges the windows they belong to at its next tick. To tick now:",
        commands=[where.command("tick", "monitor")],
        footer=[f"{event.model} run {event.run_id}"],
    )


def about_labels(facts: Mapping[str, Any]) -> str:
    """What of a labels file is not as it should be, or worth knowing. `facts` are those of
    LabelsRecorded, of any version."""
    twice = facts.get("duplicates")
    again = f" ({twice} of them labelled again below)" if twice else ""
    words = {
        "unknown": "name no prediction that we made",
        "quarantined": f"rows are in quarantine{again}",
        "corrected": "correct an earlier label",
        "repeated": "repeat one",
        "outdated": "are older than what is known and change nothing",
        "late": "came after their window could be judged",
        "missing": "predictions of the same scoring runs have no label yet",
    }
    return "".join(f"; {facts[name]} {said}" for name, said in words.items() if facts.get(name))


def _run(event: RunRejected | RunFailed, where: Where) -> str:
    return f"Run: {where.object(paths.run_outcome(event.model, event.run_id))}"
