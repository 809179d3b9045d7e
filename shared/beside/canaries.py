"""Canaries on record: what each is, how far its log was counted, how its steps were judged.

    serving/<model>.json          `beside`: the one that runs, as the predictor follows it
    canaries/<model>/<id>.json    its record

The manifest says what runs and decides every race; the record is where sweep goes on counting, and
what people read afterwards. It is open until the decision about its version is made and told.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from itertools import islice
from typing import Any

from shared import documents, paths
from shared.beside.second_version import SecondVersion
from shared.beside.tally import Tally
from shared.errors import PreconditionFailed
from shared.ports import Bucket
from shared.rule import Outcome, Rule

# A version is decided when its canary ends, or soon after. And of so many that have ended one after
# the other, none before them is open: those of one second, or of clocks that differ, have no order.
RECENT = 5
_OUTCOMES: dict[str, Outcome] = {"go_on": "ok", "wait": "unsure", "back": "broken"}


@dataclass(frozen=True, slots=True)
class Read:
    """How far the log was read: up to objects that were created at `until`, and which `names` with
    generations were read of the last while before it."""

    until: str
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Record:
    """`canary` is as it began. `step` is the one that `read`, `tally` and `judged` are about,
    `past` are the verdicts that ended those before. `told` counts the steps that people heard of,
    `asked` says that the question after its time was put. `ended` has how, at, by, sentence."""

    model: str
    canary: SecondVersion
    step: int = 0
    read: Read | None = None
    tally: Tally = field(default_factory=Tally)
    judged: Mapping[str, Any] | None = None
    past: tuple[Mapping[str, Any], ...] = ()
    told: int = 0
    asked: bool = False
    ended: Mapping[str, Any] | None = None
    generation: int = field(default=0, compare=False)

    def at(self, step: int) -> Record:
        """As it goes on with another step."""
        if step == self.step:
            return self
        past = (*self.past, self.judged) if self.judged else self.past
        return replace(self, step=step, read=None, tally=Tally(), judged=None, past=past)

    def to_json(self) -> dict[str, Any]:
        body = asdict(self)
        del body["generation"]
        return {**body, "canary": self.canary.to_json()}


def keep(model: str, canary: SecondVersion, *, lake: Bucket) -> Record:
    """The record of a canary, written where it is not there yet."""
    name = paths.canary(model, canary.id)
    found = documents.read(lake, name)
    if not found.exists:
        documents.create(lake, name, Record(model, canary).to_json())
        found = documents.read(lake, name)
    return _parse(found)


def find(model: str, canary_id: str, *, lake: Bucket) -> Record | None:
    found = documents.read(lake, paths.canary(model, canary_id))
    return _parse(found) if found.exists else None


def latest(model: str, *, lake: Bucket) -> Iterator[Record]:
    """All canaries of a model, newest first, as far as the clocks of those who began them tell: ids
    begin with the second."""
    names = [info.name for info in lake.list(paths.canary(model))]
    for name in sorted(names, reverse=True):
        yield _parse(documents.read(lake, name))


def rule_of(model: str, version: str, *, lake: Bucket) -> Rule | None:
    """What its last judged step says about a version, as a rule of its decision; None for one that
    was no canary, or was not judged yet."""
    for record in islice(latest(model, lake=lake), RECENT):
        if record.canary.version == version and record.judged:
            judged = record.judged
            return Rule("canary", _OUTCOMES[judged["verdict"]], judged["sentence"])
    return None


def recorded(*, lake: Bucket) -> set[str]:
    """Models that have canaries on record."""
    return {folder.split("/")[1] for folder in lake.folders("canaries/")}


def save(record: Record, *, lake: Bucket) -> Record | None:
    """Swap exactly the record that was read; None when somebody else was quicker."""
    name = paths.canary(record.model, record.canary.id)
    try:
        generation = documents.swap(lake, name, record.to_json(), generation=record.generation)
    except PreconditionFailed:
        return None
    return replace(record, generation=generation)


def _parse(found: documents.Document) -> Record:
    body = found.body
    read = body.get("read")
    return Record(
        model=body["model"],
        canary=SecondVersion.from_json(body["canary"]),
        step=body["step"],
        read=Read(read["until"], tuple(read["names"])) if read else None,
        tally=Tally.from_json(body["tally"]),
        judged=body["judged"],
        past=tuple(body["past"]),
        told=body["told"],
        asked=body["asked"],
        ended=body["ended"],
        generation=found.generation,
    )
