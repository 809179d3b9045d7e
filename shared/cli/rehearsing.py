"""A tiny model from drop to prediction, on whatever installation, and cleared away afterwards."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime

from infra.deploy.checks import Check
from shared import paths
from shared.cli.console import say
from shared.cli.contexts import Context
from shared.cli.dropping import follow_upload, type_of
from shared.cli.predict import ask
from shared.errors import ObjectNotFound
from shared.ports import Bucket, ObjectInfo

MODEL = "millrace_doctor"
ROWS = 400
SECONDS = 1200.0  # the first execution of a job pulls its image
SPEC = """\
# Dropped by `doctor --end-to-end`, which removes it again.
task: binary
target: {column: y, positive: "yes"}
columns:
  a: {type: number}
  b: {}
  y: {}
training: {candidates: [linear], trials: 1, folds: 2}
promotion: {approval: auto}
"""


def rehearse(context: Context) -> Iterator[Check]:
    """Spec, training, promotion, prediction; then every object of it goes. Stops at the first link
    that does not hold, and clears away what it made."""
    # Production does not ask: nobody else's model is touched, and pipelines do this by themselves.
    context.announce(f"drop the model {MODEL}, ask it once, remove it")
    if any(True for _ in context.lake.list(f"specs/{MODEL}/")):
        yield from clear(context)  # what an interrupted rehearsal left
    try:
        yield from _links(context)
    finally:
        cleared = list(clear(context))
    yield from cleared


def _links(context: Context) -> Iterator[Check]:
    name = paths.spec_upload(MODEL)
    upload = context.inbox.write(name, SPEC.encode(), content_type=type_of(name))
    yield (spec := _followed(context, upload, "spec in force", ("spec_registered",)))
    if spec.state != "ok":
        return
    name = f"{MODEL}/train/{context.clock.now():%Y%m%dT%H%M%S}.csv"
    data = rows(context.clock.now())
    upload = context.inbox.write(name, data, content_type=type_of(name))
    yield (trained := _followed(context, upload, "trained and promoted", ("promoted",)))
    if trained.state == "ok":
        yield _predicted(context)


def _followed(context: Context, upload: ObjectInfo, what: str, good: tuple[str, ...]) -> Check:
    say(f"  waiting for {upload.name}", err=True)
    found = follow_upload(context, MODEL, upload, seconds=SECONDS, show=lambda _: None)
    option = "" if context.name == "local" else f"--context {context.name} "
    if found.state in good:
        return Check(what, "ok", f"run {found.run_id}")
    why = f"./millrace {option}why {found.run_id}" if found.run_id else "is intake called at all?"
    reason = found.facts.get("message") or found.facts.get("reason") or ""
    return Check(what, "missing", f"{found.state} {reason}".strip(), why)


def _predicted(context: Context) -> Check:
    answer = ask(context, MODEL, [{"a": 0.9, "b": "x"}])
    score = answer["predictions"][0]
    return Check("prediction", "ok", f"the predictor answers: {score}")


def rows(now: datetime) -> bytes:
    """A table that a line separates, with some noise; others every time, since the same content
    would be trained once only."""
    source = random.Random(f"{now:%Y%m%dT%H%M%S.%f}")  # noqa: S311 - data, no secret
    lines = ["a,b,y"]
    for _ in range(ROWS):
        value, letter = source.random(), source.choice("xyz")
        yes = value + (0.2 if letter == "x" else 0.0) + source.gauss(0, 0.2) > 0.6
        lines.append(f"{value:.6f},{letter},{'yes' if yes else 'no'}")
    return ("\n".join(lines) + "\n").encode()


# --- clearing away -------------------------------------------------------------------------------


def clear(context: Context) -> Iterator[Check]:
    """Remove every object of the model from both buckets; the manifest first, so that the
    predictor lets go of it."""
    _remove(context.lake, paths.manifest(MODEL))
    gone = sum(_emptied(bucket) for bucket in (context.inbox, context.lake))
    yield Check("cleared away", "ok", f"{gone} objects of {MODEL}")


def _emptied(bucket: Bucket) -> int:
    """All of the model: its own folder, `<anything>/<model>/` and `<anything>/<model>.*`."""
    names = [info.name for info in bucket.list(f"{MODEL}/")]
    for folder in bucket.folders(""):
        names += [info.name for info in bucket.list(f"{folder}{MODEL}/")]
        names += [info.name for info in bucket.list(f"{folder}{MODEL}.")]
    for name in names:
        _remove(bucket, name)
    return len(names)


def _remove(bucket: Bucket, name: str) -> None:
    with suppress(ObjectNotFound):
        bucket.delete(name)
