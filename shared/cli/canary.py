"""canary: a new version that comes in by steps. Promote begins it and sweep judges it; here it is
looked at, and a person may stop it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import click

from shared.beside import canaries
from shared.beside.canaries import Record
from shared.beside.second_version import SecondVersion
from shared.cli import contexts
from shared.cli.canary_none import why_none
from shared.cli.console import (
    WHY,
    dry_run_option,
    json_option,
    nothing_done,
    say,
    show_json,
    shown_command,
)
from shared.cli.contexts import Context
from shared.cli.decide import decide, reason_option
from shared.cli.named import shown
from shared.events import parse_time
from shared.manifests import Manifest, read_manifest
from shared.serving.times import format_duration
from shared.spec.registry import read_spec
from shared.spec.serving import Canary
from shared.usecases.beside.canarying import ended_sentence, is_held, running_sentence


@click.group()
def canary() -> None:
    """A new version that comes in by steps, judged from the prediction log."""


@canary.command("status")
@click.argument("model")
@click.option("--id", "canary_id", default="", help="Another one than the latest.")
@json_option
@contexts.pass_name
def show_canary(context_name: str, model: str, canary_id: str, as_json: bool) -> None:
    """What MODEL's canary does, and how its steps were judged."""
    context = contexts.load(context_name)
    manifest = read_manifest(model, lake=context.lake)
    record = chosen(context, model, manifest, canary_id)
    running = _running(manifest, record)
    record = record.at(running.step) if running else record
    if as_json:
        show_json(_document(record, running, manifest))
        return
    for line in _told(context, record, running, manifest):
        say(line)


@canary.command("stop")
@click.argument("model")
@reason_option
@dry_run_option
@contexts.pass_name
def stop_canary(context_name: str, model: str, reason: str, dry_run: bool) -> None:
    """Take MODEL's canary back: the champion answers everything again."""
    context = contexts.load(context_name)
    manifest = read_manifest(model, lake=context.lake)
    record = chosen(context, model, manifest)
    running = _running(manifest, record)
    if running is None:
        raise click.ClickException(f"no canary of {model} runs. {ended_sentence(record)}")
    kept = shown(model, running.against, context.lake)
    left = shown(model, running.version, context.lake)
    context.announce(f"canary stop {model}: {kept} answers everything, and {left} is not promoted")
    if dry_run:
        nothing_done()
        return
    say(decide(context, "canary-stop", model, running.id, reason))


def chosen(context: Context, model: str, manifest: Manifest | None, canary_id: str = "") -> Record:
    """The canary of that id, else the one that runs, else the latest. Raises ClickException."""
    running = manifest.beside if manifest else None
    records = list(canaries.latest(model, lake=context.lake))
    if running and running.kind == "canary" and running.id not in [r.canary.id for r in records]:
        records.insert(0, Record(model, running))  # its begin died before the record
    wanted = canary_id or (running.id if running and running.kind == "canary" else "")
    for record in records:
        if wanted in ("", record.canary.id):
            return record
    if not records:
        raise click.ClickException(f"{model} has no canary. {why_none(context, model, manifest)}")
    known = ", ".join(record.canary.id for record in records)
    raise click.ClickException(f"{model} has no canary {canary_id!r}; known: {known}")


def _running(manifest: Manifest | None, record: Record) -> SecondVersion | None:
    running = manifest.beside if manifest else None
    return running if running and running.id == record.canary.id else None


def _document(
    record: Record, running: SecondVersion | None, manifest: Manifest | None
) -> dict[str, Any]:
    second = running or record.canary
    return {
        "model": record.model,
        "canary": {**second.to_json(), "features": list(second.features)},
        "running": running is not None,
        "held": bool(running and manifest and is_held(manifest, running)),
        "judged": record.judged,
        "past": list(record.past),
        "asked": record.asked,
        "ended": record.ended,
    }


# --- words ---------------------------------------------------------------------------------------


def _told(
    context: Context, record: Record, running: SecondVersion | None, manifest: Manifest | None
) -> Iterator[str]:
    if running is None:
        yield ended_sentence(record) if record.ended else "It is over; sweep writes down how."
    else:
        yield running_sentence(record.model, running)
        yield f"Begun by {running.by} on {_when(running.started_at)}: {running.reason}"
    yield from (f"  {_judged(item)}" for item in record.past)
    if record.judged:
        yield f"  {_judged(record.judged)}"
    elif running is not None:
        yield "  This step was not judged yet; sweep looks every five minutes."
    if running is not None:
        yield from _next(context, record, running, manifest)


def _next(
    context: Context, record: Record, running: SecondVersion, manifest: Manifest | None
) -> Iterator[str]:
    rules = read_spec(record.model, lake=context.lake).spec.serving.canary or Canary()
    if manifest and is_held(manifest, running):
        yield "The model is pinned, so it goes no step further by itself."
    left = rules.max_duration - (context.clock.now() - parse_time(running.started_at))
    then = {"promote": "it is promoted", "back": "it is taken back", "ask": "a person is asked"}
    if record.asked:
        yield f"Its time is over ({format_duration(rules.max_duration)}), and a person was asked."
    elif left.total_seconds() > 0:
        hours = left.total_seconds() / 3600
        yield f"It has {hours:,.1f} h left; then {then[rules.on_timeout]}."

    def command(*words: str) -> str:
        return shown_command(*words, context=context.name)

    stop = command("canary", "stop", record.model, *WHY)
    now = command("versions", "promote", record.model, running.version, *WHY)
    yield f"To stop it: {stop}"
    yield f"To let it answer everything now: {now}"


def _judged(item: Any) -> str:
    return f"{_when(str(item['at']))}  {str(item['verdict']).replace('_', ' ')}: {item['sentence']}"


def _when(time: str) -> str:
    return f"{parse_time(time):%Y-%m-%d %H:%M:%S} UTC"
