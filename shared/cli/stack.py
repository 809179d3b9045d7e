"""up, down, ui, logs, slack: the local stack itself."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from infra.local.addresses import Addresses
from shared import paths
from shared.cli import contexts
from shared.cli.console import json_option, say, show_json, show_rows, shown_command
from shared.cli.predict import request

STOP_SECONDS = 30.0


@click.command()
@click.option("--no-mlflow", is_flag=True, help="Without the tracking server (starts faster).")
@click.option("--scale-to-zero", type=float, metavar="SECONDS", help="Stop idle functions.")
@contexts.pass_name
def up(context_name: str, no_mlflow: bool, scale_to_zero: float | None) -> None:
    """Keep the local stack in the foreground until Ctrl-C."""
    from infra.local.stack import Options, Stack
    from infra.local.state import AlreadyRunning

    options = Options(
        context=context_name,
        mlflow=not no_mlflow,
        scale_to_zero_seconds=scale_to_zero,
        environ=os.environ,
    )
    state = contexts.state_folder(context_name)
    try:
        with Stack(state, options) as stack:
            _greet(context_name, stack.addresses)
            stack.run_until_signalled()
            click.echo("\nStopping.")
    except AlreadyRunning as error:
        raise click.ClickException(str(error)) from error


def _greet(context_name: str, addresses: Addresses) -> None:
    option = "" if context_name == "local" else f"--context {context_name} "
    rows = {
        "predictor": addresses.predict,
        "MLflow": addresses.mlflow,
        "Slack": addresses.slack,
        "storage": addresses.storage,
        "functions": addresses.functions,
    }
    click.echo(f"Millrace runs here ({contexts.state_folder(context_name)}):")
    for name, address in rows.items():
        click.echo(f"  {name:<10} {address or 'off'}")
    click.echo(
        f"In another shell: ./millrace {option}try my.csv --target column\n"
        f"                  ./millrace {option}status\n"
        "Ctrl-C stops everything; data stays."
    )


@click.command()
@click.option("--quiet", is_flag=True, help="Say nothing when nothing runs.")
@contexts.pass_name
def down(context_name: str, quiet: bool) -> None:
    """Stop a stack that runs in another shell."""
    from infra.local.state import find

    found = find(contexts.state_folder(context_name))
    if found is None:
        if not quiet:
            click.echo(f"The {context_name} stack is not running.")
        return
    os.kill(found.pid, signal.SIGTERM)
    end = time.monotonic() + STOP_SECONDS
    while find(contexts.state_folder(context_name)) and time.monotonic() < end:
        time.sleep(0.1)
    if find(contexts.state_folder(context_name)):
        raise click.ClickException(
            f"process {found.pid} does not stop; kill -9 {found.pid} is safe, the next start "
            "cleans up"
        )
    click.echo("Stopped.")


@click.command()
@click.option("--open", "in_browser", is_flag=True, help="Open it in a browser.")
@contexts.pass_name
def ui(context_name: str, in_browser: bool) -> None:
    """The address of MLflow."""
    context = contexts.load(context_name)
    there, address = context.installation, context.config.tracking_uri
    if not address:
        why = "(mlflow = off)" if there else "(--no-mlflow)"
        raise click.ClickException(f"{context_name} runs without MLflow {why}")
    if there is not None:  # private: a browser brings no token
        address = "http://localhost:8080"
        proxy = f"--project={there.project} --region={there.region} --port=8080"
        say(f"First, in another shell: gcloud run services proxy mlflow {proxy}", err=True)
    # MLflow opens on its page for prompts and traces otherwise.
    page = f"{address}/#/experiments?workflowType=machine_learning"
    click.echo(page)
    if in_browser:
        click.launch(page)


@click.command()
@click.option("-n", "count", default=10, show_default=True, help="How many, newest last.")
@json_option
@contexts.pass_name
def slack(context_name: str, count: int, as_json: bool) -> None:
    """What the local stack would have posted to Slack."""
    from shared.cli.slack_view import show_message

    context = contexts.load(context_name)
    messages = slack_messages(context.local.slack)[-count:]
    if as_json:
        show_json(messages)
        return
    for kept in messages:
        show_message(kept)
    if not messages:
        click.echo("Nothing was posted yet.")
    waiting = sum(1 for _ in context.lake.list(paths.DIGEST_ENTRIES))
    if waiting:
        tell = shown_command("tick", "digest", context=context_name)
        click.echo(f"{waiting} more for the daily digest; to tell it now: {tell}")


def slack_messages(address: str) -> list[dict[str, Any]]:
    """All messages of the local sink, oldest first, each with `received` and `message`."""
    _, body = request("GET", f"{address}/messages")
    found: list[dict[str, Any]] = body
    return found


# --- logs ----------------------------------------------------------------------------------------


@click.command()
@click.argument("name", required=False)
@click.option("-f", "--follow", is_flag=True, help="Keep printing what is added.")
@click.option("-n", "count", default=40, show_default=True, help="Lines from the end.")
@json_option
@contexts.pass_name
def logs(context_name: str, name: str | None, follow: bool, count: int, as_json: bool) -> None:
    """List the logs, or print those whose name contains NAME (a function, job or execution)."""
    folder = contexts.state_folder(context_name) / "logs"
    files = sorted(folder.rglob("*.log"), key=lambda file: file.stat().st_mtime)
    if name is None:
        rows = [_row(file, folder) for file in files]
        show_rows(rows, as_json=as_json, empty=f"No logs in {folder} yet.")
        return
    chosen = [file for file in files if name in file.relative_to(folder).as_posix()]
    if not chosen:
        known = ", ".join(sorted({file.stem for file in files})) or "none yet"
        raise click.ClickException(f"no log is named like {name!r}; logs: {known}")
    for file in chosen:
        if len(chosen) > 1:
            click.echo(f"==> {file.relative_to(folder)}")
        for line in tail(file, count):
            click.echo(line)
    if follow:
        _follow(chosen)


def _row(file: Path, folder: Path) -> dict[str, Any]:
    found = file.stat()
    changed = time.strftime("%H:%M:%S", time.localtime(found.st_mtime))
    name = file.relative_to(folder).as_posix().removesuffix(".log")
    return {"name": name, "changed": changed, "bytes": found.st_size}


def tail(file: Path, count: int) -> list[str]:
    """The last lines of a file, read from its end."""
    with file.open("rb") as stream:
        size = stream.seek(0, os.SEEK_END)
        stream.seek(max(0, size - 400 * count))
        lines = stream.read().decode("utf-8", "replace").splitlines()
    return lines[-count:]


def _follow(files: list[Path]) -> None:
    """Until Ctrl-C."""
    streams = [file.open("r", encoding="utf-8", errors="replace") for file in files]
    for stream in streams:
        stream.seek(0, os.SEEK_END)
    try:
        for line in _added(streams):
            sys.stdout.write(line)
            sys.stdout.flush()
    finally:
        for stream in streams:
            stream.close()


def _added(streams: list[Any]) -> Iterator[str]:
    while True:
        lines = [line for stream in streams for line in stream.readlines()]
        yield from lines
        if not lines:
            time.sleep(0.3)
