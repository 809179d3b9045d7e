"""Messages as they arrive: the event of a body, checked against its class. Knows no transport."""

from __future__ import annotations

import dataclasses
from datetime import datetime
from typing import Any, cast, get_type_hints

from shared.errors import MalformedMessage, UnknownMessageType
from shared.events import Event, MonitorAlert, RunEvent, parse_time


def _leaves(cls: type[Event]) -> list[type[Event]]:
    found = [] if cls.__name__.startswith("_") else [cls]
    for child in cls.__subclasses__():
        found += _leaves(child)
    return found


TYPES: dict[str, type[Event]] = {
    cls.__name__: cls for cls in _leaves(Event) if cls not in (Event, RunEvent, MonitorAlert)
}


def decode(body: dict[str, Any]) -> Event:
    """The event of a body. Unknown fields are ignored (a newer publisher), missing ones are not.
    Raises MalformedMessage, UnknownMessageType."""
    name = body.get("type")
    cls = TYPES.get(name) if isinstance(name, str) else None
    if cls is None:
        raise UnknownMessageType(f"message type {name!r} is none of ours: {', '.join(TYPES)}")
    hints = get_type_hints(cls)
    values: dict[str, Any] = {}
    for item in dataclasses.fields(cls):
        if item.name in body:
            values[item.name] = _value(cls, item.name, hints[item.name], body[item.name])
        elif item.default is item.default_factory is dataclasses.MISSING:
            raise MalformedMessage(f"{name} lacks the field {item.name!r}")
    return cls(**values)


def _value(cls: type[Event], name: str, hint: object, value: Any) -> Any:
    wrong = MalformedMessage(f"{cls.__name__}.{name} is {value!r}, expected {hint}")
    if hint is datetime:
        try:
            return parse_time(value)
        except (TypeError, ValueError) as error:
            raise wrong from error
    plain: tuple[type, ...]
    if hint == (str | None):
        plain = (str, type(None))
    elif hint in (list[str], list[dict[str, Any]]):
        plain = (list,)
    elif hint is float:
        plain = (int, float)
    else:
        plain = (cast(type, hint),)
    if not isinstance(value, plain) or (hint in (int, float) and isinstance(value, bool)):
        raise wrong
    return value
