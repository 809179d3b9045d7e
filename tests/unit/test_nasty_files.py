"""Hundreds of nasty files: each is read with every record in its place, or refused with a reason
that says what to do. Nothing else comes out of a function, whatever goes in."""

from __future__ import annotations

import io
import time

import pytest

from shared.errors import Rejected
from shared.files import dialect, guards
from shared.runs import InputRef
from shared.spec.model import Spec
from shared.tabular.reading.sheets import Sheet, open_input, open_sheet
from tests.support.nasty import NAMES, SPEC, Nasty, corpus
from tests.support.system import System
from tests.unit.tabular.test_sheets_csv import everything

FILES = {file.name: file for file in corpus()}


def spec_of(file: Nasty) -> Spec:
    return Spec.model_validate({**SPEC, "source": file.source})


def guarded(file: Nasty) -> None:
    head = file.data[: guards.HEAD_BYTES]
    guards.check_head(head, len(file.data), spec_of(file), "train", name=f"in/{file.file}")


def read(sheet: Sheet) -> list[list[str]]:
    """All records; the numbers are those from one, without a gap."""
    found = everything(sheet)
    assert [number for number, _ in found] == list(range(1, len(found) + 1))
    return [cells for _, cells in found]


def opened(file: Nasty) -> Sheet:
    return open_sheet(
        io.BytesIO(file.data),
        spec_of(file).source,
        name=f"in/{file.file}",
        names=[NAMES],
        expected=NAMES,
    )


def test_there_are_enough() -> None:
    """At least 300, of each verdict many."""
    assert len(FILES) >= 300
    assert sum(file.rows is not None for file in FILES.values()) >= 150
    assert sum(bool(file.refused) for file in FILES.values()) >= 120


@pytest.mark.parametrize("name", FILES)
def test_a_nasty_file_is_read_or_refused(name: str) -> None:
    """Cell for cell, or with one of our reasons; in milliseconds at the door."""
    file = FILES[name]
    started = time.perf_counter()
    try:
        guarded(file)
        seconds = time.perf_counter() - started
        found, refusal = read(opened(file)), None
    except Rejected as error:
        found, refusal, seconds = [], error, 0.0
    assert seconds < 1
    if refusal is None:
        assert not file.refused, found[:3]
        assert file.rows in (None, found)
        return
    assert file.rows is None, f"refused: {refusal}"
    assert not file.refused or refusal.reason in file.refused.split("|"), str(refusal)
    assert 25 <= len(str(refusal)) < 1000
    assert "\x00" not in str(refusal)


@pytest.mark.parametrize("name", [name for name, file in FILES.items() if file.rows is not None])
def test_door_and_job_see_the_same_dialect(name: str) -> None:
    """What the first bytes say is what the reader goes by, packed or not."""
    file = FILES[name]
    content, _ = dialect.unzip_head(file.data[: guards.HEAD_BYTES], len(file.data))
    source = spec_of(file).source
    at_the_door = dialect.settle(source, content, f"in/{file.file}", NAMES)
    found = opened(file).source
    assert (found.format, found.delimiter) == (at_the_door.format, at_the_door.delimiter)
    assert found.encoding == at_the_door.encoding or len(content) > dialect.SAMPLE_BYTES


def test_a_sample_through_the_real_doors() -> None:
    """Intake gives each file a run or a refusal with the same reason, and the copy in the lake is
    read as the file was."""
    names = [name for name in FILES if len(FILES[name].data) < 100_000 and not FILES[name].source]
    system = System(functions=("intake",))
    system.drop("_specs/m.yaml", yaml_spec())
    system.drain()
    for number, name in enumerate(names[::9]):
        file = FILES[name]
        source = system.drop(f"m/train/{number}-{file.file}", file.data)
        system.drain()
        result = system.claim(source)["result"]
        assert result["state"] in ("requested", "rejected", "duplicate"), name
        if result["state"] == "rejected":
            assert file.rows is None, name
            assert not file.refused or result["reason"] in file.refused.split("|"), name
        elif result["state"] == "requested":
            run_id = system.claim(source)["run_id"]
            (info,) = system.lake.list(f"inputs/m/train/{run_id}/")
            ref = InputRef.of(info, source)
            try:
                with open_input(system.lake, ref, spec_of(file).source, expected=NAMES) as sheet:
                    found = read(sheet)
            except Rejected:
                assert file.rows is None, name
            else:
                assert file.rows in (None, found), name


def yaml_spec() -> str:
    lines = ["task: binary", "target: y", "columns:"]
    lines += [f"  {name}: {str(column).lower()}".replace("'", "") for name, column in
              SPEC["columns"].items()]  # fmt: skip
    return "\n".join(lines) + "\n"
