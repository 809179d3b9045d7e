"""How commands print: tables for people, JSON for programs, one place for both.

stdout carries results, stderr what happens on the way.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import click
from rich.console import Console
from rich.table import Table

Function = TypeVar("Function", bound=Callable[..., Any])

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON instead.")
dry_run_option = click.option(
    "--dry-run", is_flag=True, help="Say what would be done, and do nothing."
)


def out() -> Console:
    return Console(soft_wrap=True, highlight=False)


def err() -> Console:
    return Console(stderr=True, soft_wrap=True, highlight=False)


def show_json(body: object) -> None:
    click.echo(json.dumps(body, indent=1, ensure_ascii=False, default=str))


def show_rows(
    rows: Sequence[Mapping[str, Any]], *, as_json: bool, title: str = "", empty: str = "Nothing."
) -> None:
    """Rows with equal keys as a table, or all of them as a JSON list."""
    if as_json:
        show_json(rows)
        return
    if not rows:
        click.echo(empty)
        return
    table = Table(title=title or None, title_justify="left", box=None, pad_edge=False)
    for name in rows[0]:
        table.add_column(str(name).replace("_", " "), overflow="fold")
    for row in rows:
        table.add_row(*(cell(value) for value in row.values()))
    Console(highlight=False).print(table)


def cell(value: object) -> str:
    if value is None or value == "":
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:,.4f}" if abs(value) < 1000 else f"{value:,.0f}"
    if isinstance(value, list | tuple):
        return ", ".join(str(item) for item in value)
    return str(value).replace("[", "\\[")


def shown_command(*words: str, context: str = "local") -> str:
    """A command as a person would type it from the checkout."""
    chosen = () if context == "local" else ("--context", context)
    return " ".join(["./millrace", *chosen, *words])
