"""versions: a model's versions side by side, who serves, and every move there ever was."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from shared import documents, paths
from shared.budget import briefly
from shared.cli import contexts, decide
from shared.cli.comparing import compare, facts_of
from shared.cli.console import json_option, safe, say, show_json, show_rows
from shared.cli.known import did_you_mean, unknown
from shared.cli.named import resolve
from shared.cli.tracing import turns_of
from shared.cli.versions_told import (
    about,
    facts_rows,
    later,
    measured_value,
    metrics_rows,
    say_rest,
)
from shared.manifests import read_manifest
from shared.moves import Move, rests_on, trail
from shared.ports import Bucket
from shared.spec.registry import find_spec
from shared.versions import number_of, read_version, version_ids

_WIDE = 12


@click.group()
def versions() -> None:
    """A model's versions. VERSION is an id, the beginning or end of one, or a semantic version
    such as 1.2.0."""


for command in (decide.promote, decide.rollback, decide.pin, decide.unpin):
    versions.add_command(command)


@versions.command("list")
@click.argument("model")
@json_option
@contexts.pass_name
def list_versions(context_name: str, model: str, as_json: bool) -> None:
    """All stored versions of a model, newest first."""
    lake = contexts.load(context_name).lake
    empty = f"{model} has no versions. {did_you_mean(model, lake).capitalize()}".rstrip()
    show_rows(version_rows(lake, model), as_json=as_json, empty=empty)


def turns(model: str, lake: Bucket) -> list[Move]:
    """Every move of the champion, oldest first."""
    manifest = read_manifest(model, lake=lake)
    found = trail(model, manifest.journal if manifest else (), lake=lake)
    return [move for move in found if move.moves_champion]


def version_rows(lake: Bucket, model: str) -> list[dict[str, Any]]:
    manifest, moves = read_manifest(model, lake=lake), turns(model, lake)
    beside = manifest.beside if manifest else None
    tried = beside.version if beside and beside.kind == "canary" else None
    rows = []
    for version in version_ids(model, lake=lake):
        body = read_version(model, version, lake=lake)
        if not body:
            continue  # its training did not finish
        decision = documents.read(lake, paths.version(model, version, "decision.json")).body
        comparison = documents.read(lake, paths.version(model, version, "comparison.json")).body
        rows.append(
            {
                "version": version,
                "semantic_version": body.get("semantic_version"),
                "champion": bool(manifest and manifest.version == version),
                "candidate": body.get("candidate"),
                "metric": comparison.get("metric"),
                "value": comparison.get("challenger"),
                "decision": decision.get(
                    "action", "in_canary" if version == tried else "undecided"
                ),
                "by": decision.get("by"),
                "later": later(turns_of(version, moves), decision),
                "why": briefly(decision.get("sentence") or "") or None,
            }
        )
    return rows


@versions.command("show")
@click.argument("model")
@click.argument("version")
@json_option
@contexts.pass_name
def show_version(context_name: str, model: str, version: str, as_json: bool) -> None:
    """One VERSION: what it is, what it was made of, how it was decided."""
    lake = contexts.load(context_name).lake
    found = facts_of(model, resolve(model, version, lake), lake)
    if as_json:
        show_json({**found, "served": turns_of(found["version"], turns(model, lake))})
        return
    served = turns_of(found["version"], turns(model, lake))
    lines = list(about(found))
    later_on = later(served, found["decision"])
    for name, value in [*lines, *([("later", later_on)] if later_on else [])]:
        if isinstance(value, list):
            for number, item in enumerate(value):
                say(f"{name if not number else '':<{_WIDE}}{safe(str(item))}")
        else:
            say(f"{name:<{_WIDE}}{safe(str(value))}")
    click.echo("\nOn its own holdout")
    measured = found["metrics"].items()
    rows = [{"metric": name, "value": measured_value(name, value)} for name, value in measured]
    show_rows(rows, as_json=False, empty="Not known.")


@versions.command("compare")
@click.argument("model")
@click.argument("first")
@click.argument("second", default="")
@json_option
@contexts.pass_name
def compare_versions(context_name: str, model: str, first: str, second: str, as_json: bool) -> None:
    """Two versions side by side; without SECOND, FIRST beside the champion."""
    lake = contexts.load(context_name).lake
    a = resolve(model, first, lake)
    if second:
        b = resolve(model, second, lake)
    else:
        manifest = read_manifest(model, lake=lake)
        if manifest is None:
            raise click.ClickException(f"{model} has no champion; name a second version")
        a, b = manifest.version, a
    if a == b:
        what = "both are the same version" if second else "it is the champion itself"
        raise click.ClickException(
            f"{first} has nothing to be compared with: {what}; name another one: "
            f"./millrace versions compare {model} {first} OTHER"
        )
    found = compare(model, a, b, lake)
    if as_json:
        show_json(found)
        return
    show_rows(facts_rows(found), as_json=False)
    click.echo()
    show_rows(metrics_rows(found), as_json=False, empty="Neither has metrics.")
    say_rest(found)


@versions.command("history")
@click.argument("model")
@json_option
@contexts.pass_name
def history(context_name: str, model: str, as_json: bool) -> None:
    """Every move of the champion, every pin and unpin: who, when and why. Oldest first."""
    lake = contexts.load(context_name).lake
    rows = history_rows(model, lake)
    if not rows and find_spec(model, lake=lake) is None:
        raise click.ClickException(unknown(model, lake))
    if not as_json:
        rows = [_shown(row) for row in rows]
    show_rows(rows, as_json=as_json, empty=f"{model} has had no champion yet.")


def history_rows(model: str, lake: Bucket) -> list[dict[str, Any]]:
    """Who served from when on and what was said about it, with the objects it rests on."""
    manifest = read_manifest(model, lake=lake)
    rows = []
    for move in trail(model, manifest.journal if manifest else (), lake=lake):
        previous = move.previous
        rows.append(
            {
                **move.to_json(),
                "reason": move.reason or _reason(model, move.version, move.cause, lake),
                "previous_semantic_version": number_of(model, previous, lake=lake)
                if previous
                else None,
                "rests_on": [f"gs://{lake.name}/{name}" for name in rests_on(model, move)],
            }
        )
    return rows


def _reason(model: str, version: str, cause: str, lake: Bucket) -> str:
    """Why a move was made that was recorded before reasons were."""
    body = documents.read(lake, paths.version(model, version, "decision.json")).body
    return str(body.get("sentence", "")) if cause == f"decision:{version}" else ""


def _shown(row: Mapping[str, Any]) -> dict[str, Any]:
    same = row["version"] == row["previous"]
    reason = row["reason"]
    if row.get("challenger"):
        kind = row["action"].partition("-")[0]
        reason = f"{kind} {row[kind]} with challenger {row['challenger']}: {reason}"
    return {
        "revision": row["revision"],
        "at": row["at"],
        "what": row["action"],
        "from": None if same else row["previous_semantic_version"] or row["previous"],
        "to": None if same else row["semantic_version"] or row["version"],
        "pinned": row["pinned"],
        "by": row["by"],
        "why": reason,
    }
