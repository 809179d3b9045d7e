"""JSON as the predictor reads and writes it: by orjson where that means what `json` means, else by
`json`.

orjson refuses what callers send all the same (NaN, lone surrogates, a byte order mark): then `json`
reads. What orjson would take for something else are whole numbers beyond 64 bits, so a body with 19
digits in a row that are no fraction is read by `json`. One difference is left: orjson takes 1,024
levels of nesting, `json` a few less.
"""

from __future__ import annotations

import json
from typing import Any

import orjson

_DIGITS = bytes(48 if 48 <= byte < 58 else byte for byte in range(256))
_LONG = b"0" * 19
_FRACTION = b"." + _LONG
# json.dumps would make an encoder per call.
_encode = json.JSONEncoder(separators=(",", ":")).encode


def read(body: bytes) -> Any:
    """What `json.loads` gives. Raises ValueError, RecursionError."""
    digits = body.translate(_DIGITS)
    if _LONG not in digits or _LONG not in digits.replace(_FRACTION, b"."):
        try:
            return orjson.loads(body)
        except orjson.JSONDecodeError:
            pass  # json may read it, and says better what is wrong
    return json.loads(body)


def write(value: Any) -> bytes:
    """One line of JSON, for whoever reads JSON."""
    try:
        return orjson.dumps(value)
    except TypeError:  # lone surrogates, whole numbers beyond 64 bits
        return _encode(value).encode()
