"""approvals, versions, rollback, pin, unpin: what people decide. The decision itself is made by
promote over HTTPS, which verifies who asks; this only carries the words there."""

from __future__ import annotations

from typing import Any

import click

from shared import approvals as approvals_store
from shared import documents, paths
from shared.cli import contexts
from shared.cli.console import dry_run_option, json_option, nothing_done, show_rows
from shared.cli.contexts import Context
from shared.cli.known import did_you_mean
from shared.cli.predict import request
from shared.manifests import read_manifest
from shared.ports import Bucket

reason_option = click.option("--reason", default="", help="Why; it is recorded.")


def decide(context: Context, action: str, model: str, version: str, reason: str) -> str:
    """What promote answers. Raises ClickException with its reason when it refuses."""
    body = {"model": model, "version": version, "action": action, "reason": reason}
    status, answer = request(
        "POST", f"{context.config.promote_url}/decide", body, {"X-Millrace-User": context.user}
    )
    sentence = answer.get("sentence") if isinstance(answer, dict) else None
    if status != 200 or not answer.get("ok"):
        raise click.ClickException(str(sentence or f"promote answered {status}: {answer!s:.300}"))
    return str(sentence)


def _carry(
    context_name: str, action: str, model: str, version: str, *, reason: str, dry_run: bool
) -> None:
    context = contexts.load(context_name)
    if action == "rollback":  # named, so that a repeat does not roll back further
        manifest = read_manifest(model, lake=context.lake)
        version = manifest.version if manifest else ""
    context.announce(f"{action} {model} {version}".rstrip())
    if dry_run:
        nothing_done()
    else:
        click.echo(decide(context, action, model, version, reason))


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
            "asked": item.requested_at,
            "expires": documents.timestamp(item.expires_at),
            "decision": (item.decision or {}).get("action"),
            "why": item.sentence,
        }
        for item in approvals_store.every(model, lake=lake)
        if everything or item.pending
    ]


def _decision(group: click.Group, action: str, text: str) -> None:
    @group.command(action, help=text)
    @click.argument("model")
    @click.argument("version")
    @reason_option
    @dry_run_option
    @contexts.pass_name
    def command(context_name: str, model: str, version: str, reason: str, dry_run: bool) -> None:
        _carry(context_name, action, model, version, reason=reason, dry_run=dry_run)


_decision(approvals, "approve", "Let a waiting version serve, or a spec (spec-3) come into force.")
_decision(approvals, "decline", "Keep the champion, or the spec in force.")


@click.group()
def versions() -> None:
    """Model versions and how they were decided."""


_decision(versions, "promote", "Let a stored version serve, whatever was decided before.")


@versions.command("list")
@click.argument("model")
@json_option
@contexts.pass_name
def list_versions(context_name: str, model: str, as_json: bool) -> None:
    """All stored versions of a model, newest first."""
    lake = contexts.load(context_name).lake
    empty = f"{model} has no versions. {did_you_mean(model, lake).capitalize()}".rstrip()
    show_rows(version_rows(lake, model), as_json=as_json, empty=empty)


def version_rows(lake: Bucket, model: str) -> list[dict[str, Any]]:
    manifest = read_manifest(model, lake=lake)
    rows = []
    for folder in sorted(lake.folders(paths.version(model, "").rstrip("/") + "/"), reverse=True):
        version = folder.rstrip("/").rpartition("/")[2]
        body = documents.read(lake, paths.version(model, version, "version.json")).body
        decision = documents.read(lake, paths.version(model, version, "decision.json")).body
        comparison = documents.read(lake, paths.version(model, version, "comparison.json")).body
        rows.append(
            {
                "version": version,
                "champion": bool(manifest and manifest.version == version),
                "candidate": body.get("candidate"),
                "metric": comparison.get("metric"),
                "value": comparison.get("challenger"),
                "decision": decision.get("action", "undecided"),
                "by": decision.get("by"),
                "why": decision.get("sentence"),
            }
        )
    return rows


def _for_model(action: str, text: str) -> click.Command:
    @click.command(action, help=text)
    @click.argument("model")
    @reason_option
    @dry_run_option
    @contexts.pass_name
    def command(context_name: str, model: str, reason: str, dry_run: bool) -> None:
        _carry(context_name, action, model, "", reason=reason, dry_run=dry_run)

    return command


rollback = _for_model("rollback", "Put the previous version back and pin it until `unpin`.")
pin = _for_model("pin", "Hold automation: a newer version then asks a person.")
unpin = _for_model("unpin", "Let automation go on.")
