"""forget: erase what the lake and the inbox hold about one person. Whoever runs it needs the role
`erasers`; the system's own service accounts have no part in it."""

from __future__ import annotations

from typing import Any, cast

import click

from shared.cli import contexts
from shared.cli.console import dry_run_option, json_option, nothing_done, say, show_json, show_rows
from shared.cli.known import unknown
from shared.errors import InProgress, Retryable
from shared.ports import VersionedBucket
from shared.spec.model import Spec
from shared.spec.registry import find_spec
from shared.usecases.forgetting.forget import Asked
from shared.usecases.forgetting.forget import forget as forget_person
from shared.usecases.forgetting.subject import Subject


@click.command()
@click.argument("model")
@click.option("--key", default="", help="The person's value of the key column.")
@click.option("--key-column", default="", help="Without it what the spec calls the key.")
@click.option("--prediction-id", default="", help="Instead of a key: one prediction, its row.")
@click.option("--reason", default="", help="Why; it is kept. Name nobody in it.")
@dry_run_option
@json_option
@contexts.pass_name
def forget(
    context_name: str,
    *,
    model: str,
    key: str,
    key_column: str,
    prediction_id: str,
    reason: str,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Empty every row about one person: files, datasets, predictions, logs, labels, quarantine.

    It wants a --reason, but for a --dry-run.

    Killed on the way, or told to: run it again. What stays and why is said at the end.
    """
    if not (dry_run or reason.strip()):
        raise click.UsageError("say why, with --reason; only --dry-run needs none")
    context = contexts.load(context_name)
    registered = find_spec(model, lake=context.lake)
    if registered is None:
        raise click.ClickException(unknown(model, context.lake))
    if bool(key.strip()) == bool(prediction_id.strip()):
        raise click.UsageError("name the person by --key or by --prediction-id")
    column = (key_column or _column(registered.spec)) if key else ""
    if key and not column:
        raise click.UsageError(f"the spec of {model} names no key; say --key-column")
    what = f"the {column} that you named" if key else "one prediction"
    context.announce(f"forget {what} in everything about {model}")
    if not dry_run:
        context.agree(model)
    subject = Subject(model, column, key.strip(), {prediction_id.strip()} - {""})
    try:
        body = forget_person(
            subject,
            Asked(context.user, reason),
            lake=context.lake,
            inbox=cast("VersionedBucket", context.inbox),
            clock=context.clock,
            dry=dry_run,
        )
    except (InProgress, Retryable) as error:
        raise click.ClickException(str(error)) from error
    if as_json:
        show_json(body)
    else:
        _tell(body, context.lake.name)
    if dry_run:
        nothing_done()


def _column(spec: Spec) -> str:
    return spec.key or spec.labels.key or ""


def _tell(body: dict[str, Any], lake: str) -> None:
    if not body["found"]:
        say("Nothing was found.")
    show_rows(body["erased"], as_json=False, empty="No row is theirs.")
    drops = len(body["inbox_generations"])
    if drops:
        say(f"\nDrops in the inbox, deleted with their generations: {drops}")
    for folder in body["deleted"]:
        say(f"also emptied or deleted: gs://{lake}/{folder}")
    say("\nNot in reach")
    for sentence in body["remains"]:
        say(f"  {sentence}")
    if body["state"] == "done":
        say(f"\nReport, without a personal value: gs://{lake}/forgotten/{body['id']}.json")
