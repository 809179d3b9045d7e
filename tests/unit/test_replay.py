"""Quarantined rows that come back mended: a linked new run of old and new rows, or a clear no."""

from __future__ import annotations

import gzip
from typing import Any

import pytest

from shared import runs
from shared.runs import CORRECTED
from tests.support.crashing import Story, crash_everywhere
from tests.support.promises import check_promises
from tests.support.system import CSV, EVERY_FUNCTION, SPEC, System

both = pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
HEADER = "quarantine_run,quarantine_source,quarantine_record,quarantine_reasons"


def _system(spec: str = SPEC) -> System:
    system = System(functions=EVERY_FUNCTION)
    system.drop("_specs/m.yaml", spec)
    system.drain()
    return system


def _trained(system: System, name: str = "m/train/a.csv", data: bytes = CSV) -> tuple[str, str]:
    """Source and run of a training that ended."""
    source = system.drop(name, data)
    system.drain()
    system.train()
    system.drain()
    return source, str(system.claim(source)["run_id"])


def _rows(run_id: str, columns: str = "a,b,y", cells: str = "3,z,yes") -> str:
    row = f"{run_id},gs://inbox/m/train/a.csv#1,7,\"a: must be a number (it is 'x'), b: too\""
    return f"{HEADER},{columns}\n{row},{cells}\n"


def _replayed(system: System, data: bytes | str, name: str = "m/train/fixed.csv") -> str:
    source = system.drop(name, data)
    system.drain()
    return source


def _names(system: System, run_id: str) -> dict[str, dict[str, Any]]:
    return {item["name"]: item["facts"] for item in runs.history("m", run_id, lake=system.lake)}


def test_corrected_rows_make_a_linked_run() -> None:
    """Its inputs are those of the original run with the corrected file last, its spec is the one
    in force now, and either history leads to the other."""
    system = _system()
    first, original = _trained(system)
    system.drop("_specs/m.yaml", SPEC + "title: new\n")
    system.drain()
    source = _replayed(system, _rows(original))
    run_id = system.claim(source)["run_id"]
    request = system.request(run_id)
    assert (request.kind, request.replays, request.requested_by) == ("train", original, "replay")
    assert request.spec_generation == 2
    assert [(item.source, item.role) for item in request.inputs] == [
        (first, ""),
        (source, CORRECTED),
    ]
    assert system.lake.read(request.inputs[1].object).data == _rows(original).encode()
    assert _names(system, run_id)["requested"]["replays"] == original
    assert _names(system, original)[f"replayed-by-{run_id}"]["run_id"] == run_id
    assert system.state(first) == "promoted"
    check_promises(system, first, source)


def test_a_link_does_not_change_where_a_run_stands() -> None:
    """A run that waits for approval still waits for it after its rows were replayed."""
    system = _system(SPEC.replace("auto", "always"))
    first, original = _trained(system)
    assert system.state(first) == "awaiting_approval"
    _replayed(system, _rows(original))
    assert _names(system, original).keys() >= {"approval-requested"}
    assert system.state(first) == "awaiting_approval"


def test_a_replay_of_a_replay_keeps_every_correction() -> None:
    """What is still wrong in the second run is mended in a third; later corrections come last."""
    system = _system()
    first, original = _trained(system)
    second = _replayed(system, _rows(original))
    run_id = system.claim(second)["run_id"]
    third = _replayed(system, _rows(run_id, cells="4,z,no"), "m/train/again.csv")
    request = system.request(system.claim(third)["run_id"])
    assert request.replays == run_id
    assert [item.source for item in request.inputs] == [first, second, third]


@pytest.mark.parametrize("change", ["bom", "gzip", "semicolon", "quoted", "crlf", "no reasons"])
def test_what_a_spreadsheet_does_to_the_file_is_taken(change: str) -> None:
    """Corrected rows come back from Excel and others: the run is found all the same."""
    system = _system()
    _, original = _trained(system)
    text = _rows(original)
    data = {
        "bom": b"\xef\xbb\xbf" + text.encode(),
        "gzip": gzip.compress(text.encode()),
        "semicolon": text.replace('"', "").replace("), b: too", ")").replace(",", ";").encode(),
        "quoted": text.replace("quarantine_run", '"quarantine_run"').encode(),
        "crlf": text.replace("\n", "\r\n").encode(),
        "no reasons": (
            f"quarantine_run,quarantine_source,quarantine_record,a,b,y\n{original},s,1,3,z,yes\n"
        ).encode(),
    }[change]
    source = _replayed(system, data)
    assert system.request(system.claim(source)["run_id"]).replays == original


def _refusals(system: System, original: str, scored: str) -> dict[str, tuple[str, str, str]]:
    good = _rows(original)
    unknown = "20260101T000000-12345678"
    return {
        "unknown run": (_rows(unknown), "BadReplay", f"m has no run {unknown}"),
        "no run id": (_rows("../../x"), "BadReplay", "'../../x'"),
        "empty run": (_rows(""), "BadReplay", "is no run id"),
        "score run": (_rows(scored), "BadReplay", "is a score run"),
        "two runs": (good + _rows(unknown).split("\n", 1)[1], "BadReplay", "several runs"),
        "no rows": (HEADER + ",a,b,y\n", "EmptyFile", "no rows"),
        "no record": (
            good.replace("quarantine_record", "record"),
            "BadReplay",
            "quarantine_record",
        ),
        "missing column": (_rows(original, "a,b", "3,z"), "HeaderMismatch", "missing: y"),
        "extra column": (
            _rows(original, "a,b,c,y", "3,z,1,yes"),
            "HeaderMismatch",
            "not in the spec: 'c'",
        ),
        "column twice": (
            _rows(original, "a,b,y,a", "3,z,yes,3"),
            "HeaderMismatch",
            "more than once: a",
        ),
    }


