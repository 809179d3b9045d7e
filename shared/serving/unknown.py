"""Fields of records that a model does not know: told once, and whether one is a slip of the pen.

A caller who writes `hours_per_wek` gets an answer without hours; nothing else would tell. Pure.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from urllib.parse import quote

from shared.serving.problems import Problem, problem_of

_SHOWN = 10
_PROBLEMS = 1000
_LENGTH = 100
_HEADER = 2000
# difflib's ratio: "hours_per_wek" and "hours_per_week" have 0.96, "gian" and "gain" 0.75.
_CLOSE = 0.75


@dataclass(frozen=True, slots=True)
class UnknownFields:
    """The first unknown names, how many rows have any, and the feature that each may mean."""

    names: tuple[str, ...]
    rows: int
    meant: Mapping[str, str]

    def warnings(self) -> list[dict[str, str]]:
        """What is probably a mistake."""
        return [
            {
                "field": name,
                "did_you_mean": meant,
                "message": f"{name} is no field of this model and was ignored; is it {meant}?",
            }
            for name, meant in self.meant.items()
        ]

    def header(self) -> str:
        """The names in one line of plain ASCII, as many as a header is no trouble with: proxies
        end an answer whose headers are longer than a few thousand bytes."""
        line = ""
        for name in self.names:
            meant = f" (is it {_quoted(self.meant[name])}?)" if name in self.meant else ""
            more = (", " if line else "") + _quoted(name) + meant
            if line and len(line) + len(more) > _HEADER:
                return line + ", ..."
            line += more
        return line


def unknown_fields(
    records: Sequence[Mapping[str, Any]], known: frozenset[str], features: Collection[str]
) -> UnknownFields | None:
    """What is unknown in records, None for nothing. `features` are the names that may be meant."""
    if all(map(known.issuperset, records)):  # as a rule, and faster than the loop
        return None
    found: dict[str, str | None] = {}
    rows = 0
    for record in records:
        if known.issuperset(record):
            continue
        rows += 1
        if len(found) < _SHOWN:
            absent = tuple(name for name in features if name not in record)
            for name in record:
                if name not in known and name not in found and len(found) < _SHOWN:
                    found[name] = _meant(name, absent) if len(name) <= _LENGTH else None
    meant = {name: close for name, close in found.items() if close is not None}
    return UnknownFields(tuple(name[:_LENGTH] for name in found), rows, meant)


def unknown_problems(
    records: Sequence[Mapping[str, Any]], known: frozenset[str], features: Collection[str]
) -> list[Problem]:
    """The same as problems, for a model that refuses them; enough of them to see what is wrong."""
    problems: list[Problem] = []
    meant: dict[str, str | None] = {}
    for row, record in enumerate(records):
        if type(record) is not dict or known.issuperset(record):
            continue
        absent = tuple(name for name in features if name not in record)
        for name, value in record.items():
            if name not in known:
                # Among a hundred features it takes ten milliseconds to find out, so not for each.
                if name not in meant and len(meant) < _SHOWN:
                    meant[name] = _meant(name, absent) if len(name) <= _LENGTH else None
                close = meant.get(name)
                hint = f"; is it {close}?" if close else ""
                rule = f"is no field of this model{hint}"
                problems.append(problem_of(row, name[:_LENGTH], value, rule))
                if len(problems) >= _PROBLEMS:
                    return problems
    return problems


# Callers repeat themselves; strangers cannot grow it.
@lru_cache(maxsize=1024)
def _meant(name: str, absent: tuple[str, ...]) -> str | None:
    """The absent feature that a name is most like."""
    from difflib import get_close_matches

    plain = {_plain(feature): feature for feature in absent}
    close = get_close_matches(_plain(name), plain, n=1, cutoff=_CLOSE)
    return plain[close[0]] if close else None


def _quoted(name: str) -> str:
    return quote(name, errors="replace")


def _plain(name: str) -> str:
    return name.lower().replace("-", "_").replace(" ", "_").strip("_")
