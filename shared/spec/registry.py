"""Specs in force: registered generations in the lake.

    specs/<model>/current.json           the generation in force (swapped)
    specs/<model>/000003.json            every generation (create-only), in force or not
    specs/<model>/000003-decision.json   how the question about it ended, if there was one

A generation names the one that it `replaces` and comes into force in its place only. The same
content registered again keeps its generation. An upload that is older than the one in force (events
come in any order, and again) changes nothing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from shared import documents, paths
from shared.errors import AliasMoved, BadSpec, ObjectNotFound, PreconditionFailed
from shared.ports import Bucket, Clock
from shared.spec.differences import differences
from shared.spec.effective import written
from shared.spec.model import RegisteredSpec, Spec

SWAPS = 5
_GENERATION = re.compile(r"specs/[^/]+/(\d{6,})\.json")


@dataclass(frozen=True, slots=True)
class Proposal:
    """A spec that was dropped: `asked` is its generation, `in_force` the present one. `state` is
    `new` when it has yet to come into force, `overtaken` by a newer upload, or `in_force`."""

    state: Literal["new", "in_force", "overtaken"]
    asked: RegisteredSpec
    in_force: RegisteredSpec | None


def read_spec(model: str, *, lake: Bucket) -> RegisteredSpec:
    """The spec in force. Raises ObjectNotFound when the model has none."""
    return RegisteredSpec.of(documents.require(lake, paths.spec(model)))


def find_spec(model: str, *, lake: Bucket) -> RegisteredSpec | None:
    """As `read_spec`, None when there is none."""
    try:
        return read_spec(model, lake=lake)
    except ObjectNotFound:
        return None


def read_registered(model: str, generation: int, *, lake: Bucket) -> RegisteredSpec:
    """One generation, in force or not. Raises ObjectNotFound."""
    name = paths.spec_generation(model, generation)
    return RegisteredSpec.of(documents.require(lake, name))


def read_generation(model: str, generation: int, *, lake: Bucket) -> Spec:
    """The spec a run was asked with, whatever is in force now. Raises ObjectNotFound."""
    return read_registered(model, generation, lake=lake).spec


def known_generations(model: str, *, lake: Bucket) -> list[int]:
    """Numbers of all generations, in force or not, oldest first."""
    prefix = paths.spec(model).removesuffix("current.json")
    found = (_GENERATION.fullmatch(info.name) for info in lake.list(prefix))
    return sorted(int(match[1]) for match in found if match)


def known_models(*, lake: Bucket) -> list[str]:
    """Names of all models that have a spec."""
    return [folder.removeprefix("specs/").rstrip("/") for folder in lake.folders("specs/")]


# --- registering ---------------------------------------------------------------------------------


def register(model: str, spec: Spec, source: str, *, lake: Bucket, clock: Clock) -> RegisteredSpec:
    """Put a spec in force without asking anybody; the one in force comes back. A repeat, and the
    same content again, change nothing. Raises as `propose`, and AliasMoved."""
    proposal = propose(model, spec, source, lake=lake, clock=clock)
    if proposal.state == "new":
        put_in_force(proposal.asked, lake=lake)
        return proposal.asked
    return proposal.in_force or proposal.asked


def propose(model: str, spec: Spec, source: str, *, lake: Bucket, clock: Clock) -> Proposal:
    """Write down a spec that was dropped; a repeat finds its generation. Raises BadSpec (name),
    AliasMoved when another registration won the race."""
    if not paths.is_model_name(model):
        raise BadSpec(
            f"{model!r} is no model name: use [a-z][a-z0-9_]* of at most 63 characters, "
            f"as in _specs/adult_income.yaml"
        )
    current = documents.read(lake, paths.spec(model))
    old = RegisteredSpec.of(current.body) if current.exists else None
    numbers = known_generations(model, lake=lake)
    present = old.generation if old else 0
    later = [read_registered(model, n, lake=lake) for n in numbers if n > present]
    if old is not None:
        if is_older(source, old.source):
            return Proposal("overtaken", old, old)
        if old.source == source:
            return Proposal("in_force", old, old)
    newer = next((item for item in later if is_older(source, item.source)), None)
    if newer is not None:
        return Proposal("overtaken", newer, old)
    if old is not None and not differences(old.spec, spec):
        update = {"source": source, "written": written(spec)}
        kept = old.model_copy(update=update)
        _swap(kept, current.generation, lake)
        return Proposal("in_force", kept, kept)
    mine = _begun(model, source, present, later, lake)
    if mine is None:
        number = max([*numbers, present]) + 1
        mine = RegisteredSpec(
            model=model,
            generation=number,
            spec=spec,
            registered=documents.timestamp(clock.now()),
            source=source,
            replaces=present,
            written=written(spec),
        )
        if not documents.create(lake, paths.spec_generation(model, number), _body(mine)):
            raise AliasMoved(f"another spec for {model} was registered at the same time")
    return Proposal("new", mine, old)


def _begun(
    model: str, source: str, present: int, later: list[RegisteredSpec], lake: Bucket
) -> RegisteredSpec | None:
    """The generation that this upload got before a crash. One that may no longer come into force is
    left alone, unless somebody was asked about it."""
    for item in reversed(later):
        name = paths.approval(model, paths.spec_question(item.generation))
        if item.source == source and (
            item.replaces == present or documents.read(lake, name).exists
        ):
            return item
    return None


def put_in_force(new: RegisteredSpec, *, lake: Bucket) -> None:
    """Swap it for the generation that it replaces; a repeat changes nothing. Raises AliasMoved
    when another one is in force meanwhile, or a newer upload said that the present one stays."""
    if not come_into_force(new, lake=lake, wanted=False):
        raise AliasMoved(f"another spec for {new.model} was registered at the same time")


def come_into_force(new: RegisteredSpec, *, lake: Bucket, wanted: bool = True) -> bool:
    """As `put_in_force`; False when another generation is in force and this one never was. What a
    person `wanted` comes into force also where a newer upload has kept the generation before."""
    for _ in range(SWAPS):
        current = documents.read(lake, paths.spec(new.model))
        present = int(current.body["generation"]) if current.exists else 0
        if present != new.replaces:
            return _was_in_force(new, present, lake)
        if current.exists and not wanted and is_older(new.source, current.body["source"]):
            return False
        try:
            return _swap(new, current.generation, lake)
        except AliasMoved:
            continue  # read again: maybe only the upload's name changed
    raise AliasMoved(f"the spec of {new.model} is contended")


def overtaken_by(model: str, source: str, *, lake: Bucket) -> RegisteredSpec | None:
    """The generation that a newer upload of the same object proposed, or keeps in force."""
    old = find_spec(model, lake=lake)
    present = old.generation if old else 0
    later = [n for n in known_generations(model, lake=lake) if n > present]
    found = [*([old] if old else []), *(read_registered(model, n, lake=lake) for n in later)]
    return next((item for item in found if is_older(source, item.source)), None)


def was_in_force(model: str, source: str, *, lake: Bucket) -> RegisteredSpec | None:
    """The generation of this upload, if it is or was in force."""
    present = read_spec(model, lake=lake).generation
    for number in known_generations(model, lake=lake):
        item = read_registered(model, number, lake=lake)
        if item.source == source and _was_in_force(item, present, lake):
            return item
    return None


def _was_in_force(new: RegisteredSpec, present: int, lake: Bucket) -> bool:
    """Follow what replaced what, back from the generation in force."""
    while present > new.generation:
        before = read_registered(new.model, present, lake=lake).replaces
        present = present - 1 if before is None else before
    return present == new.generation


def _swap(new: RegisteredSpec, generation: int, lake: Bucket) -> bool:
    try:
        documents.swap(lake, paths.spec(new.model), _body(new), generation=generation)
    except PreconditionFailed as error:
        raise AliasMoved(f"another spec for {new.model} was registered at the same time") from error
    return True


def _body(registered: RegisteredSpec) -> dict[str, object]:
    return registered.model_dump(mode="json")


def is_older(source: str, other: str) -> bool:
    """True when both are uploads of a model's spec, under either ending, and `source` is the older
    one: generations of one bucket grow with time."""
    name, _, generation = source.rpartition("#")
    theirs, _, newer = other.rpartition("#")
    same = bool(name) and name.rpartition(".")[0] == theirs.rpartition(".")[0]
    return same and int(generation) < int(newer)
