"""The spec's page names every key there is."""

from __future__ import annotations

import re
from pathlib import Path

from pydantic import BaseModel

from shared.spec.model import Column, Require, Spec

PAGE = Path(__file__).resolve().parents[3] / "infra" / "docs" / "spec.md"


def _keys(model: type[BaseModel]) -> set[str]:
    found = set(model.model_fields)
    for field in model.model_fields.values():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            found |= _keys(kind)
    return found


def test_every_key_of_the_spec_is_on_its_page() -> None:
    """A key that people may write is documented, with its default."""
    text = PAGE.read_text(encoding="utf-8")
    keys = _keys(Spec) | _keys(Column) | _keys(Require)
    assert sorted(key for key in keys if not re.search(rf"\b{key}\b", text)) == []
