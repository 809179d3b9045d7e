"""Somebody is forgotten: in every place, once, without touching anybody else."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest

from shared import documents, paths
from shared.errors import InProgress
from shared.tabular.dataset import unpack
from shared.usecases.forgetting.report import hashed
from tests.support.crashing import Crash, Fuse
from tests.unit.forgetting.world import DAY, KEY, SECRETS, World, rows, world


@pytest.fixture
def found() -> World:
    return world()


def test_nothing_holds_the_person_afterwards(found: World) -> None:
    """Every object of both buckets, old generations included, is read: none has a cell of theirs,
    and everybody else's are all there."""
    others = ("P-10016", "P-100170", "Cee Dee", "a-street-1")
    before = {text: found.holding(text) for text in others}
    assert len(found.holding(KEY)) > 10
    body = found.forget()
    assert found.holding(*SECRETS) == []
    for text in others:
        gone = set(before[text]) - set(found.holding(text))
        assert all(name.startswith("inbox/") or "parts-1/" in name for name in gone), (text, gone)
    assert body["state"] == "done"
    assert {place["where"]: place["rows"] for place in body["erased"]} == {
        "datasets/": 1,
        "inference-log/": 1,
        "inputs/": 4,  # two generations of a training file, one scored, one of labels
        "labels/": 3,
        "predictions/": 1,
        "quarantine/": 2,
    }


def test_rows_stay_explainable(found: World) -> None:
    """Rows out are rows in: each file has as many records as before, and where one is gone the
    record of the stage counts it."""
    found.forget()
    data = unpack(found.lake.read(paths.dataset("m", found.version, "data.csv.gz")).data)
    assert data.record == [1, 4]
    record = documents.require(found.lake, paths.run_stage("m", found.version, "prepared.json"))
    facts = record["facts"]
    assert (facts["rows"], facts["forgotten"], facts["quarantined"]) == (2, 1, 1)
    assert (facts["fit"], facts["holdout"]) == (1, 1)
    scored = found.lines(paths.predictions("m", found.scored, "predictions.csv"))
    assert len(scored) == 5
    assert scored[2] == f",,,,,{found.version},{found.scored}-2,forgotten"
    log = found.lines(paths.inference_log(DAY) + "x.jsonl")
    assert len(log) == 4
    line = json.loads(log[0])
    assert (line["error"], line["instance"], line["score"]) == ("forgotten", {}, None)
    labels = found.records(paths.labels("m", DAY, found.labelled))
    assert [row["matched"] for row in labels] == [False, True, False, False]
    assert [row["record"] for row in labels] == [1, 2, 3, 4]


def test_the_file_keeps_its_places(found: World) -> None:
    """The training file of the lake reads as before but for one record; quotes stay as written."""
    found.forget()
    (info,) = found.lake.list(f"inputs/m/train/{found.version}/")
    before = rows(target=True).splitlines()
    assert found.lines(info.name) == [*before[:2], "(forgotten),,,", *before[3:]]


def test_what_others_read_still_fits(found: World) -> None:
    """The dataset is the one that its record promises, and its metadata is kept."""
    found.forget()
    name = paths.dataset("m", found.version, "data.csv.gz")
    record = documents.require(found.lake, paths.run_stage("m", found.version, "prepared.json"))
    blob = found.lake.read(name)
    assert hashlib.sha256(blob.data).hexdigest() == record["sha256"]
    assert blob.info.metadata["kept"] == "as it was"
    left = [info.name for info in found.lake.list(paths.dataset("m", found.version))]
    assert left == [name, paths.dataset("m", found.version, "reference.json")]


def test_the_report_names_nobody_and_can_be_checked(found: World) -> None:
    """Whoever knows the key can prove that it was forgotten; from the report alone nobody learns
    it, nor the name of a file."""
    body = found.forget()
    (info,) = found.lake.list(paths.forgotten())
    text = found.lake.read(info.name).data.decode()
    assert not [secret for secret in (*SECRETS, "people.csv") if secret in text]
    kept = json.loads(text)
    assert kept == body
    assert hashed(KEY, kept["salt"]) == kept["hash"]
    assert hashed("P-10016", kept["salt"]) != kept["hash"]
    assert (kept["by"], kept["reason"]) == ("ada", "asked by letter")
    assert any("fitted" in sentence for sentence in kept["remains"])
    assert len(kept["inbox_generations"]) == 4


