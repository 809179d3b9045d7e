"""Scoring files that are no plain CSV: every row in its place, every value as it was."""

from __future__ import annotations

import gzip
import io
import json

import pyarrow as pa
import pyarrow.parquet

from tests.unit.test_score import HEADER, RUN, World


def test_every_format_gives_the_same_answers() -> None:
    """CSV, packed CSV, JSON lines, a JSON array and Parquet of the same values: the same scores."""
    rows = [
        {"id": n, "age": n % 80, "gain": n * 0.5, "city": f"c{n % 5}", "grade": n % 3}
        for n in range(1, 200)
    ]
    text = HEADER + "".join(",".join(map(str, row.values())) + "\n" for row in rows)
    out = io.BytesIO()
    pa.parquet.write_table(pa.Table.from_pylist(rows), out)
    files = [
        text.encode(),
        gzip.compress(text.encode()),
        "\n".join(map(json.dumps, rows)).encode(),
        json.dumps(rows, indent=1).encode(),
        out.getvalue(),
    ]
    answers = []
    for data in files:
        world = World(data)
        assert world.score(block_rows=64).errors == 0
        answers.append([(row["id"], row["score"], row["label"]) for row in world.rows()])
    assert len(answers[0]) == 199
    assert all(other == answers[0] for other in answers)


def test_json_lines_that_are_no_objects_keep_their_place() -> None:
    """Their text comes back in the first column, with the reason, and other fields are kept."""
    good = {"id": 1, "age": 39, "gain": 0, "city": "K", "grade": 1, "more": [1]}
    lines = [json.dumps(good), "{oops", json.dumps({**good, "age": "x"}), "[1]"]
    world = World("\n".join(lines).encode())
    event = world.score()
    assert (event.rows, event.errors) == (4, 3)
    rows = world.rows()
    assert [row["id"] for row in rows] == ["1", "{oops", "1", "[1]"]
    assert [row["error"].partition(":")[0] for row in rows] == [
        "",
        "is no JSON",
        "age must be a number (it is 'x')",
        "is no JSON object",
    ]
    assert [row["prediction_id"] for row in rows] == [f"{RUN}-{n}" for n in (1, 2, 3, 4)]
    assert rows[0]["more"] == "[1]"
