"""Who we are towards Google APIs, for the REST adapters.

google-auth takes as long to import as the rest of a small function, so it is imported at the first
request that needs a token, and never when the endpoints are local stand-ins.
"""

from __future__ import annotations

import threading
from typing import Any, Protocol

import urllib3

from shared.errors import ServiceUnavailable

_SCOPE = "https://www.googleapis.com/auth/cloud-platform"


class Credentials(Protocol):
    def headers(self) -> dict[str, str]:
        """Headers that say who asks. Raises ServiceUnavailable."""

    def renew(self) -> None:
        """Forget the token: the service said 401. Raises ServiceUnavailable."""


class AnonymousCredentials:
    """For stand-ins: no token at all."""

    def headers(self) -> dict[str, str]:
        return {}

    def renew(self) -> None:
        return None


class GoogleCredentials:
    """Application default credentials: the service account on Google Cloud, a person's on a laptop.

    Raises google.auth's DefaultCredentialsError at the first use where there are none.
    """

    def __init__(self, pool: urllib3.PoolManager) -> None:
        self._pool = pool
        self._lock = threading.Lock()
        self._credentials: Any = None
        self._request: Any = None

    def headers(self) -> dict[str, str]:
        headers: dict[str, str] = {}
        with self._lock:  # one thread asks for a token, the others wait for it
            credentials = self._loaded()
            if not credentials.valid:
                self._refresh(credentials)
            credentials.apply(headers)
        return headers

    def renew(self) -> None:
        with self._lock:
            self._refresh(self._loaded())

    def _loaded(self) -> Any:
        if self._credentials is None:
            import google.auth
            import google.auth.transport.urllib3 as transport

            make_request: Any = transport.Request  # google-auth types its functions only in part
            self._request = make_request(self._pool)
            self._credentials, _ = google.auth.default(scopes=[_SCOPE], request=self._request)
        return self._credentials

    def _refresh(self, credentials: Any) -> None:
        from google.auth.exceptions import RefreshError, TransportError

        try:
            credentials.refresh(self._request)
        except (RefreshError, TransportError) as error:
            raise ServiceUnavailable(f"no access token for Google APIs: {error}") from error


def id_token(audience: str) -> tuple[str, str]:
    """An ID token for a service, of a service account or of the machine this runs on; else an empty
    text and why there is none. People's credentials cannot make one here."""
    from google.auth.exceptions import GoogleAuthError
    from google.auth.transport.requests import Request
    from google.oauth2.id_token import fetch_id_token

    fetch: Any = fetch_id_token  # google-auth types its functions only in part
    make_request: Any = Request
    try:
        return str(fetch(make_request(), audience)), ""
    except GoogleAuthError as error:
        return "", str(error)


def missing_credentials() -> str:
    """Why Google's clients will get no token; empty when they will. Asks for one, because a login
    that is over shows itself only then, and clients would insist for minutes."""
    import google.auth
    from google.auth.exceptions import GoogleAuthError
    from google.auth.transport.requests import Request

    make_request: Any = Request
    try:
        credentials: Any = google.auth.default(scopes=[_SCOPE])[0]
        credentials.refresh(make_request())
    except GoogleAuthError as error:
        return str(error).split("\n", 1)[0]
    return ""
