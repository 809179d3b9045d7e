"""Bad input at the door: a clear reason, nothing lost, and the next good file goes through."""

from __future__ import annotations

import json

import pytest

from shared import documents, paths
from tests.support.system import CSV, EVERY_FUNCTION, SPEC, System

REFUSED = {
    "empty": ("m/train/a.csv", b"", "EmptyFile", "0 bytes"),
    "header only": ("m/train/a.csv", b"a,b,y\n", "EmptyFile", "no rows"),
    "blank lines": ("m/train/a.csv", b"\n\n \n", "EmptyFile", "blank"),
    "zip": ("m/train/a.csv", b"PK\x03\x04xxxx", "BinaryFile", "zip"),
    "gzip": ("m/train/a.csv.gz", b"\x1f\x8b\x08\x00", "UnreadableText", "gzip, and broken"),
    "nul bytes": ("m/train/a.csv", b"a,b,y\n1,\x00,yes\n", "BinaryFile", "NUL"),
    "utf-16": ("m/train/a.csv", CSV.decode().encode("utf-16"), "UnreadableText", "UTF-16"),
    "encodings": (
        "m/train/a.csv",
        CSV + b"3,\xc3\xa9,no\n4,\xe9,no\n",
        "UnreadableText",
        "is not utf-8",
    ),
    "missing column": ("m/train/a.csv", b"a,y\n1,yes\n", "HeaderMismatch", "missing: b"),
    "extra column": ("m/train/a.csv", b"a,b,c,y\n1,x,2,yes\n", "HeaderMismatch", "'c'"),
    "column twice": ("m/train/a.csv", b"a,b,y,a\n1,x,n,1\n", "HeaderMismatch", "more than once: a"),
    "other delimiter": ("m/train/a.csv", b"a:b:y\n1:x:yes\n", "HeaderMismatch", "delimiter"),
    "no target": ("m/train/a.csv", b"a,b\n1,x\n", "HeaderMismatch", "missing: y"),
    "labels without id": ("m/labels/l.csv", b"label\nyes\n", "HeaderMismatch", "prediction_id"),
    "unknown folder": ("m/trian/a.csv", CSV, "UnknownIntent", "expected <model>/train/<file>"),
    "top level": ("a.csv", CSV, "UnknownIntent", "leads nowhere"),
    "folder too deep": ("m/train/b/c.csv", CSV, "UnknownIntent", "folder below"),
    "model name": ("M-1/train/a.csv", CSV, "UnknownIntent", "leads nowhere"),
    "spec key": ("_specs/m.yaml", b"task: binary\ntarget: y\ntrials: 3\n", "BadSpec", "trials"),
    "spec yaml": ("_specs/m.yaml", b"task: [\n", "BadSpec", "m.yaml"),
    "spec not text": ("_specs/m.yaml", b"\xff\xfe\x00", "UnreadableText", "UTF-8"),
    "spec name": ("_specs/My Model.yaml", SPEC.encode(), "UnknownIntent", "model names"),
}


@pytest.mark.parametrize("case", list(REFUSED))
def test_a_bad_upload_is_refused_with_its_reason(case: str) -> None:
    """The reason and a message that says what to do are kept, published, and end the run; the
    object stays where it was dropped; a good file afterwards is taken in."""
    name, data, reason, words = REFUSED[case]
    system = System()
    system.drop("_specs/m.yaml", SPEC)
    source = system.drop(name, data)
    system.drain()
    alerts = system.published("DataRejected")
    assert [alert["reason"] for alert in alerts] == [reason]
    assert words in alerts[0]["message"]
    assert alerts[0]["source"] == source
    run_id, model = alerts[0]["run_id"], alerts[0]["model"]
    kept = documents.require(system.lake, paths.rejection(model, run_id))
    assert kept["message"] == alerts[0]["message"]
    assert system.inbox.read(name).data == data
    good = system.drop("m/train/good.csv", CSV)
    system.drain()
    assert system.state(good) == "running"


def test_a_bad_spec_leaves_the_old_one_in_force() -> None:
    """A new spec with a mistake is refused; the registered generation stays."""
    system = System()
    system.drop("_specs/m.yaml", SPEC)
    system.drain()
    system.drop("_specs/m.yaml", SPEC.replace("binary", "bynary"))
    system.drain()
    assert documents.require(system.lake, paths.spec("m"))["generation"] == 1
    system.drop("_specs/m.yaml", SPEC + "size: m\n")
    system.drain()
    assert documents.require(system.lake, paths.spec("m"))["generation"] == 2


def test_the_same_content_again_is_a_duplicate_unless_forced() -> None:
    """A second object with the same bytes makes no second run, says which run it equals, and
    runs after all with the force mark."""
    system = System()
    system.drop("_specs/m.yaml", SPEC)
    first = system.drop("m/train/a.csv", CSV)
    second = system.drop("m/train/copy.csv", CSV)
    system.drain()
    assert system.state(second) == "duplicate"
    assert system.claim(second)["result"]["same_as"] == system.claim(first)["run_id"]
    forced = system.drop("m/train/copy.csv", CSV, **{"millrace-force": "1"})
    system.drain()
    assert system.state(forced) == "queued"


def test_a_file_replaced_before_it_was_read_is_superseded() -> None:
    """The old generation of a deleted object says so; the new one makes the run."""
    system = System()
    system.drop("_specs/m.yaml", SPEC)
    system.drain()
    source = system.drop("m/train/a.csv", CSV)
    generation = int(source.rpartition("#")[2])
    system.cloud.storage.delete("inbox", "m/train/a.csv", generation=generation)
    system.drain()
    assert system.state(source) == "superseded"


def test_tool_litter_is_acknowledged_silently() -> None:
    """Folder markers and composite-upload temporaries are nobody's data."""
    system = System()
    for name in ("m/", "m/train/", "gcloud/tmp/parallel/x"):
        system.drop(name, b"")
    system.drain()
    assert system.published("DataRejected") == []
    assert list(system.lake.list()) == []


def test_a_file_that_leads_to_no_model_names_none_to_people() -> None:
    """The command they are given has a place for the model's name, not a name of ours."""
    system = System(functions=EVERY_FUNCTION)
    system.drop("foo.csv", CSV)
    system.drop("Bad/train/x.csv", CSV)
    system.drain()
    first, second = (json.dumps(message) for message in system.cloud.messenger.posted)
    assert "drop foo.csv --model MODEL`" in first
    assert "drop x.csv --model MODEL --as train`" in second
    assert "_unrouted was refused" not in first + second
