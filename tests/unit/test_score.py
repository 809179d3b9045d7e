"""Batch scoring: rows out are rows in, whatever is in them and wherever a run dies."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import pytest

from shared import paths, runs
from shared.adapters.memory import BucketConfig, MemoryCloud, topic_path
from shared.documents import dumps, require
from shared.errors import EmptyFile, HeaderMismatch, UnreadableText
from shared.events import ScoringCompleted
from shared.ports import Bucket
from shared.runs import InputRef, RunRequest
from shared.serving.loaded_model import LoadedModel
from shared.serving.package import Package
from shared.spec.model import Spec
from shared.spec.registry import register
from shared.usecases.score import score_file
from tests.unit.serving.models import binary_package, regression_package, store, version_json

RUN = "20260105T090000-0a1b2c3d"
COLUMNS: dict[str, Any] = {
    "id": {"exclude": True},
    "age": {"type": "number", "require": {"min": 0}},
    "gain": {"type": "number"},
    "city": {},
    "grade": {},
    "income": {},
}


class World:
    """A lake with a registered spec, a stored champion and a request to score a file."""

    def __init__(
        self,
        data: bytes,
        *,
        package: Package | None = None,
        source: dict[str, Any] | None = None,
        columns: dict[str, Any] | None = None,
        scoring: dict[str, Any] | None = None,
    ) -> None:
        self.cloud = MemoryCloud(
            buckets=[BucketConfig("lake")], topics=[topic_path("local", "outcomes")]
        )
        self.lake = self.cloud.lake
        self.package = package or binary_package()
        model = self.package.model
        task = self.package.task
        known = {**(columns or {}), **COLUMNS}
        body = {"task": task, "target": "income", "columns": known, "source": source or {}}
        body["scoring"] = scoring or {}
        spec = Spec.model_validate(body)
        found = register(model, spec, "test", lake=self.lake, clock=self.cloud.clock)
        version = version_json(self.package, store(self.package, self.lake))
        self.lake.write(paths.version(model, "v1", "version.json"), dumps(version))
        info = self.lake.write(paths.input_copy(model, "score", RUN, "new.csv"), data)
        self.request = RunRequest(
            model=model,
            run_id=RUN,
            kind="score",
            requested_at="2026-01-05T09:00:00Z",
            requested_by="test",
            spec_generation=found.generation,
            inputs=(InputRef.of(info, "gs://inbox/new.csv#1"),),
        )
        runs.save_request(self.request, lake=self.lake)
        runs.save_launch(model, RUN, "v1", lake=self.lake, clock=self.cloud.clock)

    def score(self, lake: Bucket | None = None, **more: Any) -> ScoringCompleted:
        event = score_file(
            self.request,
            lake=lake or self.lake,
            publisher=self.cloud.publisher,
            clock=self.cloud.clock,
            **more,
        )
        assert event is not None
        return event

    @property
    def output(self) -> str:
        return paths.predictions(self.package.model, RUN, "predictions.csv")

    def rows(self) -> list[dict[str, str]]:
        text = self.lake.read(self.output).data.decode()
        return list(csv.DictReader(io.StringIO(text, newline="")))


HEADER = "id,age,gain,city,grade\n"
GOOD = HEADER + '1,39,0,Köln,1\n2,,1e3,"a, b",3.0\n3, 61 ,?,東京,\n'


def test_every_row_comes_back_with_its_answer() -> None:
    """Original cells in order, and the champion's own answers beside them."""
    world = World(GOOD.encode())
    event = world.score()
    assert (event.rows, event.errors, event.output) == (3, 0, world.output)
    rows = world.rows()
    assert [row["id"] for row in rows] == ["1", "2", "3"]
    assert rows[1]["city"] == "a, b"
    asked: list[object] = [
        {"age": 39, "gain": 0, "city": "Köln", "grade": 1},
        {"age": None, "gain": 1000, "city": "a, b", "grade": 3},
        {"age": "61", "gain": None, "city": "東京"},
    ]
    expected = LoadedModel(world.package).predict_records(asked)
    assert [float(row["score"]) for row in rows] == expected.score.tolist()
    assert [row["label"] for row in rows] == expected.label
    assert [row["prediction_id"] for row in rows] == [f"{RUN}-{n}" for n in (1, 2, 3)]
    assert {(row["model_version"], row["error"]) for row in rows} == {("v1", "")}


