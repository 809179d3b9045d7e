"""shadow: a version that scores predictions after the champion while nobody gets its answers."""

from __future__ import annotations

from typing import Any

import click

from shared.beside.second_version import SecondVersion
from shared.cli import contexts
from shared.cli.console import dry_run_option, json_option, nothing_done, say, show_json
from shared.cli.contexts import Context
from shared.cli.decide import decide, reason_option
from shared.cli.named import resolve, shown
from shared.manifests import read_manifest
from shared.usecases.beside.shadowing import plan, running_sentence


@click.group()
def shadow() -> None:
    """A version that scores predictions unseen, after the champion."""


@shadow.command("start")
@click.argument("model")
@click.argument("version")
@click.option("--share", type=float, default=0.1, show_default=True, help="Of the predictions.")
@reason_option
@dry_run_option
@contexts.pass_name
def start_shadow(
    context_name: str, *, model: str, version: str, share: float, reason: str, dry_run: bool
) -> None:
    """Let VERSION score a share of MODEL's predictions; callers get the champion's answers."""
    context = contexts.load(context_name)
    version = resolve(model, version, context.lake)
    context.announce(f"shadow start {model} {shown(model, version, context.lake)}")
    if dry_run:
        now, lake = context.clock.now(), context.lake
        facts = {"share": share}
        second = plan(model, version, facts, by=context.user, reason=reason, now=now, lake=lake)
        say(f"Would say: {running_sentence(model, second)}")
        nothing_done()
        return
    say(decide(context, "shadow-start", model, version, reason, facts={"share": share}))


@shadow.command("status")
@click.argument("model")
@json_option
@contexts.pass_name
def show_shadow(context_name: str, model: str, as_json: bool) -> None:
    """How differently MODEL's shadow would have answered, by the prediction log."""
    from shared.usecases.beside.shadow_look import look_at

    context = contexts.load(context_name)
    running = _running(context, model)
    said, facts = look_at(model, running, now=context.clock.now(), lake=context.lake)
    if as_json:
        body: dict[str, Any] = {**running.to_json(), "features": list(running.features)}
        show_json({"model": model, "shadow": body, "sentence": said, **facts})
        return
    say(running_sentence(model, running))
    rows = f"{facts['compared']:,} of {facts['dealt']:,} rows were scored by both"
    say(f"So far {rows}: {said}." if facts["dealt"] else "The log has no row of it yet.")


@shadow.command("stop")
@click.argument("model")
@reason_option
@dry_run_option
@contexts.pass_name
def stop_shadow(context_name: str, model: str, reason: str, dry_run: bool) -> None:
    """End MODEL's shadow. What it found stays in the prediction log."""
    context = contexts.load(context_name)
    running = _running(context, model)
    context.announce(f"shadow stop {model} {shown(model, running.version, context.lake)}")
    if dry_run:
        nothing_done()
        return
    say(decide(context, "shadow-stop", model, running.id, reason))


def _running(context: Context, model: str) -> SecondVersion:
    manifest = read_manifest(model, lake=context.lake)
    running = manifest.beside if manifest else None
    if running is None or running.kind != "shadow":
        raise click.ClickException(f"no shadow of {model} runs")
    return running
