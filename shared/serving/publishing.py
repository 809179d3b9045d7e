"""Publishing beside an answer, which never fails because of it. One of the few places where
`Exception` is caught: whatever stands between us and Pub/Sub, the caller asked for a prediction.
"""

from __future__ import annotations

from collections.abc import Callable

from shared.ports import Publisher


def refusal_to_publish(
    publisher: Callable[[], Publisher], topic: str, data: bytes, kind: str
) -> Exception | None:
    """Publish a message of that type; why it was not accepted, None when it was."""
    try:
        publisher().publish(topic, data, {"type": kind})
    except Exception as error:  # noqa: BLE001 - no answer depends on this; the caller counts it
        return error
    return None
