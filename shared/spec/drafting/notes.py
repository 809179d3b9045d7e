"""Sentences about a draft, and the words they are made of."""

from __future__ import annotations

import math
import re
import shlex
from collections.abc import Collection, Sequence

from shared.spec.drafting import hints
from shared.spec.drafting.looking import Look
from shared.spec.model import Column

MAX_SHOWN = 3  # odd cells of a column


def reasons(why: dict[str, list[str]]) -> list[str]:
    """Why columns are left out, those with one reason together."""
    return [f"{names_of(names)}: {reason}" for reason, names in why.items()]


def feature_notes(columns: dict[str, Column], looks: dict[str, Look], target: str) -> list[str]:
    """Notes about features that may be read otherwise than people mean them."""
    features = [
        seen for seen in looks.values() if columns[seen.name].feature and seen.name != target
    ]
    notes = []
    notes += [odd_cells(look) for look in features if look.odd and look.nearly_numeric]
    dressed = [f"{seen.name} ({seen.dressed!r})" for seen in features if seen.texts_for_numbers]
    if dressed:
        notes.append(f"Read as texts, written plainly they would be numbers: {', '.join(dressed)}.")
    many = [
        f"{look.name} ({len(look.levels)})"
        for look in features
        if columns[look.name].type == "category" and columns[look.name].expect.values is None
    ]
    if many:
        notes.append(f"Values are not listed, they are many: {', '.join(many)}.")
    again = hints.repeated_identifiers(features)
    if again:
        notes.append(f"Called like an identifier and used all the same: {names_of(again)}.")
    for cell, names in hints.sentinels(list(looks.values())).items():
        notes.append(
            f"{cell} stands far from all other values of {names_of(names)}; if it means missing, "
            f"draft again with --missing {cell}."
        )
    return notes


def odd_cells(look: Look) -> str:
    """What becomes of the few cells of a column that are no numbers."""
    few = look.odd[:MAX_SHOWN]
    shown = ", ".join(f"{cell!r} ({look.levels[cell]:,})" for cell in few)
    more = len(look.odd) - len(few)
    shown += f" and {more:,} more" if more else ""
    share = math.floor(1000 * (1 - look.odd_cells / look.filled)) / 10
    begin = f"{look.name}: {share:g}% numbers; else {shown}"
    if not look.numeric:
        return f"{begin}: read as texts; if these are typing errors, make it `type: number`."
    missing = " ".join(f"--missing {shlex.quote(cell)}" for cell in few)
    or_missing = "" if more else f"; if it means missing, draft again with {missing}"
    return f"{begin}: their rows go to quarantine{or_missing}."


def date_parts(times: Sequence[str]) -> list[str]:
    """A time says nothing by itself; what of it may matter is for people to choose."""
    if not times:
        return []
    name, plain = times[0], re.sub(r"\W+", "_", times[0]).strip("_")
    used = name if plain == name and not plain[0].isdigit() else f"`{name}`"
    parts = [f"{quoted(f'{plain}_{part}')}: {part}({used})" for part in ("month", "weekday")]
    line = f"derive: {{{', '.join(parts)}}}"
    also = "year, day, hour" + (", the days between two times" if len(times) > 1 else "")
    text = f"{names_of(times)}: no feature as {pronoun(times)}. To learn from parts of one, add:"
    return [f"{text} {line} (also {also})"]


def names_of(names: Sequence[str]) -> str:
    """A few names, and how many more."""
    few = ", ".join(names[:8])
    return few if len(names) <= 8 else f"{few} and {len(names) - 8} more"


def pronoun(names: Collection[str]) -> str:
    """What stands for these columns, with its verb."""
    return "it is" if len(names) == 1 else "they are"


def quoted(name: str) -> str:
    """A name as YAML takes it."""
    plain = re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name)
    return name if plain else "'" + name.replace("'", "''") + "'"


def printable(text: str) -> str:
    """A comment stays one line, whatever a file calls its columns."""
    shown = (c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    return "".join(shown)
