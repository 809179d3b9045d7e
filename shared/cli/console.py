"""How commands print: tables for people, JSON for programs, one place for both.

stdout carries results, stderr what happens on the way.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

LONG = frozenset({"why", "running", "waiting", "approvals", "name"})  # columns that may wrap
PLAIN_WIDTH = 200  # of tables that go into a pipe or file
TIME = re.compile(r"(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d)(\.\d+)?Z")

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON instead.")
dry_run_option = click.option(
    "--dry-run", is_flag=True, help="Say what would be done, and do nothing."
)


def nothing_done() -> None:
    """The last word of every dry run."""
    click.echo("Dry run: nothing was done.", err=True)


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
        table.add_column(str(name).replace("_", " "), overflow="fold", no_wrap=name not in LONG)
    for row in rows:
        table.add_row(*(cell(value) for value in row.values()))
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=PLAIN_WIDTH)
    console.print(table)


def cell(value: object) -> str:
    if value is None or value == "":
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:,.4f}" if abs(value) < 1000 else f"{value:,.0f}"
    if isinstance(value, list | tuple):
        return ", ".join(str(item) for item in value)
    if isinstance(value, str) and (time := TIME.fullmatch(value)):
        return f"{time[1]} {time[2]}Z"
    return escape(str(value))


def shown_command(*words: str, context: str = "local") -> str:
    """A command as a person would type it from the checkout."""
    chosen = () if context == "local" else ("--context", context)
    return " ".join(["./millrace", *chosen, *words])
