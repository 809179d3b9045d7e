"""forgotten/<id>.json: that somebody was forgotten, by whom and why, and what became of what. Holds
no personal value: the key as a hash that only whoever knows it can find again.

Begun before anything is emptied, so that a run that was killed is gone on with under its id.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping
from typing import Any

from shared import documents, paths
from shared.ports import Bucket, Clock

_SALT_BYTES = 16


def hashed(text: str, salt: str) -> str:
    """Slow on purpose: a short key must not be found by trying all of them."""
    made = hashlib.scrypt(text.encode(), salt=bytes.fromhex(salt), n=2**14, r=8, p=1, dklen=32)
    return made.hex()


def begin(facts: Mapping[str, Any], text: str, *, lake: Bucket, clock: Clock) -> dict[str, Any]:
    """The report to go on with: one that was begun about the same person, else a new one. `text` is
    what tells who it is."""
    for info in lake.list(paths.forgotten()):
        body = documents.require(lake, info.name)
        same = all(body.get(name) == facts[name] for name in ("model", "by_column"))
        if body["state"] == "begun" and same and hashed(text, body["salt"]) == body["hash"]:
            return body
    salt, now = secrets.token_hex(_SALT_BYTES), clock.now()
    body = {
        "id": f"{now:%Y%m%dt%H%M%S}-{secrets.token_hex(4)}",
        "state": "begun",
        **facts,
        "at": documents.timestamp(now),
        "salt": salt,
        "hash": hashed(text, salt),
        "inbox_generations": [],
        "deleted": [],
    }
    documents.create(lake, paths.forgotten(body["id"]), body)
    return body


def keep(body: Mapping[str, Any], *, lake: Bucket) -> None:
    """Store what is known so far."""
    documents.change(lake, paths.forgotten(str(body["id"])), lambda _: dict(body))
