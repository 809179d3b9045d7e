"""A run's history in words, and what a person can do next. Pure: documents in, sentences out."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping
from typing import Any

from shared.cli.console import WHY, safe, shown_command
from shared.reporting import letter
from shared.reporting.letter import moment
from shared.runs import REPLAYED_BY
from shared.telling.outcomes import about_labels
from shared.uploads import name_of

# Transitions that read better as a sentence; {names} are facts of the transition.
SENTENCES = {
    "requested": "accepted as a {kind} run",
    "waiting-spec": "the model has no spec; waiting for one{deadline}",
    "waiting-sources": "waiting for the other files of batch {batch}",
    "joined-batch": "{why}",
    "waiting-champion": "waiting for a champion to score with",
    "queued": "waiting for its turn (one training at a time, two others beside it)",
    "trained": "trained version {version}",
    "compared": "compared: {sentence}",
    "comparison-completed": "compared again with today's champion",
    "scored": "scored {rows} rows ({errors} of them with an error)",
    "labelled": "recorded {rows} labels, {matched} of them for predictions we made{about}",
    "rejected": "rejected: {message}",
    "failed": "failed: {message}",
    "promoted": "promoted by {by}: {sentence}",
    "not-promoted": "not promoted ({by}): {sentence}",
    "approval-requested": "needs a person: {sentence}",
    "canary-started": "comes in by steps. {sentence}",
    "superseded": "superseded: {why}",
    "expired": "expired: {why}",
    "declined": "declined by {by}: {why}",
    "duplicate": "{why}",
    "spec-registered": "spec generation {generation} is in force",
}
AGAIN = "Correct the file and drop it again; a new upload is a new run."
# Where it is not the file that has to be corrected.
INSTEAD = {
    "BadSpec": "Correct the spec and drop it; then drop the data again.",
    "BadSql": "Correct the spec and drop it; then drop the data again.",
    "NotRelearnable": "The loop asked for it, and the champion serves on. Drop a training file.",
    "DataStopped": "Change the spec as it says, drop the spec, then the file again.",
    "BatchClosed": "Drop all files of the batch again, in a batch of another name.",
    "SourceMissing": "Drop all files of the batch again, in a batch of another name.",
    "UnknownModel": "Drop the model's spec, then the file again; or was its name misspelled?",
    "UnknownSource": "Drop the file again at the place it says.",
}
MAX_FINDINGS = 5
GOOD = frozenset(
    {"promoted", "scored", "labelled", "spec_registered", "compared", "duplicate", "joined"}
)
TURNS = frozenset({"queued", "waiting_for_champion", "waiting_for_spec", "waiting_for_sources"})


class _Facts(dict[str, Any]):
    def __missing__(self, key: str) -> str:
        return "-"


def sentence(event: Mapping[str, Any]) -> str:
    """One line for one transition of a history, safe to print."""
    facts = event.get("facts") or {}
    if event["name"] == "joined":
        return safe(_joined(facts))
    if event["name"] == "scored" and nothing_scored(facts):
        return f"none of the {facts['rows']} rows has a score: each has an error instead"
    return safe(_sentence(event))


def _sentence(event: Mapping[str, Any]) -> str:
    name, facts = str(event["name"]), dict(event.get("facts") or {})
    if name == "requested" and facts.get("replays"):
        return f"accepted as a train run that replays corrected rows of {facts['replays']}"
    if name.startswith(REPLAYED_BY):
        return f"its corrected rows were replayed: run {facts.get('run_id', '-')}"
    if name == "waiting-spec" and "until" in facts:  # older runs did not note it
        facts["deadline"] = f" until {moment(str(facts['until']))}, then it is refused"
    if name == "labelled":
        facts["about"] = about_labels(facts)
    if name in SENTENCES:
        return SENTENCES[name].format_map(_Facts({"deadline": "", **facts}))
    if name.startswith("started-"):
        again = "" if name == "started-1" else f" again (attempt {name[8:]})"
        return f"job started{again}: {facts.get('execution', facts.get('job', '-'))}"
    if isinstance(facts.get("sentence"), str):
        return str(facts["sentence"])
    shown = [f"{key} {_short(value)}" for key, value in facts.items() if _is_plain(value)]
    words = name.replace("-", " ").replace("_", " ")
    return f"{words}: {', '.join(shown[:4])}" if shown else words


def nothing_scored(facts: Mapping[str, Any]) -> bool:
    """Whether a file came back with an error in every row: done, and of no use to anybody."""
    rows = facts.get("rows")
    return bool(rows) and facts.get("errors") == rows


def _joined(sources: Mapping[str, Any]) -> str:
    """Which sources came, and for how many rows of the primary they hold something."""
    shown = []
    for name, found in sources.items():
        if not isinstance(found, Mapping):
            continue
        share = found.get("match_rate")
        rows = f"{_short(found.get('rows', 0))} rows of {name}"
        shown.append(
            f"without {name}, whose columns are missing in every row"
            if share is None
            else f"{rows} (found for {share:.1%} of the rows)"
        )
    return f"joined: {', '.join(shown)}" if shown else "joined"


def _is_plain(value: object) -> bool:
    return (
        isinstance(value, str | int | float) and value not in ("", False) and len(str(value)) < 60
    )


def _short(value: object) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _shell(text: object) -> str:
    return shlex.quote(safe(str(text)))


def _place(facts: Mapping[str, Any]) -> list[str]:
    """What `drop` is told about another file of the batch. That of the primary source alone shows
    in its columns whether it is to train or to score, so the kind is named."""
    batch = ["--batch", _shell(facts.get("batch", "-"))]
    parts = name_of(str(facts.get("source", ""))).split("/")
    kind = parts[1] if len(parts) > 1 else ""
    return [*batch, "--as", kind] if kind in ("train", "score") else batch


def _deadline(facts: Mapping[str, Any]) -> list[str]:
    """Until when a file waits for a spec; runs of before that was noted do not know."""
    if "until" not in facts:
        return []
    until = moment(str(facts["until"]))
    return [f"Without a spec by {until} the file is refused, and has to be dropped again."]


def left_open(events: Iterable[Mapping[str, Any]]) -> list[str]:
    """What the checks warned of in the data of a run, each with its advice."""
    found = [
        finding
        for event in events
        for finding in (event.get("facts") or {}).get("findings", ())
        if finding.get("level") == "warn"
    ]
    more = [f"and {len(found) - MAX_FINDINGS} more, on its data card."]
    return [
        *(
            safe(f"The checks warned: {one['sentence']}. {one['advice']}")
            for one in found[:MAX_FINDINGS]
        ),
        *(more if len(found) > MAX_FINDINGS else ()),
    ]


def next_steps(
    model: str,
    run_id: str,
    state: str,
    facts: Mapping[str, Any],
    *,
    kind: str,
    context: str,
    lake: str,
) -> list[str]:
    """What a person can do about a run in this state, as sentences and commands. `lake` is the
    bucket's name."""

    def command(*parts: str) -> str:
        return shown_command(*parts, context=context)

    version = str(facts.get("version") or run_id)
    decided = f"How it was decided: {command('decision', 'show', version)}"
    at_once = command("versions", "promote", model, version, *WHY)
    promote = f"To serve it all the same: {at_once}"
    nothing = facts.get("serving", "unknown") is None
    goes_on = letter.HELP if nothing else "What served before goes on."
    look = [f"Look again: {command('why', run_id)}"]
    log = str(facts.get("execution") or "jobs")
    mend = [
        f"Look at the bad rows: {command('quarantine', 'show', run_id)}",
        f"or correct only them:  {command('quarantine', 'export', run_id)}",
    ]
    scores = f"gs://{lake}/{facts.get('output', '')}"
    steps: dict[str, list[str]] = {
        "promoted": [f"Ask it: {command('predict', model, '--example')}", decided],
        "not_promoted": [goes_on, promote, decided],
        "awaiting_approval": [
            f"What the rules found: {command('decision', 'show', version)}",
            f"Say yes: {command('approvals', 'approve', model, version, *WHY)}",
            f"or no:   {command('approvals', 'decline', model, version, *WHY)}",
        ],
        "in_canary": [
            f"How it does: {command('canary', 'status', model)}",
            f"To stop it: {command('canary', 'stop', model, *WHY)}",
            f"To let it answer everything now: {at_once}",
        ],
        "rejected": [
            *(mend if facts.get("reason") == "TooManyBadRows" else []),
            INSTEAD.get(str(facts.get("reason")), AGAIN),
        ],
        "failed": [
            f"Read the log: {command('logs', log)}",
            "then drop the file again with --force.",
        ],
        "scored": [f"Read in its column `error` why: {command('get', scores)}", AGAIN]
        if nothing_scored(facts)
        else [
            f"Read it: {command('get', scores)}",
            f"Judge the windows that are due: {command('tick', 'monitor')}",
        ],
        "labelled": [f"Judge the windows they belong to: {command('tick', 'monitor')}"],
        "joined": [f"See that run: {command('why', str(facts.get('run_id', '-')))}"],
        "waiting_for_sources": [
            "Drop the others: " + command("drop", "FILE", "--model", model, *_place(facts))
        ],
        "duplicate": [f"See that run: {command('why', str(facts.get('same_as', '-')))}"],
        "waiting_for_spec": [
            *_deadline(facts),
            f"Is {model} spelled right? The models there are: {command('status')}",
            "Draft a spec from a file that has the target: "
            + command("init", "FILE", "--target", "COLUMN", "-o", f"{model}.yaml"),
            f"then drop it: {command('drop', f'{model}.yaml', '--model', model)}",
        ],
        "waiting_for_champion": [
            f"Train one: {command('drop', 'FILE', '--model', model, '--as', 'train')}"
        ],
        "expired": [promote] if kind == "train" else ["Drop the file again."],
        "superseded": [
            "A later one took its place. What only this file held (mended rows, for example) is in "
            "no model: drop it again if it matters, mended rows onto the later run."
            if kind == "train"
            else "A later one took its place; nothing to do."
        ],
        "declined": [f"What is in force: {command('spec', 'show', model)}"],
        "queued": look,
        "running": look,
    }
    return steps.get(state, [])
