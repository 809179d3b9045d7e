"""The published JSON Schema of a spec."""

from __future__ import annotations

from pathlib import Path

import jsonschema
import pytest
import yaml

from shared.spec.schema import FILE, render, spec_schema

ROOT = Path(__file__).resolve().parents[3]


def test_the_schema_file_is_current() -> None:
    """Run `make schema` after changing the model."""
    assert FILE.read_text(encoding="utf-8") == render()


@pytest.mark.parametrize("path", sorted((ROOT / "infra" / "specs").glob("*.yaml")), ids=str)
def test_shipped_specs_fit_the_schema(path: Path) -> None:
    """An editor that knows the schema does not complain about what we ship."""
    jsonschema.validate(yaml.safe_load(path.read_text(encoding="utf-8")), spec_schema())


def test_the_schema_knows_our_short_forms() -> None:
    """A target may be a name alone, durations are written 7d, and typos are seen."""
    schema = spec_schema()
    assert schema["$defs"]["Monitoring"]["properties"]["window"]["default"] == "1d"
    good = {"task": "binary", "target": "y", "monitoring": {"window": "7d", "label_delay": 0}}
    jsonschema.validate(good, schema)
    for bad in ({**good, "targett": 1}, {**good, "monitoring": {"window": "7 days"}}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(bad, schema)
