"""drop: from a file on this disk to a run in the system."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from shared import paths
from shared.cli import batching, contexts, words
from shared.cli.console import (
    dry_run_option,
    err,
    json_option,
    nothing_done,
    say,
    show_json,
    timeout_option,
    wait_option,
)
from shared.cli.contexts import Context
from shared.cli.following import (
    INTAKE_SECONDS,
    TIMED_OUT,
    Followed,
    StackStopped,
    follow,
    wait_for_run,
)
from shared.cli.known import did_you_mean
from shared.cli.peeking import guess_folder, refuse_empty
from shared.errors import ServiceUnavailable
from shared.ports import ObjectInfo
from shared.routes import FOLDERS
from shared.uploads import source_of

FORCE = {"millrace-force": "true"}  # metadata that intake reads
existing_file = click.Path(exists=True, dir_okay=False, path_type=Path)


@dataclass(frozen=True, slots=True)
class Kinds:
    """What --as says: what the files are for, and which file is which source."""

    folder: str | None
    named: dict[str, Path]


def _kinds(_: click.Context, __: click.Parameter, values: tuple[str, ...]) -> Kinds:
    folders = [value for value in values if "=" not in value]
    wrong = [value for value in folders if value not in FOLDERS]
    if wrong or len(folders) > 1:
        raise click.BadParameter(
            f"{(wrong or folders)[-1]!r} is none of {', '.join(FOLDERS)}, of which one can be "
            f"given, nor SOURCE=FILE"
        )
    named = {}
    for value in values:
        source, given, file = value.partition("=")
        if given:
            named[source] = existing_file.convert(file, None, None)
    return Kinds(folders[0] if folders else None, named)


@click.command()
@click.argument("files", nargs=-1, type=existing_file, metavar="FILE...")
@click.option("--model", default="", help="The model's name; of a spec, else the file's.")
@click.option(
    "--as",
    "kinds",
    multiple=True,
    callback=_kinds,
    metavar=f"{'|'.join(FOLDERS)}|SOURCE=FILE",
    help="What the files are for; or, in a batch, the file of a source.",
)
@click.option("--batch", help="The name of the batch that files of several sources belong to.")
@click.option("--force", is_flag=True, help="Run even if the same content ran before.")
@wait_option
@timeout_option
@dry_run_option
@json_option
@contexts.pass_name
def drop(
    context_name: str,
    *,
    files: tuple[Path, ...],
    model: str,
    kinds: Kinds,
    batch: str | None,
    force: bool,
    wait: bool,
    timeout: float,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Upload FILE for a model and follow what becomes of it.

    A .yaml file is a model spec: drop my.yaml. For a model of several sources name a batch and drop
    the file of each source, named after it: drop customers.csv orders.json.gz --model m --batch
    2026-11. Exit code: 0 success, 2 rejected, failed, not promoted, expired or not one row scored,
    3 awaiting a person, a turn or other files, 4 timeout.
    """
    model = model or _model_of(files)
    if not paths.is_model_name(model):
        raise click.ClickException(f"{model!r} is no model name: use [a-z][a-z0-9_]*")
    context = contexts.load(context_name)
    names = _object_names(context, model, files, kinds, batch)
    for name, file in names.items():
        refuse_empty(file)
        context.announce(f"upload {file} as {name}")
    if not any(name.startswith("_specs/") for name in names) and (
        hint := did_you_mean(model, context.lake)
    ):
        say(f"Note: the model {model} has no spec yet; {hint}", err=True)
    if dry_run:
        nothing_done()
        return
    context.agree(model)
    uploads = [
        context.inbox.upload(
            name, file, content_type=type_of(name), metadata=FORCE if force else None
        )
        for name, file in names.items()
    ]
    source = ", ".join(source_of(upload) for upload in uploads)
    if not wait:
        report(context, Followed(model, "", "uploaded", 0), source, as_json)
        return
    show = printer(as_json)
    if batch is None:
        followed = follow_upload(context, model, uploads[0], seconds=timeout, show=show)
    else:
        followed = batching.follow_batch(context, model, uploads, seconds=timeout, show=show)
    report(context, followed, source, as_json)
    raise SystemExit(followed.exit_code)


def _model_of(files: tuple[Path, ...]) -> str:
    """A spec is named after its model, as in the inbox. Raises UsageError for other files."""
    if len(files) == 1 and _is_spec(files[0]):
        return files[0].stem
    raise click.UsageError("name the model that the file is for: --model NAME")


def _is_spec(file: Path) -> bool:
    return file.suffix in (".yaml", ".yml")


def _object_names(
    context: Context, model: str, files: tuple[Path, ...], kinds: Kinds, batch: str | None
) -> dict[str, Path]:
    """Where in the inbox each file goes."""
    if batch is not None:
        found = batching.files_by_source(files, kinds.named)
        if not found:
            raise click.UsageError("name at least one FILE of the batch")
        return batching.object_names(context, model, batch, found, kinds.folder)
    if kinds.named or len(files) > 1:
        raise click.ClickException(
            "several files make one run only as a batch: name it with --batch NAME, or drop them "
            "one by one"
        )
    if not files:
        raise click.UsageError("name the FILE to drop")
    (file,) = files
    return {_object_name(context, file, model, kinds.folder): file}


def _object_name(context: Context, file: Path, model: str, folder: str | None) -> str:
    if _is_spec(file) and folder is None:
        return paths.spec_upload(model)
    return f"{model}/{folder or guess_folder(context, file, model)}/{file.name}"


def type_of(name: str) -> str:
    """CSV is text; of anything else (JSON, Parquet, gzip) the name says enough."""
    if name.startswith("_specs/"):
        return "application/yaml"
    return "text/csv" if name.endswith((".csv", ".tsv", ".txt")) else "application/octet-stream"


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
    say(f"{followed.run_id or source}: {followed.state.replace('_', ' ')}")
    if followed.state in ("not_promoted", "awaiting_approval", "in_canary", "promoted"):
        for finding in words.left_open(followed.events):
            say(f"  {finding}")
    for step in words.next_steps(
        followed.model,
        followed.run_id,
        followed.state,
        followed.facts,
        kind="",
        context=context.name,
        lake=context.lake.name,
    ):
        say(f"  {step}")
