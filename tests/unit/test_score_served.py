"""A file is scored by the version that serves, so that one says what the file needs; a spec that is
newer says what the next version needs."""

from __future__ import annotations

from typing import Any

import pytest

from shared import documents, paths, runs
from shared.boundary import Task
from shared.errors import HeaderMismatch
from shared.files.guards import check_head
from shared.files.headers import Served, scored_columns, scored_layouts
from shared.manifests import move_champion, read_manifest
from shared.served import champion_of, learned_by
from shared.spec.model import Spec
from shared.spec.registry import read_generation
from shared.usecases.score import score_file
from shared.versions import read_version
from tests.support.system import System
from tests.unit.serving.models import binary_package, store, version_json

FIRST = """
task: binary
target: y
columns:
  age: {type: number}
  gain: {type: number}
  city: {}
  grade: {}
  y: {}
"""
# Without the grade that the first one learned from, and with a day of which it derives.
SECOND = (
    FIRST.replace("  grade: {}\n", "  since: {type: time, exclude: true}\n")
    + "derive: {month: month(since)}\n"
)
GRADED = SECOND.replace("  since", "  grade: {}\n  since")
OLD = b"age,gain,city,grade\n39,0,K,1\n"
NEW = b"age,gain,city,grade,since\n39,0,K,1,2026-01-31\n"
BARE = b"age,gain,city,since\n39,0,K,2026-01-31\n"


class World(System):
    """A model whose first generation of the spec is in force, and nothing trained."""

    def __init__(self) -> None:
        super().__init__()
        self.drop("_specs/m.yaml", FIRST)
        self.drain()

    def serve(self, version: str, **about: Any) -> None:
        """Store a version that can answer, and let it serve."""
        package = binary_package(version, model="m")
        body = version_json(package, store(package, self.lake)) | about
        self.lake.write(paths.version("m", version, "version.json"), documents.dumps(body))
        move_champion(
            read_manifest("m", lake=self.lake),
            body,
            by="test",
            cause=f"test:{version}",
            log="off",
            pinned=False,
            lake=self.lake,
            clock=self.clock,
        )

    def spec(self, text: str) -> None:
        self.drop("_specs/m.yaml", text)
        self.drain()

    def score(self, data: bytes) -> str:
        """Drop it and carry it to its end; its state."""
        source = self.drop("m/score/s.csv", data)
        self.drain()
        self.run_scores()
        return self.state(source)

    def run_scores(self) -> None:
        def one(task: Task) -> None:
            request = runs.read_request(task.model, task.run_id, lake=self.lake)
            score_file(request, lake=self.lake, publisher=self.publisher, clock=self.clock)

        self.work(one, "score-s")
        self.drain()

    def refusal(self) -> str:
        """Why the last file was refused at the door."""
        return str(self.published("DataRejected")[-1]["message"])


def test_a_newer_spec_takes_nothing_from_the_version_that_serves() -> None:
    """Its files go on being scored, without and with the column that only the next one needs."""
    world = World()
    world.serve("v1", spec_generation=1, semantic_version="1.1.0")
    world.spec(GRADED)
    assert documents.require(world.lake, paths.spec("m"))["generation"] == 2
    assert world.score(OLD) == "scored"
    assert world.score(NEW) == "scored"
    assert world.score(OLD) == "duplicate"
    assert world.published("DataRejected") == []


def test_a_column_that_the_newer_spec_dropped_is_still_needed() -> None:
    """The door says which version needs it, by which generation it was trained, and what is
    missing; files that still have the column are no strangers."""
    world = World()
    world.serve("v1", spec_generation=1, semantic_version="1.1.0")
    world.spec(SECOND)
    assert world.score(BARE) == "rejected"
    assert world.refusal() == (
        "the header does not fit version 1.1.0, which serves and was trained by generation 1 of "
        "the spec (missing: grade). Fix the file"
    )
    assert world.score(NEW) == "scored"
    assert world.score(OLD) == "scored"


def test_what_neither_spec_knows_is_refused() -> None:
    """As ever: a stranger is a mistake, and a spec can make it known."""
    world = World()
    world.serve("v1", spec_generation=1)
    world.spec(GRADED)
    assert world.score(NEW.replace(b"since", b"sinec")) == "rejected"
    assert "the header does not fit the spec (not in the spec: 'sinec')" in world.refusal()
    assert world.refusal().endswith("or drop a changed spec first")


@pytest.mark.parametrize("about", [{}, {"spec_generation": None}, {"spec_generation": 7}])
def test_where_nobody_knows_what_a_version_learned_by_the_spec_in_force_decides(
    about: dict[str, Any],
) -> None:
    """A version of old has no generation in version.json, or one that is no longer there."""
    world = World()
    world.serve("v1", **about)
    assert champion_of("m", lake=world.lake) is None
    world.spec(GRADED)
    assert world.score(OLD) == "rejected"
    assert "does not fit the spec (missing: since)" in world.refusal()
    assert world.score(NEW) == "scored"


