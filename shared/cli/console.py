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

from shared.cli import installations
from shared.reporting.markup import STEERING

# Columns that may wrap, so that the others (ids above all) are shown whole.
LONG = frozenset({"why", "running", "waiting", "approvals", "name", "most_often", "replayed_by"})
PLAIN_WIDTH = 200  # of tables that go into a pipe or file
TIME = re.compile(r"(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d)(\.\d+)?Z")

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON instead.")
wait_option = click.option("--wait/--no-wait", default=True, help="Follow the run until it ends.")
timeout_option = click.option(
    "--timeout", default=900.0, show_default=True, help="Seconds to wait."
)
dry_run_option = click.option(
    "--dry-run", is_flag=True, help="Say what would be done, and do nothing."
)


def nothing_done() -> None:
    """The last word of every dry run."""
    click.echo("Dry run: nothing was done.", err=True)


def safe(text: str, *, lines: bool = False) -> str:
    """Text from data or people as a terminal may have it: what would steer the terminal or turn
    the direction of writing is shown as an escape. `lines` keeps line breaks."""
    return STEERING.sub(lambda found: _kept_or_escaped(found[0], lines), text)


def _kept_or_escaped(character: str, lines: bool) -> str:
    kept = lines and character in "\n\t"
    return character if kept else character.encode("unicode_escape").decode()


def say(text: str, *, err: bool = False) -> None:
    """Print a line or several."""
    click.echo(safe(text, lines=True), err=err)


def out() -> Console:
    return Console(soft_wrap=True, highlight=False)


def err() -> Console:
    return Console(stderr=True, soft_wrap=True, highlight=False)


def show_json(body: object) -> None:
    text = json.dumps(body, indent=1, ensure_ascii=False, default=str)
    # Such characters stand within strings only, where JSON has an escape for them.
    click.echo(STEERING.sub(lambda found: _json_escape(found[0]), text))


def _json_escape(character: str) -> str:
    return character if character == "\n" else f"\\u{ord(character):04x}"


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
        return escape(safe(", ".join(str(item) for item in value)))
    if isinstance(value, str) and (time := TIME.fullmatch(value)):
        return f"{time[1]} {time[2]}Z"
    return escape(safe(str(value)))


# How commands that take a reason are shown: it is recorded, and can be left out.
WHY = ("--reason", '"..."')


def shown_command(*words: str, context: str = "") -> str:
    """A command as a person would type it from the checkout, for the context of this command unless
    another is named."""
    if not context:
        here = click.get_current_context(silent=True)
        context = str(here.find_root().obj or "") if here else ""
    default = installations.current()
    chosen = () if (context or default) == default else ("--context", context)
    return " ".join(["./millrace", *chosen, *words])
