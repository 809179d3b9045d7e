"""Model specs as YAML: text in, `Spec` out, and back. Every complaint names file, line and key.

YAML is read as data only and in a small subset: maps, lists, strings, decimal numbers, true, false
and null. `yes`, `12:30` and `2026-01-01` stay text, and there are no anchors (so a short text
cannot become a huge structure), tags or repeated keys. Knows no buckets.
"""

from __future__ import annotations

import difflib
import re
import types
from collections.abc import Iterable, Iterator
from typing import Any, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, ValidationError

from shared.errors import BadSpec
from shared.spec.consistency import Inconsistent
from shared.spec.model import Spec
from shared.spec.nearest import nearest

MAX_CHARACTERS = 256 * 1024
MAX_DEPTH = 12
MAX_PROBLEMS = 8
MAX_WHOLE = 1e15
_SHAPES = {  # for pydantic's words about dictionaries, instances and tuples
    "model_type": "expected keys with values, `key: value`",
    "dict_type": "expected keys with values, `key: value`",
    "tuple_type": "expected a list, such as [a, b]",
}
_UNION_ERRORS = ("float_type", "float_parsing", "string_type", "finite_number")

KeyPath = tuple[str | int, ...]
Lines = dict[KeyPath, int]


class _Loader(yaml.SafeLoader):
    """Plain scalars are text unless they are exactly one of the forms below."""


_Loader.yaml_implicit_resolvers = {}  # not the parent's: those know `yes` and dates


class _Dumper(yaml.SafeDumper):
    """Quotes every text that YAML at large or we would read as something else, such as `08`."""


class _Line(dict[str, Any]):
    """A map that is written on one line."""


_Dumper.add_representer(
    _Line,
    lambda dumper, line: dumper.represent_mapping(
        yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, line, flow_style=True
    ),
)

_DIGITS = list("-+.0123456789")
for _tag, _pattern, _first in (
    ("bool", r"true|false|True|False", list("tfTF")),
    ("null", r"null|~|", ["n", "~", ""]),
    ("int", r"[-+]?[0-9]{1,18}", _DIGITS),
    ("float", r"[-+]?(\.[0-9]+|[0-9]+\.[0-9]*|[0-9]+(?=[eE]))([eE][-+]?[0-9]+)?", _DIGITS),
):
    for _side in (_Loader, _Dumper):
        _side.add_implicit_resolver(
            f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_pattern})$"), _first
        )


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    """Line breaks of every kind are escaped: in other styles YAML folds them into blanks."""
    style = '"' if _BREAKS.search(text) else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_HALF = re.compile("[\ud800-\udfff]")
_BREAKS = re.compile("[\n\r\x85\u2028\u2029]")
_Dumper.add_representer(str, _text)


def load_spec(text: str, name: str) -> Spec:
    """The spec in this text; `name` is the file's name for messages. Raises BadSpec."""
    data, lines = _read(text, name)
    try:
        return Spec.model_validate(data)
    except ValidationError as error:
        raise BadSpec(_complaint(error, lines, name)) from error


def complaints(error: Exception, name: str) -> list[str]:
    """The problems in a message of `load_spec`, one by one."""
    return re.split(rf"; (?={re.escape(name)}, line |and \d+ more$)", str(error))


def dump_value(value: Any) -> str:
    """One value as YAML on one line."""
    text = yaml.dump(
        _plain(value),
        Dumper=_Dumper,
        sort_keys=False,
        default_flow_style=True,
        allow_unicode=True,
        width=10**6,
    )
    return str(text).removesuffix("\n").removesuffix("\n...")


def dump_spec(spec: Spec) -> str:
    """YAML of what differs from the defaults; `load_spec` gives the same spec again."""
    body = _plain(spec.model_dump(mode="json", exclude_defaults=True))
    if set(body["target"]) == {"column"}:
        body["target"] = body["target"]["column"]
    if "columns" in body:  # a line for each, however much it holds
        body["columns"] = {name: _Line(column) for name, column in body["columns"].items()}
    # None: maps and lists of scalars go on one line, the rest in blocks.
    nested = any(isinstance(value, dict | list) for value in body.values())
    flow = None if nested else False
    text: str = yaml.dump(
        body,
        Dumper=_Dumper,
        sort_keys=False,
        default_flow_style=flow,
        allow_unicode=True,
        width=100,
    )
    return text


def _plain(part: Any) -> Any:
    """17 rather than 17.0, as far as floats are exact."""
    if isinstance(part, dict):
        return {key: _plain(value) for key, value in part.items()}
    if isinstance(part, list):
        return [_plain(item) for item in part]
    whole = isinstance(part, float) and part.is_integer() and abs(part) < MAX_WHOLE
    return int(part) if whole else part


# --- text to data --------------------------------------------------------------------------------


def _read(text: str, name: str) -> tuple[Any, Lines]:
    if len(text) > MAX_CHARACTERS:
        raise BadSpec(
            f"{name} has {len(text)} characters; a spec has at most {MAX_CHARACTERS}. Was a data "
            f"file dropped in the place of a spec?"
        )
    lines: Lines = {}
    try:
        _check_events(text, name)
        node = yaml.compose(text, Loader=_Loader)
        if not isinstance(node, yaml.MappingNode):
            raise BadSpec(
                f"{name} is no spec: expected lines such as `task: binary` and `target: income`"
            )
        return _value(node, (), lines, name), lines
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}" if mark is not None else "no line"
        raise BadSpec(
            f"{name}, {where}: this is not YAML ({error.problem}). Text that starts with one of "
            f">, |, *, &, %, @ or holds `: ` goes in quotes."
        ) from error
    except yaml.YAMLError as error:
        raise BadSpec(f"{name} is not YAML: {' '.join(str(error).split())}") from error


