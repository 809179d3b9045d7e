"""Generations in the lake: numbered once, put in force in the place of what they replace."""

from __future__ import annotations

import pytest

from shared import documents, paths
from shared.adapters.memory import FixedClock
from shared.errors import AliasMoved, BadSpec, ObjectNotFound
from shared.ports import Bucket
from shared.spec.load import load_spec
from shared.spec.model import RegisteredSpec, Spec
from shared.spec.registry import (
    Proposal,
    come_into_force,
    find_spec,
    known_generations,
    known_models,
    propose,
    put_in_force,
    read_generation,
    read_spec,
    register,
)
from tests.support.system import memory_cloud

CLOCK = FixedClock()


def spec(size: str = "s") -> Spec:
    return load_spec(f"task: binary\ntarget: y\nsize: {size}\n", "m.yaml")


@pytest.fixture
def lake() -> Bucket:
    return memory_cloud(CLOCK).lake


def drop(lake: Bucket, size: str, generation: int) -> Proposal:
    source = f"gs://inbox/_specs/m.yaml#{generation}"
    return propose("m", spec(size), source, lake=lake, clock=CLOCK)


def test_a_model_without_a_spec_has_none(lake: Bucket) -> None:
    """Nothing is made up."""
    assert find_spec("m", lake=lake) is None
    with pytest.raises(ObjectNotFound):
        read_spec("m", lake=lake)
    with pytest.raises(BadSpec, match="is no model name"):
        register("M-1", spec(), "by hand", lake=lake, clock=CLOCK)


def test_generations_are_counted_and_stay_readable(lake: Bucket) -> None:
    """What is in force is the last one; each run finds the one it was asked with."""
    for number, size in enumerate("sml", 1):
        registered = register("m", spec(size), f"hand {number}", lake=lake, clock=CLOCK)
        assert registered.generation == number
        assert registered.replaces == number - 1
        assert registered.written == ("task", "target.column", "size")
    assert read_spec("m", lake=lake).spec.size == "l"
    assert read_generation("m", 2, lake=lake).size == "m"
    assert known_generations("m", lake=lake) == [1, 2, 3]
    assert known_models(lake=lake) == ["m"]


def test_the_same_content_keeps_its_generation(lake: Bucket) -> None:
    """Only where it came from moves on, so that older uploads are known as older."""
    put_in_force(drop(lake, "s", 5).asked, lake=lake)
    again = drop(lake, "s", 9)
    assert (again.state, again.asked.generation) == ("in_force", 1)
    assert read_spec("m", lake=lake).source.endswith("#9")
    assert drop(lake, "m", 7).state == "overtaken"
    assert known_generations("m", lake=lake) == [1]


def test_the_order_of_columns_is_content(lake: Bucket) -> None:
    """It names the cells of a file without a header."""
    for number, columns in enumerate(("{a: {}, b: {}, y: {}}", "{b: {}, a: {}, y: {}}"), 1):
        found = load_spec(f"task: binary\ntarget: y\ncolumns: {columns}", "m.yaml")
        assert register("m", found, f"h{number}", lake=lake, clock=CLOCK).generation == number


def test_a_repeat_finds_its_own_generation(lake: Bucket) -> None:
    """A crash between writing a generation and putting it in force leaves no second one."""
    first = drop(lake, "s", 5)
    again = drop(lake, "s", 5)
    assert (again.state, again.asked) == ("new", first.asked)
    put_in_force(again.asked, lake=lake)
    put_in_force(again.asked, lake=lake)
    assert drop(lake, "s", 5).state == "in_force"
    assert known_generations("m", lake=lake) == [1]


def test_what_a_crash_left_is_not_written_over(lake: Bucket) -> None:
    """Another upload takes the next number; the older one never comes into force afterwards."""
    left = drop(lake, "s", 5).asked
    newer = drop(lake, "m", 6)
    assert newer.asked.generation == 2
    put_in_force(newer.asked, lake=lake)
    with pytest.raises(AliasMoved):
        put_in_force(left, lake=lake)
    assert drop(lake, "s", 5).state == "overtaken"
    assert read_generation("m", 1, lake=lake).size == "s"


def test_an_upload_that_is_older_than_one_that_waits_is_overtaken(lake: Bucket) -> None:
    """Events come in any order."""
    put_in_force(drop(lake, "s", 5).asked, lake=lake)
    waits = drop(lake, "l", 9)
    late = drop(lake, "m", 7)
    assert (late.state, late.asked) == ("overtaken", waits.asked)
    assert late.in_force is not None
    assert late.in_force.generation == 1


def test_only_one_of_two_comes_into_force_in_the_same_place(lake: Bucket) -> None:
    """Both were compared with generation 1; the second is refused, also when it asks again."""
    put_in_force(drop(lake, "s", 5).asked, lake=lake)
    one, other = drop(lake, "m", 6).asked, drop(lake, "l", 7).asked
    assert one.replaces == other.replaces == 1
    assert come_into_force(other, lake=lake)
    assert not come_into_force(one, lake=lake)
    assert come_into_force(other, lake=lake)


def test_a_generation_that_was_in_force_is_known_afterwards(lake: Bucket) -> None:
    """Its repeat is done before, not refused, however many came after it; so are generations that
    were written when they did not name what they replace."""
    found = [register("m", spec(s), f"h {s}", lake=lake, clock=CLOCK) for s in "sml"]
    for number, item in enumerate(found, 1):
        old = item.model_dump(mode="json", exclude={"replaces", "written"})
        lake.write(paths.spec_generation("m", number), documents.dumps(old))
    for item in found:
        assert come_into_force(item, lake=lake)
    never = RegisteredSpec(
        model="m", generation=9, spec=spec(), registered="", source="x", replaces=1
    )
    assert not come_into_force(never, lake=lake)
