"""Object names: where they lead, or why nowhere; whatever they hold is shown without harm."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import UnknownIntent
from shared.routes import DataUpload, SpecUpload, is_litter, route, source_of_file
from tests.support.system import CSV, SPEC, System

GOOD = {
    "_specs/m.yaml": SpecUpload("m"),
    "_specs/m.yml": SpecUpload("m"),
    "m/train/a.csv": DataUpload("m", "train", "a.csv"),
    "m/labels/a b.csv": DataUpload("m", "label", "a b.csv"),
    "m/score/..a": DataUpload("m", "score", "..a"),
    "m/train/Größe (1) 😀.csv": DataUpload("m", "train", "Größe (1) 😀.csv"),
    "m/train/b/orders.json.gz": DataUpload("m", "train", "orders.json.gz", "b", "orders"),
    "m/score/b 1/or.ders.csv": DataUpload("m", "score", "or.ders.csv", "b 1", "or.ders"),
}
BAD = {
    "/m/train/a.csv": "begins with a slash",
    "m//train/a.csv": "leads nowhere",
    "m/train//a.csv": "folder below",
    "m/train/..": "no name for a file",
    "../m/train/a.csv": "leads nowhere",
    "m/train/../a.csv": "no name for a batch",
    "m/train/a\x1b[2J.csv": "'a\\x1b[2J.csv' has control characters",
    "m/train/a\nb.csv": "control characters",
    "m/train/a\x7f.csv": "control characters",
    "m/train/b/.csv": "folder below",
    "m/train/" + "é" * 401 + ".csv": "at most 800",
    "m/train/b/" + "x" * 401 + ".csv": "at most 400",
    "x" * 1024: "leads nowhere",
    "m\x1b/train/a.csv": "'m\\x1b/train/a.csv' leads nowhere",
}


@pytest.mark.parametrize("name", list(GOOD))
def test_a_name_leads_where_it_says(name: str) -> None:
    """Blanks, unicode and dots are part of a name like any other character."""
    assert route(name) == GOOD[name]


@pytest.mark.parametrize("name", list(BAD))
def test_a_name_that_leads_nowhere_says_why(name: str) -> None:
    """One line that can be printed anywhere."""
    with pytest.raises(UnknownIntent) as caught:
        route(name)
    assert BAD[name] in str(caught.value)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 600


@given(st.text(min_size=1, max_size=1024))
def test_every_name_leads_somewhere_or_is_refused(name: str) -> None:
    """No name is an error of ours, and no refusal steers a terminal."""
    for path in (name, f"m/train/{name}", f"m/train/b/{name}.csv", f"m/score/{name}/a.csv"):
        found = _led(path)
        if isinstance(found, str):
            assert found.isprintable()
        else:
            assert path.startswith((f"{found.model}/", f"_specs/{found.model}."))


def _led(name: str) -> DataUpload | SpecUpload | str:
    """Where a name leads, or the refusal."""
    try:
        return route(name)
    except UnknownIntent as error:
        return str(error)


@pytest.mark.parametrize(
    ("name", "litter"),
    [
        ("m/train/", True),
        ("m/train/b/", True),
        ("gcloud/tmp/parallel_composite_uploads/x", True),
        ("m/train/gcloud/tmp/x_0", True),
        ("/gsutil/tmp/parallel_composite_uploads/for_details_see/x", True),
        ("m/train_$folder$", True),
        ("m/train/gcloud-tmp.csv", False),
        ("m/train/mygsutil/tmp/x", False),
    ],
)
def test_litter_is_what_tools_leave_behind(name: str, litter: bool) -> None:
    """Nothing that a person may have meant."""
    assert is_litter(name) is litter


@pytest.mark.parametrize("ending", ["csv", "tsv", "txt", "json", "jsonl", "ndjson", "parquet"])
def test_the_source_is_the_name_without_its_ending(ending: str) -> None:
    """Packed or not; other endings are none of ours."""
    assert source_of_file(f"orders.{ending}") == "orders"
    assert source_of_file(f"orders.{ending}.gz") == "orders"
    assert source_of_file(f"orders.{ending}.zip") == ""


@pytest.mark.parametrize(
    "name", ["a b.csv", "Größe.csv", "..csv", "a'b\"c.csv", "x" * 796 + ".csv"]
)
def test_odd_names_become_runs(name: str) -> None:
    """They are stored under their own name in the lake, too."""
    system = System()
    system.drop("_specs/m.yaml", SPEC)
    source = system.drop(f"m/train/{name}", CSV)
    system.drain()
    assert system.state(source) == "running"
    (item,) = system.request(system.claim(source)["run_id"]).inputs
    assert item.object.endswith(f"/{name}")
    assert system.lake.read(item.object).data == CSV


@pytest.mark.parametrize(
    "name", ["m/train/a\x1b[2J.csv", "/m/train/a.csv", "m/train/..", "x" * 1024]
)
def test_names_that_cannot_be_kept_are_refused(name: str) -> None:
    """With a reason, and the object stays where it is."""
    system = System()
    system.drop("_specs/m.yaml", SPEC)
    source = system.drop(name, CSV)
    system.drain()
    (alert,) = system.published("DataRejected")
    assert (alert["reason"], alert["source"]) == ("UnknownIntent", source)
    assert system.inbox.read(name).data == CSV
