"""Names on the wire: ports speak short names, the project's other resources share the namespace.

The local stack and Terraform create topics and jobs under these names; nobody else spells them.
"""

from __future__ import annotations

_PREFIX = "millrace-"


def wire_topic(short: str) -> str:
    """The Pub/Sub topic behind a topology key: `uploads` -> `millrace-uploads`."""
    return _PREFIX + short


def wire_job(short: str) -> str:
    """The Cloud Run job behind `<job>-<size>`: `train-s` -> `millrace-train-s`."""
    return _PREFIX + short
