"""try: from a CSV to a model and its first prediction."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

import click

from shared import paths
from shared.cli import contexts
from shared.cli.console import dry_run_option, nothing_done, shown_command
from shared.cli.contexts import Context
from shared.cli.data import existing_file, follow_upload, for_context, printer, report, spec_text
from shared.cli.following import REFUSED, source_of
from shared.cli.predict import ask
from shared.spec.draft import draft
from shared.spec.load import dump_spec
from shared.spec.model import RegisteredSpec, Spec
from shared.spec.registry import find_spec


@click.command("try")
@click.argument("file", type=existing_file)
@click.option("--target", required=True, metavar="COLUMN", help="What is to be predicted.")
@click.option("--model", help="The model's name (default: from the file's name).")
@click.option(
    "--replace-spec", is_flag=True, help="Put the draft in the place of the spec in force."
)
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@click.option("--timeout", default=900.0, show_default=True, help="Seconds to wait.")
@dry_run_option
@contexts.pass_name
def try_(
    context_name: str,
    *,
    file: Path,
    target: str,
    model: str | None,
    yes: bool,
    timeout: float,
    replace_spec: bool,
    dry_run: bool,
) -> None:
    """From a CSV to a first prediction: draft a spec, show it, train, ask.

    A model that has a spec keeps it, unless --replace-spec is given.
    """
    context = contexts.load(context_name)
    name = model or model_name(file)
    in_force = None if replace_spec else find_spec(name, lake=context.lake)
    if in_force is not None:
        spec, text = _kept(in_force, target, name), dump_spec(in_force.spec)
    else:
        spec, notes = draft(file, target)
        spec = for_context(spec, context_name)
        text = spec_text(spec, notes, file.name)
    click.echo(text)
    context.announce(f"train model {name} on {file}")
    if dry_run:
        nothing_done()
        return
    if not (yes or click.confirm("Train with this spec?", default=True, err=True)):
        return
    if in_force is None:
        context.inbox.write(paths.spec_upload(name), text.encode(), content_type="application/yaml")
    _train(context, name, spec, file, timeout)


def _kept(in_force: RegisteredSpec, target: str, model: str) -> Spec:
    """The spec in force, which is said. Raises ClickException when it predicts something else."""
    number, known = in_force.generation, in_force.spec.target.column
    if known != target:
        raise click.ClickException(
            f"spec generation {number} of {model} is in force and predicts {known}, not {target}; "
            "choose another --model, or --replace-spec to put the draft in its place"
        )
    click.echo(
        f"spec generation {number} of {model} is in force and is used; "
        "--replace-spec puts the draft in its place",
        err=True,
    )
    return in_force.spec


def _train(context: Context, name: str, spec: Spec, file: Path, timeout: float) -> NoReturn:
    upload = context.inbox.upload(f"{name}/train/{file.name}", file, content_type="text/csv")
    followed = follow_upload(context, name, upload, seconds=timeout, show=printer(False))
    report(context, followed, source_of(upload), False)
    if followed.state == "duplicate":  # tried before: the champion of then answers
        followed = replace(followed, state="promoted")
    if followed.state == "promoted":
        _first_prediction(context, name, spec, file)
    elif followed.exit_code == REFUSED:
        click.echo(f"  More: {shown_command('why', followed.run_id, context=context.name)}")
    raise SystemExit(followed.exit_code)


def model_name(file: Path) -> str:
    """A model name from a file's name: `My Data (2).csv` -> `my_data_2`."""
    name = re.sub(r"[^a-z0-9]+", "_", file.name.split(".")[0].lower()).strip("_")[:63]
    return name if paths.is_model_name(name) else f"m_{name}"[:63].rstrip("_")


def first_record(spec: Spec, file: Path) -> dict[str, Any]:
    """The first row of a file as the JSON record the predictor takes."""
    codec = "utf-8-sig" if spec.source.encoding == "utf-8" else spec.source.encoding
    with file.open(encoding=codec, newline="") as stream:
        rows = csv.reader(stream, delimiter=spec.source.delimiter)
        names = [cell.strip() for cell in next(rows)] if spec.source.header else list(spec.columns)
        cells = dict(zip(names, (cell.strip() for cell in next(rows)), strict=False))
    return as_record(spec, cells)


def as_record(spec: Spec, cells: Mapping[str, str]) -> dict[str, Any]:
    """Cells of a file as JSON values: numbers, texts, null for missing ones."""
    record: dict[str, Any] = {}
    for name in spec.feature_names():
        cell = cells.get(name, "")
        record[name] = None if cell in spec.source.missing else cell
        if record[name] is not None and spec.columns[name].type == "number":
            try:
                number = float(cell.replace(spec.source.decimal, "."))
            except ValueError:
                continue  # the predictor says what is wrong with it
            record[name] = int(number) if number.is_integer() else number
    return record


def _first_prediction(context: Context, model: str, spec: Spec, file: Path) -> None:
    record = first_record(spec, file)
    url = f"{context.config.predict_url}/models/{model}/predict"
    body = json.dumps({"instances": [record]}, ensure_ascii=False)
    quoted = body.replace("'", "'\\''")
    click.echo("\nIts answer for the first row of the file:")
    click.echo(json.dumps(ask(context, model, [record])["predictions"][0], indent=1))
    click.echo(
        f"\nAsk it yourself:\n  curl -s {url} -H 'Content-Type: application/json' -d '{quoted}'"
    )
