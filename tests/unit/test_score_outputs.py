"""What comes back for a scored file: its form, its columns, and the one reader of all of them."""

from __future__ import annotations

import io
import json
from typing import Any

import pyarrow as pa
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared import paths
from shared.documents import require
from shared.errors import HeaderMismatch
from shared.predicted import find_batch_run
from shared.spec.model import Spec
from shared.tabular.scored.reading import read_scored
from shared.tabular.scored.writing import json_texts
from shared.usecases.scored_rows import find_row, scored_rows
from tests.unit.test_score import HEADER, RUN, World

BAD = HEADER + '1,39,0,"Kö, ln",1\n2,x,1e3,"a ""b""",3.0\n3\n4,61,?,東京,\n'
FEATURES = ["age", "gain", "city", "grade"]


def scored(data: str = BAD, **scoring: Any) -> World:
    world = World(data.encode(), scoring=scoring)
    world.score()
    return world


def rows(world: World, names: list[str]) -> list[list[str]]:
    """Cells of these columns and all answers, as readers see them."""
    run = find_batch_run("adult", RUN, lake=world.lake)
    assert run is not None
    found = []
    for block in scored_rows("adult", run, names, lake=world.lake):
        columns = [*block.cells, *block.answers.values()]
        found += list(zip(*(column.to_pylist() for column in columns), strict=True))
    return [list(row) for row in found]


@pytest.mark.parametrize("output", ["csv", "jsonl", "parquet"])
@pytest.mark.parametrize("columns", ["all", ["id"]])
def test_readers_see_the_same_whatever_the_form(output: str, columns: Any) -> None:
    """Cells, scores, labels, ids and errors of every row, also of columns that were left out."""
    world = scored(output=output, columns=columns)
    found = rows(world, ["id", *FEATURES])
    assert [row[:5] for row in found] == [
        ["1", "39", "0", "Kö, ln", "1"],
        ["2", "x", "1e3", 'a "b"', "3.0"],
        ["3", "", "", "", ""],
        ["4", "61", "?", "東京", ""],
    ]
    plain = rows(scored(), ["id"])
    assert [row[5:] for row in found] == [row[1:] for row in plain]
    assert [row[-1] for row in found] == [
        "",
        "age must be a number (it is 'x')",
        "has 1 fields, expected 5",
        "",
    ]
    assert [row[-2] for row in found] == [f"{RUN}-{n}" for n in (1, 2, 3, 4)]


def test_json_lines_are_objects_with_nulls() -> None:
    """The input's cells are texts, the score is a number, and what is not there is null."""
    world = scored(output="jsonl")
    name = paths.predictions("adult", RUN, "predictions.jsonl")
    first, second = map(json.loads, world.lake.read(name).data.decode().splitlines()[:2])
    assert (first["age"], first["city"], first["error"]) == ("39", "Kö, ln", None)
    assert isinstance(first["score"], float)
    assert (second["score"], second["label"], second["error"][:3]) == (None, None, "age")


@given(st.lists(st.one_of(st.none(), st.text(max_size=6)), max_size=8))
@settings(deadline=None)
def test_texts_are_spelled_as_json_does(texts: list[str | None]) -> None:
    """Whatever characters they have."""
    clean = [text and text.encode("utf-8", "replace").decode() for text in texts]
    found = json_texts(pa.array(clean, pa.string())).to_pylist()
    assert found == [json.dumps(text, ensure_ascii=False) for text in clean]


def test_parquet_is_parts_and_a_manifest() -> None:
    """Each part opens by itself, and the manifest counts what is in them."""
    world = scored(output="parquet")
    name = paths.predictions("adult", RUN, "predictions.json")
    manifest = require(world.lake, name)
    assert (manifest["rows"], manifest["errors"]) == (4, 2)
    (part,) = manifest["parts"]
    table = pyarrow.parquet.read_table(io.BytesIO(world.lake.read(part["object"]).data))
    assert table["score"].null_count == 2
    assert table["error"].to_pylist()[0] is None
    assert require(world.lake, paths.predictions("adult", RUN, "summary.json"))["object"] == name


def test_named_columns_alone_come_back() -> None:
    """In the file's order; the target may be missing, another column may not."""
    world = scored(columns=["city", "id", "income"])
    header = world.lake.read(world.output).data.decode().partition("\n")[0]
    assert header == "id,city,score,label,model_version,prediction_id,error"
    with pytest.raises(HeaderMismatch, match=r"no code.*scoring\.columns"):
        World(
            BAD.encode(), scoring={"columns": ["code"]}, columns={"code": {"exclude": True}}
        ).score()


def test_a_row_is_found_by_its_id() -> None:
    """With the whole input and the answers, though only the id was kept."""
    world = scored(columns=["id"], output="jsonl")
    run = find_batch_run("adult", RUN, lake=world.lake)
    assert run is not None
    found = find_row("adult", run, f"{RUN}-4", lake=world.lake)
    assert found is not None
    cells, answers = found
    assert (cells["city"], answers["error"]) == ("東京", "")
    assert find_row("adult", run, f"{RUN}-5", lake=world.lake) is None


def test_an_input_that_is_gone_leaves_its_columns_empty() -> None:
    """What was answered is still told."""
    world = scored(columns=["id"])
    world.lake.delete(world.request.inputs[0].object)
    assert [row[:2] for row in rows(world, ["id", "age"])] == [[n, ""] for n in "1234"]


def test_a_key_needs_to_be_known() -> None:
    """`key` is the key of several sources or the group; else the spec names columns."""
    body = {"task": "binary", "target": "y", "scoring": {"columns": "key"}}
    with pytest.raises(ValueError, match=r"columns: \[id\]"):
        Spec.model_validate(body)
    grouped = {"training": {"split": "grouped", "group_column": "who"}}
    assert Spec.model_validate({**body, **grouped}).key == "who"
    with pytest.raises(ValueError, match="no column"):
        Spec.model_validate({**body, "scoring": {"columns": ["x"]}, "columns": {"y": {}, "z": {}}})


def test_scored_files_of_before_are_read() -> None:
    """Scores as Python wrote them, and a summary that names no form."""
    world = World(BAD.encode())
    text = "age,score_input,score,model_version,prediction_id,error\n39,a,1e-05,v1,r-1,\n"
    world.lake.write("predictions/m/r/predictions.csv", text.encode())
    (block,) = read_scored(world.lake, "predictions/m/r/predictions.csv")
    assert block.answers["score"].to_pylist() == ["1e-05"]
    score = block.cells("score")
    assert score is not None
    assert score.to_pylist() == ["a"]
