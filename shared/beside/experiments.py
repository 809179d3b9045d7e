"""Experiments: a fixed share of a model's predictions answered by a challenger, judged on labels.

    serving/<model>.json             `beside`: the one that runs, as the predictor follows it
    experiments/<model>/<id>.json    its record: definition, and how it ended

The manifest is the truth about what runs, the record about what was. A record is written once and
swapped once, when the experiment ends; the first end stays.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from shared import documents, paths
from shared.beside.second_version import SecondVersion
from shared.errors import PreconditionFailed
from shared.ports import Bucket


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
    experiment: SecondVersion
    ended: Ended | None
    generation: int


def keep(model: str, experiment: SecondVersion, *, lake: Bucket) -> Record:
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


def recorded(*, lake: Bucket) -> set[str]:
    """Models that have experiments on record."""
    return {folder.split("/")[1] for folder in lake.folders("experiments/")}


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
        experiment=SecondVersion.from_json(body["experiment"]),
        ended=Ended(**ended) if ended else None,
        generation=generation,
    )
