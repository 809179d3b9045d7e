"""Versions that do not load: what answers meanwhile, and what people hear of it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from shared import decoding, documents, paths
from shared.adapters.memory import MemoryMessenger
from shared.errors import ServiceUnavailable
from shared.serving.alerts import PATIENCE_SECONDS
from shared.usecases.notify import notify
from shared.usecases.posting import Notify
from tests.doors.test_predict_experiment import begin
from tests.support.predictor import RECORD, BrokenPublisher, World
from tests.unit.serving.models import binary_package, serve, store, version_json

BROKEN = {"package.json": "0" * 64}
PARTS: list[dict[str, Any]] = [
    {"champion": []},
    {"champion": {"version": "v2", "package": 5, "sha256": "", "files": {}}},
    {"champion": {"version": "v2", "package": "", "sha256": "", "files": []}},
    {"champion": {"version": "v2", "package": "", "sha256": "", "files": {"a": 1}}},
]
MANIFESTS = [
    b"",
    b"{",
    b"[]",
    b"null",
    b"[" * 100_000,
    b'{"model": "adult"}',
    b"\xff\xfe",
    *(json.dumps({"moves": [], **part}).encode() for part in PARTS),
]


@pytest.fixture
def world() -> World:
    found = World()
    serve(binary_package(), found.lake.bucket)
    assert found.ask(RECORD)[0] == 200
    return found


def instance_of(world: World) -> World:
    """Another instance over the same lake and Pub/Sub."""
    again = World()
    again.lake, again.publisher, again.cloud = world.lake, world.publisher, world.cloud
    return again


def break_champion(world: World, **more: Any) -> None:
    serve(binary_package("v2"), world.lake.bucket, hashes=BROKEN, **{"revision": 2, **more})
    world.seconds.now += 2


def failures(world: World, of: str) -> str:
    text = world.client.get("/metrics").get_data(as_text=True)
    return next(
        line.rpartition(" ")[2] for line in text.splitlines() if line.startswith(f"millrace_{of}")
    )


def posted(world: World) -> list[str]:
    """What notify makes of everything that was published."""
    messenger = MemoryMessenger()
    ports = Notify(world.cloud.lake, {"slack": messenger}, world.cloud.clock, 90, "local")
    for body in world.alerts():
        notify(decoding.decode(body), ports)
    return [str(message["text"]) for message in messenger.posted]


def test_people_hear_of_a_version_that_does_not_load(world: World) -> None:
    """What does not load, why, what answers instead, and that somebody has to act."""
    break_champion(world)
    assert world.ask(RECORD)[1]["model_version"] == "v1"
    (said,) = world.alerts()
    assert (said["model"], said["source"], said["asks"]) == ("adult", "predict", "act now")
    assert said["subject"] == "v2 (revision 2)"
    assert "SHA-256" in said["sentence"]
    assert said["sentence"].endswith("v1 answers instead.")


def test_several_instances_make_one_message(world: World) -> None:
    """Each instance tells once, however often it looks; all tell the same event, restarts too."""
    break_champion(world)
    for instance in (world, instance_of(world), instance_of(world)):
        for _ in range(3):
            instance.seconds.now += 2
            instance.ask(RECORD)
    assert len(world.alerts()) == 3
    assert len(posted(world)) == 1


def test_the_end_is_told_by_whoever_told_the_failure(world: World) -> None:
    """A version that loads is news for those who heard that one did not, once; a second failure is
    another message."""
    fresh = instance_of(world)
    break_champion(world)
    world.ask(RECORD)
    serve(binary_package("v3"), world.lake.bucket, revision=3)
    for instance in (world, fresh):
        instance.seconds.now += 2
        assert instance.ask(RECORD)[1]["model_version"] == "v3"
    assert [said["asks"] for said in world.alerts()] == ["act now", "know"]
    assert "v3 is loaded" in world.alerts()[1]["sentence"]
    break_champion(world, revision=4)
    world.ask(RECORD)
    assert len(posted(world)) == 3


def test_storage_that_does_not_answer_is_told_after_a_while(world: World) -> None:
    """A blip is no message; a new version that cannot be read for a minute is one."""
    serve(binary_package("v2"), world.lake.bucket, revision=2)
    world.lake.reads_down = True
    for _ in range(20):
        world.seconds.now += 2
        assert world.ask(RECORD)[1]["model_version"] == "v1"
    assert world.alerts() == []
    world.seconds.now += PATIENCE_SECONDS
    world.ask(RECORD)
    assert [said["subject"] for said in world.alerts()] == ["v2 (revision 2)"]
    world.lake.reads_down = False
    world.seconds.now += 2
    assert world.ask(RECORD)[1]["model_version"] == "v2"
    assert [said["asks"] for said in world.alerts()] == ["act now", "know"]


def test_an_alert_that_is_not_accepted(world: World) -> None:
    """Answers come all the same, the loss is counted, and it is tried again a minute later, not
    by every request; in the end it is let go."""
    good, world.publisher = world.publisher, BrokenPublisher()
    break_champion(world)
    for _ in range(5):
        assert world.ask(RECORD)[0] == 200
    assert failures(world, 'alert_failures_total{model="adult"}') == "1"
    world.publisher = good
    world.ask(RECORD)
    assert world.alerts() == []
    world.seconds.now += 60
    world.ask(RECORD)
    assert len(world.alerts()) == 1
    world.publisher = BrokenPublisher()
    serve(binary_package("v3"), world.lake.bucket, revision=3)
    for _ in range(10):
        world.seconds.now += 60
        assert world.ask(RECORD)[0] == 200
    assert failures(world, 'alert_failures_total{model="adult"}') == "6"


def test_nobody_waits_for_an_alert(world: World) -> None:
    """The answer is there before the alert is published."""
    break_champion(world)
    seen: list[int] = []
    chunks: list[bytes] = []

    class Publisher:
        def publish(self, *_: Any) -> str:
            seen.append(len(chunks))
            return "1"

    world.publisher = Publisher()
    environ = {
        "REQUEST_METHOD": "GET",
        "PATH_INFO": "/models/adult",
        "SERVER_NAME": "x",
        "SERVER_PORT": "80",
        "wsgi.url_scheme": "http",
    }
    found: Any = world.app.wsgi_app(environ, lambda *_: None)  # type: ignore[arg-type]
    chunks.extend(found)
    assert (len(chunks), seen) == (1, [])
    found.close()
    assert seen == [1]


def test_a_second_version_that_does_not_load(world: World) -> None:
    """The champion answers alone, people are asked to decide, once for all instances; when it
    loads they hear it."""
    begin(world, binary_package("v2"), files=BROKEN)
    for instance in (world, instance_of(world)):
        instance.seconds.now += 2
        assert instance.ask(RECORD)[1]["model_version"] == "v1"
    said = world.alerts()
    assert [item["asks"] for item in said] == ["decide", "decide"]
    assert len({item["id"] for item in said}) == 1
    assert said[0]["subject"] == "v2 (beside the champion, e1)"
    assert said[0]["sentence"].endswith("v1 answers instead.")
    begin(world, binary_package("v2"))
    world.ask(RECORD)
    assert [item["asks"] for item in world.alerts()] == ["decide", "decide", "know"]


def test_a_second_version_is_loaded_once(world: World) -> None:
    """A manifest that moves beside it (a pin, another share) does not load it again."""
    begin(world, binary_package("v2"))
    models = world.app.extensions["millrace"].models
    before = models.get("adult").beside.served.model
    begin(world, binary_package("v2"), share=0.9)
    beside = models.get("adult").beside
    assert beside.served.model is before
    assert beside.second.share == 0.9


@pytest.mark.parametrize("data", MANIFESTS, ids=lambda data: data[:40].decode("latin-1"))
def test_a_manifest_of_garbage(world: World, data: bytes) -> None:
    """Half written, of another form, of nothing: the last good version answers, people hear it, and
    an instance that starts now refuses with 503 until it is mended."""
    world.lake.bucket.write(paths.manifest("adult"), data)
    world.seconds.now += 2
    assert world.ask(RECORD)[1]["model_version"] == "v1"
    fresh = instance_of(world)
    status, answer = fresh.ask(RECORD)
    assert (status, answer["error"]["code"]) == (503, "unavailable")
    assert len({said["id"] for said in world.alerts()}) == 1
    assert len(world.alerts()) == 2
    serve(binary_package("v3"), world.lake.bucket)
    for instance in (world, fresh):
        instance.seconds.now += 2
        assert instance.ask(RECORD)[1]["model_version"] == "v3"


def package_texts() -> list[bytes]:
    return [b"", b"{", b"[]", b"null", b'"x"', b'{"format": 1}', b'{"format": 1, "calibrator": []}']


@pytest.mark.parametrize("data", package_texts())
def test_a_package_of_garbage(world: World, data: bytes) -> None:
    """Even one whose hash is right: somebody wrote both."""
    from hashlib import sha256

    serve(
        binary_package("v2"),
        world.lake.bucket,
        hashes={"package.json": sha256(data).hexdigest()},
    )
    world.lake.bucket.write(paths.package("adult", "v2", "package.json"), data)
    world.seconds.now += 2
    assert world.ask(RECORD)[1]["model_version"] == "v1"
    assert len(world.alerts()) == 1


@pytest.mark.parametrize("error", [OSError("disk full"), ValueError("no JSON"), MemoryError()])
def test_whatever_storage_raises(
    world: World, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Errors that nobody foresaw leave the last good version answering, and are counted."""

    def broken(*_: Any) -> None:
        raise error

    monkeypatch.setattr(world.lake, "read_if_changed", broken, raising=False)
    monkeypatch.setattr(world.lake, "list", broken, raising=False)
    world.seconds.now += 100
    assert world.ask(RECORD, "/predict")[1]["model_version"] == "v1"
    assert world.client.get("/models").get_json() == {"models": ["adult"]}
    assert int(failures(world, 'refresh_failures_total{model="adult"}')) == 1
    assert instance_of(world).ask(RECORD)[0] == 503


