"""The demo's timeline: numbered steps with what happened inside and how long it took.

On a terminal the running step has a spinner and a clock; elsewhere every line is plain.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console, RenderableType
from rich.markup import escape
from rich.padding import Padding
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

PLAIN_WIDTH = 110  # where there is no terminal to fit into


class Timeline:
    """`seconds` has the duration of each finished step by its title."""

    def __init__(self, steps: int, console: Console | None = None) -> None:
        self.console = console or Console(highlight=False)
        if console is None and not self.console.is_terminal:
            self.console = Console(highlight=False, width=PLAIN_WIDTH)
        self.seconds: dict[str, float] = {}
        self._steps = steps
        self._started = time.monotonic()
        self._step_started = self._started
        self._live: Progress | None = None

    @contextmanager
    def step(self, title: str) -> Iterator[None]:
        """One step; an error inside leaves it unfinished."""
        number = len(self.seconds) + 1
        self.console.print(Rule(style="dim"), f"[bold]{number}/{self._steps}  {escape(title)}[/]")
        self._step_started = time.monotonic()
        with self._progress(title, number):
            yield
        self.seconds[title] = time.monotonic() - self._step_started
        self.console.print(f"   [green]done[/] in {self.seconds[title]:.1f} s")

    @contextmanager
    def _progress(self, title: str, number: int) -> Iterator[None]:
        if not self.console.is_terminal:
            yield
            return
        columns = (
            *(SpinnerColumn(), TextColumn("{task.description}"), BarColumn(bar_width=20)),
            *(TextColumn("{task.completed}/{task.total}"), TimeElapsedColumn()),
        )
        with Progress(*columns, console=self.console, transient=True) as self._live:
            self._live.add_task(escape(title), total=self._steps, completed=number - 1)
            yield
        self._live = None

    def say(self, text: str, *, style: str = "") -> None:
        """A plain line inside the step."""
        self.console.print(Padding(Text(text, style=style), (0, 0, 0, 3), expand=False))

    def happened(self, text: str) -> None:
        """Something the system did, with the seconds since the step began."""
        passed = time.monotonic() - self._step_started
        line = Table.grid(padding=(0, 1))
        line.add_column(width=10, justify="right", style="dim")
        line.add_column(overflow="fold")
        line.add_row(f"{passed:.1f} s ", Text(text))
        self.console.print(line)

    def show(self, part: RenderableType) -> None:
        self.console.print(part)

    @property
    def total_seconds(self) -> float:
        return time.monotonic() - self._started
