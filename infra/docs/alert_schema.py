"""The JSON Schema of everything on the topic `alerts`, from the event classes.

    python -m infra.docs.alert_schema       (`make schema`)

For other consumers of the topic; a test holds the file equal to the classes.
"""

from __future__ import annotations

import dataclasses
import json
from datetime import datetime
from pathlib import Path
from typing import Any, get_type_hints

from shared.decoding import TYPES
from shared.events import Event
from shared.telling.kinds import ASKS, KINDS

FILE = Path(__file__).with_name("alerts.schema.json")
_TIME = {"type": "string", "format": "date-time"}
_FINDING = {
    "type": "object",
    "required": ["what", "value", "reference", "threshold", "change"],
    "properties": {
        "what": {"type": "string", "description": "A column (and the check), or a metric."},
        "value": {"type": "number"},
        "reference": {"type": "number", "description": "What it was at training."},
        "threshold": {"type": "number", "description": "Where it is out of bounds."},
        "change": {"type": "string", "description": "In words, may be empty."},
    },
}
# What every field means, once.
FIELDS = {
    "type": "The kind of message; also the attribute `type` of the Pub/Sub message.",
    "id": "The same for a message that was published twice.",
    "time": "When it was published.",
    "model": "The model it is about; empty where it is about none.",
    "version": "The version of the model, which is also the id of the run that made it.",
    "incident_id": "One window and kind of alert; the same for every revision of the window.",
    "revision": "0, or how often the window was judged again because its labels changed.",
    "channel": "`batch` or `online`.",
    "window_start": "Inclusive.",
    "window_end": "Exclusive.",
    "sentence": "What happened, for people.",
    "facts": "Short lines with value and threshold, what matters most first.",
    "report": "The HTML report, as an object of the lake.",
    "asks": "What is asked of people: `know` goes into the daily digest.",
    "opened_by": "The incident_id of the first of an unbroken row of windows: what people know the "
    "incident by. Empty in messages of older versions.",
    "since": "When that first window began (RFC 3339). Empty in messages of older versions.",
    "effect": "The largest distance from a reference among the findings; 1 is at the threshold.",
    "decided_by": "The incident_id of the model's other alert that decides whether the loop "
    "trains; empty where this one does.",
    "findings": "What is out of bounds, for programs; at most 50.",
    "run_id": "The run that the upload would have been.",
    "source": "DataRejected: the object, as `gs://bucket/name#generation`. AutomationNoted: the "
    "function that says it.",
    "reason": "A name from infra/docs/reasons.md.",
    "message": "What was expected, what came, what to do.",
    "subject": "The occasion: an incident, a run, a parked message.",
    "incident": "The `opened_by` of the alert that the note is about, or empty.",
    "kind": "The kind of alert that the note is about, or empty.",
    "answer": "What was decided, in a word: the same answer to the same incident is news once.",
}


def alert_types() -> list[type[Event]]:
    """The classes of the topic, in the order of shared/events/alerts.py."""
    return [cls for cls in TYPES.values() if cls.topic == "alerts"]


def schema() -> dict[str, Any]:
    """Draft 2020-12: one of the types, told apart by `type`. Unknown fields are allowed: a newer
    version may send more."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Millrace alert",
        "description": "A message of the topic `alerts`, as JSON.",
        "oneOf": [{"$ref": f"#/$defs/{cls.__name__}"} for cls in alert_types()],
        "$defs": {cls.__name__: _of(cls) for cls in alert_types()},
    }


def render() -> str:
    return json.dumps(schema(), indent=1, ensure_ascii=False) + "\n"


def required(cls: type[Event]) -> list[str]:
    """Fields that no version leaves out."""
    return ["type", "id", "time"] + [
        item.name
        for item in dataclasses.fields(cls)
        if item.default is item.default_factory is dataclasses.MISSING
    ]


def _of(cls: type[Event]) -> dict[str, Any]:
    hints = get_type_hints(cls)
    common = {"type": {"const": cls.__name__}, "id": {"type": "string"}, "time": _TIME}
    own = {item.name: _type(item.name, hints[item.name]) for item in dataclasses.fields(cls)}
    return {
        "type": "object",
        "description": " ".join((cls.__doc__ or "").partition("\n\n")[0].split()),
        "required": required(cls),
        "properties": {
            name: {**part, "description": FIELDS[name]} for name, part in {**common, **own}.items()
        },
    }


def _type(name: str, hint: object) -> dict[str, Any]:
    if name == "asks":
        return {"enum": list(ASKS)}
    if name == "kind":
        return {"enum": ["", *KINDS]}
    found: dict[object, dict[str, Any]] = {
        str: {"type": "string"},
        int: {"type": "integer"},
        float: {"type": "number"},
        datetime: _TIME,
        list[str]: {"type": "array", "items": {"type": "string"}},
        list[dict[str, Any]]: {"type": "array", "items": _FINDING},
    }
    return found[hint]


if __name__ == "__main__":
    FILE.write_text(render(), encoding="utf-8")
