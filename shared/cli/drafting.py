"""What init and try share: a draft for a file, and the questions to the person in front of it."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from shared import paths
from shared.cli import contexts
from shared.cli.console import say
from shared.spec.draft import Draft, Wishes, draft

AUTO = (
    "approval: auto, for this is your own machine: a version serves unasked, unless in doubt. "
    "Without the line a person approves the first one."
)
_OPTIONS = (
    click.option(
        "--not-available",
        multiple=True,
        metavar="COLUMN",
        help="Known only afterwards, so no feature; may be repeated.",
    ),
    click.option(
        "--assume-available",
        is_flag=True,
        help="Every other column is known when a prediction is asked for.",
    ),
    click.option(
        "--allow-leak",
        multiple=True,
        metavar="COLUMN",
        help="Known in time, though it nearly settles the target; may be repeated.",
    ),
    click.option(
        "--missing", multiple=True, metavar="TEXT", help="Means missing, too; may be repeated."
    ),
    click.option(
        "--split-by", metavar="COLUMN", help="Compare models on the newest rows by this time."
    ),
)


def wish_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options by which a draft is steered."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def wishes_of(options: Mapping[str, Any]) -> Wishes:
    """What these options say."""
    return Wishes(
        not_available=options["not_available"],
        available=options["assume_available"],
        allow_leak=options["allow_leak"],
        missing=options["missing"],
        split_by=options["split_by"],
    )


def words_of(wishes: Wishes) -> list[str]:
    """The options that say this, as a person would type them."""
    words = ["--assume-available"] if wishes.available else []
    for option, values in (
        ("--not-available", wishes.not_available),
        ("--allow-leak", wishes.allow_leak),
        ("--missing", wishes.missing),
        ("--split-by", [wishes.split_by] if wishes.split_by else []),
    ):
        for value in values:
            words += [option, shlex.quote(value)]
    return words


def model_name(file: Path) -> str:
    """A model name from a file's name: `My Data (2).csv` -> `my_data_2`."""
    name = re.sub(r"[^a-z0-9]+", "_", file.name.split(".")[0].lower()).strip("_")[:63]
    return name if paths.is_model_name(name) else f"m_{name}"[:63].rstrip("_")


def draft_file(file: Path, target: str, wishes: Wishes | None = None) -> Draft:
    """A draft for a file on this disk. Raises EmptyFile, BinaryFile, UnreadableText, BadSpec."""
    from shared.tabular.reading.sampling import read_sample  # pyarrow is slow to import

    return draft(read_sample(file, target), target, wishes)


def ask_draft(file: Path, target: str, wishes: Wishes, *, ask: bool, context_name: str) -> Draft:
    """As `draft_file`, after the questions that only a person can answer, if one is there."""
    found = draft_file(file, target, wishes)
    if ask and sys.stdin.isatty():
        more = _asked(found, wishes)
        if more != wishes:
            found = draft_file(file, target, more)
    return for_context(found, context_name)


def for_context(found: Draft, context_name: str) -> Draft:
    """On one's own machine nobody else is there to approve, which a note says."""
    if context_name not in contexts.LOCAL_CONTEXTS:
        return found
    promotion = found.spec.promotion.model_copy(update={"approval": "auto"})
    spec = found.spec.model_copy(update={"promotion": promotion})
    return replace(found, spec=spec, notes=(*found.notes, AUTO))


def _asked(found: Draft, wishes: Wishes) -> Wishes:
    """The wishes with answers to what the draft leaves open."""
    features = found.spec.feature_names()
    if not wishes.available and not wishes.not_available:
        say(f"Columns to predict from: {', '.join(features)}", err=True)
        if found.doubtful:
            say(f"Perhaps known only afterwards: {', '.join(found.doubtful)}", err=True)
        late = click.prompt(
            "Which are not known yet when a prediction is asked for? (names, Enter for none)",
            default="",
            show_default=False,
            value_proc=lambda text: _names(text, features),
            err=True,
        )
        wishes = replace(wishes, not_available=late)
    left = [name for name in found.times if name not in wishes.not_available]
    if left and wishes.split_by is None:
        question = f"{left[0]} is a time. Compare models on the newest rows instead of random ones?"
        if click.confirm(question, default=False, err=True):
            wishes = replace(wishes, split_by=left[0])
    return wishes


def _names(text: str, known: list[str]) -> tuple[str, ...]:
    """Column names as people type them, with commas or blanks between. Raises UsageError."""
    whole = [part.strip() for part in text.split(",") if part.strip()]
    try:
        names = (
            whole if all(name in known for name in whole) else shlex.split(text.replace(",", " "))
        )
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    unknown = [name for name in names if name not in known]
    if unknown:
        raise click.UsageError(f"no such columns: {', '.join(unknown)}")
    return tuple(names)
