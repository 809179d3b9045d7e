"""Documents that may quote somebody: reasons of refusals, messages that were parked. Pure."""

from __future__ import annotations

import base64
import binascii
import re
from typing import Any

from shared.usecases.forgetting.subject import GONE


def without(value: Any, pattern: re.Pattern[str]) -> Any:
    """The document without the texts that mention one; what is packed in base64 is looked into."""
    if isinstance(value, dict):
        return {name: without(item, pattern) for name, item in value.items()}
    if isinstance(value, list):
        return [without(item, pattern) for item in value]
    if isinstance(value, str) and _mentions(value, pattern):
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
