"""A spec with every value written out, and where each comes from. Pure.

`spec` stands for what the file holds (or what differs from the default), `default` for the rest,
`derived` for what follows from other keys.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel

from shared.spec.model import Spec

Path = tuple[str, ...]
Origin = Literal["spec", "default", "derived"]
_COMMENT_COLUMN = 48
_COLLAPSED = ("expect", "require")  # of columns: one line when nothing is said in them


@dataclass(frozen=True, slots=True)
class Value:
    path: Path
    value: Any
    origin: Origin

    @property
    def key(self) -> str:
        return ".".join(self.path)

    def as_dict(self) -> dict[str, Any]:
        return {"key": self.key, "value": self.value, "origin": self.origin}


def written(spec: Spec) -> tuple[str, ...]:
    """Keys that the file held from which this spec was just read."""
    return tuple(".".join(path) for path in _written(spec, ()))


def effective(spec: Spec, wrote: Collection[str] = ()) -> list[Value]:
    """Every value in the order of the keys, derived ones last. `wrote` are the keys of the file."""
    known = set(wrote)
    found = [
        Value(path, value, "spec" if not default or ".".join(path) in known else "default")
        for path, value, default in _leaves(spec, ())
    ]
    return [*found, *_derived(spec)]


def render(values: list[Value]) -> str:
    """YAML that `load_spec` reads, each value with its origin as a comment; what is derived is a
    comment as a whole."""
    from shared.spec.load import dump_value  # functions that read specs in force carry no YAML

    lines: list[str] = []
    before: Path = ()
    for item in values:
        if item.origin == "derived":
            lines.append(f"# derived: {item.key}: {dump_value(item.value)}")
            continue
        folders = item.path[:-1]
        same = 0
        while same < min(len(folders), len(before)) and folders[same] == before[same]:
            same += 1
        lines += [f"{'  ' * at}{dump_value(folders[at])}:" for at in range(same, len(folders))]
        text = f"{'  ' * len(folders)}{dump_value(item.path[-1])}: {dump_value(item.value)}"
        lines.append(f"{text:<{_COMMENT_COLUMN}}  # {item.origin}")
        before = folders
    return "\n".join(lines) + "\n"


def _written(part: BaseModel, path: Path) -> Iterator[Path]:
    for name in type(part).model_fields:
        if name not in part.model_fields_set:
            continue
        value, at = getattr(part, name), (*path, name)
        if isinstance(value, BaseModel):
            yield from _written(value, at)
        elif isinstance(value, dict):
            for key, entry in value.items():
                if isinstance(entry, BaseModel):
                    yield from _written(entry, (*at, key))
                else:
                    yield (*at, key)
        else:
            yield at


def _leaves(part: BaseModel, path: Path) -> Iterator[tuple[Path, Any, bool]]:
    """Path, value as JSON holds it, and whether that is the default."""
    body = part.model_dump(mode="json")
    for name, field in type(part).model_fields.items():
        value, at = getattr(part, name), (*path, name)
        default = not field.is_required() and value == field.get_default(call_default_factory=True)
        if path[:1] == ("columns",) and name in _COLLAPSED and default:
            yield at, {}, True
        elif isinstance(value, BaseModel):
            yield from _leaves(value, at)
        elif isinstance(value, dict) and value:
            for key, entry in value.items():
                if isinstance(entry, BaseModel):
                    yield from _leaves(entry, (*at, key))
                else:
                    yield (*at, key), body[name][key], False
        else:
            yield at, body[name], default


def _derived(spec: Spec) -> Iterator[Value]:
    if spec.sources:
        yield Value(("primary",), spec.primary, "derived")
    for name, column in spec.derived.items():
        if name not in spec.columns:
            yield Value(("columns", name, "type"), column.type, "derived")
    if spec.columns:
        yield Value(("features",), [*spec.feature_names(), *spec.derive], "derived")
        if carried := spec.carried_names():
            yield Value(("inputs",), [*spec.feature_names(), *carried], "derived")
