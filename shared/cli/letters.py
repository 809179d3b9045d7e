"""dead-letters: messages that could not be delivered. Replaying posts the parked message to the
one function it came from, in the envelope that Pub/Sub would use."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import click

from shared import documents
from shared.cli import contexts
from shared.cli.console import dry_run_option, json_option, nothing_done, say, show_rows
from shared.cli.contexts import Context
from shared.cli.predict import no_entry, request
from shared.ports import Bucket

PREFIX = "dead-letters/"


@dataclass(frozen=True, slots=True)
class Letter:
    """A parked message as it was read."""

    name: str
    body: Mapping[str, Any]
    generation: int


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
    letters = [_letter(lake, name) for name in names]
    for letter in letters:
        context.announce(f"replay {letter.name} to {letter.body['function']}")
    if dry_run:
        nothing_done()
        return
    context.agree("")
    delivered = [_deliver(context, letter) for letter in letters]
    raise SystemExit(0 if all(delivered) else 1)


def _letter(lake: Bucket, name: str) -> Letter:
    found = documents.read(lake, name)
    if not found.exists:
        raise click.ClickException(f"there is no {name}; see `dead-letters list`")
    return Letter(name, found.body, found.generation)


def _deliver(context: Context, letter: Letter) -> bool:
    """True when its function took it, which is noted on it."""
    function = str(letter.body["function"])
    url = context.function(function)
    status, _ = request("POST", url, envelope(letter.body), context.authorization(url))
    if not 200 <= status < 300:
        told = no_entry(context, function, status) or f"{function} answered {status}"
        say(f"{letter.name}: {told}; it stays parked", err=True)
        return False
    body = {**letter.body, "replayed": documents.timestamp(context.clock.now())}
    documents.swap(context.lake, letter.name, body, generation=letter.generation)
    say(f"{letter.name}: delivered")
    return True


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
