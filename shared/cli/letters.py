"""dead-letters: messages that could not be delivered. Replaying posts the parked message to the
one function it came from, in the envelope that Pub/Sub would use."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

import click

from shared import documents
from shared.cli import contexts
from shared.cli.console import dry_run_option, json_option, nothing_done, show_rows
from shared.cli.predict import request
from shared.ports import Bucket

PREFIX = "dead-letters/"


@click.group()
def dead_letters() -> None:
    """Messages that could not be delivered."""


@dead_letters.command("list")
@click.argument("function", default="")
@json_option
@contexts.pass_name
def list_letters(context_name: str, function: str, as_json: bool) -> None:
    """What is parked, oldest first."""
    rows = letter_rows(contexts.load(context_name).lake, function)
    show_rows(rows, as_json=as_json, empty="No dead letters.")


def letter_rows(lake: Bucket, function: str = "") -> list[dict[str, Any]]:
    prefix = f"{PREFIX}{function}/" if function else PREFIX
    rows = []
    for info in lake.list(prefix):
        body = documents.require(lake, info.name)
        rows.append(
            {
                "parked_at": body["parked_at"],
                "function": body["function"],
                "type": body["attributes"].get("type") or body["attributes"].get("eventType"),
                "model": body["body"].get("model"),
                "replayed": body.get("replayed"),
                "name": info.name,
            }
        )
    return sorted(rows, key=lambda row: str(row["parked_at"]))


@dead_letters.command()
@click.argument("names", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="All that were not replayed yet.")
@dry_run_option
@contexts.pass_name
def replay(context_name: str, names: tuple[str, ...], everything: bool, dry_run: bool) -> None:
    """Deliver parked messages again, each to the function it came from."""
    context = contexts.load(context_name)
    lake = context.lake
    if everything:
        names = tuple(row["name"] for row in letter_rows(lake) if not row["replayed"])
    if not names:
        raise click.UsageError("name what to replay (see `dead-letters list`), or say --all")
    failed = 0
    for name in names:
        letter = documents.read(lake, name)
        if not letter.exists:
            raise click.ClickException(f"there is no {name}; see `dead-letters list`")
        function = str(letter.body["function"])
        context.announce(f"replay {name} to {function}")
        if dry_run:
            continue
        status, _ = request("POST", context.function(function), envelope(letter.body))
        if 200 <= status < 300:
            body = {**letter.body, "replayed": documents.timestamp(context.clock.now())}
            documents.swap(lake, name, body, generation=letter.generation)
            click.echo(f"{name}: delivered")
        else:
            failed += 1
            click.echo(f"{name}: {function} answered {status}; it stays parked", err=True)
    if dry_run:
        nothing_done()
    raise SystemExit(1 if failed else 0)


def envelope(letter: Mapping[str, Any]) -> dict[str, Any]:
    """The push body a subscription would send for this message."""
    data = base64.b64encode(json.dumps(letter["body"]).encode()).decode()
    return {
        "message": {
            "messageId": letter["message_id"],
            "publishTime": letter["published"],
            "attributes": letter["attributes"],
            "data": data,
        },
        "subscription": f"replay/{letter['function']}",
        "deliveryAttempt": 1,
    }
