"""What stands in the topology is what the code does: nothing more, nothing less.

Nothing less holds in every test (tests/conftest.py): what is not granted is refused there. Nothing
more is shown here: a few of those tests, one or two for each right, use everything there is.
"""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from infra import access
from infra.access import WORDS
from infra.topology import Function, Topology
from tests.support.granting import NotGranted, finished_topology, is_granted, refusing
from tests.support.recording import Operation, Touch
from tests.support.system import System

ROOT = Path(__file__).resolve().parents[3]
# Promises kept elsewhere whose stories together use every right. When one is renamed or changes its
# story, a right of some party has no use below: name another test that uses it.
STORIES = Path(__file__).with_name("stories.txt").read_text(encoding="utf-8").split()

# Rights whose use no test can show, and why they are there.
UNSEEN = {
    ("train", "changes", "lake/mlflow/"): "MLflow's own client uploads artifacts, past our ports",
    ("mlflow", "reads", "lake/mlflow/"): "the server is not our code",
    ("mlflow", "lists", "lake/mlflow/"): "the server is not our code",
}

Right = tuple[str, str, str]


@pytest.fixture(scope="module")
def touched(tmp_path_factory: pytest.TempPathFactory) -> set[Touch]:
    """Everything that was touched in the stories, which pass; told once for all workers."""
    base = tmp_path_factory.getbasetemp()
    folder = base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base
    file = folder / "touched.json"
    with (folder / "touched.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not file.exists():
            tell_stories(file)
    return {Touch(*item) for item in json.loads(file.read_text())}


def tell_stories(file: Path) -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist"]
    plugin = ["-p", "tests.support.recorded", "--touched", str(file)]
    done = subprocess.run(
        [*command, *plugin, *STORIES], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]


def rights(found: Topology) -> set[Right]:
    """Who may do what, by the word in the topology."""
    return {
        (who, word, what)
        for who, party in found.parties.items()
        for word in (*WORDS.values(), "publishes", "runs")
        for what in getattr(party, word, ())
    }


def used(right: Right, touched: Iterable[Touch]) -> bool:
    """Whether somebody did with a right what no weaker word would have allowed."""
    who, word, what = right
    bucket, _, prefix = what.partition("/")
    operation: dict[str, Operation] = {word: operation for operation, word in WORDS.items()}
    for touch in touched:
        if touch.who != who:
            continue
        if word in operation:
            place = touch.where == bucket and touch.name.startswith(prefix)
            if place and touch.operation == operation[word]:
                return True
        elif touch.where == what and touch.operation in ("publish", "run"):
            return True
    return False


def unused(found: Topology, touched: set[Touch]) -> set[Right]:
    return {right for right in rights(found) if not used(right, touched)}


def test_nothing_is_granted_that_nobody_uses(touched: set[Touch]) -> None:
    """Every word of every party about every place, topic and job is needed by its code."""
    assert unused(finished_topology(), touched) == set(UNSEEN)


def test_nothing_is_used_that_is_not_granted(touched: set[Touch]) -> None:
    """The stories again, as every other test: the other way round."""
    found = finished_topology()
    known = {touch for touch in touched if touch.who in {*found.parties, "people"}}
    assert len(known) > 500
    assert [touch for touch in known if not is_granted(touch, found)] == []


def test_everybody_was_seen(touched: set[Touch]) -> None:
    """No function, service or job of ours is left out of the comparison."""
    found = finished_topology()
    ours = {*found.functions, *found.services, *found.jobs}
    assert ours <= {touch.who for touch in touched}


def with_function(found: Topology, name: str, **changes: Any) -> Topology:
    changed: Function = replace(found.functions[name], **changes)
    return replace(found, functions={**found.functions, name: changed})


@pytest.mark.parametrize(
    ("word", "more"),
    [
        ("reads", "lake/labels/"),
        ("lists", "lake/labels/"),
        ("creates", "lake/labels/"),
        ("changes", "lake/labels/"),
        ("publishes", "ticks"),
        ("runs", "train"),
    ],
)
def test_a_right_too_many_is_found(touched: set[Touch], word: str, more: str) -> None:
    """One word more for a function that does no such thing, and the comparison names it."""
    found = finished_topology()
    granted = (*getattr(found.functions["notify"], word), more)
    too_much = unused(with_function(found, "notify", **{word: granted}), touched)
    assert too_much - unused(found, touched) == {("notify", word, more)}


def test_a_right_that_is_stronger_than_its_use_is_found(touched: set[Touch]) -> None:
    """Who only ever creates does not get to overwrite."""
    found = finished_topology()
    launch = found.functions["launch"]
    stronger = with_function(
        found, "launch", creates=("lake/rejections/",), changes=(*launch.changes, "lake/runs/")
    )
    too_much = unused(stronger, touched) - unused(found, touched)
    assert too_much == {("launch", "changes", "lake/runs/")}


@pytest.mark.parametrize("word", ["creates", "changes", "publishes", "runs", "reads"])
def test_a_right_that_is_missing_is_found(touched: set[Touch], word: str) -> None:
    """Without a word a function cannot do its work: the comparison and every test say so."""
    less = with_function(finished_topology(), "launch", **{word: ()})
    assert [touch for touch in touched if touch.who == "launch" and not is_granted(touch, less)]
    with refusing(less), pytest.raises(NotGranted, match="launch may not"):
        launch_something()


def launch_something() -> None:
    system = System()
    system.drop("_specs/m.yaml", "task: binary\ntarget: y\n")
    system.drop("m/train/a.csv", b"a,y\n1,yes\n2,no\n")
    system.drop("m/score/a.csv", b"a\n1\n")
    system.drain()
    system.post("launch", b"garbage")


def test_people_do_not_get_what_parts_have(touched: set[Touch]) -> None:
    """Everything the command line touched for somebody, some role of people may do."""
    found = finished_topology()
    by_people = [touch for touch in touched if touch.who == "people"]
    assert by_people
    for touch in by_people:
        assert is_granted(touch, found), touch
    assert not access.allows(found.people["watchers"], "read", "lake", "predictions/m/r/p.csv")
