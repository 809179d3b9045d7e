"""Every error a use case can raise, one class per situation.

The four families decide what happens at the boundary (see `shared/boundary.py`):
`Rejected` can never work, `InProgress` is held by somebody else, `Retryable` may work later, and
anything that is none of them is our bug. No HTTP codes here.
"""

from __future__ import annotations


class MillraceError(Exception):
    """Root of all our errors. `str(error)` is a sentence a person can act on."""


class Rejected(MillraceError):
    """This input can never work, whoever delivers it and however often."""

    reason = "Rejected"

    def __init__(self, message: str, *, reason: str | None = None) -> None:
        super().__init__(message)
        self.reason = reason or type(self).__name__


class InProgress(MillraceError):
    """Another delivery or execution holds the claim; come back later."""


class Retryable(MillraceError):
    """An outside fault (network, a service that is down, a lost race); later it may work."""


# --- messages and paths -------------------------------------------------------------------------


class MalformedMessage(Rejected):
    """A push body that is not an envelope we know, or one whose fields do not fit its type."""


class UnknownMessageType(Rejected):
    """An envelope whose `type` this function does not handle."""


class UnknownIntent(Rejected):
    """An object name that leads nowhere: not `<model>/train|score|labels/<file>`, no spec."""


class UnknownModel(Rejected):
    """A file for a model that has no spec, after waiting for one."""


# --- files and rows -----------------------------------------------------------------------------


class EmptyFile(Rejected):
    """An object of zero bytes, or one with a header and no rows."""


class BinaryFile(Rejected):
    """Bytes that are not text: NUL bytes, or the signature of an archive or office document."""


class UnreadableText(Rejected):
    """Text that cannot be decoded in the declared (or detected) encoding."""


class HeaderMismatch(Rejected):
    """Columns that are missing, extra, renamed or duplicated compared with the spec."""


class TooManyBadRows(Rejected):
    """More rows break the spec than `max_bad_rows` allows; all of them are in quarantine."""


class NotTrainable(Rejected):
    """Data that cannot give a model: one class, too few rows, no usable column."""


class BadSpec(Rejected):
    """A model spec that does not parse or breaks a rule; the message names file, line and key."""


class NoCandidate(Rejected):
    """No candidate could be fitted and compiled to a package that passes parity."""


# --- storage and coordination -------------------------------------------------------------------


class ObjectNotFound(MillraceError):
    """No object (or no such generation) under that name."""

    def __init__(self, bucket: str, name: str, generation: int | None = None) -> None:
        at = f"#{generation}" if generation is not None else ""
        super().__init__(f"gs://{bucket}/{name}{at} does not exist")
        self.bucket, self.name, self.generation = bucket, name, generation


class PreconditionFailed(MillraceError):
    """A compare-and-swap lost: the object's generation is not the one the caller read."""

    def __init__(self, bucket: str, name: str) -> None:
        super().__init__(f"gs://{bucket}/{name} changed since it was read")
        self.bucket, self.name = bucket, name


class ServiceUnavailable(Retryable):
    """A Google service (or its stand-in) did not answer, or answered 408, 429 or 5xx."""


class AliasMoved(Retryable):
    """The champion changed while a decision about its successor was being written."""


class TrackingUnavailable(Retryable):
    """The MLflow server did not answer."""


class WrongTask(InProgress):
    """This task's run is leased by another execution; this one has nothing to do."""


# --- people -------------------------------------------------------------------------------------


class NotAllowed(Rejected):
    """A decision that this caller may not take, or that the model's state does not permit."""


# --- serving ------------------------------------------------------------------------------------


class PackageInvalid(MillraceError):
    """A serving package whose hash, schema or engine is not what its manifest promises."""


class NotServed(MillraceError):
    """A prediction for a model without a champion."""


class InvalidInstances(MillraceError):
    """Prediction input that breaks the model's schema; `problems` has one entry per cell.

    Each problem is `{"row": int, "column": str | None, "value": object, "rule": str}`.
    """

    def __init__(self, problems: list[dict[str, object]]) -> None:
        super().__init__(f"{len(problems)} problem(s) in the input")
        self.problems = problems
