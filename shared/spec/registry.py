"""Specs in force: registered generations in the lake.

    specs/<model>/current.json     the generation in force (swapped)
    specs/<model>/000003.json      every generation (create-only)

The same content registered again keeps its generation. An upload that is older than the one in
force (events come in any order, and again) changes nothing.
"""

from __future__ import annotations

from shared import documents, paths
from shared.errors import AliasMoved, BadSpec, ObjectNotFound, PreconditionFailed
from shared.ports import Bucket, Clock
from shared.spec.model import RegisteredSpec, Spec


def read_spec(model: str, *, lake: Bucket) -> RegisteredSpec:
    """The spec in force. Raises ObjectNotFound when the model has none."""
    return RegisteredSpec.model_validate(documents.require(lake, paths.spec(model)))


def find_spec(model: str, *, lake: Bucket) -> RegisteredSpec | None:
    """As `read_spec`, None when there is none."""
    try:
        return read_spec(model, lake=lake)
    except ObjectNotFound:
        return None


def read_generation(model: str, generation: int, *, lake: Bucket) -> Spec:
    """The spec a run was asked with, whatever is in force now. Raises ObjectNotFound."""
    name = paths.spec_generation(model, generation)
    return RegisteredSpec.model_validate(documents.require(lake, name)).spec


def known_models(*, lake: Bucket) -> list[str]:
    """Names of all models that have a spec."""
    return [folder.removeprefix("specs/").rstrip("/") for folder in lake.folders("specs/")]


def register(model: str, spec: Spec, source: str, *, lake: Bucket, clock: Clock) -> RegisteredSpec:
    """Put a spec in force. A repeat, and the same content again, change nothing.
    Raises BadSpec (name), AliasMoved when another registration won the race."""
    if not paths.is_model_name(model):
        raise BadSpec(
            f"{model!r} is no model name: use [a-z][a-z0-9_]* of at most 63 characters, "
            f"as in _specs/adult_income.yaml"
        )
    current = documents.read(lake, paths.spec(model))
    generation = 1
    if current.exists:
        old = RegisteredSpec.model_validate(current.body)
        if _overtaken(source, old.source):
            return old
        # Mappings are equal in any order, but columns name the cells of a file without a header.
        if old.spec == spec and list(old.spec.columns) == list(spec.columns):
            if old.source == source:
                return old
            new = old.model_copy(update={"source": source})
            return _swap(new, current.generation, lake)
        generation = old.generation + 1
    new = RegisteredSpec(
        model=model,
        generation=generation,
        spec=spec,
        registered=documents.timestamp(clock.now()),
        source=source,
    )
    # A generation object left by a crash before the swap below is overwritten, never in force.
    lake.write(
        paths.spec_generation(model, generation),
        documents.dumps(new.model_dump(mode="json")),
        content_type="application/json",
    )
    return _swap(new, current.generation, lake)


def _swap(new: RegisteredSpec, generation: int, lake: Bucket) -> RegisteredSpec:
    model = new.model
    try:
        documents.swap(lake, paths.spec(model), new.model_dump(mode="json"), generation=generation)
    except PreconditionFailed as error:
        raise AliasMoved(f"another spec for {model} was registered at the same time") from error
    return new


def _overtaken(source: str, in_force: str) -> bool:
    """True when both name the same object and this generation of it is the older one."""
    name, _, generation = source.rpartition("#")
    other, _, newer = in_force.rpartition("#")
    return bool(name) and name == other and int(generation) < int(newer)
