"""Places that need more than a row: snapshots, joined sources, chains of retrainings, odd files."""

from __future__ import annotations

import gzip
import json
from dataclasses import asdict
from pathlib import Path

import pytest

from shared import documents, paths, runs
from shared.runs import InputRef, RetrainCause, RunRequest
from shared.serving.sources.snapshot import Known, SnapshotMeta, write_snapshot
from shared.spec.model import Spec
from shared.tabular.dataset import Dataset, pack, unpack
from shared.usecases.forgetting import emptying
from shared.usecases.forgetting.searching import written
from shared.usecases.forgetting.subject import Subject
from tests.unit.forgetting.world import KEY, SECRETS, World, rows, world


@pytest.fixture
def found() -> World:
    return world()


def snapshot(found: World, version: str, folder: Path, *keys: str) -> str:
    path = folder / f"{version}.sqlite"
    meta = SnapshotMeta("m", version, "calls", "2026-01-01T00:00:00Z", ("n",))
    ref = write_snapshot(path, [Known(key, {"n": 1.0}) for key in keys], meta)
    found.lake.upload(ref.object, path)
    return ref.object


def test_snapshots_go_unless_their_version_may_serve(found: World, tmp_path: Path) -> None:
    """The champion's package promises the bytes of its snapshot, so that is named as what stays;
    of versions that cannot serve any more it goes, and without the key nothing does."""
    champion = found.system.champion()
    assert champion is not None
    kept = snapshot(found, champion, tmp_path, "P-10016", KEY)
    old = snapshot(found, "20250101T000000-aaaaaaaa", tmp_path, "P-10016", KEY)
    other = snapshot(found, "20250102T000000-bbbbbbbb", tmp_path, "P-10016", "P-100170")
    young = snapshot(found, "20990101T000000-cccccccc", tmp_path, KEY)
    body = found.forget()
    left = [info.name for info in found.lake.list("features/")]
    assert left == sorted([kept, other, young])
    assert old not in left
    told = [sentence for sentence in body["remains"] if sentence.startswith("features/")]
    assert len(told) == 2
    assert champion in told[0]


def request_of(found: World, run_id: str, **more: object) -> RunRequest:
    base = runs.read_request("m", found.version, lake=found.lake)
    return RunRequest.of({**asdict(base), "run_id": run_id, **more})


def test_rows_are_followed_through_retrainings(found: World) -> None:
    """A retraining continues the rows of its champion: the person's records of that file go from
    it, and rows of others that have the same number from labels stay."""
    run_id = "20260301T000000-cccccccc"
    cause = RetrainCause("i", found.version, ())
    request = request_of(found, run_id, inputs=(), retrain=asdict(cause))
    runs.save_request(request, lake=found.lake)
    dataset = Dataset(
        cells={"name": ["Zelda Quux", "Ann Bee", "Ann Bee"], "y": ["yes", "no", "no"]},
        record=[2, 2, 1],
        origin=["file", "labels", "labels"],
        prediction_id=["", f"{found.scored}-1", f"{found.scored}-2"],
        side=["fit", "fit", "holdout"],
    )
    name = paths.dataset("m", run_id, "data.csv.gz")
    found.lake.write(name, pack(dataset))
    record = {"dataset": name, "sha256": "x", "facts": {"rows": 3, "fit": 2, "holdout": 1}}
    documents.create(found.lake, paths.run_stage("m", run_id, "prepared.json"), record)
    found.forget()
    left = unpack(found.lake.read(name).data)
    assert (left.record, left.prediction_id) == ([2], [f"{found.scored}-1"])
    facts = documents.require(found.lake, paths.run_stage("m", run_id, "prepared.json"))["facts"]
    assert facts == {"rows": 1, "fit": 1, "holdout": 0, "forgotten": 2}


def test_a_group_tells_whose_a_row_is_though_its_file_is_gone() -> None:
    """Where the split went by the key, the dataset has it, also when inputs are past retention."""
    subject = Subject("m", "person", KEY)
    dataset = Dataset(
        cells={"name": ["Ann Bee", "Zelda Quux"], "y": ["no", "yes"]},
        record=[1, 2],
        origin=["file", "file"],
        prediction_id=["", ""],
        side=["fit", "fit"],
        marks={"group": ["P-10016", KEY]},
    )
    change = emptying.dataset_change(subject, "d", set(), ["group"], "person")
    import io

    out = io.BytesIO()
    assert change(io.BytesIO(pack(dataset)), out) == 1
    assert unpack(out.getvalue(), ["group"]).marks["group"] == ["P-10016"]


def add_input(found: World, file: str, data: bytes) -> str:
    """Another training on this file, as if intake had accepted it."""
    run_id = "20260302T000000-dddddddd"
    info = found.lake.write(paths.input_copy("m", "train", run_id, file), data)
    inputs = (asdict(InputRef.of(info, "gs://inbox/m/train/x#1")),)
    runs.save_request(request_of(found, run_id, inputs=inputs), lake=found.lake)
    return info.name


def test_one_array_of_json_goes_whole(found: World) -> None:
    """There are no lines to empty in it; the report says where."""
    people = [{"person": KEY, "name": "Zelda Quux", "street": "zq-street-9", "y": "no"}]
    people += [{"person": "P-1", "name": "x", "street": "y", "y": "yes"}]
    name = add_input(found, "people.json", json.dumps(people).encode())
    body = found.forget()
    assert name not in [info.name for info in found.lake.list("inputs/")]
    assert name.rpartition("/")[0] + "/" in body["deleted"]
    assert found.holding(*SECRETS) == []


def test_what_cannot_be_read_is_named(found: World) -> None:
    """An input that is no file any more is not passed over in silence."""
    add_input(found, "people.csv.gz", gzip.compress(b"person,name\n" * 9)[:-9])
    body = found.forget()
    assert [sentence for sentence in body["remains"] if "cannot be read" in sentence]


def test_a_refused_drop_goes_where_it_names_the_person(found: World) -> None:
    """A file that was never accepted lies in the inbox alone; one that cannot be read goes when the
    key stands in its bytes, and stays when it does not."""
    torn = f'person,name\n"{KEY},Zelda Quux\n'
    found.inbox.write("m/train/torn.csv", torn.encode())
    other = torn.replace(KEY, "P-1").replace("Zelda Quux", "x")
    found.inbox.write("m/train/other.csv", other.encode())
    found.inbox.write("n/train/another-model.csv", rows(target=True).encode())
    found.forget()
    assert [info.name for info in found.inbox.generations("m/train/")] == ["m/train/other.csv"]
    assert found.holding(KEY) == ["inbox/n/train/another-model.csv"]


def test_sources_have_their_own_word_for_the_key() -> None:
    """The key of the model is looked for under the name that each file has for it."""
    spec = Spec.model_validate(
        {
            "task": "binary",
            "target": "y",
            "sources": {
                "people": {"key": "person"},
                "calls": {"key": "caller", "aggregates": {"n": "count"}},
            },
        }
    )
    subject = Subject("m", "person", KEY)
    assert written(subject, spec, "train", "people").column == "person"
    assert written(subject, spec, "train", "calls").column == "caller"
    assert written(subject, spec, "train", "corrected").column == "person"
    other = Subject("m", "email", "a@b")
    assert written(other, spec, "train", "calls").column == "email"
