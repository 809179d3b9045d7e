"""What differs between two specs, key by key. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal

from pydantic import BaseModel

from shared.serving.times import format_duration
from shared.spec.model import Spec

Path = tuple[str, ...]
IN_ONE_LINE = 6
_VALUE_CHARACTERS = 80


@dataclass(frozen=True, slots=True)
class Difference:
    """One key with its value before and after, as YAML would hold them (without defaults)."""

    path: Path
    change: Literal["changed", "added", "removed", "reordered"]
    old: Any = None
    new: Any = None

    @property
    def key(self) -> str:
        return ".".join(name if name.isprintable() else _written(name) for name in self.path)

    def __str__(self) -> str:
        if self.change == "removed":
            return f"{self.key} removed"
        new = _short(self.new)
        if self.change == "added":
            return f"{self.key} added" + (f" {new}" if self.new != {} else "")
        before = "order " if self.change == "reordered" else ""
        return f"{self.key}: {before}{_short(self.old)} -> {new}"

    def as_dict(self) -> dict[str, Any]:
        return {"key": self.key, "change": self.change, "old": self.old, "new": self.new}


def differences(old: Spec, new: Spec) -> list[Difference]:
    """In the order of the spec's keys; none for two specs that mean the same. The order of columns
    counts: they name the cells of a file without a header."""
    return list(_compare(old, new, ()))


def in_one_line(found: Iterable[Difference]) -> str:
    """`max_bad_rows: 0.05 -> 0.1; columns.age added {type: number}`, the first few of them."""
    texts = [str(item) for item in found]
    more = len(texts) - IN_ONE_LINE
    shown = texts[:IN_ONE_LINE] if more > 0 else texts
    return "; ".join(shown) + (f"; and {more} more" if more > 0 else "")


def plain(value: Any) -> Any:
    """A part of a spec as JSON holds it, without what equals the defaults."""
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json", exclude_defaults=True)
    if isinstance(value, timedelta):
        return format_duration(value)
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, tuple) else value


def _compare(old: Any, new: Any, path: Path) -> Iterator[Difference]:
    if isinstance(old, BaseModel) and type(old) is type(new):
        for name in type(old).model_fields:
            yield from _compare(getattr(old, name), getattr(new, name), (*path, name))
    elif isinstance(old, dict) and isinstance(new, dict):
        yield from _compare_entries(old, new, path)
    elif old != new:
        yield Difference(path, "changed", plain(old), plain(new))


def _compare_entries(old: dict[str, Any], new: dict[str, Any], path: Path) -> Iterator[Difference]:
    for name in dict.fromkeys([*old, *new]):
        if name not in new:
            yield Difference((*path, name), "removed", old=plain(old[name]))
        elif name not in old:
            yield Difference((*path, name), "added", new=plain(new[name]))
        else:
            yield from _compare(old[name], new[name], (*path, name))
    before, after = [key for key in old if key in new], [key for key in new if key in old]
    if path == ("columns",) and before != after:
        yield Difference(path, "reordered", before, after)


def _short(value: Any) -> str:
    text = _written(value)
    return text if len(text) <= _VALUE_CHARACTERS else text[: _VALUE_CHARACTERS - 3] + "..."


def _written(value: Any) -> str:
    """As in a spec. Only who says a difference needs YAML: retrain and launch just compare."""
    from shared.spec.load import dump_value

    return dump_value(value)
