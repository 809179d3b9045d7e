"""init: a model spec drafted from a file."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import click

from shared import paths
from shared.cli import contexts
from shared.cli.console import (
    dry_run_option,
    json_option,
    nothing_done,
    say,
    show_json,
    shown_command,
)
from shared.cli.drafting import ask_draft, model_name, wish_options, wishes_of
from shared.cli.dropping import existing_file
from shared.spec.draft import Draft, spec_text


@click.command()
@click.argument("file", type=existing_file)
@click.option("--target", required=True, metavar="COLUMN", help="What is to be predicted.")
@click.option(
    "-o",
    "--output",
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Where to write it (default: stdout).",
)
@click.option("--model", help="The model's name (default: from the file's name).")
@wish_options
@click.option("--force", is_flag=True, help="Overwrite the output.")
@dry_run_option
@json_option
@contexts.pass_name
def init(
    context_name: str,
    /,
    *,
    file: Path,
    target: str,
    output: Path | None,
    model: str | None,
    force: bool,
    dry_run: bool,
    as_json: bool,
    **steering: Any,
) -> None:
    """Draft a model spec from FILE: CSV, JSON lines, JSON or Parquet, gzipped or not.

    Change it as you like, then drop it. In a file without a header the columns are called
    column_1, column_2 ...
    """
    name = model or model_name(file)
    if not paths.is_model_name(name):
        raise click.ClickException(f"{name!r} is no model name: use [a-z][a-z0-9_]*")
    if output is not None and output.exists() and not (force or dry_run):
        raise click.ClickException(f"{output} is there already; --force overwrites it")
    found = ask_draft(file, target, wishes_of(steering), ask=not as_json, context_name=context_name)
    text = spec_text(found.spec, found.notes, file.name)
    if output is not None and not dry_run:
        output.write_text(text, encoding="utf-8")
    if as_json:
        show_json(_body(found, name, text, None if dry_run else output))
    elif output is None or dry_run:
        click.echo(text, nl=False)
    if dry_run:
        nothing_done()
    elif output is not None and not as_json:
        _say_next(found, name, file, output, context_name)


def _say_next(found: Draft, model: str, file: Path, output: Path, context_name: str) -> None:
    for note in found.notes:
        say(note, err=True)
    say(f"Written: {output}", err=True)
    for dropped in (output, file):
        words = ("drop", shlex.quote(str(dropped)), "--model", model)
        say(f"  {shown_command(*words, context=context_name)}", err=True)


def _body(found: Draft, model: str, text: str, output: Path | None) -> dict[str, object]:
    return {
        "model": model,
        "spec": found.spec.model_dump(mode="json", exclude_defaults=True),
        "features": found.spec.feature_names(),
        "notes": list(found.notes),
        "doubtful": list(found.doubtful),
        "times": list(found.times),
        "yaml": text,
        "written": None if output is None else str(output),
    }
