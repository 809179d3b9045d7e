"""Second versions for tests of the predictor: put beside a champion, and ill-behaved engines."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from shared import documents, paths
from shared.beside.second_version import Kind, SecondVersion
from shared.serving.package import Package
from tests.support.predictor import World
from tests.unit.serving.models import store

START = "2026-01-05T08:00:00Z"


def put(world: World, challenger: Package, kind: Kind = "canary", **changes: Any) -> SecondVersion:
    """Store the challenger and name it in the manifest; the next request follows it."""
    lake, model = world.lake.bucket, challenger.model
    body: dict[str, Any] = {
        "id": "c1",
        "kind": kind,
        "version": challenger.version,
        "package": paths.package(model, challenger.version),
        "sha256": "",
        "files": store(challenger, lake),
        "features": [],
        "against": "v1",
        "revision": 1,
        "share": 0.5,
        "key": "city",
        "started_at": START,
        "by": "ada",
        "reason": "",
    }
    second = SecondVersion.from_json({**body, **changes})
    write(world, model, second)
    return second


def write(world: World, model: str, second: SecondVersion | None) -> None:
    """Swap what the manifest says beside its champion."""
    found = documents.read(world.lake.bucket, paths.manifest(model))
    changed = {**found.body, "beside": second.to_json() if second else None}
    name = paths.manifest(model)
    documents.swap(world.lake.bucket, name, changed, generation=found.generation)
    world.seconds.now += 2


class Ill:
    """An engine that does something before it answers, or answers what is no answer."""

    def __init__(self, engine: Any, act: Callable[[Any], Any]) -> None:
        self._engine, self._act, self.width = engine, act, engine.width
        self.calls = 0

    def score(self, x: Any) -> Any:
        self.calls += 1
        return self._act(self._engine.score(x))


def fall_ill(world: World, act: Callable[[Any], Any], model: str = "adult") -> Ill:
    """The second version's engine from now on; `act` gets what it would have answered."""
    loaded = world.app.extensions["millrace"].models.get(model).beside.served.model
    ill = Ill(loaded._engine, act)
    loaded._engine = ill
    return ill


def raises(_: Any) -> Any:
    raise RuntimeError("no such operator")


ILLS: dict[str, Callable[[Any], Any]] = {
    "raises": raises,
    "nan": lambda scores: np.full_like(scores, np.nan),
    "infinite": lambda scores: np.full_like(scores, np.inf),
    "too few": lambda scores: scores[:-1],
    "too many": lambda scores: np.concatenate([scores, scores]),
    "nothing": lambda scores: None,
    "texts": lambda scores: ["0.5"] * len(scores),
}
