"""Terraform files, parsed: works where there is no terraform, and sees what a plan does not say."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import hcl2

from tests.support.terraform import ROOT


class Resource(NamedTuple):
    """`folder` is relative to infra/terraform, empty for the installation itself."""

    folder: str
    type: str
    name: str
    body: dict[str, Any]

    @property
    def key(self) -> str:
        return f"{self.folder}/{self.name}" if self.folder else self.name


def plain(value: Any) -> Any:
    """Without the quotes that the parser keeps of strings, and its marks."""
    if isinstance(value, str):
        return value.strip('"')
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {plain(key): plain(item) for key, item in value.items() if key != "__is_block__"}
    return value


def parsed(file: Path) -> dict[str, Any]:
    with file.open(encoding="utf-8") as text:
        found: dict[str, Any] = plain(hcl2.load(text))
    return found


def files() -> list[Path]:
    """Of all roots and modules, tests aside."""
    return sorted(file for file in ROOT.rglob("*.tf") if ".terraform" not in file.parts)


def resources() -> list[Resource]:
    return [resource for file in files() for resource in _of(file)]


def value(body: dict[str, Any], path: str) -> Any:
    """What stands there; dynamic blocks by their own name, None where there is nothing."""
    found: Any = {**body, **{key: x for one in body.get("dynamic", ()) for key, x in one.items()}}
    for word in path.split("."):
        found = found.get(word) if isinstance(found, dict) else None
        while isinstance(found, list):
            found = found[0] if found else None
    return found


def _of(file: Path) -> Iterator[Resource]:
    folder = file.parent.relative_to(ROOT).as_posix()
    for block in parsed(file).get("resource", []):
        for kind, named in block.items():
            for name, body in named.items():
                yield Resource("" if folder == "." else folder, kind, name, body)
