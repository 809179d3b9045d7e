"""tick: publish what Cloud Scheduler would publish, now."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import click

from shared import documents, events, paths
from shared.cli import contexts
from shared.cli.console import dry_run_option, nothing_done, shown_command
from shared.cli.contexts import Context
from shared.cli.following import POLL_SECONDS, TIMED_OUT
from shared.cli.known import unknown
from shared.events import DigestDue, Event, MonitorDue, SweepDue, WindowDue
from shared.manifests import served_models
from shared.ports import Bucket
from shared.spec.model import format_duration
from shared.spec.registry import find_spec

WAIT_SECONDS = 60.0
AGAIN_SECONDS = 10.0  # a window that was judged is judged again only for new labels


@click.group()
def tick() -> None:
    """Publish what Cloud Scheduler would: sweep, monitor or digest."""


@tick.command()
@dry_run_option
@contexts.pass_name
def sweep(context_name: str, dry_run: bool) -> None:
    """Look after everything that depends on time."""
    _publish(contexts.load(context_name), SweepDue(), dry_run)


@tick.command()
@click.option("--window", metavar="FROM..TO", help="Judge exactly this window (RFC 3339 times).")
@click.option("--model", help="With --window: the model.")
@click.option("--channel", type=click.Choice(["batch", "online"]), default="batch")
@click.option("--wait/--no-wait", default=True, help="With --window: wait for the verdict.")
@dry_run_option
@contexts.pass_name
def monitor(
    context_name: str,
    *,
    window: str | None,
    model: str | None,
    channel: str,
    wait: bool,
    dry_run: bool,
) -> None:
    """Judge the windows that are due, or one that is named.

    Exit code 4 when a named window is not judged in time.
    """
    if (window is None) != (model is None):
        raise click.UsageError("--window and --model belong together")
    context = contexts.load(context_name)
    if window is None or model is None:
        _publish(context, MonitorDue(), dry_run)
        for line in what_is_judged(context):
            click.echo(line)
        return
    start, end = parse_window(window)
    if end > context.clock.now():
        raise click.BadParameter(f"the window {window!r} ends in the future")
    if not paths.is_model_name(model) or find_spec(model, lake=context.lake) is None:
        raise click.ClickException(unknown(model, context.lake))
    event = WindowDue(model=model, channel=channel, window_start=start, window_end=end)
    folder = f"{start:%Y%m%dT%H%M%SZ}_{end:%Y%m%dT%H%M%SZ}"
    latest = paths.reports(model, channel, folder, "latest.json")
    before = documents.read(context.lake, latest).generation
    _publish(context, event, dry_run)
    if wait and not dry_run:
        _tell_verdict(context, latest, before)


@tick.command()
@dry_run_option
@contexts.pass_name
def digest(context_name: str, dry_run: bool) -> None:
    """Tell now what waits for the daily digest."""
    context = contexts.load(context_name)
    count = sum(1 for _ in context.lake.list(paths.DIGEST_ENTRIES))
    if not count:
        click.echo("Nothing waits for the digest.")
        return
    click.echo(f"{count} {'entry waits' if count == 1 else 'entries wait'} for the digest.")
    _publish(context, DigestDue(slot=f"{context.clock.now():%Y-%m-%dT%H%M%S}"), dry_run)


def parse_window(text: str) -> tuple[datetime, datetime]:
    """`2026-01-01T00:00Z..2026-01-02T00:00Z`, start inclusive, end exclusive.
    Raises BadParameter."""
    first, dots, last = text.partition("..")
    try:
        start, end = events.parse_time(first), events.parse_time(last)
    except ValueError as error:
        raise click.BadParameter(
            f"{text!r} is no window; write 2026-01-01T00:00:00Z..2026-01-02T00:00:00Z"
        ) from error
    if not dots or start >= end:
        raise click.BadParameter(f"the window {text!r} ends before it starts")
    if start.microsecond or end.microsecond:
        raise click.BadParameter(f"the window {text!r} does not start and end on whole seconds")
    return start, end


def _publish(context: Context, event: Event, dry_run: bool) -> None:
    context.announce(f"publish {event.id}")
    if dry_run:
        nothing_done()
        return
    context.agree(str(getattr(event, "model", "")))
    events.publish(event, publisher=context.publisher, clock=context.clock)


# --- what is due ---------------------------------------------------------------------------------


def what_is_judged(context: Context) -> list[str]:
    """Per served model when its windows are judged, and how to judge its newest scores now."""
    models = served_models(lake=context.lake)
    if not models:
        return ["No model serves yet, so there is nothing to watch."]
    lines = ["Windows of the spec's length are judged once they are closed and the grace is over:"]
    newest: list[tuple[str, str]] = []
    for model in models:
        registered = find_spec(model, lake=context.lake)
        if registered is None:
            continue
        settings = registered.spec.monitoring
        lines.append(
            f"  {model}: windows of {format_duration(settings.window)}, "
            f"judged {format_duration(settings.grace)} after they close; "
            f"labels count {format_duration(settings.label_delay)} after"
        )
        summary = documents.read(context.lake, paths.latest_predictions(model)).body
        if summary:
            newest.append((str(summary["finished"]), _judge_now(context, model, summary)))
    if newest:
        lines += ["To judge the newest scoring run now:", f"  {max(newest)[1]}"]
    return lines


def _judge_now(context: Context, model: str, summary: dict[str, Any]) -> str:
    window = f"{_whole(summary['started'])}..{_whole(summary['finished'], up=True)}"
    return shown_command(
        "tick", "monitor", "--model", model, "--window", window, context=context.name
    )


def _whole(text: str, *, up: bool = False) -> str:
    """Rounded outwards to a whole second; an end is exclusive, hence always later."""
    second = events.parse_time(text).astimezone(UTC).replace(microsecond=0)
    return documents.timestamp(second + timedelta(seconds=int(up)))


# --- the verdict ---------------------------------------------------------------------------------


def _tell_verdict(context: Context, latest: str, before: int) -> None:
    seconds = AGAIN_SECONDS if before else WAIT_SECONDS
    found = wait_for_judgement(latest, before, lake=context.lake, seconds=seconds)
    page = f"gs://{context.lake.name}/{latest.removesuffix('latest.json')}report.html"
    read = f"  Read it: {shown_command('get', page, context=context.name)}"
    if found is None and before:
        found = documents.require(context.lake, latest)
        click.echo(f"Judged before; nothing new came of it in {seconds:.0f} s.")
    if found is None:
        click.echo(f"Not judged within {seconds:.0f} s. Once it is:\n{read}")
        raise SystemExit(TIMED_OUT)
    click.echo(f"verdict: {str(found['verdict']).replace('_', ' ')} ({found['rows']:,} rows)")
    click.echo(read)


def wait_for_judgement(
    latest: str, before: int, *, lake: Bucket, seconds: float
) -> dict[str, Any] | None:
    """A window's latest.json once its generation is not `before`, None when time is over."""
    end = time.monotonic() + seconds
    while (document := documents.read(lake, latest)).generation == before:
        if time.monotonic() > end:
            return None
        time.sleep(POLL_SECONDS)
    return document.body
