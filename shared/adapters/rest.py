"""One HTTP connection pool to Google's JSON APIs, with retries, for processes that start often.

Cold start is import time, so this speaks the wire itself through urllib3 (google-cloud-storage
alone costs a third of a second). Knows HTTP and Google's error form; knows no bucket or topic.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple
from urllib.parse import urlencode

import urllib3
from urllib3.exceptions import ConnectTimeoutError, HTTPError, NewConnectionError

from shared.adapters.credentials import AnonymousCredentials, Credentials, GoogleCredentials
from shared.config import Config
from shared.errors import MillraceError, ServiceUnavailable

_AGAIN = frozenset({408, 429, 500, 502, 503, 504})
_CONNECTIONS = 16


class UnexpectedAnswer(MillraceError):
    """An answer that says that our request, our rights or our configuration is wrong."""

    def __init__(self, method: str, url: str, status: int, reason: str) -> None:
        super().__init__(f"{method} {url} answered {status}: {reason}")
        self.status = status


@dataclass(frozen=True, slots=True)
class Retries:
    """How long a call may insist. A small function has 30 s in all, hence `total_seconds`."""

    attempts: int = 6
    first_seconds: float = 0.1
    longest_seconds: float = 4.0
    total_seconds: float = 20.0
    sleep: Callable[[float], None] = time.sleep

    @property
    def silence_seconds(self) -> float:
        """How long an answer is waited for: a silent service must not outlast the caller's patience
        by much."""
        return 1.25 * self.total_seconds

    def pause(self, attempt: int, asked: str | None) -> float:
        """Seconds to wait after failed attempt number `attempt` (1-based): full jitter, so that a
        hundred losers do not come back together; at least what the service asked for."""
        limit = min(self.longest_seconds, self.first_seconds * 2.0**attempt)
        wished = float(asked) if asked is not None and asked.isdigit() else 0.0
        return max(wished, random.uniform(limit / 2, limit))  # noqa: S311 - no secret


class Answer(NamedTuple):
    """A complete answer. `repeated` is True when an earlier attempt of the same call may have
    been carried out although its answer never came."""

    status: int
    headers: Mapping[str, str]
    data: bytes
    repeated: bool

    def json(self) -> Any:
        return json.loads(self.data)


class _Call(NamedTuple):
    method: str
    url: str
    query: Mapping[str, object]
    headers: Mapping[str, str]
    body: bytes | None
    repeatable: bool
    accept: Collection[int]
    stream: bool = False

    @property
    def shown(self) -> str:
        """For people; an upload session's query is a key to it."""
        return self.url.partition("?")[0]


class _Fault(Exception):
    """An attempt worth another one. `maybe_done`: the service may have carried it out."""

    def __init__(self, reason: str, *, maybe_done: bool, wished: str | None = None) -> None:
        super().__init__(reason)
        self.maybe_done, self.wished = maybe_done, wished


class Http:
    """Requests with keep-alive, a token and retries. Thread safe; one per process is enough."""

    def __init__(self, config: Config, *, retries: Retries | None = None) -> None:
        self._retries = retries or Retries()
        silence = self._retries.silence_seconds
        self._pool = urllib3.PoolManager(
            maxsize=_CONNECTIONS,
            retries=False,
            timeout=urllib3.Timeout(connect=min(5.0, silence / 2), read=silence),
        )
        self._credentials: Credentials = (
            AnonymousCredentials() if config.anonymous else GoogleCredentials(self._pool)
        )

    @property
    def attempts(self) -> int:
        return self._retries.attempts

    def pause(self, attempt: int) -> None:
        """Wait as after failed attempt number `attempt`."""
        self._retries.sleep(self._retries.pause(attempt, None))

    def request(
        self,
        method: str,
        url: str,
        *,
        query: Mapping[str, object] | None = None,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        repeatable: bool,
        accept: Collection[int] = (),
    ) -> Answer:
        """The answer, if it is 2xx or in `accept`.

        `repeatable` says that doing it twice is the same as doing it once, or that a precondition
        makes the second one fail. A call that is not is sent again only when it surely was not
        carried out: no connection, 401 or 429. Raises ServiceUnavailable, UnexpectedAnswer.
        """
        call = _Call(method, url, query or {}, headers or {}, body, repeatable, accept)
        response, repeated = self._send(call)
        return Answer(response.status, response.headers, response.data, repeated)

    def open(
        self, url: str, *, query: Mapping[str, object], headers: Mapping[str, str]
    ) -> urllib3.BaseHTTPResponse:
        """A GET whose body the caller reads piece by piece, then releases. Raises as `request`."""
        return self._send(_Call("GET", url, query, headers, None, True, (), stream=True))[0]

    def _send(self, call: _Call) -> tuple[urllib3.BaseHTTPResponse, bool]:
        give_up = time.monotonic() + self._retries.total_seconds
        repeated = False
        attempt = 1
        while True:
            try:
                return self._attempt(call), repeated
            except _Fault as fault:
                pause = self._retries.pause(attempt, fault.wished)
                if (
                    (fault.maybe_done and not call.repeatable)
                    or attempt >= self._retries.attempts
                    or time.monotonic() + pause > give_up
                ):
                    raise ServiceUnavailable(
                        f"{call.method} {call.shown} failed after {attempt} attempt(s): {fault}"
                    ) from fault
                repeated = repeated or fault.maybe_done
            attempt += 1
            self._retries.sleep(pause)

    def _attempt(self, call: _Call) -> urllib3.BaseHTTPResponse:
        """One answer we can use. Raises _Fault, UnexpectedAnswer."""
        response = self._once(call)
        if response.status == 401:  # the token ended early; nothing was carried out
            response.drain_conn()
            self._credentials.renew()
            response = self._once(call)
        if 200 <= response.status < 300 or response.status in call.accept:
            return response
        reason = reason_of(response.data)
        answer = UnexpectedAnswer(call.method, call.shown, response.status, reason)
        if response.status in _AGAIN:
            wished = response.headers.get("Retry-After")
            raise _Fault(str(answer), maybe_done=response.status != 429, wished=wished) from answer
        raise answer

    def _once(self, call: _Call) -> urllib3.BaseHTTPResponse:
        try:
            return self._pool.request(
                call.method,
                _with_query(call.url, call.query),
                headers={**call.headers, **self._credentials.headers()},
                body=call.body,
                preload_content=not call.stream,
                decode_content=False,
            )
        except HTTPError as error:
            unsent = isinstance(error, NewConnectionError | ConnectTimeoutError)
            raise _Fault(f"{type(error).__name__}: {error}", maybe_done=not unsent) from error


def _with_query(url: str, query: Mapping[str, object]) -> str:
    """Parameters that are None are left out."""
    given = {key: value for key, value in query.items() if value is not None}
    return f"{url}?{urlencode(given)}" if given else url


def reason_of(data: bytes) -> str:
    """The sentence in Google's error body, or the start of whatever came."""
    try:
        return str(json.loads(data)["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return data[:300].decode(errors="replace").strip() or "(no body)"