def test_a_dry_run_changes_nothing(found: World) -> None:
    """It says the same and leaves every object as it was."""
    before = [(info.name, info.generation) for info in found.lake.list()]
    told = found.forget(dry=True)
    assert [(info.name, info.generation) for info in found.lake.list()] == before
    assert len(found.holding(KEY)) > 10
    assert told["erased"] == found.forget()["erased"]


def test_again_finds_nothing(found: World) -> None:
    """Whoever was forgotten is not there; the first report stays."""
    first = found.forget()
    second = found.forget()
    assert first["found"]
    assert not second["found"]
    assert documents.require(found.lake, paths.forgotten(first["id"])) == first


def test_by_one_prediction(found: World) -> None:
    """Without a key: the row that the answer was about goes in all that is made of it."""
    body = found.forget(ids={f"{found.scored}-2"})
    scored = found.lines(paths.predictions("m", found.scored, "predictions.csv"))
    assert scored[2].endswith("-2,forgotten")
    (info,) = found.lake.list(f"inputs/m/score/{found.scored}/")
    assert found.lines(info.name)[2] == "(forgotten),,"
    assert not [name for name in found.holding("zq-street-9") if found.scored in name]
    assert body["by_column"] == "prediction_id"


def test_while_a_run_is_at_work_nothing_is_touched(found: World) -> None:
    """A training that reads a file must not have it changed under it."""
    found.system.drop("m/train/more.csv", rows(target=True) + "P-1,H,h,no\n")
    found.system.drain()
    with pytest.raises(InProgress, match="run this again"):
        found.forget()


class Dropped:
    """A lake during whose forgetting a file is dropped, and its training comes to an end."""

    def __init__(self, world: World) -> None:
        self.world, self.once = world, False

    def list(self, prefix: str = "") -> Any:
        if prefix == "inference-log/" and not self.once:
            self.once = True
            self.world.system.drop("m/train/more.csv", rows(target=True) + "P-1,H,h,no\n")
            self.world.system.drain()
            self.world.system.train()
            self.world.system.drain()
        return self.world.lake.list(prefix)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.world.lake, name)


def test_a_run_that_began_meanwhile_is_looked_at_as_well(found: World) -> None:
    """It may have read a row before that was emptied, and be over: nobody is told `done` until
    another forgetting has looked there, which finishes the same report."""
    with pytest.raises(InProgress, match="began meanwhile; run this again"):
        found.forget(lake=Dropped(found))
    (id_,) = begun(found)
    assert found.holding(KEY) != []
    assert found.forget()["id"] == id_
    assert found.holding(*SECRETS) == []
    assert begun(found) == []


class Both(Fuse):
    """A fuse for the two buckets of a command."""

    def forget(self, world: World) -> dict[str, Any]:
        lake, inbox = self.wrap("lake", world.lake), self.wrap("inbox", world.inbox)
        return world.forget(lake=lake, inbox=inbox)


def begun(found: World) -> list[str]:
    """Reports that wait for their end."""
    bodies = [documents.require(found.lake, info.name) for info in found.lake.list("forgotten/")]
    return [body["id"] for body in bodies if body["state"] != "done"]


def test_killed_anywhere_and_run_again() -> None:
    """Whichever change the command dies before: run again it finishes under the same id, with the
    same counts, and nothing is left. (To die after one is to die before the next.)"""
    whole = world().forget()["erased"]
    at = 0
    while True:
        found = world()
        fuse = Both(at, after=False, reads=False)
        try:
            fuse.forget(found)
        except Crash:
            at += 1
        else:
            break
        waiting = begun(found)
        body = found.forget()
        assert found.holding(*SECRETS) == [], fuse.where
        assert body["erased"] == whole, fuse.where
        assert waiting in ([], [body["id"]]), fuse.where
        assert begun(found) == [], fuse.where
    assert at > 20
