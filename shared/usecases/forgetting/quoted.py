"""Documents that may quote somebody: reasons of refusals, messages that were parked. Pure."""

from __future__ import annotations

import base64
import binascii
import re
from typing import Any

from shared.usecases.forgetting.subject import GONE

# Of a run's documents only what is said to people may change; names of objects lead somewhere.
SAID = frozenset({"message", "reason", "sentence", "why"})


def without(
    value: Any, pattern: re.Pattern[str], *, only: frozenset[str] = frozenset(), name: str = ""
) -> Any:
    """The document without the texts that mention one, `only` under these names if there are some;
    what is packed in base64 is looked into."""
    if isinstance(value, dict):
        return {
            key: without(item, pattern, only=only, name=str(key)) for key, item in value.items()
        }
    if isinstance(value, list):
        return [without(item, pattern, only=only, name=name) for item in value]
    if isinstance(value, str) and (not only or name in only) and _mentions(value, pattern):
        return GONE
    return value


def _mentions(text: str, pattern: re.Pattern[str]) -> bool:
    if pattern.search(text):
        return True
    for part in re.findall(r"[0-9A-Za-z+/]{16,}={0,2}", text):
        try:
            if pattern.search(base64.b64decode(part, validate=True).decode("utf-8", "replace")):
                return True
        except (binascii.Error, ValueError):
            continue
    return False
