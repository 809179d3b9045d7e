"""The JSON Schema of a model spec, for editors; `make schema` writes `spec.schema.json` beside.

# yaml-language-server: $schema=<path or URL of spec.schema.json>
"""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from shared.serving.times import format_duration
from shared.spec.model import Spec

FILE = Path(__file__).with_name("spec.schema.json")
_ISO = TypeAdapter(timedelta)
_DURATION = {"anyOf": [{"type": "string", "pattern": "^[0-9]+[smhd]$"}, {"const": 0}]}


def spec_schema() -> dict[str, Any]:
    """Draft 2020-12. Says what YAML may hold: durations as `7d`, `target` also as a name alone."""
    schema: dict[str, Any] = _durations(Spec.model_json_schema())
    target = schema["properties"]["target"]
    schema["properties"]["target"] = {"anyOf": [{"type": "string"}, target]}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema,
        "title": "Millrace model spec",
    }


def render() -> str:
    return json.dumps(spec_schema(), indent=1, ensure_ascii=False) + "\n"


def _durations(part: Any) -> Any:
    if isinstance(part, list):
        return [_durations(item) for item in part]
    if not isinstance(part, dict):
        return part
    if part.get("format") == "duration":
        rest = {key: value for key, value in part.items() if key not in ("type", "format")}
        if "default" in rest:  # pydantic writes PT15M
            rest["default"] = format_duration(_ISO.validate_python(rest["default"]))
        return {**_DURATION, **rest}
    return {key: _durations(value) for key, value in part.items()}


if __name__ == "__main__":
    FILE.write_text(render(), encoding="utf-8")
