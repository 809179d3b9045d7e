"""Every error a use case can raise, one class per situation.

The four families decide what happens at the boundary (see `shared/boundary.py`):
`Rejected` can never work, `InProgress` is held by somebody else, `Retryable` may work later, and
anything that is none of them is our bug. No HTTP codes here.
"""

from __future__ import annotations


class MillraceError(Exception):
    """Root of all our errors. `str(error)` is a sentence a person can act on."""


class Rejected(MillraceError):
    """This input can never work, whoever delivers it and however often. `advice` is what a person
    does about a file or spec that meets it; empty where neither can."""

    reason = "Rejected"
    advice = ""

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

    advice = "Drop into `<model>/train/`, `score/` or `labels/`, a spec into `_specs/<model>.yaml`."


class UnknownModel(Rejected):
    """A file for a model that has no spec, after 10 minutes of waiting for one (30 s locally)."""

    advice = "Drop the model's spec, then the file again; look at the spelling of the folder."


class UnknownSource(Rejected):
    """A file whose place in a batch names none of the model's sources, or that has no batch."""

    advice = "Drop into `<model>/train/<batch>/<source>.<ext>`, with a source the spec names."


class BatchClosed(Rejected):
    """A file that came after its batch had been closed, with or without its source."""

    advice = "Drop all sources again under a new batch name."


class SourceMissing(Rejected):
    """A batch that waited for one of its sources as long as the spec allows."""

    advice = "Drop all sources again under a new batch name, or raise `wait_hours`."


class BadReplay(Rejected):
    """Corrected rows that lead to no training of this model, or to several."""

    advice = (
        "Correct the rows that `./millrace quarantine export` wrote, its first columns as they are."
    )


# --- files and rows -----------------------------------------------------------------------------


class EmptyFile(Rejected):
    """An object of zero bytes, or one with a header and no rows."""

    advice = "Look whether the export went wrong, then drop it again."


class BinaryFile(Rejected):
    """Bytes that are not text: NUL bytes, or the signature of an archive or office document."""

    advice = "Export it as CSV, JSON, JSON lines or Parquet; of compressions only gzip is read."


class UnreadableText(Rejected):
    """Text that cannot be decoded in the declared (or detected) encoding."""

    advice = "Save it as UTF-8, or name its `source.encoding` in the spec."


class UnpacksTooLarge(UnreadableText):
    """A Parquet file of few bytes that stand for more than the memory of a job, or for rows that
    hardly differ."""

    advice = (
        "Write it with rows that differ, smaller pages and shorter texts, or drop it as CSV; where "
        "it is sound, in a larger `size`."
    )


class HeaderMismatch(Rejected):
    """Columns that are missing, extra, renamed or duplicated compared with the spec; of a file to
    be scored, compared with what the version needs that serves."""

    advice = "Mend the columns of the file; where the spec is wrong, drop a changed one first."


class TooManyBadRows(Rejected):
    """More rows break the spec than `max_bad_rows` allows; all of them are in quarantine."""

    advice = "Correct the quarantined rows and replay them, or raise `max_bad_rows`."


class NotTrainable(Rejected):
    """Data that cannot give a model: one class, too few rows, no usable column."""

    advice = "Drop a file with more rows, of every class, or look whether `target` is right."


class NotRelearnable(NotTrainable):
    """A retraining on labels that cannot be: nothing in them is new to compare on, or the
    champion's rows are not there or lack a column."""

    advice = "Drop a training file to train all the same; until then the champion serves on."


class DataStopped(Rejected):
    """Prepared data that a check with the policy `stop` objects to; the message names the check
    and the line of the spec that answers it."""

    advice = "Add the line that the message names to the spec, drop the spec, then the file."


class BadSpec(Rejected):
    """A model spec that does not parse or breaks a rule; the message names file, line and key."""

    advice = "Correct the line; `./millrace spec check FILE` says the same before you drop it."


class BadSql(Rejected):
    """A spec's SQL that is no single SELECT, fails, wants too much, or gives a key twice."""

    advice = "Correct `sql` in the spec: one SELECT over the sources, one row per key."


class BadSource(Rejected):
    """A source of several that cannot be joined: no key column, no cut-off, no such date."""

    advice = "Correct the key, `as_of` or `time` of the source in the spec, or its file."


class NoCandidate(Rejected):
    """No candidate could be fitted and compiled to a package that passes parity."""

    advice = "Look whether a column has enormous values, or allow more `training.candidates`."


# --- storage and coordination -------------------------------------------------------------------


class ObjectNotFound(MillraceError):
    """No object (or no such generation) under that name."""

    def __init__(self, bucket: str, name: str, generation: int | None = None) -> None:
        at = f"#{generation}" if generation is not None else ""
        super().__init__(f"gs://{bucket}/{name}{at} does not exist")
        self.bucket, self.name, self.generation = bucket, name, generation


class VersionGone(MillraceError):
    """A version's own record was deleted from the lake, so no registry can be told of it."""

    def __init__(self, model: str, version: str, name: str) -> None:
        super().__init__(
            f"{version} of {model} cannot be registered: {name} is gone from the lake. Bring it "
            "back, or serve another version: "
            f'millrace versions promote {model} VERSION --reason "..."'
        )
        self.version = version


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
    """MLflow or Vertex AI did not answer, or refused what we asked."""


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


class FeaturesTooOld(MillraceError):
    """A look-up in a feature snapshot older than the model's `max_age`, where the spec says
    `too_old: refuse`."""

    def __init__(self, source: str, as_of: str, max_age_seconds: float, instead: str) -> None:
        super().__init__(
            f"what is known of {source} is as of {as_of}, older than max_age "
            f"({max_age_seconds:g} seconds): send {instead}, or train again on newer files"
        )
        self.source, self.as_of = source, as_of
