"""init and drop: from a file on this disk to a run in the system."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from shared import paths
from shared.cli import contexts, words
from shared.cli.console import (
    dry_run_option,
    err,
    json_option,
    nothing_done,
    show_json,
)
from shared.cli.contexts import Context
from shared.cli.following import (
    TIMED_OUT,
    Followed,
    StackStopped,
    follow,
    source_of,
    wait_for_run,
)
from shared.cli.known import did_you_mean
from shared.errors import ServiceUnavailable
from shared.ports import ObjectInfo
from shared.spec.draft import draft
from shared.spec.load import dump_spec
from shared.spec.model import Spec
from shared.spec.registry import find_spec

FOLDERS = ("train", "score", "labels")
NOT_TEXT = (b"\0", b"\x1f\x8b")  # a binary file, a gzip file
FORCE = {"millrace-force": "true"}  # metadata that intake reads
INTAKE_SECONDS = 60.0
existing_file = click.Path(exists=True, dir_okay=False, path_type=Path)


# --- init ----------------------------------------------------------------------------------------


@click.command()
@click.argument("file", type=existing_file)
@click.option("--target", required=True, metavar="COLUMN", help="What is to be predicted.")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), help="Where to write it (default: stdout)."
)
@contexts.pass_name
def init(context_name: str, file: Path, target: str, output: Path | None) -> None:
    """Draft a model spec from a CSV. Change it as you like, then drop it."""
    spec, notes = draft(file, target)
    text = spec_text(for_context(spec, context_name), notes, file.name)
    if output is None:
        click.echo(text, nl=False)
        return
    output.write_text(text, encoding="utf-8")
    for note in notes:
        click.echo(note, err=True)
    click.echo(f"Written: {output}", err=True)


def for_context(spec: Spec, context_name: str) -> Spec:
    """On one's own machine nobody else is there to approve."""
    if context_name not in contexts.LOCAL_CONTEXTS:
        return spec
    promotion = spec.promotion.model_copy(update={"approval": "auto"})
    return spec.model_copy(update={"promotion": promotion})


def spec_text(spec: Spec, notes: list[str], file_name: str) -> str:
    head = [f"# Drafted from {file_name}. `expect` is monitored; nothing here refuses a row."]
    return "\n".join([*head, *(f"# - {note}" for note in notes)]) + "\n" + dump_spec(spec)


# --- drop ----------------------------------------------------------------------------------------


@click.command()
@click.argument("file", type=existing_file)
@click.option("--model", required=True, help="The model's name.")
@click.option("--as", "folder", type=click.Choice(FOLDERS), help="What the file is for.")
@click.option("--force", is_flag=True, help="Run even if the same content ran before.")
@click.option("--wait/--no-wait", default=True, help="Follow the run until it ends.")
@click.option("--timeout", default=900.0, show_default=True, help="Seconds to wait.")
@dry_run_option
@json_option
@contexts.pass_name
def drop(
    context_name: str,
    *,
    file: Path,
    model: str,
    folder: str | None,
    force: bool,
    wait: bool,
    timeout: float,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Upload FILE for a model and follow what becomes of it.

    A .yaml file is a model spec. Exit code: 0 success, 2 rejected, failed, not promoted or
    expired, 3 awaiting a person or a turn, 4 timeout.
    """
    if not paths.is_model_name(model):
        raise click.ClickException(f"{model!r} is no model name: use [a-z][a-z0-9_]*")
    context = contexts.load(context_name)
    name = _object_name(context, file, model, folder)
    context.announce(f"upload {file} as {name}")
    if not name.startswith("_specs/") and (hint := did_you_mean(model, context.lake)):
        click.echo(f"Note: the model {model} has no spec yet; {hint}", err=True)
    if dry_run:
        nothing_done()
        return
    metadata = FORCE if force else None
    upload = context.inbox.upload(name, file, content_type=_type_of(name), metadata=metadata)
    if not wait:
        report(context, Followed(model, "", "uploaded", 0), source_of(upload), as_json)
        return
    followed = follow_upload(context, model, upload, seconds=timeout, show=printer(as_json))
    report(context, followed, source_of(upload), as_json)
    raise SystemExit(followed.exit_code)


def _object_name(context: Context, file: Path, model: str, folder: str | None) -> str:
    if file.suffix in (".yaml", ".yml") and folder is None:
        return paths.spec_upload(model)
    return f"{model}/{folder or guess_folder(context, file, model)}/{file.name}"


def _type_of(name: str) -> str:
    return "application/yaml" if name.startswith("_specs/") else "text/csv"


def guess_folder(context: Context, file: Path, model: str) -> str:
    """What a file is for by its columns: labels name predictions, training files the target.
    Raises ClickException for a file whose first line does not tell."""
    registered = find_spec(model, lake=context.lake)
    cells = _first_cells(file, registered.spec.source.delimiter if registered else ",")
    if "prediction_id" in cells:
        return "labels"
    if registered is None:
        return "train"
    spec = registered.spec
    if spec.source.header:
        return "train" if spec.target.column in cells else "score"
    return "train" if len(cells) == len(spec.columns) else "score"


def _first_cells(file: Path, delimiter: str) -> list[str]:
    with file.open("rb") as stream:
        first = stream.readline(1 << 20)
    text = io.StringIO(first.decode("utf-8-sig", "replace"), newline="")
    try:
        cells = next(csv.reader(text, delimiter=delimiter), [])
    except csv.Error:
        cells = None
    if cells is None or any(mark in first for mark in NOT_TEXT):
        raise click.ClickException(
            f"{file} does not begin with a line of CSV, so what it is for cannot be seen; "
            f"name the kind with --as {'|'.join(FOLDERS)}"
        )
    return [cell.strip() for cell in cells]


def follow_upload(
    context: Context,
    model: str,
    upload: ObjectInfo,
    *,
    seconds: float,
    show: Callable[[dict[str, Any]], None],
) -> Followed:
    """The run of an upload, followed to where following ends. Raises StackStopped."""
    source, run_id = source_of(upload), None
    try:
        run_id = wait_for_run(source, lake=context.lake, seconds=min(seconds, INTAKE_SECONDS))
        if run_id is None:
            return Followed(model, "", "not seen by intake yet", TIMED_OUT)
        return follow(model, run_id, lake=context.lake, seconds=seconds, on_event=show)
    except ServiceUnavailable as error:
        raise StackStopped(context.name, model, run_id) from error


def printer(quiet: bool) -> Callable[[dict[str, Any]], None]:
    """Shows each transition as it comes, with its time."""
    console = err()

    def show(event: dict[str, Any]) -> None:
        if not quiet:
            text = words.sentence(event)
            console.print(f"  {event['at'][11:19]}Z  {text}", markup=False)

    return show


def report(context: Context, followed: Followed, source: str, as_json: bool) -> None:
    if as_json:
        show_json(
            {
                "context": context.name,
                "model": followed.model,
                "run_id": followed.run_id or None,
                "state": followed.state,
                "exit_code": followed.exit_code,
                "source": source,
                "facts": followed.facts,
            }
        )
        return
    click.echo(f"{followed.run_id or source}: {followed.state.replace('_', ' ')}")
    for step in words.next_steps(
        followed.model,
        followed.run_id,
        followed.state,
        followed.facts,
        kind="",
        context=context.name,
        lake=context.lake.name,
    ):
        click.echo(f"  {step}")
