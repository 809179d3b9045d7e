"""mute, unmute, mutes: what people do not want to hear at once for a while. promote records who."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any

import click

from shared import mutes as mutes_store
from shared.cli import contexts
from shared.cli.console import dry_run_option, json_option, nothing_done, show_json, show_rows
from shared.cli.contexts import Context
from shared.cli.decide import decide, reason_option
from shared.cli.known import unknown
from shared.serving.times import format_duration, parse_duration
from shared.spec.registry import find_spec
from shared.telling.kinds import MUTABLE, WATCHED

kind_option = click.option(
    "--kind",
    type=click.Choice(MUTABLE),
    help=f"Only this kind; without it {', '.join(WATCHED)}.",
)


@dataclass(frozen=True, slots=True)
class _Options:
    """`what` is muted, in words."""

    what: str
    reason: str
    dry_run: bool
    as_json: bool


class Duration(click.ParamType[timedelta]):
    """`7d`, `12h`, `30m`."""

    name = "duration"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> timedelta:
        try:
            return parse_duration(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


@click.command()
@click.argument("model")
@click.option("--for", "lasts", type=Duration(), required=True, help="How long: 7d, 12h, 30m.")
@kind_option
@reason_option
@dry_run_option
@json_option
@contexts.pass_name
def mute(
    context_name: str,
    *,
    model: str,
    lasts: timedelta,
    kind: str | None,
    reason: str,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Keep alerts of MODEL for the daily digest instead of telling them at once, for a while."""
    facts = {"for": format_duration(lasts), "kind": kind or ""}
    what = f"{kind or ', '.join(WATCHED)} for {format_duration(lasts)}"
    options = _Options(what, reason, dry_run=dry_run, as_json=as_json)
    _carry(context_name, "mute", model, facts, options=options)


@click.command()
@click.argument("model")
@kind_option
@dry_run_option
@json_option
@contexts.pass_name
def unmute(
    context_name: str, model: str, kind: str | None, *, dry_run: bool, as_json: bool
) -> None:
    """Hear alerts of MODEL at once again."""
    facts = {"kind": kind or ""}
    what = kind or "everything"
    options = _Options(what, "", dry_run=dry_run, as_json=as_json)
    _carry(context_name, "unmute", model, facts, options=options)


def _carry(
    context_name: str, action: str, model: str, facts: dict[str, Any], *, options: _Options
) -> None:
    context = contexts.load(context_name)
    if find_spec(model, lake=context.lake) is None:
        raise click.ClickException(unknown(model, context.lake))
    context.announce(f"{action} {model}: {options.what}")
    if options.dry_run:
        nothing_done()
        return
    sentence = decide(context, action, model, "", options.reason, facts=facts)
    if options.as_json:
        show_json({"sentence": sentence, "mutes": mute_rows(context, model)})
    else:
        click.echo(sentence)


@click.group()
def mutes() -> None:
    """What is muted, by whom, until when."""


@mutes.command("list")
@click.argument("model", default="")
@json_option
@contexts.pass_name
def list_mutes(context_name: str, model: str, as_json: bool) -> None:
    """Mutes in force, of MODEL or of all."""
    context = contexts.load(context_name)
    if model and find_spec(model, lake=context.lake) is None:
        raise click.ClickException(unknown(model, context.lake))
    rows = mute_rows(context, model)
    show_rows(rows, as_json=as_json, empty="Nothing is muted.")


def mute_rows(context: Context, model: str = "") -> list[dict[str, Any]]:
    now = context.clock.now()
    return [
        {**asdict(item), "kind": item.what}
        for item in mutes_store.every(now=now, lake=context.lake, model=model)
    ]
