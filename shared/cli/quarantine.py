"""quarantine: rows that could not be used. Look at them, take them home, bring them back mended."""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from shared import paths
from shared.cli import contexts
from shared.cli.console import (
    dry_run_option,
    json_option,
    nothing_done,
    safe,
    say,
    show_json,
    show_rows,
    shown_command,
    timeout_option,
    wait_option,
)
from shared.cli.contexts import Context
from shared.cli.dropping import FORCE, existing_file, follow_upload, printer, report
from shared.cli.following import REFUSED, Followed
from shared.cli.getting import bring
from shared.cli.known import unknown
from shared.cli.quarantined import replayed_by, row_files, share, story, summary
from shared.cli.why import find_run
from shared.errors import Rejected
from shared.files import dialect
from shared.ports import Bucket
from shared.spec.registry import find_spec
from shared.uploads import source_of
from shared.usecases.replaying import ADDED, check

LATEST = 20


class DoesNotFit(click.ClickException):
    """Corrected rows that intake would refuse."""

    exit_code = REFUSED


@click.group()
def quarantine() -> None:
    """Rows that could not be used: look, correct, replay."""


# --- looking -------------------------------------------------------------------------------------


@quarantine.command("list")
@click.argument("model", required=False)
@click.option("--all", "everything", is_flag=True, help=f"Not only the latest {LATEST} of a model.")
@json_option
@contexts.pass_name
def list_(context_name: str, model: str | None, everything: bool, as_json: bool) -> None:
    """Runs that put rows in quarantine, newest first."""
    lake = contexts.load(context_name).lake
    folders = list(lake.folders("quarantine/"))
    models = [folder.split("/")[1] for folder in folders]
    if model is not None and model not in models:
        if find_spec(model, lake=lake) is None:
            raise click.ClickException(unknown(model, lake))
        models = []
    wanted = [model] if model in models else models
    count = None if everything else LATEST
    rows = [row for name in wanted for row in _runs_of(str(name), lake, count)]
    show_rows(rows, as_json=as_json, empty="No row is in quarantine.")


def _runs_of(model: str, lake: Bucket, count: int | None) -> Iterator[dict[str, Any]]:
    folders = lake.folders(paths.quarantine(model, "", "").rstrip("/") + "/")
    run_ids = sorted((folder.split("/")[2] for folder in folders), reverse=True)
    for run_id in run_ids[:count]:
        body = summary(model, run_id, lake)
        yield {
            "model": model,
            "run": run_id,
            "rows": body.get("rows"),
            "quarantined": body.get("quarantined"),
            "outcome": body.get("outcome"),
            "most_often": next(iter(body.get("reasons", {})), None),
            "replayed_by": replayed_by(model, run_id, lake),
        }


@quarantine.command()
@click.argument("run")
@json_option
@contexts.pass_name
def show(context_name: str, run: str, as_json: bool) -> None:
    """What is wrong with the rows of RUN, and what their absence does to the data."""
    lake = contexts.load(context_name).lake
    model, run_id = find_run(run, lake)
    files = row_files(model, run_id, lake, context_name)
    body = summary(model, run_id, lake)
    replayed = replayed_by(model, run_id, lake)
    if as_json:
        objects = [f"gs://{lake.name}/{name}" for name in files.values()]
        head = {"model": model, "run_id": run_id, "objects": objects, "replayed_by": replayed}
        show_json({**head, **body})
        return
    say(f"run {run_id} of {model}: {share(body)}")
    for line in story(body):
        say(line)
    say("\nWhere")
    for name in files.values():
        say(f"  gs://{lake.name}/{name}")
    for other in replayed:
        say(f"  replayed by {other}")
    say("\nWhat next")
    say(f"  Correct them: {shown_command('quarantine', 'export', run_id, context=context_name)}")


# --- taking them home ----------------------------------------------------------------------------


