"""tick: publish what Cloud Scheduler would publish, now."""

from __future__ import annotations

from datetime import datetime

import click

from shared import events
from shared.cli import contexts
from shared.cli.console import dry_run_option
from shared.events import Event, MonitorDue, SweepDue, WindowDue


@click.group()
def tick() -> None:
    """Publish what Cloud Scheduler would: sweep or monitor."""


@tick.command()
@dry_run_option
@contexts.pass_name
def sweep(context_name: str, dry_run: bool) -> None:
    """Look after everything that depends on time."""
    _publish(context_name, SweepDue(), dry_run)


@tick.command()
@click.option("--window", metavar="FROM..TO", help="Judge exactly this window (RFC 3339 times).")
@click.option("--model", help="With --window: the model.")
@click.option("--channel", type=click.Choice(["batch", "online"]), default="batch")
@dry_run_option
@contexts.pass_name
def monitor(
    context_name: str, window: str | None, model: str | None, channel: str, dry_run: bool
) -> None:
    """Judge the windows that are due, or one that is named."""
    if window is None:
        _publish(context_name, MonitorDue(), dry_run)
        return
    if model is None:
        raise click.UsageError("--window needs --model")
    start, end = parse_window(window)
    event = WindowDue(model=model, channel=channel, window_start=start, window_end=end)
    _publish(context_name, event, dry_run)


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
    return start, end


def _publish(context_name: str, event: Event, dry_run: bool) -> None:
    context = contexts.load(context_name)
    context.announce(f"publish {event.id}")
    if not dry_run:
        events.publish(event, publisher=context.publisher, clock=context.clock)
