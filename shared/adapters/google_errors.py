"""Faults of Google's own client libraries: which deserve another attempt, what they mean to us.

The same rules as `rest.Http`, so that both families of adapters behave alike.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPException

import requests
import urllib3
from google.api_core import exceptions as api
from google.api_core.retry import Retry
from google.auth.exceptions import RefreshError, TransportError
from google.cloud.storage.exceptions import DataCorruption, InvalidResponse

from shared.errors import ObjectNotFound, PreconditionFailed, ServiceUnavailable

_AGAIN = frozenset({408, 429, 500, 502, 503, 504})
_FAULTS = (
    requests.RequestException,
    urllib3.exceptions.HTTPError,
    HTTPException,
    ConnectionError,
    TransportError,
    RefreshError,
    DataCorruption,
)


class Insistence:
    """How one call to Cloud Storage insists.

    A call that is not `repeatable` is sent again only when it surely was not carried out.
    `repeated` is True when an attempt may have been carried out although its answer never came.
    """

    def __init__(self, *, repeatable: bool) -> None:
        self._repeatable = repeatable
        self.repeated = False
        self.policy = Retry(
            predicate=self, initial=0.5, maximum=16.0, multiplier=2.0, timeout=120.0
        )

    def __call__(self, error: Exception) -> bool:
        status = _status(error)
        if status is None and not isinstance(error, _FAULTS):
            return False
        if status is not None and status not in _AGAIN:
            return False
        if status == 429 or _never_connected(error):
            return True
        self.repeated = self.repeated or self._repeatable
        return self._repeatable


@contextmanager
def translated(bucket: str, name: str, generation: int | None = None) -> Iterator[None]:
    """Our errors for the library's; what means that our request was wrong stays as it is."""
    try:
        yield
    except api.NotFound as error:
        raise ObjectNotFound(bucket, name, generation) from error
    except api.PreconditionFailed as error:
        raise PreconditionFailed(bucket, name) from error
    except (api.GoogleAPICallError, InvalidResponse) as error:
        if _status(error) in _AGAIN:
            raise _unavailable(bucket, name, error) from error
        raise
    except (api.RetryError, *_FAULTS) as error:
        raise _unavailable(bucket, name, error) from error


def _unavailable(bucket: str, name: str, error: Exception) -> ServiceUnavailable:
    return ServiceUnavailable(f"gs://{bucket}/{name}: {type(error).__name__}: {error}")


def _status(error: Exception) -> int | None:
    if isinstance(error, api.GoogleAPICallError):
        return int(error.code) if error.code is not None else None
    if isinstance(error, InvalidResponse):
        return int(error.response.status_code)
    return None


def _never_connected(error: Exception) -> bool:
    if isinstance(error, requests.ConnectTimeout):
        return True
    reason = getattr(error.args[0], "reason", None) if error.args else None
    return isinstance(reason, urllib3.exceptions.NewConnectionError)
