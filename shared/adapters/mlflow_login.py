"""Who we are towards an MLflow server that lets in nobody unknown: the one on Cloud Run.

MLflow asks the provider that `MLFLOW_TRACKING_AUTH` names for every request it sends; ours is
`google`. Cloud Run wants an identity token made for its own address, which lasts an hour. Nothing
is asked for, or imported, where the variable is not set.
"""

from __future__ import annotations

import threading
from typing import Any
from urllib.parse import urlsplit

import urllib3

NAME = "google"


def offer() -> None:
    """Make MLflow know the provider. Once per process is enough; more do no harm."""
    # An entry point needs an installed distribution, and our bundles are folders.
    from mlflow.tracking.request_auth import registry

    providers: Any = registry._request_auth_provider_registry
    if all(one.get_name() != NAME for one in providers):
        providers.register(GoogleLogin)


class GoogleLogin:
    """MLflow's RequestAuthProvider, and the `auth` of a request as `requests` has it.

    Raises google.auth's errors, of which MLflow makes its own exception.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._credentials: dict[str, Any] = {}

    def get_name(self) -> str:
        return NAME

    def get_auth(self) -> GoogleLogin:
        return self

    def __call__(self, request: Any) -> Any:
        """The prepared request with a token that is good for some minutes at least."""
        address = urlsplit(request.url)
        request.headers["Authorization"] = f"Bearer {self._token(address)}"
        return request

    def _token(self, address: Any) -> str:
        from google.auth.transport import urllib3 as transport
        from google.oauth2 import id_token

        audience = f"{address.scheme}://{address.netloc}"
        with self._lock:  # one thread asks for a token, the others wait for it
            make_request: Any = transport.Request  # google-auth types its functions only in part
            ask = make_request(urllib3.PoolManager())
            credentials = self._credentials.get(audience)
            if credentials is None:
                find: Any = id_token.fetch_id_token_credentials
                credentials = self._credentials[audience] = find(audience, request=ask)
            if not credentials.valid:
                credentials.refresh(ask)
            return str(credentials.token)