def _check_events(text: str, name: str) -> None:
    """Refuse what a spec never needs before any structure is built. Raises BadSpec."""
    depth = documents = 0
    for event in yaml.parse(text, Loader=_Loader):
        line = event.start_mark.line + 1 if event.start_mark is not None else 0
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise BadSpec(f"{name}, line {line}: anchors and aliases (& and *) are not used here")
        if getattr(event, "tag", None) not in (None, "!"):
            raise BadSpec(f"{name}, line {line}: tags (!) are not used here")
        documents += isinstance(event, yaml.DocumentStartEvent)
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH or documents > 1:
            what = "one file holds one spec" if documents > 1 else "nested too deeply for a spec"
            raise BadSpec(f"{name}, line {line}: {what}")


def _value(node: yaml.Node, path: KeyPath, lines: Lines, name: str) -> Any:
    lines[path] = node.start_mark.line + 1
    if isinstance(node, yaml.MappingNode):
        found: dict[str, Any] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode):
                raise BadSpec(f"{name}, line {line}: a key is a single word here")
            _check_characters(key_node, name)
            key = key_node.value
            if key in found:
                raise BadSpec(f"{name}, line {line}: {_dotted((*path, key))} is there twice")
            found[key] = _value(value_node, (*path, key), lines, name)
            lines[(*path, key)] = line
        return found
    if isinstance(node, yaml.SequenceNode):
        return [_value(item, (*path, i), lines, name) for i, item in enumerate(node.value)]
    _check_characters(node, name)
    return _scalar(node)


def _check_characters(node: yaml.Node, name: str) -> None:
    """Refuse what no file can hold: half a surrogate pair, which YAML can spell. Raises BadSpec."""
    if _HALF.search(node.value):
        line = node.start_mark.line + 1
        text = "\\ud800 to \\udfff are no characters; write \\U and eight digits instead"
        raise BadSpec(f"{name}, line {line}: {text}")


def _scalar(node: yaml.Node) -> str | int | float | bool | None:
    kind = node.tag.rpartition(":")[2]
    if kind == "bool":
        return bool(node.value.lower() == "true")
    if kind == "null":
        return None
    if kind == "int":
        return int(node.value)
    return float(node.value) if kind == "float" else str(node.value)


# --- complaints ----------------------------------------------------------------------------------


def _complaint(error: ValidationError, lines: Lines, name: str) -> str:
    found = [item for broken in error.errors(include_url=False) for item in _problem(broken, lines)]
    found.sort(key=lambda item: item[0])
    texts = list(dict.fromkeys(f"{name}, line {line}: {text}" for line, text in found))
    shown = texts[:MAX_PROBLEMS]
    if len(texts) > len(shown):
        shown.append(f"and {len(texts) - len(shown)} more")
    return "; ".join(shown)


def _problem(item: Any, lines: Lines) -> Iterator[tuple[int, str]]:
    """Line and sentence of one of pydantic's errors, or of each rule about the whole spec."""
    path: KeyPath = tuple(item["loc"])
    broken = item.get("ctx", {}).get("error")
    if isinstance(broken, Inconsistent):
        for key, text in broken.problems:
            yield _line(key, lines), f"{_dotted(key)} {text}"
        return
    while path and path not in lines and path[:-1] in lines and item["type"] in _UNION_ERRORS:
        path = path[:-1]  # pydantic adds which of several types it tried
    text = str(item["msg"]).removeprefix("Value error, ")
    yield _line(path, lines), f"{_dotted(path)}{_sentence(item, path, text)}"


def _sentence(item: Any, path: KeyPath, text: str) -> str:
    value = item["input"]
    plain = not isinstance(value, dict | list)
    text = _SHAPES.get(item["type"], text)
    if item["type"] == "extra_forbidden":
        return f" is no key we know; {nearest(str(path[-1]), sorted(_keys(path[:-1])), None)}"
    if item["type"] == "missing":
        return " is missing"
    if item["type"] == "value_error":
        return f" {text}" if text.startswith("is ") else f": {text}"
    if item["type"] == "string_type" and plain:
        return f": {text}; {value!r} is no text, put it in quotes"
    if item["type"] == "literal_error" and isinstance(value, str):
        close = difflib.get_close_matches(value, re.findall("'([^']*)'", text), n=1, cutoff=0.6)
        return f": {text}; it is {value!r}" + (f", did you mean {close[0]}?" if close else "")
    return f": {text}; it is {value!r}" if plain else f": {text}"


def _line(path: KeyPath, lines: Lines) -> int:
    while path not in lines and path:
        path = path[:-1]
    return lines.get(path, 1)


def _dotted(path: Iterable[str | int]) -> str:
    return ".".join(str(part) for part in path)


def _keys(path: KeyPath) -> list[str]:
    """Names that are valid under this path of the spec."""
    kind: Any = Spec
    for part in path:
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            field = kind.model_fields.get(str(part))
            kind = field.annotation if field else None
        elif get_origin(kind) is dict:
            kind = get_args(kind)[1]
    for choice in _choices(kind):
        if isinstance(choice, type) and issubclass(choice, BaseModel):
            return list(choice.model_fields)
    return []


def _choices(kind: Any) -> Iterator[Any]:
    if get_origin(kind) in (Union, types.UnionType):
        yield from get_args(kind)
    else:
        yield kind
