"""spec check, spec show."""

from __future__ import annotations

from pathlib import Path

import click

from shared.cli import contexts
from shared.cli.console import json_option, show_json
from shared.cli.known import unknown
from shared.errors import BadSpec
from shared.spec.load import dump_spec, load_spec
from shared.spec.registry import find_spec


@click.group()
def spec() -> None:
    """Check a spec file, or show the one in force."""


@spec.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def check(file: Path) -> None:
    """Read a spec file as intake would; exit code 2 with the reasons when it is refused."""
    try:
        found = load_spec(file.read_text(encoding="utf-8"), str(file))
    except (BadSpec, UnicodeDecodeError) as error:
        click.echo("\n".join(str(error).split("; ")), err=True)
        raise SystemExit(2) from error
    columns = f"{len(found.columns)} columns" if found.columns else "columns as the file has them"
    click.echo(f"{file}: {found.task}, target {found.target.column}, {columns}")


@spec.command()
@click.argument("model")
@click.option("--effective", is_flag=True, help="With every default written out.")
@json_option
@contexts.pass_name
def show(context_name: str, model: str, effective: bool, as_json: bool) -> None:
    """The spec in force for a model."""
    lake = contexts.load(context_name).lake
    registered = find_spec(model, lake=lake)
    if registered is None:
        raise click.ClickException(unknown(model, lake))
    if as_json or effective:
        show_json(registered.model_dump(mode="json"))
        return
    click.echo(f"# {model}, generation {registered.generation}, {registered.registered}")
    click.echo(dump_spec(registered.spec), nl=False)
