"""The records in the body of a prediction request, or the refusal that says what was expected."""

from __future__ import annotations

import json

from flask import Request

JSON = "application/json"
# A body of empty records alone would take gigabytes to complain about.
MAX_RECORDS = 100_000


class Refusal(Exception):
    """A request that gets no prediction. `more` goes beside code and message."""

    def __init__(self, status: int, code: str, message: str, **more: object) -> None:
        super().__init__(message)
        self.status, self.code, self.more = status, code, more


def records_of(request: Request) -> list[object]:
    """The records of a request's body. Raises Refusal."""
    # The header as most callers send it needs no parsing.
    if request.environ.get("CONTENT_TYPE") != JSON and request.mimetype != JSON:
        message = f"send Content-Type: application/json, not {request.mimetype or 'none'!r}"
        raise Refusal(415, "unsupported_media_type", message)
    try:
        body = json.loads(request.get_data(cache=False))
    except (ValueError, RecursionError) as error:
        message = f"the body is not JSON: {_reason(error)}"
        raise Refusal(400, "malformed_json", message) from error
    records = body
    if isinstance(body, dict):
        records = body["instances"] if isinstance(body.get("instances"), list) else [body]
    if not isinstance(records, list) or not records:
        message = 'send a record, a non-empty list of records, or {"instances": [...]}'
        raise Refusal(400, "malformed_request", message)
    if len(records) > MAX_RECORDS:
        message = f"{len(records)} records in a request, at most {MAX_RECORDS} are taken"
        raise Refusal(413, "too_many_records", f"{message}; send them in several, or score a file")
    return records


def _reason(error: ValueError | RecursionError) -> str:
    """Why a body is no JSON, for people who do not know Python."""
    if isinstance(error, json.JSONDecodeError):
        return str(error)
    if isinstance(error, UnicodeDecodeError):
        return f"it is not UTF-8 at byte {error.start + 1}"
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    return "it has a number of more digits than are read"
