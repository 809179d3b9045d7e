"""`./millrace demo`: prepare, run the story on a fresh local stack, sum up, stop everything."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import click
from rich.rule import Rule

from shared.cli import contexts, installations
from shared.cli.demo.data import Cut, cut, find
from shared.cli.demo.settings import for_demo, shipped
from shared.cli.demo.story import STEPS, Story
from shared.cli.demo.summary import collect, render
from shared.cli.demo.timeline import Timeline
from shared.cli.demo.use_cases import USE_CASES, UseCase
from shared.cli.demo.watching import DemoFailed
from shared.errors import MillraceError

CONTEXT = "demo"
OWN_STEPS = ("Find the data and cut it", "Start the local stack")


@click.command()
@click.option(
    "--model",
    type=click.Choice(list(USE_CASES)),
    default="adult_income",
    show_default=True,
    help="Which use case to show.",
)
def demo(model: str) -> None:
    """The main job, start to end: drop, train, promote, ask, score, watch, retrain."""
    from infra.local.state import find as find_stack

    state = contexts.state_folder(CONTEXT)
    if find_stack(state):
        raise click.ClickException(
            "the demo's stack still runs; stop it with: ./millrace --context demo down"
        )
    use_case = USE_CASES[model]
    timeline = Timeline(len(OWN_STEPS) + len(STEPS))
    timeline.show(Rule("Millrace: drop a CSV, get a model that serves and is watched"))
    _set_aside(state)
    try:
        _run(use_case, state, timeline)
    except (DemoFailed, MillraceError) as error:
        raise click.ClickException(_explain(str(error), state / "logs")) from error


def _set_aside(state: Path) -> None:
    """Start empty; the last demo is kept beside."""
    previous = state.with_name(state.name + ".previous")
    if state.exists():
        shutil.rmtree(previous, ignore_errors=True)
        state.rename(previous)
    state.mkdir(parents=True)


def _run(use_case: UseCase, state: Path, timeline: Timeline) -> None:
    from infra.local.stack import Options, Stack

    with timeline.step(OWN_STEPS[0]):
        files = _find_data(use_case, state, timeline)
        spec, differences = for_demo(shipped(use_case.model))
    stack = Stack(state, Options(context=CONTEXT, environ=os.environ))
    try:
        with timeline.step(OWN_STEPS[1]):
            stack.start()
            context = contexts.of_stack(CONTEXT, state, stack.addresses, stack.env)
            timeline.say(f"predictor {stack.addresses.predict}, Slack {stack.addresses.slack}")
            timeline.say("The demo's settings that differ from the shipped spec:")
            for line in differences:
                timeline.say(f"  {line}")
        story = Story(use_case, context, timeline, spec, files, state / "files")
        story.tell()
        summary = render(story, collect(story, state / "results"))
    finally:
        stack.stop()
    timeline.show(summary)


def _find_data(use_case: UseCase, state: Path, timeline: Timeline) -> Cut:
    named = os.environ.get("MILLRACE_DATA", "")
    cache = installations.HOME / "data"
    timeline.say(use_case.title)
    found = find(use_case, folder=Path(named) if named else None, cache=cache)
    timeline.say(found.origin, style="bold yellow" if found.synthetic else "")
    files = cut(use_case, found.rows, state / "files")
    timeline.say(
        f"{len(found.rows):,} rows, cut once and for all: {files.train_rows:,} to train on, "
        f"{len(found.rows) - files.train_rows - len(files.truths):,} to score, "
        f"{len(files.truths):,} of a later, changed period"
    )
    return files


def _explain(reason: str, logs: Path) -> str:
    """Why the demo stopped, what the system logged last, and where to look."""
    errors = list(_errors(logs))
    lines = [f"The demo stopped: {reason}"]
    lines += [f"  logged: {line}" for line in errors[-5:]]
    lines.append(f"All logs: {logs} (./millrace --context demo logs)")
    return "\n".join(lines)


def _errors(logs: Path) -> list[str]:
    """Messages of severity ERROR, by file."""
    found = []
    for file in sorted(logs.rglob("*.log"), key=lambda file: file.stat().st_mtime):
        for line in file.read_text(encoding="utf-8", errors="replace").splitlines():
            if not line.startswith("{"):
                continue
            try:
                body = json.loads(line)
            except ValueError:
                continue
            if body.get("severity") == "ERROR":
                found.append(f"{file.stem}: {str(body.get('message'))[:300]}")
    return found
