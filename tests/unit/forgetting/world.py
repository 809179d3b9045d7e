"""A model with one person in every place that holds rows, beside others who stay."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import re
from dataclasses import dataclass
from datetime import date
from typing import Any

from shared import documents, paths
from shared.adapters.memory import MemoryBucket
from shared.documents import timestamp
from shared.tabular.dataset import Dataset, pack
from shared.usecases.forgetting.forget import Asked, forget
from shared.usecases.forgetting.subject import Subject
from tests.support.system import System
from tests.support.working import label_all, score_all

KEY = "P-10017"
# Cells of nobody else: whatever holds one of them holds the person.
SECRETS = (KEY, "Zelda Quux", "zq-street-9")
SPEC = """
task: binary
target: y
columns:
  person: {exclude: true}
  name: {}
  street: {}
  y: {}
labels: {key: person}
promotion: {approval: auto}
"""
HEADER = "person,name,street"
PEOPLE = [
    ("P-10016", "Ann Bee", "a-street-1"),
    (KEY, "Zelda Quux", "zq-street-9"),
    ("P-100170", "Cee Dee", "c-street-2"),
    ("P-10018", 'Eff, "Gee"', "e-street-3"),
]
DAY = date(2026, 1, 5)


def rows(*, target: bool) -> str:
    """The people as a CSV file; Eff needs quotes."""
    lines = [HEADER + (",y" if target else "")]
    for place, (person, name, street) in enumerate(PEOPLE):
        quoted = '"' + name.replace('"', '""') + '"' if '"' in name else name
        answer = f",{'yes' if place % 2 else 'no'}" if target else ""
        lines.append(f"{person},{quoted},{street}{answer}")
    return "\n".join(lines) + "\n"


@dataclass
class World:
    system: System
    version: str
    scored: str
    labelled: str

    @property
    def lake(self) -> MemoryBucket:
        return self.system.cloud.lake

    @property
    def inbox(self) -> MemoryBucket:
        return self.system.cloud.inbox

    def forget(
        self, *, lake: Any = None, inbox: Any = None, dry: bool = False, **named: Any
    ) -> dict[str, Any]:
        who = named or {"column": "person", "key": KEY}
        return forget(
            Subject("m", **who),
            Asked("ada", "asked by letter"),
            lake=lake or self.lake,
            inbox=inbox or self.inbox,
            clock=self.system.clock,
            dry=dry,
        )

    def holding(self, *secrets: str) -> list[str]:
        """Objects of both buckets, whatever their generation, that hold any of these texts."""
        return [
            f"{bucket.name}/{info.name}"
            for bucket in (self.lake, self.inbox)
            for info in bucket.generations()
            for opened in [_opened(bucket, info.name, info.generation)]
            if any(_word(text).search(opened) for text in secrets)
        ]

    def lines(self, name: str) -> list[str]:
        return _opened(self.lake, name, None).splitlines()

    def records(self, name: str) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.lines(name)]


def _word(text: str) -> re.Pattern[str]:
    """P-10017 is not in P-100170."""
    return re.compile(re.escape(text) + "(?![0-9])")


def _opened(bucket: MemoryBucket, name: str, generation: int | None) -> str:
    data = bucket.read(name, generation=generation).data
    if data[:2] == b"\x1f\x8b":
        data = gzip.decompress(data)
    return data.decode("utf-8", "replace")


def world() -> World:
    system = System()
    system.drop("_specs/m.yaml", SPEC)
    system.drop("m/train/people.csv", rows(target=True).replace("no", "yes"))
    source = system.drop("m/train/people.csv", rows(target=True))
    for _ in range(2):
        system.drain()
        system.train()
    system.drain()
    version = str(system.claim(source)["run_id"])
    system.clock.advance(60)
    source = system.drop("m/score/new.csv", gzip.compress(rows(target=False).encode(), mtime=0))
    system.drain()
    score_all(system)
    scored = str(system.claim(source)["run_id"])
    system.clock.advance(60)
    source = system.drop("m/labels/l.csv", f"prediction_id,label\n{scored}-2,yes\n{scored}-3,no\n")
    system.drain()
    label_all(system)
    system.drain()
    found = World(system, version, scored, str(system.claim(source)["run_id"]))
    for store in (_dataset, _scored, _labels, _quarantine, _log, _refusals):
        store(found)
    return found


def _dataset(world: World) -> None:
    """What a training leaves: the third row was quarantined."""
    kept = [0, 1, 3]
    dataset = Dataset(
        cells={
            "name": [PEOPLE[place][1] for place in kept],
            "street": [PEOPLE[place][2] for place in kept],
            "y": ["no", "yes", "yes"],
        },
        record=[place + 1 for place in kept],
        origin=["file"] * 3,
        prediction_id=[""] * 3,
        side=["holdout", "fit", "fit"],
    )
    name, data = paths.dataset("m", world.version, "data.csv.gz"), pack(dataset)
    world.lake.write(name, data, metadata={"kept": "as it was"})
    world.lake.write(paths.dataset("m", world.version, "out-of-fold-linear-2.npy"), b"npy")
    world.lake.write(paths.dataset("m", world.version, "reference.json"), b"{}")
    record = {
        "dataset": name,
        "sha256": hashlib.sha256(data).hexdigest(),
        "quarantined": 1,
        "marks": [],
        "split": {"by": "features", "column": None},
        "facts": {"rows": 3, "fit": 2, "holdout": 1, "reserved": 0, "quarantined": 1},
    }
    documents.create(world.lake, paths.run_stage("m", world.version, "prepared.json"), record)


def _scored(world: World) -> None:
    lines = ["person,name,street,score,label,model_version,prediction_id,error"]
    for place, line in enumerate(rows(target=False).splitlines()[1:], start=1):
        lines.append(f"{line},0.{place},yes,{world.version},{world.scored}-{place},")
    text = "\n".join(lines) + "\n"
    world.lake.write(paths.predictions("m", world.scored, "predictions.csv"), text.encode())
    left = paths.predictions("m", world.scored, "parts-1/00000.csv")
    world.lake.write(left, text.encode(), metadata={"rows": "4"})


def _labels(world: World) -> None:
    found = [
        {
            "prediction_id": id_,
            "label": label,
            "label_time": "2026-01-06T00:00:00Z",
            "matched": True,
            "run_id": run_id,
            "prediction_time": "2026-01-05T00:00:00Z",
            "record": place,
            **more,
        }
        for place, (id_, label, run_id, more) in enumerate(
            [
                (f"{world.scored}-2", "yes", world.scored, {}),
                (f"{world.scored}-3", "no", world.scored, {}),
                ("zq-street-9-call", "yes", None, {}),
                ("", "no", None, {"key": KEY}),
            ],
            start=1,
        )
    ]
    text = "".join(json.dumps(line) + "\n" for line in found)
    world.lake.write(paths.labels("m", DAY, world.labelled), text.encode())


def _quarantine(world: World) -> None:
    head = "quarantine_run,quarantine_source,quarantine_record,quarantine_reasons,"
    torn = f"{world.version},gs://inbox/m#1,5,has 2 fields,{KEY},Zelda Quux"
    third = ",".join(PEOPLE[2])
    text = f"{head}{HEADER},y\n{world.version},gs://inbox/m#1,3,y is bad,{third},?\n{torn}\n"
    world.lake.write(paths.quarantine("m", world.version, "rows.csv"), text.encode())
    example: dict[str, Any] = {
        "source": "gs://inbox/m#1",
        "record": 5,
        "reason": "has 2 fields: Zelda Quux",
    }
    body = {
        "rows": 5,
        "codes": {"width": {"examples": [{**example, "cells": [KEY, "Zelda Quux"]}]}},
    }
    name = paths.quarantine("m", world.version, "summary.json")
    documents.create(world.lake, name, body)
    bad = f'record,reason,row\n7,"{KEY} has no prediction",{KEY},yes\n8,no label,P-10016,\n'
    world.lake.write(paths.quarantine("m", world.labelled, "labels.csv"), bad.encode())


def _log(world: World) -> None:
    asked = [
        {
            "model": model,
            "version": world.version,
            "time": timestamp(world.system.clock.now()),
            "prediction_id": id_,
            "instance": dict(zip(HEADER.split(","), PEOPLE[place], strict=True)),
            "score": 0.5,
            "label": "yes",
            "error": None,
        }
        for model, id_, place in [
            ("m", "zq-street-9-call", 1),
            ("m", "b", 0),
            ("m", "c", 2),
        ]
    ]
    text = "".join(json.dumps(line) + "\n" for line in asked) + "torn"
    world.lake.write(paths.inference_log(DAY) + "x.jsonl", text.encode())


def _refusals(world: World) -> None:
    name = paths.rejection("m", "abc")
    documents.create(world.lake, name, {"reason": "X", "message": f"row 2: '{KEY}' is no number"})
    refused = {"model": "m", "message": f"row 2: {KEY} is no number", "object": f"m/{KEY[:4]}"}
    run_id = "20260101T000000-eeeeeeee"
    documents.create(world.lake, paths.run_outcome("m", run_id), refused)
    event = {"name": "rejected", "at": "2026-01-01T00:00:00Z", "facts": refused}
    documents.create(world.lake, paths.run_event("m", run_id, "rejected"), event)
    inner = base64.b64encode(json.dumps({"who": KEY, "s": SECRETS}).encode()).decode()
    letter = {"function": "intake", "body": {"message": {"data": inner}}}
    documents.create(world.lake, paths.dead_letter("intake", DAY, "7"), letter)
