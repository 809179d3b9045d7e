"""What every protocol reads and writes: the request, the refusal, the answer's body."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Literal, NamedTuple
from typing import Protocol as Structure
from urllib.parse import quote

from shared.serving import fast_json

if TYPE_CHECKING:
    from shared.serving.answers import Answer
    from shared.serving.loaded_model import LoadedModel

JSON = "application/json"
# A body of empty records alone would take gigabytes to complain about.
MAX_RECORDS = 100_000
MAX_ID = 128  # characters of a name for a row or a request
_ID_HEADER = "HTTP_X_PREDICTION_ID"

# Of a request, by their names in WSGI: CONTENT_TYPE, HTTP_X_PREDICTION_ID, ...
Headers = Mapping[str, Any]
Output = Literal["full", "label", "proba"]


class Refusal(Exception):
    """A request that gets no prediction. `more` goes beside code and message."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        headers: Mapping[str, str] | None = None,
        **more: object,
    ) -> None:
        super().__init__(message)
        self.status, self.code, self.more = status, code, more
        self.headers = headers or {}


class Asked(NamedTuple):  # made for every request: a frozen dataclass takes five times as long
    """A request as the core takes it.

    Args:
        output: What of each answer is wanted.
        request_id: The caller's name for the request.
        outputs: Names of the wanted tensors, where the protocol has such; empty for all.
        binary: Names of those that are wanted as bytes behind the JSON.
    """

    records: list[object]
    output: Output = "full"
    request_id: str | None = None
    outputs: tuple[str, ...] = ()
    binary: frozenset[str] = frozenset()


class Written(NamedTuple):
    """The body of an answer as JSON values (or bytes, which the headers explain), and headers for
    what the protocol has no place for."""

    body: Any
    headers: Mapping[str, str] | None = None


class Protocol(Structure):
    """What a module of this package offers."""

    @property
    def NAME(self) -> str: ...  # noqa: N802 - a constant of a module

    def read(self, body: bytes, headers: Headers, model: LoadedModel) -> Asked:
        """Raises Refusal, also for what the model has not to answer with; InvalidInstances."""

    def write(self, answer: Answer, asked: Asked, model: LoadedModel) -> Written: ...

    def refuse(self, refusal: Refusal) -> dict[str, Any]: ...


def request_id(headers: Headers) -> str | None:
    """The caller's name for the request; an empty header is none. Raises Refusal."""
    name: str | None = headers.get(_ID_HEADER)
    if name is None:  # the common case
        return None
    if not name.isascii():
        # WSGI gives the bytes of a header as Latin-1; a prediction's labels name it in UTF-8.
        with suppress(UnicodeError):
            name = name.encode("latin-1").decode()
    if len(name) > MAX_ID:
        message = f"X-Prediction-Id has {len(name)} characters, at most {MAX_ID} are taken"
        raise Refusal(400, "malformed_request", message)
    return name or None


def mimetype_of(headers: Headers) -> str:
    """The content type without its parameters."""
    found: str = headers.get("CONTENT_TYPE", "")
    return found.partition(";")[0].strip().lower()


def json_of(body: bytes, headers: Headers, *, unnamed: bool = False) -> Any:
    """The JSON value of a body; `unnamed` takes one that names no content type. Of two fields with
    one name the later counts. Raises Refusal."""
    # The header as most callers send it needs no parsing.
    if headers.get("CONTENT_TYPE") != JSON:
        mimetype = mimetype_of(headers)
        if mimetype != JSON and not (unnamed and not mimetype):
            message = f"send Content-Type: {JSON}, not {mimetype or 'none'!r}"
            raise Refusal(415, "unsupported_media_type", message)
    check_encoding(headers)
    try:
        return fast_json.read(body)
    except (ValueError, RecursionError) as error:
        message = f"the body is not JSON: {_reason(error)}"
        raise Refusal(400, "malformed_json", message) from error


def check_encoding(headers: Headers) -> None:
    """Compressed bodies are not read: a small one may unpack to any size. Raises Refusal."""
    encoding = headers.get("HTTP_CONTENT_ENCODING", "identity")
    if encoding.strip().lower() not in {"", "identity"}:
        message = f"a body with Content-Encoding: {encoding[:50]} is not read; send it as it is"
        accepted = {"Accept-Encoding": "identity"}
        raise Refusal(415, "unsupported_content_encoding", message, accepted)


def checked_records(records: object, expected: str) -> list[object]:
    """A non-empty list of not too many records. Raises Refusal."""
    if not isinstance(records, list) or not records:
        raise Refusal(400, "malformed_request", expected)
    check_count(len(records))
    return records


def named_rows(rows: list[Any], columns: list[str], *, hint: str) -> list[object]:
    """Records of rows without names. Raises Refusal."""
    check_count(len(rows))
    width = len(columns)
    for at, row in enumerate(rows):
        if type(row) is not list or len(row) != width:
            what = f"{len(row)} values" if type(row) is list else "no list"
            message = f"the body has {what} in row {at} where {width} columns are named; {hint}"
            raise Refusal(400, "malformed_request", message)
    return [dict(zip(columns, row, strict=True)) for row in rows]


def check_count(count: int) -> None:
    """Raises Refusal."""
    if count > MAX_RECORDS:
        message = f"{count} records in a request, at most {MAX_RECORDS} are taken"
        raise Refusal(413, "too_many_records", f"{message}; send them in several, or score a file")


def output_of(parameters: object, model: LoadedModel) -> Output:
    """The `output` among a request's parameters; others mean nothing here. Raises Refusal, also
    for probabilities of a regression."""
    if parameters is None:
        return "full"
    if not isinstance(parameters, dict):
        raise Refusal(400, "malformed_request", "the parameters must be an object")
    wanted = parameters.get("output", "full")
    if wanted not in ("full", "label", "proba"):  # a tuple: what is asked may not be hashable
        message = "the parameter output must be full, label or proba"
        raise Refusal(400, "unknown_output", message)
    if wanted == "proba" and model.task == "regression":
        message = "a regression has values, no probabilities: leave out the parameter output"
        raise Refusal(400, "unknown_output", message)
    found: Output = wanted
    return found


def header_text(value: str) -> str:
    """A caller's text as a header may have it: percent-encoded unless plain."""
    plain = value.isascii() and value.isprintable()
    return value if plain else quote(value, errors="replace")


def _reason(error: ValueError | RecursionError) -> str:
    """Why a body is no JSON, for people who do not know Python."""
    if isinstance(error, json.JSONDecodeError):
        return str(error)
    if isinstance(error, UnicodeDecodeError):
        return f"it is not UTF-8 at byte {error.start + 1}"
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    return "it has a number of more digits than are read"