def test_rows_that_cannot_be_scored_keep_their_place() -> None:
    """Wrong types, broken requirements and wrong widths get every reason, and no score."""
    world = World((HEADER + "1,x,y,K,1\n2,3,4,K,1\n3,-1,0,K,1\n4,1\n5,1,1,K,1,6,7\n").encode())
    event = world.score()
    assert (event.rows, event.errors) == (5, 4)
    rows = world.rows()
    assert [row["id"] for row in rows] == ["1", "2", "3", "4", "5"]
    assert [row["error"] for row in rows] == [
        "age must be a number (it is 'x'); gain must be a number (it is 'y')",
        "",
        "age must be at least 0 (it is '-1')",
        "has 2 fields, expected 5",
        "has 7 fields, expected 5",
    ]
    assert [bool(row["score"]) for row in rows] == [False, True, False, False, False]
    assert [bool(row["label"]) for row in rows] == [False, True, False, False, False]


def test_blocks_change_nothing() -> None:
    """Whatever the block size, the object is the same (a linear engine's rows are independent)."""
    data = (HEADER + "".join(f"{n},{n % 90},{n},c{n % 7},{n % 3}\n" for n in range(1, 54))).encode()
    worlds = [World(data), World(data)]
    worlds[0].score(block_rows=10_000)
    worlds[1].score(block_rows=9)
    left, right = (world.rows() for world in worlds)
    assert [row["prediction_id"] for row in left] == [row["prediction_id"] for row in right]
    scores = [[float(row["score"]) for row in rows] for rows in (left, right)]
    assert scores[0] == pytest.approx(scores[1], rel=1e-12)


@pytest.mark.parametrize(
    ("data", "source"),
    [
        (b"1, 39, 0, Paris, 1\n\n2, 50, 1, ?, 2\n\n", {"header": False}),
        (b"1,39,0,Paris,1,no\n2,50,1,?,2,yes\n", {"header": False}),
        ("id;grade;city;gain;age\n1;1;Paris;0;39\n2;2;;1;50\n".encode("cp1252"),
         {"delimiter": ";", "encoding": "cp1252"}),
        (b"\xef\xbb\xbfage,gain,city,grade,income\r\n39,0,Paris,1,x\r\n50,1,,2,\r\n", {}),
    ],
)  # fmt: skip
def test_files_are_read_as_the_spec_says(data: bytes, source: dict[str, Any]) -> None:
    """With or without header, target, BOM; other delimiters, encodings and column orders."""
    world = World(data, source=source)
    world.score()
    rows = world.rows()
    asked: list[object] = [
        {"age": 39, "gain": 0, "city": "Paris", "grade": 1},
        {"age": 50, "gain": 1, "city": None, "grade": 2},
    ]
    expected = LoadedModel(world.package).predict_records(asked)
    assert [float(row["score"]) for row in rows] == pytest.approx(expected.score.tolist())
    assert [row["age"] for row in rows] == ["39", "50"]


def test_regression_has_no_label_column() -> None:
    """Values stand in `score`, in the file's own unit."""
    world = World(GOOD.encode(), package=regression_package())
    world.score()
    assert "label" not in world.rows()[0]
    assert float(world.rows()[0]["score"]) >= 0


