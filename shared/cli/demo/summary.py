"""What the demo leaves: results copied out of the lake as files to open, and a summary."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from shared import documents, paths
from shared.cli.console import cell, shown_command
from shared.cli.demo.story import Story
from shared.errors import ObjectNotFound

SHOWN_METRICS = (
    *("auroc", "f1", "precision", "recall", "false_positive_rate", "log_loss"),
    *("rmse", "mae", "r2"),
)


def collect(story: Story, folder: Path) -> dict[str, Path]:
    """Copy cards and reports from the lake; what each one is and where it lies now."""
    folder.mkdir(parents=True, exist_ok=True)
    wanted = {
        "model card, first version": (
            paths.version(story.model, story.champion, "card.html"),
            "card-first.html",
        ),
        "model card, challenger": (
            paths.version(story.model, story.challenger, "card.html"),
            "card-challenger.html",
        ),
    }
    for name, window in (("ordinary", story.ordinary), ("shifted", story.shifted)):
        if window is not None:
            report = paths.reports(story.model, "batch", window.folder, "report.html")
            scores = paths.predictions(story.model, window.run_id, "predictions.csv")
            wanted[f"monitoring report, {name} file"] = (report, f"report-{name}.html")
            wanted[f"predictions, {name} file"] = (scores, f"predictions-{name}.csv")
    found = {}
    for what, (name, file_name) in wanted.items():
        try:
            story.context.lake.download(name, folder / file_name)
        except ObjectNotFound:
            continue
        found[what] = folder / file_name
    return found


def render(story: Story, files: dict[str, Path]) -> RenderableType:
    """The summary. Reads the lake, so it is made while the stack still runs."""
    return Group(
        Rule("Summary", style="bold"),
        _versions(story),
        Text(),
        *_decisions(story),
        Text(),
        _places(story),
        Text(),
        Text("Open in a browser or spreadsheet", style="bold"),
        *(Text(f"  {what}: {path.resolve().as_uri()}") for what, path in files.items()),
        Text(),
        _times(story),
        Text(),
        *_go_on(story),
    )


def _document(story: Story, version: str, name: str) -> dict[str, Any]:
    return documents.read(story.context.lake, paths.version(story.model, version, name)).body


def _versions(story: Story) -> RenderableType:
    table = Table(title="What was trained", title_justify="left", box=None, pad_edge=False)
    table.add_column("holdout metric")
    bodies = []
    for name, version in (("first version", story.champion), ("challenger", story.challenger)):
        body = _document(story, version, "version.json")
        bodies.append(body)
        table.add_column(f"{name}\n{version}\n{body.get('candidate', '-')}", justify="right")
    for metric in SHOWN_METRICS:
        values = [body.get("metrics", {}).get(metric) for body in bodies]
        if any(value is not None for value in values):
            table.add_row(metric.replace("_", " "), *(cell(value) for value in values))
    rows = [body.get("metrics", {}).get("n") for body in bodies]
    table.add_row("on rows", *("-" if n is None else f"{n:,.0f}" for n in rows))
    return table


def _decisions(story: Story) -> list[RenderableType]:
    lines: list[RenderableType] = [Text("Decisions", style="bold")]
    for name, version in (("first version", story.champion), ("challenger", story.challenger)):
        body = _document(story, version, "decision.json")
        action = str(body.get("action", story.challenger_state)).replace("_", " ")
        sentence = escape(str(body.get("sentence", "a person decides; see the approval")))
        lines.append(Text.from_markup(f"  {name}: [bold]{action}[/]. {sentence}"))
    comparison = _document(story, story.challenger, "comparison.json")
    if comparison.get("champion") is not None:
        lines.append(
            Text(
                f"  compared on the same {comparison['holdout']['rows']} new rows: "
                f"{comparison['metric']} {cell(comparison['champion'])} of the champion, "
                f"{cell(comparison['challenger'])} of the challenger"
            )
        )
    return lines


def _places(story: Story) -> RenderableType:
    lake = f"gs://{story.context.lake.name}"
    table = Table(title="Where things lie", title_justify="left", box=None, pad_edge=False)
    table.add_column("what")
    table.add_column("where", overflow="fold")
    places = {
        "first version": paths.version(story.model, story.champion),
        "its training rows": paths.dataset(story.model, story.champion),
        "challenger": paths.version(story.model, story.challenger),
        "who serves": paths.manifest(story.model),
        "predictions": paths.predictions(story.model, ""),
        "labels": paths.labels(story.model),
        "reports": paths.reports(story.model, "batch"),
        "every run's history": paths.run(story.model, ""),
    }
    for what, name in places.items():
        table.add_row(what, f"{lake}/{name.rstrip('/')}")
    table.add_row("all of it, on this disk", str(story.context.state))
    return table


def _times(story: Story) -> RenderableType:
    table = Table(title="Time", title_justify="left", box=None, pad_edge=False, show_header=False)
    table.add_column()
    table.add_column(justify="right")
    for title, seconds in story.timeline.seconds.items():
        table.add_row(title, f"{seconds:.1f} s")
    table.add_row("all", f"{story.timeline.total_seconds:.1f} s", style="bold")
    return table


def _go_on(story: Story) -> list[RenderableType]:
    def command(*parts: str) -> str:
        return shown_command(*parts, context=story.context.name)

    lines = {
        "Start it again where the demo ended:": command("up"),
        "then, in another shell, ask the model:": command("predict", story.model, "--example"),
        "and see one run on one screen:": command("why", story.challenger),
    }
    rows: list[RenderableType] = [Text("Go on with", style="bold")]
    rows += [Text(f"  {why:<40} {line}") for why, line in lines.items()]
    rows.append(Text("  With data of your own: make up, then ./millrace try FILE --target COLUMN"))
    return rows
