"""What the parts of the storage server share: parameters in, errors out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from infra.local.web import HttpError, Request, Response
from shared.adapters.memory.buckets import BucketExists, BucketNotFound
from shared.adapters.memory.objects import Describe
from shared.adapters.memory.preconditions import NotModified, Preconditions
from shared.errors import ObjectNotFound, PreconditionFailed

_PROPERTIES = ("cacheControl", "contentDisposition", "contentLanguage", "customTime")
_MATCHES = (
    "GenerationMatch",
    "GenerationNotMatch",
    "MetagenerationMatch",
    "MetagenerationNotMatch",
)
# Those of the first line change what comes back at most in looks; the others are honoured.
_KNOWN = {
    *("projection", "fields", "prettyPrint", "key", "quotaUser", "userProject", "project"),
    *("alt", "uploadType", "upload_id", "name", "contentEncoding", "generation"),
    *("prefix", "delimiter", "pageToken", "maxResults", "versions", "startOffset", "endOffset"),
    *("sourceGeneration", "rewriteToken"),
    *("if" + match for match in _MATCHES),
    *("ifSource" + match for match in _MATCHES),
}


def checked_query(request: Request) -> None:
    """Raises HttpError 400 for a parameter this stand-in does not implement."""
    unknown = [
        name
        for name, value in request.query.items()
        if name not in _KNOWN and value.lower() not in ("", "false")
    ]
    if unknown:
        raise HttpError(400, f"this stand-in does not know {', '.join(unknown)}")


def preconditions(request: Request, *, source: bool = False) -> Preconditions:
    """Raises HttpError 400."""
    prefix = "ifSource" if source else "if"
    values = [_number(request, prefix + match) for match in _MATCHES]
    return Preconditions(*values)


def source_preconditions(item: Mapping[str, Any]) -> Preconditions:
    """Of one entry of a compose request."""
    wanted = (item.get("objectPreconditions") or {}).get("ifGenerationMatch")
    return Preconditions(if_generation=None if wanted is None else int(wanted))


def generation(request: Request) -> int | None:
    """Raises HttpError 400."""
    return _number(request, "generation")


def _number(request: Request, name: str) -> int | None:
    text = request.query.get(name, "")
    if text == "":
        return None
    try:
        return int(text)
    except ValueError as error:
        raise HttpError(400, f"{name} is {text!r}, expected a number") from error


def describe(body: Mapping[str, Any], content_type: str | None = None) -> Describe:
    """From an object resource a client sent."""
    return Describe(
        content_type=body.get("contentType") or content_type or "application/octet-stream",
        content_encoding=body.get("contentEncoding"),
        metadata=body.get("metadata") or {},
        properties={key: body[key] for key in _PROPERTIES if body.get(key)},
    )


def translated(work: Callable[[], Response]) -> Response:
    """The one place where the engine's errors become statuses."""
    try:
        return work()
    except NotModified:
        return Response(304)
    except PreconditionFailed as error:
        raise HttpError(412, str(error), reason="conditionNotMet") from error
    except (ObjectNotFound, BucketNotFound) as error:
        raise HttpError(404, str(error), reason="notFound") from error
    except BucketExists as error:
        raise HttpError(409, str(error), reason="conflict") from error
    except ValueError as error:
        raise HttpError(400, str(error), reason="invalid") from error
