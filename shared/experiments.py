"""Experiments: a fixed share of a model's predictions answered by a challenger, judged on labels.

    serving/<model>.json             `experiment`: the one that runs, as the predictor follows it
    experiments/<model>/<id>.json    its record: definition, and how it ended

The manifest is the truth about what runs, the record about what was. A record is written once and
swapped once, when the experiment ends; the first end stays.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from shared import documents, paths
from shared.errors import PreconditionFailed
from shared.ports import Bucket

PREDICTION_ID = "prediction_id"


@dataclass(frozen=True, slots=True)
class Experiment:
    """`version` is the challenger, `against` the champion of that time (`revision` is the move that
    made it serve). `share` of the values of `key` get the challenger, until `until` where that is
    set. `package`, `sha256`, `files` and `features` are as the manifest has them of a champion."""

    id: str
    version: str
    package: str
    sha256: str
    files: Mapping[str, str]
    features: tuple[Mapping[str, Any], ...]
    against: str
    revision: int
    share: float
    key: str
    started_at: str
    by: str
    reason: str
    until: str | None = None
    semantic_version: str | None = None

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, body: Mapping[str, Any]) -> Experiment:
        """Raises KeyError, TypeError for what is no experiment."""
        known = {name: body[name] for name in cls.__dataclass_fields__ if name in body}
        return cls(**{**known, "features": tuple(body["features"])})

    def is_same_question(self, other: Experiment) -> bool:
        """True when both ask the same of the same versions, whoever started them."""
        return (self.version, self.against, self.share, self.key) == (
            other.version,
            other.against,
            other.share,
            other.key,
        )

    def over(self, now: datetime) -> bool:
        """True from the planned end on."""
        return self.until is not None and now >= datetime.fromisoformat(self.until)


@dataclass(frozen=True, slots=True)
class Ended:
    """How an experiment ended: `kept` or `promote` as a person chose, or `moved` when the champion
    moved (to `revision`). `verdict` is what was known then, None where nobody judged."""

    at: str
    by: str
    how: str
    reason: str
    verdict: Mapping[str, Any] | None = None
    revision: int | None = None


@dataclass(frozen=True, slots=True)
class Record:
    model: str
    experiment: Experiment
    ended: Ended | None
    generation: int


def keep(model: str, experiment: Experiment, *, lake: Bucket) -> Record:
    """The record of an experiment, written where it is not there yet."""
    body = {"model": model, "experiment": experiment.to_json(), "ended": None}
    name = paths.experiment(model, experiment.id)
    documents.create(lake, name, body)
    found = documents.read(lake, name)
    return _parse(found.body, found.generation)


def find(model: str, experiment_id: str, *, lake: Bucket) -> Record | None:
    found = documents.read(lake, paths.experiment(model, experiment_id))
    return _parse(found.body, found.generation) if found.exists else None


def latest(model: str, *, lake: Bucket) -> Iterator[Record]:
    """All experiments of a model, newest first: ids begin with their time."""
    names = [info.name for info in lake.list(paths.experiment(model))]
    for name in sorted(names, reverse=True):
        found = documents.read(lake, name)
        yield _parse(found.body, found.generation)


def end(record: Record, ended: Ended, *, lake: Bucket) -> Record:
    """Record how an experiment ended; the end that stays comes back, maybe somebody else's."""
    model, experiment = record.model, record.experiment
    body = {"model": model, "experiment": experiment.to_json(), "ended": asdict(ended)}
    name = paths.experiment(model, experiment.id)
    if record.ended is not None:
        return record
    try:
        generation = documents.swap(lake, name, body, generation=record.generation)
    except PreconditionFailed:
        found = documents.read(lake, name)
        return _parse(found.body, found.generation)
    return _parse(body, generation)


def _parse(body: Mapping[str, Any], generation: int) -> Record:
    ended = body["ended"]
    return Record(
        model=body["model"],
        experiment=Experiment.from_json(body["experiment"]),
        ended=Ended(**ended) if ended else None,
        generation=generation,
    )
