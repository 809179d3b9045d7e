"""More models than fit into memory: which go, that they come back, and that nobody notices."""

from __future__ import annotations

import gc
import weakref
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from shared.serving import room
from shared.serving.room import MIB, memory_bytes, room_of, weight_of
from tests.support.predictor import RECORD, World
from tests.unit.serving.models import binary_package, serve

NAMES = [f"m{number}" for number in range(6)]
WEIGHT = weight_of({"package.json": b" " * 3000})  # about what these take


@pytest.fixture
def world() -> World:
    """Six models where there is room for two."""
    found = World(room=lambda: int(2.5 * WEIGHT))
    for name in NAMES:
        serve(binary_package(model=name), found.lake.bucket)
    return found


def ask(world: World, name: str) -> str:
    status, answer = world.ask(RECORD, f"/models/{name}/predict")
    assert status == 200, answer
    return str(answer["model_version"])


def loaded(world: World) -> set[str]:
    return {item.model.model for item in world.app.extensions["millrace"].models.loaded()}


def let_go(world: World) -> list[str]:
    text = world.client.get("/metrics").get_data(as_text=True)
    return [line for line in text.splitlines() if line.startswith("millrace_let_go_total")]


def test_the_model_that_was_asked_for_longest_ago_goes(world: World) -> None:
    """A third model takes the place of the one nobody asked for lately; that is counted."""
    for name in ("m0", "m1", "m0"):
        ask(world, name)
        world.seconds.now += 0.1
    ask(world, "m2")
    assert loaded(world) == {"m0", "m2"}
    assert let_go(world) == ['millrace_let_go_total{model="m1"} 1']


def test_a_model_that_went_comes_back(world: World) -> None:
    """As the manifest has it by then."""
    for name in NAMES:
        assert ask(world, name) == "v1"
    serve(binary_package("v2", model="m0"), world.lake.bucket)
    assert ask(world, "m0") == "v2"
    assert len(loaded(world)) == 2


def test_nobody_makes_room_for_a_package_that_is_not_as_promised(world: World) -> None:
    """It is asked for again and again, and would send the others out of memory each time."""
    for name in ("m0", "m1"):
        ask(world, name)
    serve(binary_package(model="m2"), world.lake.bucket, hashes={"package.json": "0" * 64})
    for _ in range(3):
        world.seconds.now += 2
        assert world.ask(RECORD, "/models/m2/predict")[0] == 503
    assert loaded(world) == {"m0", "m1"}
    assert let_go(world) == []


def test_one_that_is_too_large_alone_answers_alone() -> None:
    """What is asked for is loaded whatever it takes; everything else makes room."""
    world = World(room=lambda: 1)
    for name in NAMES[:2]:
        serve(binary_package(model=name), world.lake.bucket)
    for name in NAMES[:2]:
        assert ask(world, name) == "v1"
        assert loaded(world) == {name}


def test_a_crowd_over_more_models_than_fit(world: World) -> None:
    """Threads that ask for all models at once, again and again, get nothing but answers, while
    manifests are due all the time."""

    def one(number: int) -> str:
        world.seconds.now += 0.3
        name = NAMES[number * 7 % len(NAMES)]
        body = world.app.test_client().post(f"/models/{name}/predict", json=RECORD)
        assert body.status_code == 200, body.get_data(as_text=True)
        return str(body.get_json()["model_version"])

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(one, range(600))) == {"v1"}
    assert 1 <= len(loaded(world)) <= 4  # two, and those that somebody was looking after


def test_what_is_let_go_is_freed_at_once(world: World) -> None:
    """No cycle keeps a version until the collector comes, which does not walk what was loaded
    first."""
    gc.collect()
    gc.disable()
    try:
        ask(world, "m0")
        (served,) = world.app.extensions["millrace"].models.loaded()
        gone = weakref.ref(served.model)
        del served
        ask(world, "m1")
        ask(world, "m2")
        assert gone() is None
    finally:
        gc.enable()


def test_a_replaced_version_is_freed_and_handed_back(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A promotion leaves nothing of the former version."""
    calls: list[int] = []
    monkeypatch.setattr("shared.serving.manifest.give_back", lambda: calls.append(1))
    ask(world, "m0")
    (served,) = world.app.extensions["millrace"].models.loaded()
    gone = weakref.ref(served.model)
    del served
    serve(binary_package("v2", model="m0"), world.lake.bucket)
    world.seconds.now += 2
    assert ask(world, "m0") == "v2"
    assert (gone(), calls) == (None, [1])


@pytest.mark.parametrize(
    ("files", "expected"),
    [({}, None), ({"max": "536870912"}, 536870912), ({"max": "max"}, None), ({"v1": "1024"}, 1024)],
)
def test_the_room_is_a_share_of_the_instances_memory(
    files: dict[str, str], expected: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The container's limit where it has one, else the machine's."""
    for name, text in files.items():
        (tmp_path / name).write_text(text + "\n")
    monkeypatch.setattr(room, "_LIMITS", (str(tmp_path / "max"), str(tmp_path / "v1")))
    assert (memory_bytes() == expected) if expected else memory_bytes() > 100 * MIB
    assert room_of() == int(memory_bytes() * 0.4)


def test_the_room_may_be_set() -> None:
    """In MiB; what is no number says so."""
    assert room_of("100") == 100 * MIB
    for text in ("much", "-1", "0", "1.5"):
        with pytest.raises(ValueError, match="MILLRACE_MODEL_MEMORY_MIB"):
            room_of(text)
