"""A model of two sources for tests: people, and their visits."""

from __future__ import annotations

import csv
import gzip
import io
import json
from dataclasses import replace
from typing import Any

import numpy as np

from shared import paths, runs
from shared.ports import Bucket
from shared.runs import InputRef, RunRequest
from shared.serving.loaded_model import LoadedModel
from shared.spec.model import Spec
from shared.tabular.dataset import unpack
from shared.usecases.score import load_version, score_file
from tests.unit.tabular.world import MODEL, RUN, World

SCORE = "20260106T090000-0a1b2c3d"
AGGREGATES = {
    "visit_count": "count",
    "spent": "sum(amount)",
    "mean_spent": "mean(amount)",
    "newest": "last(amount)",
    "shops": "distinct(shop)",
    "since": "recency",
    "spent_lately": "sum(amount) over 30d",
    "visits_lately": "count over 2d",
}
SOURCES: dict[str, Any] = {
    "people": {"key": "id"},
    "visits": {
        "key": "id",
        "time": "at",
        "as_of": "2020-03-01",
        "aggregates": AGGREGATES,
        "missing": ["", "?"],
    },
}
COLUMNS: dict[str, Any] = {"id": {"exclude": True}, "age": {"type": "number"}, "y": {}}


def spec_of(sources: dict[str, Any] | None = None, **changes: Any) -> Spec:
    body = {
        "task": "binary",
        "target": {"column": "y", "positive": "yes"},
        "sources": sources or SOURCES,
        "columns": COLUMNS,
        "training": {"candidates": ["linear"], "trials": 1, "false_positive_ceiling": 0.5},
        "checks": {"leakage": "off"},
        **changes,
    }
    return Spec.model_validate(body)


def data(count: int = 300, seed: int = 7) -> tuple[bytes, list[dict[str, Any]]]:
    """People as CSV, and their visits: whoever spent much says yes. Everybody visits once more
    after the cut-off, for a sum that would give the answer away."""
    random = np.random.default_rng(seed)
    people, visits = [["id", "age", "y"]], []
    for person in range(count):
        amounts = np.round(random.exponential(30, random.integers(0, 6)), 2)
        yes = random.random() < 1 / (1 + np.exp(-(amounts.sum() - 70) / 20))
        people.append([str(person), str(random.integers(18, 80)), "yes" if yes else "no"])
        for amount in amounts.tolist():
            day = f"2020-{random.integers(1, 3):02d}-{random.integers(1, 29):02d}"
            shop = str(random.choice(["a", "b", "c"]))
            visits.append({"id": person, "at": day, "amount": amount, "shop": shop})
        visits.append({"id": person, "at": "2020-03-01", "amount": 1e6 * bool(yes), "shop": "z"})
    text = io.StringIO(newline="")
    csv.writer(text).writerows(people)
    return text.getvalue().encode(), visits


def lines(visits: list[dict[str, Any]]) -> bytes:
    """JSON lines, packed, in an order that has nothing to do with keys."""
    mixed = [visits[place] for place in np.random.default_rng(1).permutation(len(visits))]
    return gzip.compress("".join(json.dumps(row) + "\n" for row in mixed).encode(), mtime=0)


PEOPLE, VISITS = data()


def inputs(lake: Bucket, run_id: str, intent: str, files: dict[str, bytes]) -> tuple[InputRef, ...]:
    names = {"people": "people.csv", "visits": "visits.jsonl.gz"}
    found = []
    for role, content in files.items():
        info = lake.write(paths.input_copy(MODEL, intent, run_id, names[role]), content)
        found.append(InputRef.of(info, f"gs://inbox/{MODEL}/{intent}/b/{names[role]}#1", role))
    return tuple(found)


def ask(world: World, files: dict[str, bytes], run_id: str = RUN, **more: Any) -> RunRequest:
    refs = inputs(world.lake, run_id, "train", files)
    return world._save(run_id, "train", inputs=(*refs, *more.pop("corrected", ())), **more)


def trained(spec: Spec | None = None, **files: bytes) -> World:
    world = World(spec or spec_of())
    ask(world, {"people": PEOPLE, "visits": lines(VISITS), **files})
    world.train()
    return world


def champion(world: World) -> LoadedModel:
    return load_version(MODEL, RUN, lake=world.lake)


def score(
    world: World, files: dict[str, bytes], run_id: str = SCORE, **more: Any
) -> list[dict[str, str]]:
    """The rows of the scored file."""
    refs = inputs(world.lake, run_id, "score", files)
    request = replace(world.ask_score(run_id, refs), **more)
    runs.save_launch(MODEL, run_id, RUN, lake=world.lake, clock=world.clock)
    score_file(request, publisher=world.cloud.publisher, lake=world.lake, clock=world.clock)
    name = paths.predictions(MODEL, run_id, "predictions.csv")
    text = world.lake.read(name).data.decode()
    return list(csv.DictReader(io.StringIO(text, newline="")))


def dataset(world: World, run_id: str = RUN) -> Any:
    return unpack(world.lake.read(paths.dataset(MODEL, run_id, "data.csv.gz")).data)


def without_target(people: bytes) -> bytes:
    rows = list(csv.reader(io.StringIO(people.decode(), newline="")))
    text = io.StringIO(newline="")
    csv.writer(text).writerows(row[:-1] for row in rows)
    return text.getvalue().encode()
