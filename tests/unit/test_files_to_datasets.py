"""The same rows in any dress become the same dataset, and labels are labels however written."""

from __future__ import annotations

import csv
import gzip
import io
import json
from typing import Any

import pyarrow as pa
import pyarrow.parquet
import pytest

from shared import paths, runs
from shared.errors import Rejected
from shared.files import guards
from shared.spec.model import Spec
from shared.spec.registry import read_generation
from shared.tabular.dataset import Dataset, unpack
from shared.tabular.labels import check_rows
from shared.usecases.training import prepared
from shared.usecases.training.stages import Training
from tests.support.nasty import corpus
from tests.unit.tabular.world import COLUMNS, MODEL, RUN, World, rows, spec_of

ROWS = rows(300)
NAMES = list(COLUMNS)


def _text(delimiter: str = ",", end: str = "\n", quoting: Any = csv.QUOTE_MINIMAL) -> str:
    out = io.StringIO(newline="")
    writer = csv.writer(out, delimiter=delimiter, lineterminator=end, quoting=quoting)
    writer.writerows([NAMES, *ROWS])
    return out.getvalue()


def _typed() -> list[dict[str, Any]]:
    """The rows as JSON values: numbers where the spec says number."""
    numbers = {name for name, column in spec_of().columns.items() if column.type == "number"}
    return [
        {
            name: (json.loads(cell) if cell not in ("", "?") else None) if name in numbers else cell
            for name, cell in zip(NAMES, row, strict=True)
        }
        for row in ROWS
    ]


def _parquet() -> bytes:
    out = io.BytesIO()
    pa.parquet.write_table(pa.Table.from_pylist(_typed()), out)
    return out.getvalue()


DRESSES = {
    "semicolons": _text(";").encode(),
    "tabs, crlf": _text("\t", "\r\n").encode(),
    "pipes, cr": _text("|", "\r").encode(),
    "quoted": _text(quoting=csv.QUOTE_ALL).encode(),
    "byte order mark": _text().encode("utf-8-sig"),
    "packed": gzip.compress(_text().encode()),
    "json lines": "\n".join(map(json.dumps, _typed())).encode(),
    "json lines, packed": gzip.compress("\n".join(map(json.dumps, _typed())).encode()),
    "json array": json.dumps(_typed()).encode(),
    "parquet": _parquet(),
}


def _dataset(data: bytes) -> tuple[dict[str, Any], Dataset]:
    world = World(spec_of())
    world.ask(data)
    request = runs.read_request(MODEL, RUN, lake=world.lake)
    spec = read_generation(MODEL, request.spec_generation, lake=world.lake)
    run = Training(request, spec, world.lake, world.clock)
    record = run.stage(prepared.STAGE, lambda: prepared.prepare_files(run))
    return record, unpack(world.lake.read(paths.dataset(MODEL, RUN, "data.csv.gz")).data)


@pytest.mark.parametrize("dress", DRESSES)
def test_the_same_rows_in_any_dress_are_the_same_dataset(dress: str) -> None:
    """Records, sides and what each cell means: nothing depends on how a file is written."""
    expected_record, expected = _dataset(_text().encode())
    record, found = _dataset(DRESSES[dress])
    assert found.record == expected.record
    assert found.side == expected.side
    assert record["schema"] == expected_record["schema"]
    assert record["quarantined"] == expected_record["quarantined"]
    for name, column in spec_of().columns.items():
        if column.type == "number":
            left, right = ([c and float(c) for c in d.cells[name]] for d in (found, expected))
            assert left == right
        else:
            assert found.cells[name] == expected.cells[name]


DIRT = [file for file in corpus() if file.name.startswith(("dirt-", "noise-", "late-", "flipped-"))]


@pytest.mark.parametrize("number", range(0, len(DIRT), 6))
def test_dirt_behind_good_rows_costs_no_row(number: int) -> None:
    """Whatever is appended to a good file: good plus quarantined are its records, or the whole
    file is refused."""
    data = _text().encode() + DIRT[number].data[:300_000]
    try:
        guards.check_head(data[: guards.HEAD_BYTES], len(data), spec_of(max_bad_rows=1.0), "train")
        record, dataset = _dataset(data)
    except Rejected as error:
        refusal = str(error)
    else:
        refusal = ""
        assert len(dataset.record) + record["quarantined"] >= len(ROWS)
        assert dataset.record[: len(ROWS)] == list(range(1, len(ROWS) + 1))
    assert not refusal or len(refusal) > 20


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_labels_need_not_be_written_as_the_models_files(delimiter: str, pack: Any) -> None:
    """Somebody makes them from predictions.csv, whatever the spec says of the model's data."""
    source = {"delimiter": "|", "encoding": "cp1252", "header": True}
    spec = Spec.model_validate({**spec_of().model_dump(mode="json"), "source": source})
    text = f"prediction_id{delimiter}label{delimiter}note\nr-1{delimiter}yes{delimiter}é\n"
    good, bad = check_rows(io.BytesIO(pack(text.encode())), spec, ("no", "yes"))
    assert ([row.label for row in good], bad) == (["yes"], [])
