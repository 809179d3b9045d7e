"""The doors of an installation, asked twice: nobody unknown comes in, and who asks with a token
does."""

from __future__ import annotations

from collections.abc import Iterator

from infra.complaints import next_step
from infra.deploy.chain import Chain
from infra.deploy.checks import Check
from infra.deploy.tools import StepFailed

DOORS = ("door of predict", "door of promote")


def doors(chain: Chain) -> Iterator[Check]:
    """Nobody unknown comes in, and who asks with a token does."""
    there = chain.there
    yield _door(chain, "predict", "GET", f"{there.predict_url}/ready", (200,))
    # A decision that is none: promote looks at who asks first, then says which ones there are.
    yield _door(chain, "promote", "POST", f"{there.promote_url}/decide", (409,))
    if there.mlflow_url:
        yield _door(chain, "mlflow", "GET", f"{there.mlflow_url}/version", (200,))


def _door(chain: Chain, name: str, method: str, url: str, good: tuple[int, ...]) -> Check:
    what = f"door of {name}"
    body: object = {} if method == "POST" else None
    try:
        stranger, _ = chain.ask(method, url, body, {})
        if stranger not in (401, 403):
            told = f"nothing is at {url}" if stranger == 404 else f"lets strangers in ({stranger})"
            return Check(what, "missing", told, chain.again)
        status, answer = chain.ask(method, url, body, chain.authorize(url))
    except StepFailed as error:
        return Check(what, "unknown", f"strangers stay outside; {error}")
    except OSError as error:
        if isinstance(error, TimeoutError):  # it is there, and says nothing
            return Check(what, "missing", str(error), chain.again)
        return Check(what, "unknown", str(error), next_step(str(error)))
    return _opened(chain, name, status, answer, good)


def _opened(chain: Chain, name: str, status: int, answer: object, good: tuple[int, ...]) -> Check:
    """What a door that shut strangers out said to whoever asks."""
    what = f"door of {name}"
    if status in good:
        return Check(what, "ok", "strangers stay outside, you come in")
    if status in (401, 403):
        role = {"promote": "deciders", "predict": "callers", "mlflow": "analysts"}[name]
        fix = f"name yourself in people.{role} of the settings, and deploy"
        return Check(what, "doubtful", f"you may not come in ({status})", fix)
    return Check(what, "missing", f"answered {status}: {answer!s:.200}", chain.again)
