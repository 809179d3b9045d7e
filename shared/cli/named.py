"""Which version a person means: an id, the beginning or end of one, or a semantic version.

The only place that reads a VERSION from the command line.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence

import click

from shared.cli.known import unknown
from shared.ports import Bucket
from shared.spec.numbering import Number
from shared.spec.registry import find_spec
from shared.versions import is_stored, number_of, numbered, version_ids

SHORTEST = 4  # of a beginning or end: `1` is meant as a number, not as the end of some id


def resolve(model: str, text: str, lake: Bucket, *, also: Sequence[str] = ()) -> str:
    """The id of the version that `text` means; `also` are other names that stand for themselves.
    Raises ClickException when none or several fit."""
    if text in also or is_stored(model, text, lake=lake):
        return text
    number = Number.parse(text)
    found = numbered(model, str(number), lake=lake) if number else None
    if found is not None:
        return found
    versions = version_ids(model, lake=lake)
    fits = [
        *(item for item in versions if _fits(item, text) and is_stored(model, item, lake=lake)),
        *(item for item in also if _fits(item, text)),
    ]
    if len(fits) == 1:
        return fits[0]
    if fits:
        several = ", ".join(shown(model, item, lake) for item in fits[:5])
        raise click.ClickException(f"{text!r} fits {len(fits)} versions of {model}: {several}")
    raise click.ClickException(_no_such(model, text, [*versions, *also], lake))


def shown(model: str, version: str | None, lake: Bucket) -> str:
    """A version as people read it: `1.2.0 (20260105T090000-0a1b2c3d)`."""
    if version is None:
        return "no version"
    number = number_of(model, version, lake=lake)
    return f"{number} ({version})" if number else version


def _fits(version: str, text: str) -> bool:
    return len(text) >= SHORTEST and (version.startswith(text) or version.endswith(text))


def _no_such(model: str, text: str, known: list[str], lake: Bucket) -> str:
    if not known:
        if find_spec(model, lake=lake) is None:
            return unknown(model, lake)
        return f"{model} has no versions yet; drop a training file first"
    numbers = {number: item for item in known if (number := number_of(model, item, lake=lake))}
    begun = [number for number in numbers if text and number.startswith(text)]
    close = begun or difflib.get_close_matches(text, [*numbers, *known], 1)
    name = close[0] if close else known[0]
    meant = f"{name} ({numbers[name]})" if name in numbers else shown(model, name, lake)
    hint = f"did you mean {meant}?" if close else f"the newest is {meant};"
    return f"{model} has no version {text!r}; {hint} all of them: ./millrace versions list {model}"