# --- an instance that starts while the champion is broken ----------------------------------------


def replaced(world: World, version: str) -> None:
    """Break the champion, which replaced that version."""
    move = {"revision": 2, "version": "v2", "previous": version, "by": "ada", "at": ""}
    world.lake.bucket.delete(paths.manifest("adult"))
    break_champion(world, moves=[{**move, "cause": "promotion"}])


def test_an_instance_that_starts_answers_with_what_the_champion_replaced(world: World) -> None:
    """One that has nothing in memory does as those that have; it follows the manifest again once
    that moves on."""
    package = binary_package()
    body = version_json(package, store(package, world.lake.bucket))
    world.lake.bucket.write(paths.version("adult", "v1", "version.json"), documents.dumps(body))
    replaced(world, "v1")
    fresh = instance_of(world)
    assert fresh.ask(RECORD)[1]["model_version"] == "v1"
    assert [said["subject"] for said in world.alerts()] == ["v2 (revision 2)"]
    looks = world.lake.looks
    fresh.seconds.now += 2
    assert fresh.ask(RECORD)[1]["model_version"] == "v1"
    assert world.lake.looks == looks + 1
    serve(binary_package("v3"), world.lake.bucket)
    fresh.seconds.now += 2
    assert fresh.ask(RECORD)[1]["model_version"] == "v3"


def test_an_instance_that_starts_with_nothing_that_loads(world: World) -> None:
    """503, and the alert says that nothing answers."""
    replaced(world, "v1")
    fresh = instance_of(world)
    assert fresh.ask(RECORD)[0] == 503
    (said,) = world.alerts()
    assert said["sentence"].endswith("Nothing can answer.")


def test_nothing_is_put_in_the_place_of_what_cannot_be_reached(world: World) -> None:
    """Storage that is slow to answer is no reason to answer with another version."""
    package = binary_package()
    body = version_json(package, store(package, world.lake.bucket))
    world.lake.bucket.write(paths.version("adult", "v1", "version.json"), documents.dumps(body))
    replaced(world, "v1")
    world.lake.reads_down = True
    assert instance_of(world).ask(RECORD)[0] == 503
    with pytest.raises(ServiceUnavailable):
        world.lake.read(paths.manifest("adult"))
