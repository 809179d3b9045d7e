"""One translator: whatever stops a request becomes one refusal, which each protocol then words."""

from __future__ import annotations

from werkzeug.exceptions import HTTPException

from shared.errors import FeaturesTooOld, InvalidInstances
from shared.serving.problems import in_words
from shared.serving.protocols.asked import Refusal

MAX_BODY_BYTES = 10 * 1024 * 1024
_SHOWN_PROBLEMS = 100
# Many clients show the message alone.
_MESSAGE = 300

# Everything that is the request's fault, or that the HTTP layer says.
REFUSALS = (Refusal, InvalidInstances, FeaturesTooOld, HTTPException, RecursionError)


def refusal_of(error: BaseException) -> Refusal:
    """The refusal for one of REFUSALS."""
    if isinstance(error, Refusal):
        return error
    if isinstance(error, InvalidInstances):
        return _invalid(error)
    if isinstance(error, FeaturesTooOld):
        since = error.as_of
        text = str(error)
        return Refusal(409, "features_too_old", text, source=error.source, features_as_of=since)
    if isinstance(error, HTTPException):
        return _http(error)
    return Refusal(400, "malformed_request", "the body is nested too deeply")


def _invalid(error: InvalidInstances) -> Refusal:
    rows, total = len({problem["row"] for problem in error.problems}), len(error.problems)
    first = f"row {error.problems[0]['row']}, {in_words(error.problems[0])}"
    message = f"{total} problem(s) in {rows} row(s), nothing was predicted; {first[:_MESSAGE]}"
    shown = error.problems[:_SHOWN_PROBLEMS]
    return Refusal(422, "invalid_instances", message, problems=shown, problems_total=total)


def _http(error: HTTPException) -> Refusal:
    status = error.code or 500
    code = error.name.lower().replace(" ", "_")
    message = "something went wrong here; it is logged" if status >= 500 else error.description
    if status == 404:
        message = "there is nothing at this address; GET /docs shows how to ask, /models what for"
    if status == 413:
        message = f"the body is larger than {MAX_BODY_BYTES} bytes; send fewer rows a request"
    # What the status asks for, e.g. the methods that are allowed.
    headers = {name: value for name, value in error.get_headers() if name == "Allow"}
    return Refusal(status, code, message or error.name, headers)
