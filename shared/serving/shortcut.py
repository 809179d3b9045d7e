"""Predictions on a shorter way than Flask's dispatch, which costs more than one row's answer does.

    POST <a prediction route> with a Content-Length ---------> here
    everything else, and what is odd about such a request ---> Flask, which has the same routes

Both ways ask the same predictor and answer with the same bytes; a test compares them. What has to
see every request belongs into the predictor, not into Flask's hooks.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from flask import Flask
from werkzeug.exceptions import ClientDisconnected
from werkzeug.wsgi import ClosingIterator

from shared.serving.predictor import Predictor
from shared.serving.protocols.asked import JSON, Protocol
from shared.serving.protocols.refusing import MAX_BODY_BYTES, REFUSALS

_PARAMETER = re.compile(r"<(\w+)>")
_LENGTH = re.compile(r"[1-9][0-9]{0,8}")


class Shortcut:
    """A WSGI application in front of Flask's. `routes` are the rules of predictions, in order."""

    def __init__(
        self, app: Flask, predictor: Predictor, routes: Sequence[tuple[str, Protocol]]
    ) -> None:
        self._app, self.flask, self._predictor = app, app.wsgi_app, predictor
        self._plain: dict[str, Protocol] = {}
        self._named: list[tuple[re.Pattern[str], Protocol]] = []
        for rule, protocol in routes:
            if _PARAMETER.search(rule):
                pattern = _PARAMETER.sub(r"(?P<\1>[^/]+)", re.escape(rule))
                self._named.append((re.compile(pattern), protocol))
            else:
                self._plain.setdefault(rule, protocol)

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        answer = self._answer(environ, start_response)
        alerts = self._predictor.alerts
        # Once the answer is sent: the caller does not wait for what others should hear.
        return ClosingIterator(answer, alerts.send) if alerts.are_due else answer

    def _answer(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        length = environ.get("CONTENT_LENGTH", "")
        found = self._find(environ["PATH_INFO"]) if environ["REQUEST_METHOD"] == "POST" else None
        if (
            found is None
            or not _LENGTH.fullmatch(length)
            or int(length) > MAX_BODY_BYTES
            or "HTTP_TRANSFER_ENCODING" in environ
            or (environ.get("QUERY_STRING") and "model" not in found[1])
        ):
            return self.flask(environ, start_response)
        protocol, named = found
        read = partial(_read, environ["wsgi.input"], int(length))
        try:
            body, headers = self._predictor.answer(protocol, environ, read, **named)
        except REFUSALS as error:
            response = self._predictor.refused(error, environ["PATH_INFO"])
            return response(environ, start_response)
        except Exception as error:  # noqa: BLE001 - Flask's own way: logged, 500, our shape
            with self._app.request_context(environ):
                response = self._app.handle_exception(error)
            return response(environ, start_response)
        size = str(len(body))
        start_response(
            "200 OK",
            list({"Content-Type": JSON, **(headers or {}), "Content-Length": size}.items()),
        )
        return (body,)

    def _find(self, path: str) -> tuple[Protocol, Mapping[str, str]] | None:
        """The protocol of a path and what it names; texts beyond ASCII are Flask's to decode."""
        protocol = self._plain.get(path)
        if protocol is not None:
            return protocol, {}
        if path.isascii():
            for pattern, named in self._named:
                match = pattern.fullmatch(path)
                if match is not None:
                    return named, match.groupdict()
        return None


def _read(stream: Any, length: int) -> bytes:
    body: bytes = stream.read(length)
    if len(body) < length:
        raise ClientDisconnected
    return body
