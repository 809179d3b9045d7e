"""Who asks a service of an installation: an ID token for its URL, from whatever credentials the
caller has. Tokens live in this process only; none is printed, stored or passed as an argument.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
from functools import cache
from typing import Any
from urllib.parse import urlsplit

import click

from shared.wiring import Wiring

TOKEN = "MILLRACE_ID_TOKEN"  # noqa: S105 - the name of a variable
_GCLOUD = ("gcloud", "auth", "print-identity-token", "--quiet")
_SECONDS = 60.0
HOW = (
    "Log in with `gcloud auth login`, or name a service account's key or configuration in "
    f"GOOGLE_APPLICATION_CREDENTIALS, or put an ID token into {TOKEN}"
)


class NoIdentity(click.ClickException):
    """There is no ID token to be had; says what was tried and what to do."""


@cache
def id_token(audience: str, impersonate: str = "") -> str:
    """An ID token for the service at `audience` (its base URL). Raises NoIdentity.

    In this order: the variable MILLRACE_ID_TOKEN, the credentials GOOGLE_APPLICATION_CREDENTIALS
    names, gcloud, the metadata server of a machine on Google Cloud.
    """
    if os.environ.get(TOKEN):
        return os.environ[TOKEN]
    tried = []
    if os.environ.get("GOOGLE_APPLICATION_CREDENTIALS") and not impersonate:
        token, trouble = Wiring.id_token(audience)
        if token:
            return token
        tried.append(trouble)
    if shutil.which("gcloud"):
        token, trouble = _from_gcloud(audience, impersonate)
        if token:
            return token
        tried.append(trouble)
    elif not tried:
        token, trouble = Wiring.id_token(audience)
        if token:
            return token
        tried.append("gcloud is not installed")
    raise NoIdentity(f"no ID token for {audience}: {'; '.join(tried)}. {HOW}.")


def audience_of(url: str) -> str:
    """A service's base URL, which is what its tokens are for."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def email_of(token: str) -> str:
    """The e-mail address in a token, empty where it has none. Nothing is verified here: it is for
    showing to the one who sent it."""
    try:
        payload = token.split(".")[1]
        claims: Any = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        return str(claims.get("email", ""))
    except (IndexError, ValueError, AttributeError):
        return ""


def _from_gcloud(audience: str, impersonate: str) -> tuple[str, str]:
    """A token, or what gcloud said. A person's own token is for gcloud itself as audience, which
    Cloud Run takes as well; gcloud refuses to name another one for people."""
    if impersonate:
        account = f"--impersonate-service-account={impersonate}"
        return _printed(*_GCLOUD, account, f"--audiences={audience}", "--include-email")
    token, _ = _printed(*_GCLOUD, f"--audiences={audience}")
    return (token, "") if token else _printed(*_GCLOUD)


def _printed(*command: str) -> tuple[str, str]:
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return "", f"{' '.join(command[:3])}: {error}"
    said = " ".join(done.stderr.split())[-300:]
    return (done.stdout.strip(), "") if done.returncode == 0 else ("", f"gcloud says: {said}")
