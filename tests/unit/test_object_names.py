"""Object names as people and tools make them: stored, told and found again, or refused by name."""

from __future__ import annotations

import json

import pytest

from shared import documents, paths
from shared.events import DataRejected
from shared.telling.blocks import message
from shared.telling.draft import Where
from tests.support.system import CSV, SPEC, System

GOOD = {
    "spaces": "sales of  May .csv",
    "unicode": "Übersicht 東京 😀.csv",
    "combining": "e\u0301te\u0301.csv",
    "right to left": "\u202egnp.csv",
    "dots": "..csv",
    "only dots": "...",
    "percent": "50%25 %2F off.csv",
    "query": "a?b=c&d#e.csv",
    "quotes": 'it\'s "mine" `x`.csv',
    "shell": "$(rm -rf ~); a|b > c.csv",
    "markup": "<script>alert(1)<&amp;.csv",
    "mrkdwn": "<!channel> *b* _i_ ~s~.csv",
    "backslash": "..\\..\\a.csv",
    "star": "*.csv",
    "brackets": "[a]{b}.csv",
    "dash": "-rf.csv",
    "tilde": "~root.csv",
    "colon": "C:a.csv",
    "no suffix": "data",
    "dotted": ".hidden",
    "longest": "x" * 796 + ".csv",
    "long unicode": "é" * 398 + ".csv",
    "like a claim": "gs:",
}
BAD = {
    "parent": "m/train/..",
    "here": "m/train/.",
    "climbing": "m/train/../../specs/m/current.json",
    "leading slash": "/m/train/a.csv",
    "slashes": "m//train/a.csv",
    "deep": "m/train/" + "a/" * 40 + "b.csv",
    "too long": "m/train/" + "x" * 1016,
    "long in bytes": "m/train/" + "é" * 500,
    "model dots": "../train/a.csv",
    "model space": "m m/train/a.csv",
    "model unicode": "ü/train/a.csv",
    "model upper": "M/train/a.csv",
    "spec climbing": "_specs/../m.yaml",
    "spec deep": "_specs/a/m.yaml",
    "escape": "m/train/a\x1b[31mred.csv",
    "tab": "m/train/a\tb.csv",
    "bell": "m/train/a\x07b.csv",
    "own folders": "specs/m/current.json",
}


@pytest.mark.parametrize("case", GOOD)
def test_a_file_name_is_stored_and_found_again(case: str) -> None:
    """The run names the object exactly; the copy lies in the run's own folder of the lake, under a
    name that storage accepts, and nowhere else."""
    system = System()
    system.drop("_specs/m.yaml", SPEC)
    source = system.drop(f"m/train/{GOOD[case]}", CSV)
    system.drain()
    run_id = system.claim(source)["run_id"]
    assert system.claim(source)["result"]["state"] == "requested"
    request = documents.require(system.lake, paths.run_request("m", run_id))
    (item,) = request["inputs"]
    assert item["source"] == source
    assert item["object"].startswith(f"inputs/m/train/{run_id}/")
    assert len(item["object"].encode()) <= 1024
    assert system.lake.read(item["object"], generation=item["generation"]).data == CSV
    assert [info.name for info in system.lake.list("inputs/")] == [item["object"]]


@pytest.mark.parametrize("case", BAD)
def test_a_name_that_leads_nowhere_is_refused(case: str) -> None:
    """With what was expected, in the folder of refusals, and nothing of ours is touched."""
    system = System()
    system.drop("_specs/m.yaml", SPEC)
    system.drain()
    before = system.lake.read(paths.spec("m")).data
    source = system.drop(BAD[case], CSV)
    system.drain()
    (alert,) = system.published("DataRejected")
    assert (alert["reason"], alert["source"]) == ("UnknownIntent", source)
    assert len(alert["message"]) > 40
    assert list(system.lake.list("inputs/")) == []
    assert system.lake.read(paths.spec("m")).data == before
    names = [info.name for info in system.lake.list()]
    assert all(".." not in name.split("/") and len(name.encode()) <= 1024 for name in names)


@pytest.mark.parametrize("case", [*GOOD, *BAD])
def test_a_name_is_told_without_being_obeyed(case: str) -> None:
    """In Slack no character of a name is markup, and a message keeps within its limits."""
    name = BAD.get(case) or f"m/train/{GOOD[case]}"
    source = f"gs://inbox/{name}#17"
    event = DataRejected(
        model="m", run_id="r", source=source, reason="EmptyFile", message=f"{name!r} is empty"
    )
    text = json.dumps(message(event, Where(lake="lake", context="local")))
    assert "<!channel>" not in text
    assert "<script>" not in text
    assert len(text) < 20_000