@pytest.mark.parametrize("case", list(_refusals(System(), "r", "s")))
def test_rows_that_lead_nowhere_are_refused_with_the_reason(case: str) -> None:
    """Nothing is trained on rows whose origin is not what they say."""
    system = _system()
    _, original = _trained(system)
    scored = system.drop("m/score/s.csv", b"a,b\n1,x\n")
    system.drain()
    before = system.published("TrainingRequested")
    data, reason, words = _refusals(system, original, system.claim(scored)["run_id"])[case]
    source = _replayed(system, data)
    (alert,) = system.published("DataRejected")
    assert (alert["reason"], system.state(source)) == (reason, "rejected")
    assert words in alert["message"]
    assert system.published("TrainingRequested") == before


def test_rows_of_another_model_are_refused_with_its_name() -> None:
    """The message says where they belong."""
    system = _system()
    _, original = _trained(system)
    system.drop("_specs/other.yaml", SPEC)
    system.drain()
    source = _replayed(system, _rows(original), "other/train/fixed.csv")
    (alert,) = system.published("DataRejected")
    assert "m/train/" in alert["message"]
    assert system.state(source, "other") == "rejected"


def test_the_same_correction_again_is_a_duplicate() -> None:
    """Unless forced, or the spec changed: then it is another question."""
    system = _system()
    _, original = _trained(system)
    first = _replayed(system, _rows(original))
    run_id = system.claim(first)["run_id"]
    again = _replayed(system, _rows(original), "m/train/copy.csv")
    assert system.state(again) == "duplicate"
    assert system.claim(again)["result"]["same_as"] == run_id
    system.drop("_specs/m.yaml", SPEC + "title: new\n")
    system.drain()
    other = _replayed(system, _rows(original), "m/train/copy.csv")
    assert system.request(system.claim(other)["run_id"]).replays == original


TWO = """
task: binary
target: y
sources:
  customers: {key: k}
  orders: {key: k, aggregates: {n: count}}
promotion: {approval: auto}
"""


def test_corrected_rows_of_several_sources_come_without_a_batch() -> None:
    """The batch is that of the original run; its files keep their roles."""
    system = _system(TWO)
    source = system.drop("m/train/b/customers.csv", b"k,y\n1,yes\n2,no\n")
    system.drop("m/train/b/orders.csv", b"k,price\n1,10\n")
    system.drain()
    system.train()
    system.drain()
    joined = runs.state("m", system.claim(source)["run_id"], lake=system.lake)
    original = joined.facts["run_id"]
    replayed = _replayed(system, _rows(original, "k,y", "3,yes"))
    request = system.request(system.claim(replayed)["run_id"])
    assert [item.role for item in request.inputs] == ["customers", "orders", CORRECTED]


MAY_MISS = "  visits: {key: k, aggregates: {v: count}, on_timeout: without}\npromotion:"


@pytest.mark.parametrize(
    ("text", "lacks"),
    [
        (TWO.replace("orders", "buys"), "buys"),
        (
            TWO.replace("promotion:", "  visits: {key: k, aggregates: {v: count}}\npromotion:"),
            "visits",
        ),
        ("task: binary\ntarget: y\n", "a single file"),
        (TWO.replace("promotion:", MAY_MISS), None),
        (TWO + "size: m\n", None),
    ],
    ids=["renamed", "added", "alone", "may miss", "same"],
)
def test_a_run_whose_sources_are_others_now_is_not_replayed(text: str, lacks: str | None) -> None:
    """The model's spec asks for files that the original run did not have: nobody trains without
    them; the message says which ones and what to do."""
    system = _system(TWO)
    source = system.drop("m/train/b/customers.csv", b"k,y\n1,yes\n2,no\n")
    system.drop("m/train/b/orders.csv", b"k,price\n1,10\n")
    system.drain()
    original = runs.state("m", system.claim(source)["run_id"], lake=system.lake).facts["run_id"]
    system.drop("_specs/m.yaml", text)
    system.drain()
    replayed = _replayed(system, _rows(original, "k,y", "3,yes"))
    if lacks is None:
        assert system.request(system.claim(replayed)["run_id"]).replays == original
        return
    assert system.state(replayed) == "rejected"
    (alert,) = system.published("DataRejected")
    assert alert["reason"] == "BadReplay"
    assert f"needs {lacks}" in alert["message"]


def test_a_file_replaced_before_it_was_read_is_superseded() -> None:
    """As every other upload."""
    system = _system()
    _, original = _trained(system)
    source = system.drop("m/train/fixed.csv", _rows(original))
    generation = int(source.rpartition("#")[2])
    system.cloud.storage.delete("inbox", "m/train/fixed.csv", generation=generation)
    system.drain()
    assert system.state(source) == "superseded"


@both
def test_a_replay_survives_any_crash(after: bool) -> None:
    """Whatever call the processes die in: one run, both links."""

    def tell(story: Story) -> None:
        system = story.system
        system.drop("_specs/m.yaml", SPEC)
        first, original = _trained(system)
        story.arm()
        source = system.drop("m/train/fixed.csv", _rows(original))
        story.drain()
        story.check(first, source)
        run_id = system.claim(source)["run_id"]
        assert system.state(source) == "running"
        assert f"replayed-by-{run_id}" in _names(system, original)
        assert {item["run_id"] for item in system.published("TrainingRequested")} == {
            original,
            run_id,
        }

    assert crash_everywhere(tell, after=after, reads=True) > 20
