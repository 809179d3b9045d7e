"""decision: how one version was decided, as a short letter. Nothing is decided here."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from typing import Any

import click

from shared import approvals, documents, paths, runs
from shared.approvals import Approval
from shared.cli import contexts, words
from shared.cli.console import WHY, json_option, say, show_json, shown_command
from shared.cli.named import resolve
from shared.cli.why import find_run
from shared.manifests import Manifest, read_manifest
from shared.moves import trail
from shared.ports import Bucket
from shared.reporting import letter
from shared.spec.registry import find_spec
from shared.usecases.beside.canarying import running_sentence
from shared.usecases.judging import judge_as_compared
from shared.versions import version_ids

WIDTH = 110
PAPERS = ("card.html", "data-card.html", "decision.md", "comparison.json")


@click.group()
def decision() -> None:
    """How a version was decided, and by which rules."""


@decision.command()
@click.argument("model")
@click.argument("version", default="")
@json_option
@contexts.pass_name
def show(context_name: str, model: str, version: str, as_json: bool) -> None:
    """The decision on VERSION of MODEL (an id, the beginning or end of one, or 1.2.0), as a letter.
    `decision show RUN` works as well, and `decision show MODEL` takes its newest version."""
    lake = contexts.load(context_name).lake
    name, found = find_version(model, version, lake)
    story = tell(name, found, lake, context_name)
    if as_json:
        show_json(story)
        return
    for line in written(story):
        say(line)


def find_version(model: str, version: str, lake: Bucket) -> tuple[str, str]:
    """Model and version of what a person named. Raises ClickException in words."""
    if version:
        return model, resolve(model, version, lake)
    if paths.is_model_name(model) and find_spec(model, lake=lake) is not None:
        versions = version_ids(model, lake=lake)
        if not versions:
            raise click.ClickException(f"{model} has no versions yet")
        return model, versions[0]
    owner, run_id = find_run(model, lake)
    request = documents.read(lake, paths.run_request(owner, run_id)).body
    # A comparison decides about the version that it compared.
    run_id = str(request.get("version") or run_id)
    if not documents.read(lake, paths.version(owner, run_id, "comparison.json")).exists:
        look = shown_command("why", run_id)
        kind = request.get("kind", "spec")
        raise click.ClickException(f"the {kind} run {run_id} made no version to decide; see {look}")
    return owner, run_id


def tell(model: str, version: str, lake: Bucket, context_name: str) -> dict[str, Any]:
    """Everything about the decision as one document."""
    body = documents.read(lake, paths.version(model, version, "decision.json")).body
    about = documents.read(lake, paths.version(model, version, "version.json")).body
    approval = approvals.find(model, version, lake=lake)
    manifest = read_manifest(model, lake=lake)
    champion = manifest.version if manifest else None
    if not body:
        body = _undecided(model, version, manifest, approval, lake)
    moves = [
        move.to_json()
        for move in trail(model, manifest.journal if manifest else (), lake=lake)
        if version in (move.version, move.previous) and move.moves_champion
    ]
    there = {info.name for info in lake.list(paths.version(model, version))}
    return {
        **body,
        "semantic_version": about.get("semantic_version"),
        "champion": champion,
        "asked_at": approval.requested_at if approval else None,
        "expires_at": documents.timestamp(approval.expires_at) if approval else None,
        "moves": [move for move in moves if move["revision"] != body.get("revision")],
        "papers": [
            shown_command("get", f"{version}/{name}", context=context_name)
            for name in PAPERS
            if paths.version(model, version, name) in there
        ],
        "next": [
            *words.left_open(runs.history(model, version, lake=lake)),
            *_next(model, version, str(body["action"]), manifest, context_name),
        ],
    }


def _undecided(
    model: str, version: str, manifest: Manifest | None, approval: Approval | None, lake: Bucket
) -> dict[str, Any]:
    """How it stands with a version that has no decision yet."""
    pinned, running = bool(manifest and manifest.pinned), manifest.beside if manifest else None
    verdict = judge_as_compared(model, version, pinned=pinned, lake=lake)
    found = verdict.as_dict() if verdict else {"rules": [], "sentence": ""}
    action, sentence = "undecided", found["sentence"]
    if approval is not None and approval.pending:
        action, sentence = "asked", approval.sentence
    elif running is not None and running.kind == "canary" and running.version == version:
        action, sentence = "in_canary", f"{running.reason} {running_sentence(model, running)}"
    return {
        "model": model,
        "version": version,
        "action": action,
        "serving": manifest.version if manifest else None,
        "sentence": sentence,
        "rules": found["rules"],
    }


def _next(
    model: str, version: str, action: str, manifest: Manifest | None, context: str
) -> Iterator[str]:
    def command(*parts: str) -> str:
        return shown_command(*parts, context=context)

    if action == "asked":
        yield f"Say yes: {command('approvals', 'approve', model, version, *WHY)}"
        yield f"or no:   {command('approvals', 'decline', model, version, *WHY)}"
    elif action == "in_canary":
        yield f"How it does: {command('canary', 'status', model)}"
    elif manifest is not None and manifest.version == version:
        if manifest.replaced is not None:
            yield f"It serves. To put {manifest.replaced} back: {command('rollback', model)}"
        else:
            another = command("versions", "promote", model, "VERSION", *WHY)
            yield f"It serves, and replaced no other. To let another one serve: {another}"
    elif action == "undecided":
        yield f"See what it waits for: {command('why', version)}"
    else:
        if manifest is None:
            yield letter.HELP
        promote = command("versions", "promote", model, version, *WHY)
        yield f"To let it serve all the same: {promote}"


# --- the letter ----------------------------------------------------------------------------------


def written(story: Mapping[str, Any]) -> Iterator[str]:
    """The letter, line by line."""
    number = f" ({story['semantic_version']})" if story["semantic_version"] else ""
    yield f"Decision on {story['model']}, version {story['version']}{number}"
    yield ""
    yield letter.outcome(story)
    if story.get("by"):
        yield letter.by_whom(story)
    elif story["action"] == "asked":
        asked, expires = (letter.moment(str(story[key])) for key in ("asked_at", "expires_at"))
        yield f"Asked on {asked}; the question expires on {expires}."
    yield ""
    yield from _wrapped(story["sentence"], "  ")
    said = letter.policy_said(story)
    if said:
        yield ""
        yield from _wrapped(said, "  ")
    yield from _rule_lines(story["rules"])
    yield from _move_lines(story)
    if story["papers"]:
        yield "\nTo read"
        yield from (f"  {paper}" for paper in story["papers"])
    yield "\nWhat next"
    yield from (f"  {step}" for step in story["next"])


def _rule_lines(rules: list[Mapping[str, Any]]) -> Iterator[str]:
    if not rules:
        return
    decided = " (-> decides)" if any(rule.get("decides") for rule in rules) else ""
    yield f"\nRule by rule{decided}"
    width = max(len(str(rule["name"])) for rule in rules)
    for rule in rules:
        arrow = "->" if rule.get("decides") else "  "
        head = f"{arrow} {letter.mark(rule):<6}  {rule['name']:<{width}}  "
        yield from _wrapped(str(rule["sentence"]), head)


def _wrapped(text: str, head: str) -> list[str]:
    """Lines of a paragraph that begins with `head`; the others begin below its text."""
    one_line = " ".join(text.split()).replace(" %", "\u00a0%")  # not apart from its number
    return textwrap.wrap(
        one_line,
        WIDTH,
        initial_indent=head,
        subsequent_indent=" " * len(head),
        break_long_words=False,
        break_on_hyphens=False,
    )


def _move_lines(story: Mapping[str, Any]) -> Iterator[str]:
    if not story["moves"]:
        return
    yield "\nSince then"
    for move in story["moves"]:
        if move["version"] == story["version"]:
            what = "put back by a rollback" if move["action"] == "rollback" else "promoted"
        else:
            what = f"replaced by {move['version']}"
        why = f": {move['reason']}" if move["reason"] else ""
        yield f"  {letter.moment(str(move['at']))}  {what}, by {move['by']}{why}"
