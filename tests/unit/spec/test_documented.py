"""The spec's page has every key there is, in its section, with its default; its examples work."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args, get_origin

import pytest
from pydantic import BaseModel

from shared.spec.differences import plain
from shared.spec.load import dump_value, load_spec
from shared.spec.model import JoinedSource, Require, Source, Spec
from shared.spec.parts import Expect

PAGE = Path(__file__).resolve().parents[3] / "infra" / "docs" / "spec.md"
TEXT = PAGE.read_text(encoding="utf-8")
ROW = re.compile(r"^\| `(?P<key>\w+)` \| (?P<default>.*?) \| (?P<means>.+) \|$")
INHERITED: dict[type[BaseModel], type[BaseModel]] = {JoinedSource: Source, Require: Expect}


def models(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, type[BaseModel]]]:
    """Every part of a spec, by where its keys stand."""
    yield prefix, model
    for name, field in model.model_fields.items():
        at = f"{prefix}.{name}".lstrip(".")
        for part in parts(field.annotation):
            yield from models(part, f"{at}.<name>" if get_origin(field.annotation) is dict else at)


def parts(kind: Any) -> Iterator[type[BaseModel]]:
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        yield kind
    for inner in get_args(kind):
        yield from parts(inner)


def documented() -> dict[str, dict[str, str]]:
    """Section -> key -> default, as the page has them."""
    found: dict[str, dict[str, str]] = {}
    section = None
    for line in TEXT.splitlines():
        heading = re.fullmatch(r"#+ (?:`(.+)`|(The whole)|.*)", line)
        if heading:
            section = heading[1] or ("" if heading[2] else None)
        row = ROW.match(line)
        if row and section is not None:
            found.setdefault(section, {})[row["key"]] = row["default"]
    return found


@pytest.mark.parametrize(("prefix", "model"), list(models(Spec)), ids=str)
def test_every_key_is_in_its_section_with_its_default(prefix: str, model: type[BaseModel]) -> None:
    """What people may write is documented, and nothing that they may not."""
    inherited = INHERITED[model].model_fields if model in INHERITED else {}
    fields = {key: field for key, field in model.model_fields.items() if key not in inherited}
    told = documented()[prefix]
    assert list(told) == list(fields)
    for key, field in fields.items():
        default = plain(field.get_default(call_default_factory=True))
        if field.is_required():
            assert told[key] == "required"
        elif not isinstance(default, dict | list):
            assert told[key] == f"`{dump_value(default)}`"


@pytest.mark.parametrize("example", re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL))
def test_the_examples_are_specs(example: str) -> None:
    """What is shown can be written; a fragment goes below a task and a target."""
    whole = example if "task:" in example else f"task: regression\ntarget: price\n{example}"
    load_spec(whole, "example.yaml")
