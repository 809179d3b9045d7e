"""approvals, promote, rollback, pin, unpin: what people decide. The decision itself is made by
promote over HTTPS, which verifies who asks; this only carries the words there."""

from __future__ import annotations

from typing import Any

import click

from shared import approvals as approvals_store
from shared import documents, paths
from shared.cli import contexts
from shared.cli.console import dry_run_option, json_option, nothing_done, show_rows
from shared.cli.contexts import Context
from shared.cli.known import unknown
from shared.cli.named import resolve, shown
from shared.cli.predict import no_entry, request
from shared.manifests import Manifest, read_manifest
from shared.ports import Bucket
from shared.spec.registry import find_spec
from shared.usecases.decisions import nothing_before
from shared.versions import number_of

reason_option = click.option("--reason", default="", help="Why; it is recorded.")


def decide(
    context: Context,
    action: str,
    model: str,
    version: str,
    reason: str,
    *,
    facts: dict[str, Any] | None = None,
) -> str:
    """What promote answers. Raises ClickException with its reason when it refuses, or when nobody
    agrees in production."""
    context.agree(model)
    body: dict[str, Any] = {"model": model, "version": version, "action": action, "reason": reason}
    body |= {"facts": facts} if facts else {}
    url = f"{context.config.promote_url}/decide"
    status, answer = request("POST", url, body, context.authorization(url))
    sentence = answer.get("sentence") if isinstance(answer, dict) else None
    if status != 200 or sentence is None or not answer.get("ok"):
        told = sentence or no_entry(context, "promote", status)
        raise click.ClickException(str(told or f"promote answered {status}: {answer!s:.300}"))
    return str(sentence)


def _carry(
    context_name: str, action: str, model: str, version: str, *, reason: str, dry_run: bool
) -> None:
    context = contexts.load(context_name)
    lake = context.lake
    manifest = read_manifest(model, lake=lake)
    if manifest is None and not version:
        known = find_spec(model, lake=lake) is not None
        raise click.ClickException(f"{model} has no champion" if known else unknown(model, lake))
    if action == "rollback":  # named, so that a repeat does not roll back further
        version = manifest.version if manifest else ""
        if manifest is not None and manifest.replaced is None:
            raise click.ClickException(nothing_before(model, version))
    elif version:
        version = resolve(model, version, lake, also=_questions(model, lake))
    context.announce(f"{action} {model}: {_effect(action, model, version, manifest, lake)}")
    if dry_run:
        nothing_done()
    else:
        click.echo(decide(context, action, model, version, reason))


def _questions(model: str, lake: Bucket) -> list[str]:
    """What waits for an answer: specs have no version, and a version may not be complete."""
    return [item.version for item in approvals_store.every(model, lake=lake)]


def _effect(action: str, model: str, version: str, manifest: Manifest | None, lake: Bucket) -> str:
    """What would be different afterwards."""
    if action in ("pin", "unpin"):
        return _held(action, pinned=bool(manifest and manifest.pinned))
    if action == "decline":
        return shown(model, version, lake)
    generation = paths.generation_asked(version)
    if generation is not None:
        return f"spec generation {generation} comes into force"
    if action == "approve" and manifest and _by_steps(model, manifest, lake):
        return f"{shown(model, version, lake)} comes in by steps (serving.canary)"
    now, then = manifest.version if manifest else None, version
    if action == "rollback":
        then = (manifest.replaced if manifest else None) or ""
    if now == then:
        return f"{shown(model, now, lake)} serves already"
    pinned = ", and automation is held" if action == "rollback" else ""
    return f"{shown(model, then, lake)} serves instead of {shown(model, now, lake)}{pinned}"


def _by_steps(model: str, manifest: Manifest, lake: Bucket) -> bool:
    """True where an approval begins a canary, if traffic and packages allow one."""
    spec = find_spec(model, lake=lake)
    tried = manifest.beside is not None and manifest.beside.kind == "canary"
    return spec is not None and spec.spec.serving.canary is not None and not tried


def _held(action: str, *, pinned: bool) -> str:
    if pinned == (action == "pin"):
        return f"it is {action}ned already"
    return f"a better version {'asks a person' if action == 'pin' else 'is promoted by policy'}"


@click.group()
def approvals() -> None:
    """Versions and specs that wait for a person."""


@approvals.command("list")
@click.argument("model", default="")
@click.option("--all", "everything", is_flag=True, help="Decided ones too.")
@json_option
@contexts.pass_name
def list_approvals(context_name: str, model: str, everything: bool, as_json: bool) -> None:
    """What waits for a decision."""
    rows = approval_rows(contexts.load(context_name).lake, model, everything=everything)
    show_rows(rows, as_json=as_json, empty="Nothing waits for a person.")


def approval_rows(lake: Bucket, model: str, *, everything: bool = False) -> list[dict[str, Any]]:
    return [
        {
            "model": item.model,
            "version": item.version,
            "semantic_version": number_of(item.model, item.version, lake=lake),
            "asked": item.requested_at,
            "expires": documents.timestamp(item.expires_at),
            "decision": (item.decision or {}).get("action"),
            "why": item.sentence,
        }
        for item in approvals_store.every(model, lake=lake)
        if everything or item.pending
    ]


def _decision(action: str, text: str) -> click.Command:
    @click.command(action, help=text)
    @click.argument("model")
    @click.argument("version")
    @reason_option
    @dry_run_option
    @contexts.pass_name
    def command(context_name: str, model: str, version: str, reason: str, dry_run: bool) -> None:
        _carry(context_name, action, model, version, reason=reason, dry_run=dry_run)

    return command


for name, effect in (
    ("approve", "Let a waiting version serve, or a spec (spec-3) come into force."),
    ("decline", "Keep the champion, or the spec in force."),
):
    approvals.add_command(_decision(name, effect))


def _for_model(action: str, text: str) -> click.Command:
    @click.command(action, help=text)
    @click.argument("model")
    @reason_option
    @dry_run_option
    @contexts.pass_name
    def command(context_name: str, model: str, reason: str, dry_run: bool) -> None:
        _carry(context_name, action, model, "", reason=reason, dry_run=dry_run)

    return command


promote = _decision("promote", "Let a stored version serve now, whatever was decided before.")
rollback = _for_model("rollback", "Put the previous version back and pin it until `unpin`.")
pin = _for_model("pin", "Hold automation: a newer version then asks a person.")
unpin = _for_model("unpin", "Let automation go on.")