@pytest.mark.parametrize(
    ("data", "error", "said"),
    [
        (b"", EmptyFile, "0 bytes"),
        (b"\n\n", EmptyFile, "blank"),
        (HEADER.encode(), EmptyFile, "no rows"),
        (b"id,age,gain,city\n1,2,3,K\n", HeaderMismatch, "grade"),
        (b"id,age,gain,city,grade,zip\n1,2,3,K,1,9\n", HeaderMismatch, "zip"),
        (b"id,age,gain,city,grade,age\n1,2,3,K,1,9\n", HeaderMismatch, "age"),
        ((HEADER + "1,39,0,Ö,1\n").encode() + b"2,39,0,K\xff,1\n", UnreadableText, "utf-8"),
        (
            (HEADER + "1,39,0,Ö,1\n").encode() + b"1,39,0,K,1\n" * 9000 + b"1,39,0,K\xff,1\n",
            UnreadableText,
            "line 9003",
        ),
    ],
)
def test_files_that_can_never_work_say_why(data: bytes, error: type, said: str) -> None:
    """The reason names what is wrong; no prediction object is left behind."""
    world = World(data)
    with pytest.raises(error, match=said):
        world.score()
    assert list(world.lake.list("predictions/")) == []


def test_the_summary_the_latest_and_the_event_agree() -> None:
    """What the monitor and people read is what was published."""
    world = World(GOOD.encode())
    world.score()
    summary = require(world.lake, paths.predictions("adult", RUN, "summary.json"))
    assert summary == {
        "run_id": RUN,
        "version": "v1",
        "rows": 3,
        "errors": 0,
        "started": "2026-01-05T09:00:00Z",
        "finished": "2026-01-05T09:00:00Z",
        "channel": "batch",
        "object": world.output,
        "format": "csv",
    }
    assert require(world.lake, paths.latest_predictions("adult")) == summary
    (message,) = world.cloud.publisher.published
    body = json.loads(message.data)
    assert (message.topic, body["type"], body["rows"]) == ("outcomes", "ScoringCompleted", 3)


def test_a_run_that_finished_later_stays_the_latest() -> None:
    """A slow retry of an old run does not hide a newer one."""
    world = World(GOOD.encode())
    later = {"run_id": "other", "finished": "2026-02-01T00:00:00Z"}
    world.lake.write(paths.latest_predictions("adult"), dumps(later))
    world.score()
    assert require(world.lake, paths.latest_predictions("adult")) == later


def test_a_second_delivery_changes_nothing() -> None:
    """Scoring again finds its own summary and says the same."""
    world = World(GOOD.encode())
    assert world.score() == world.score()
    bodies = {json.loads(message.data)["id"] for message in world.cloud.publisher.published}
    assert len(bodies) == 1


def test_a_column_with_one_of_our_names() -> None:
    """An input column called `score` stays, under another name than ours."""
    columns = {**COLUMNS, "score": {"exclude": True}}
    world = World(GOOD.encode())
    spec = Spec.model_validate({"task": "binary", "target": "income", "columns": columns})
    found = register("adult", spec, "changed", lake=world.lake, clock=world.cloud.clock)
    data = b"score,age,gain,city,grade\n0.7,39,0,K,1\n"
    info = world.lake.write("inputs/other.csv", data)
    world.request = RunRequest(
        model="adult",
        run_id=RUN,
        kind="score",
        requested_at="",
        requested_by="test",
        spec_generation=found.generation,
        inputs=(InputRef.of(info, "x"),),
    )
    world.score()
    (row,) = world.rows()
    assert row["score_input"] == "0.7"
    assert float(row["score"]) != 0.7


def test_a_cell_with_an_old_line_end_stays_one_row() -> None:
    """A carriage return alone inside a quoted cell, as old spreadsheets wrote them."""
    world = World((HEADER + '1,39,0,"a\rb",1\n2,50,1,c,2\n').encode())
    event = world.score()
    assert (event.rows, event.errors) == (2, 0)
    assert [row["city"] for row in world.rows()] == ["a\rb", "c"]


def test_an_index_without_a_name_is_a_column_like_others() -> None:
    """`column_1` in the spec and nothing in the header is one column."""
    world = World(b",age,gain,city,grade\n0,39,0,K,1\n", columns={"column_1": {"exclude": True}})
    assert world.score().errors == 0
    assert world.rows()[0]["column_1"] == "0"
