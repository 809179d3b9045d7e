"""A training whose rows are prepared, and corrected files that intake took for it."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from shared import paths, runs
from shared.runs import InputRef, RunRequest
from shared.spec.registry import read_generation
from shared.tabular.dataset import Dataset, unpack
from shared.usecases.training import prepared
from shared.usecases.training.stages import Training
from tests.unit.tabular.world import COLUMNS, MODEL, RUN, World, rows

SOURCE = "gs://inbox/m/train/a.csv#1"
SECOND, THIRD = "20260106T090000-0a1b2c3e", "20260107T090000-0a1b2c3f"
LEAD = ["quarantine_run", "quarantine_source", "quarantine_record", "quarantine_reasons"]
LOOSE = {"max_bad_rows": 0.9, "checks": {"leakage": "off"}}


def run_of(world: World, run_id: str = RUN, lake: Any = None) -> Training:
    request = runs.read_request(MODEL, run_id, lake=world.lake)
    spec = read_generation(MODEL, request.spec_generation, lake=world.lake)
    return Training(request, spec, lake or world.lake, world.clock)


def prepare(world: World, run_id: str = RUN, lake: Any = None) -> dict[str, Any]:
    run = run_of(world, run_id, lake)
    return run.stage(prepared.STAGE, lambda: prepared.prepare_files(run))


def dataset_of(world: World, run_id: str = RUN, marks: Sequence[str] = ()) -> Dataset:
    return unpack(world.lake.read(paths.dataset(MODEL, run_id, "data.csv.gz")).data, marks)


def quarantine_of(world: World, run_id: str = RUN) -> list[dict[str, str]]:
    data = world.lake.read(paths.quarantine(MODEL, run_id, "rows.csv")).data.decode()
    return list(csv.DictReader(io.StringIO(data, newline="")))


def replay(
    world: World,
    lines: list[list[str]],
    run_id: str = SECOND,
    *,
    of: str = RUN,
    header: list[str] | None = None,
    delimiter: str = ",",
) -> RunRequest:
    """What intake makes of a corrected file: the replayed run's inputs and this one."""
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=delimiter).writerows([header or [*LEAD, *COLUMNS], *lines])
    name = paths.input_copy(MODEL, "train", run_id, "mended.csv")
    info = world.lake.write(name, text.getvalue().encode())
    before = runs.read_request(MODEL, of, lake=world.lake)
    request = replace(
        before,
        run_id=run_id,
        requested_at="2026-01-06T09:00:00Z",
        replays=of,
        inputs=(
            *before.inputs,
            InputRef.of(info, f"gs://inbox/m/train/{run_id}.csv#1", "corrected"),
        ),
    )
    runs.save_request(request, lake=world.lake)
    return request


def line(record: int, cells: list[str], of: str = RUN) -> list[str]:
    return [of, SOURCE, str(record), "", *cells]


def dirty(count: int = 400) -> list[list[str]]:
    """Records 4, 8 and 21 are bad: a number, the target, the width."""
    data = rows(count)
    data[3][0], data[7][3] = "old", ""
    data[20] = ["1", "2"]
    return data