def test_without_a_champion_the_spec_in_force_decides() -> None:
    """The next version is the first, and learns by it."""
    world = World()
    world.spec(GRADED)
    assert world.score(OLD) == "rejected"
    assert world.score(NEW) == "waiting_for_champion"


@pytest.mark.parametrize(("data", "state"), [(OLD, "rejected"), (NEW, "scored")])
def test_a_champion_that_moves_behind_the_door_is_asked_by_the_job(data: bytes, state: str) -> None:
    """What launch resolved decides, with its own generation, whatever the door had looked at."""
    world = World()
    world.serve("v1", spec_generation=1)
    world.spec(GRADED)
    source = world.drop("m/score/s.csv", data)
    world.drain(only=("intake",))
    world.serve("v2", spec_generation=2, semantic_version="2.0.0")
    world.drain()
    world.run_scores()
    assert world.state(source) == state
    if state == "rejected":
        (event,) = world.published("RunRejected")
        assert event["reason"] == "HeaderMismatch"
        assert "version 2.0.0" in event["message"]
        assert "generation 2 of the spec (missing: since)" in event["message"]


def test_a_rollback_takes_its_needs_back() -> None:
    """The version that serves again needs what it always did."""
    world = World()
    world.serve("v1", spec_generation=1)
    world.spec(GRADED)
    world.serve("v2", spec_generation=2)
    assert world.score(OLD) == "rejected"
    world.serve("v1", spec_generation=1)
    assert world.score(OLD) == "scored"


def test_the_package_has_the_last_word() -> None:
    """Where the spec names no columns only the package knows what it needs; the job says whose."""
    world = World()
    world.spec("task: binary\ntarget: y\n")
    world.serve("v1", spec_generation=2, semantic_version="1.0.0")
    assert world.score(b"age,gain\n1,2\n") == "rejected"
    (event,) = world.published("RunRejected")
    assert event["message"] == (
        "the header does not fit version 1.0.0, which serves and was trained by generation 2 of "
        "the spec (missing: city, grade). Fix the file"
    )


def test_a_generation_is_read_of_any_version() -> None:
    """Not only of the one that serves."""
    world = World()
    world.serve("v1", spec_generation=1, semantic_version="1.1.0")
    world.spec(GRADED)
    world.serve("v2", spec_generation=2)
    found = learned_by("m", "v1", lake=world.lake)
    assert found == Served("v1", "1.1.0", 1, read_generation("m", 1, lake=world.lake))
    assert learned_by("m", "v9", lake=world.lake) is None
    assert read_version("m", "v9", lake=world.lake) == {}


# --- without a header ----------------------------------------------------------------------------


def bare(*names: str) -> Spec:
    columns = {name: {"type": "number"} for name in names}
    source = {"header": False}
    return Spec.model_validate(
        {"task": "binary", "target": "y", "columns": columns | {"y": {}}, "source": source}
    )


def served(spec: Spec) -> Served:
    return Served("v1", None, 1, spec)


def test_without_a_header_the_width_says_which_generation_a_file_is_written_for() -> None:
    """The spec in force first, so a changed order holds; else the champion's own; and never as
    one that lacks what the champion needs."""
    old = served(bare("a", "b"))
    assert scored_layouts(bare("a", "b", "c"), old)[0] == ["a", "b", "c"]
    assert ["a", "b"] in scored_layouts(bare("a", "b", "c"), old)
    assert scored_layouts(bare("b", "a"), old)[0] == ["b", "a"]
    assert scored_layouts(bare("a"), old) == [["a", "b"], ["a", "b", "y"]]
    for line in (b"1,2\n", b"1,2,3\n"):
        check_head(line * 3, 3 * len(line), bare("a", "b", "c"), "score", served=old)
    with pytest.raises(HeaderMismatch, match="5 fields"):
        check_head(b"1,2,3,4,5\n", 10, bare("a", "b", "c"), "score", served=old)


# --- several sources -----------------------------------------------------------------------------


def shop(**visits: str) -> Spec:
    sources: dict[str, Any] = {"people": {"key": "id"}}
    if visits:
        sources["visits"] = {"key": "id", "aggregates": visits}
    columns = {"age": {"type": "number"}, "y": {}}
    body = {"task": "binary", "target": "y", "columns": columns}
    return Spec.model_validate(body | ({"sources": sources} if visits else {}))


def test_a_joined_file_needs_what_the_champions_own_aggregates_read() -> None:
    """Not what the newer ones read; of a source that it never had, nothing."""
    newer = shop(spent="sum(price)")
    assert scored_columns(newer, None, "visits").needed == ("id", "price")
    older = served(shop(times="max(hour)"))
    assert scored_columns(newer, older, "visits").needed == ("id", "hour")
    alone = served(shop())
    assert scored_columns(newer, alone, "visits").needed == ()
    assert scored_columns(newer, alone, "people").needed == ("age",)