@quarantine.command()
@click.argument("run")
@click.option(
    "-o",
    "--output",
    "--to",
    "to",
    type=click.Path(path_type=Path),
    help="Where to write (default: RUN-rows.csv here).",
)
@click.option("--source", default="", help="Rows of this joined source instead of the primary's.")
@click.option("--force", is_flag=True, help="Overwrite a file that is there.")
@json_option
@contexts.pass_name
def export(
    context_name: str, *, run: str, to: Path | None, source: str, force: bool, as_json: bool
) -> None:
    """Write the quarantined rows of RUN to a CSV, ready to be corrected.

    A row with too many or too few fields is written as it came, so a reader that wants equally long
    rows has to leave it out, as pandas does with on_bad_lines="skip"; it stays in quarantine then.
    """
    lake = contexts.load(context_name).lake
    model, run_id = find_run(run, lake)
    files = row_files(model, run_id, lake, context_name)
    name = files.get(source) or (next(iter(files.values())) if not source else None)
    if name is None:
        known = ", ".join(key or "(the primary's)" for key in files)
        raise click.ClickException(f"no row of {source!r} is in quarantine; there are: {known}")
    target = to or Path(f"{run_id}-{name.rpartition('/')[2]}")
    info = bring(lake, name, target, force=force)
    following = shown_command(
        "quarantine", "replay", run_id, shlex.quote(str(target)), context=context_name
    )
    if as_json:
        show_json(
            {
                "model": model,
                "run_id": run_id,
                "file": str(target),
                "object": f"gs://{lake.name}/{name}",
                "size_bytes": info.size_bytes,
                "next": following,
            }
        )
        return
    say(f"Correct the cells; leave {', '.join(ADDED[:-1])} as they are. Rows that you delete stay")
    say(f"in quarantine. Then: {following}")
    others = [key for key in files if files[key] != name]
    if others:
        say(f"Further rows, of other sources (--source): {', '.join(map(safe, others))}")


# --- bringing them back --------------------------------------------------------------------------


@quarantine.command()
@click.argument("run")
@click.argument("file", type=existing_file)
@click.option("--force", is_flag=True, help="Run even if the same correction was replayed before.")
@wait_option
@timeout_option
@dry_run_option
@json_option
@contexts.pass_name
def replay(
    context_name: str,
    *,
    run: str,
    file: Path,
    force: bool,
    wait: bool,
    timeout: float,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Train on the files of RUN again, with the corrected rows in FILE.

    Exit codes are those of drop; 2 also for rows that do not belong to RUN.
    """
    context = contexts.load(context_name)
    model, run_id = find_run(run, context.lake)
    name = f"{model}/train/{_name(run_id, file)}"
    context.announce(f"replay {run_id} of {model} with {file}, uploaded as {name}")
    _check_fits(context, model, run_id, file)
    if dry_run:
        nothing_done()
        return
    context.agree(model)
    metadata = FORCE if force else None
    upload = context.inbox.upload(name, file, content_type="text/csv", metadata=metadata)
    source = source_of(upload)
    if not wait:
        report(context, Followed(model, "", "uploaded", 0), source, as_json)
        return
    show_event = printer(as_json)
    followed = follow_upload(context, model, upload, seconds=timeout, show=show_event)
    report(context, followed, source, as_json)
    raise SystemExit(followed.exit_code)


def _name(run_id: str, file: Path) -> str:
    """From the content: the same correction again is the same object again."""
    with file.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()[:8]
    packed = ".gz" if file.name.endswith(".gz") else ""
    return f"replay-{run_id}-{digest}.csv{packed}"


def _check_fits(context: Context, model: str, run_id: str, file: Path) -> None:
    """What intake would say of this file. Raises DoesNotFit."""
    registered = find_spec(model, lake=context.lake)
    if registered is None:
        raise click.ClickException(unknown(model, context.lake))
    with file.open("rb") as stream:
        head = stream.read(dialect.HEAD_BYTES)
    size = file.stat().st_size
    try:
        corrected, _ = check(head, size, file.name, model, registered.spec, lake=context.lake)
    except Rejected as error:
        raise DoesNotFit(str(error)) from error
    if corrected.run_id != run_id:
        again = shown_command("quarantine", "replay", corrected.run_id, shlex.quote(str(file)))
        raise DoesNotFit(
            f"the rows in {file} are of run {corrected.run_id}, not of {run_id}; for those: {again}"
        )
