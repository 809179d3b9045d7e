"""status: models, what serves, what runs, what waits."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import click

from shared import approvals, mutes, paths, runs
from shared.cli import contexts
from shared.cli.batching import open_batches
from shared.cli.console import json_option, say, show_json, show_rows
from shared.cli.known import unknown
from shared.lane import read_lane
from shared.manifests import read_manifest
from shared.ports import Bucket
from shared.spec.registry import find_spec, known_models

LATEST = 10


@click.command()
@click.argument("model", required=False)
@json_option
@contexts.pass_name
def status(context_name: str, model: str | None, as_json: bool) -> None:
    """All models at a glance, or one MODEL with its latest runs."""
    context = contexts.load(context_name)
    lake = context.lake
    if model is None:
        rows = [model_row(name, lake) for name in known_models(lake=lake)]
        show_rows(
            rows, as_json=as_json, empty="No models yet. Try: ./millrace try my.csv --target y"
        )
        return
    if find_spec(model, lake=lake) is None and not run_ids(model, lake):
        raise click.ClickException(unknown(model, lake))
    row, recent = model_row(model, lake), run_rows(model, lake)
    muted = list(mutes.every(now=context.clock.now(), lake=lake, model=model))
    if as_json:
        show_json({**row, "muted": [asdict(item) for item in muted], "runs": recent})
        return
    show_rows([row], as_json=False)
    for item in muted:
        say(f"{item.what} muted until {item.until} by {item.by}")
    click.echo()
    show_rows(recent, as_json=False, title="Latest runs", empty="No runs yet.")


def model_row(model: str, lake: Bucket) -> dict[str, Any]:
    registered = find_spec(model, lake=lake)
    manifest = read_manifest(model, lake=lake)
    running = manifest.beside if manifest else None
    lane, _ = read_lane(model, lake=lake)
    pending = [item.version for item in approvals.every(model, lake=lake) if item.pending]
    return {
        "model": model,
        "task": registered.spec.task if registered else None,
        "spec": registered.generation if registered else None,
        "champion": manifest.version if manifest else None,
        "semantic_version": manifest.semantic_version if manifest else None,
        "promoted_at": manifest.promoted_at if manifest else None,
        "pinned": manifest.pinned if manifest else False,
        "experiment": None,
        **({running.kind: running.id} if running else {}),
        "challenger": running.version if running else None,
        "running": [f"{slot.kind} {slot.run_id}" for slot in lane.slots],
        "waiting": [
            *(f"{item.kind} {item.run_id}" for item in lane.waiting),
            *open_batches(model, lake=lake),
        ],
        "approvals": pending,
    }


def run_ids(model: str, lake: Bucket) -> list[str]:
    """All runs of a model, newest first (run ids start with their time)."""
    folders = lake.folders(paths.run(model, "").rstrip("/") + "/")
    return sorted((folder.rstrip("/").rpartition("/")[2] for folder in folders), reverse=True)


def run_rows(model: str, lake: Bucket, *, count: int = LATEST) -> list[dict[str, Any]]:
    rows = []
    for run_id in run_ids(model, lake)[:count]:
        history = runs.history(model, run_id, lake=lake)
        state = runs.fold(history)
        kinds = [event["facts"]["kind"] for event in history if "kind" in event["facts"]]
        kind = "spec" if state.state == "spec_registered" else kinds[0] if kinds else None
        rows.append({"run": run_id, "kind": kind, "state": state.state, "since": state.since})
    return rows
