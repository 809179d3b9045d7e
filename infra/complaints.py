"""What a complaint of gcloud means: that something is not there, or that nobody could look.

Standard library only: the rollout runs with the Python of the Cloud SDK's image.
"""

from __future__ import annotations

import re
from typing import Literal

Kind = Literal["login", "network", "rights", "absent", "other"]

# The first that is found counts: only what is no refusal can be a "not found". Numbers stand alone,
# because names of projects may hold some.
_KINDS: dict[Kind, tuple[str, ...]] = {
    "login": (
        "not currently have an active account",
        "auth (application-default )?login",
        "(default|valid) credentials",
        "invalid_grant|reauthenticat|unauthenticated|invalid authentication",
        r"(?<![\w-])401(?![\w-])",
    ),
    "network": (
        "failed to resolve|name or service not known|name resolution|unable to find the server",
        "connection ?error|connection (refused|reset|aborted)|max retries|unreachable",
        "timed out|no answer within|proxyerror|sslerror",
    ),
    "rights": (
        "permission[_ ]denied|not have permission|forbidden|may not exist",
        r"(?<![\w-])403(?![\w-])",
    ),
    "absent": ("not[ _]found", r"(?<![\w-])404(?![\w-])"),
}
_NEXT: dict[Kind, str] = {
    "login": "gcloud auth login",
    "network": "Google Cloud was not reached: look at the network (names, proxy), then again",
    "rights": "ask whoever owns the project for that right, or log in as another",
}


def kind(text: str) -> Kind:
    lower = text.lower()
    for name, patterns in _KINDS.items():
        if any(re.search(pattern, lower) for pattern in patterns):
            return name
    return "other"


def next_step(text: str) -> str:
    """A command or a sentence for whoever reads the complaint; empty when nothing is known."""
    return _NEXT.get(kind(text), "")
