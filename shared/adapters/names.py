"""Names on the wire: ports speak short names, the project's other resources share the namespace.

The local stack and Terraform create all of these under these names; nobody else spells them.
"""

from __future__ import annotations

_PREFIX = "millrace-"


def wire_topic(short: str) -> str:
    """The Pub/Sub topic behind a topology key: `uploads` -> `millrace-uploads`."""
    return _PREFIX + short


def wire_job(short: str) -> str:
    """The Cloud Run job behind `<job>-<size>`: `train-s` -> `millrace-train-s`."""
    return _PREFIX + short


def wire_secret(short: str) -> str:
    """The secret in Secret Manager behind a name in the topology."""
    return _PREFIX + short


def wire_schedule(short: str) -> str:
    """The Cloud Scheduler job behind a schedule's key."""
    return _PREFIX + short
