"""Vertex AI's registry: one version per training, whatever is lost on the way."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import grpc
import pytest

from shared.adapters import vertex_registry
from shared.adapters.vertex_registry import VertexRegistry
from shared.config import Config
from shared.errors import TrackingUnavailable
from shared.ports import TrackedVersion, VersionFacts
from shared.serving.protocols.vertex import Contract
from tests.contract.stores import config
from tests.contract.test_registry import ONE, TWO, hold_the_contract
from tests.support.predictor import RECORD, World
from tests.support.vertex import FakeVertex, serving
from tests.unit.serving.models import binary_package, store

FACTS = VersionFacts(
    "run-1", "What it is", {"candidate": "XGBoost 3", "dataset_sha256": "ab" * 32, "task": "binary"}
)
MODEL = "projects/{project}/locations/{region}/models/adult"


@pytest.fixture
def vertex() -> Iterator[tuple[FakeVertex, VertexRegistry]]:
    fake = FakeVertex()
    with serving(fake) as address:
        yield fake, VertexRegistry(_config(address))


def _config(address: str) -> Config:
    return replace(
        config(),
        region="europe-west1",
        vertex_registry=True,
        vertex_endpoint=address,
        predict_image="europe-west1-docker.pkg.dev/p/millrace/predict@sha256:00",
    )


def _model() -> str:
    return MODEL.format(project=config().project, region="europe-west1")


def test_vertex_registry(vertex: tuple[FakeVertex, VertexRegistry]) -> None:
    """It keeps the contract of every registry; tracking run ids are MLflow's, not its own."""
    fake, registry = vertex
    hold_the_contract(registry, None)
    assert len(fake.uploads()) == 2
    first, second = fake.versions[_model()]
    assert first.version_description == "how it was decided"
    assert set(second.version_aliases) == {f"run-{TWO}", "champion", "challenger", "default"}
    assert list(first.version_aliases) == [f"run-{ONE}"]


def test_what_is_uploaded_can_be_served_and_found(
    vertex: tuple[FakeVertex, VertexRegistry],
) -> None:
    """Package, image, routes, port and environment; labels that Google accepts."""
    fake, registry = vertex
    registry.register("adult", ONE, FACTS)
    (request,) = fake.uploads()
    assert (request.model_id, request.parent_model) == ("adult", "")
    model = request.model
    assert model.artifact_uri == f"gs://lake/models/adult/{ONE}/package"
    assert model.version_description == "What it is"
    assert model.labels == {
        "millrace_run_id": "20260101t000000-aaaaaaaa",
        "millrace_candidate": "xgboost-3",
        "millrace_dataset_sha256": ("ab" * 32)[:63],
        "millrace_task": "binary",
    }
    container = model.container_spec
    assert container.image_uri.endswith("@sha256:00")
    assert [port.container_port for port in container.ports] == [8080]
    assert Config.from_env({item.name: item.value for item in container.env}).lake == "lake"


def test_our_predictor_answers_as_vertex_would_run_it(
    vertex: tuple[FakeVertex, VertexRegistry],
) -> None:
    """The routes and the folder of the upload, given back in Vertex AI's variables, make the image
    a predictor of exactly that version."""
    fake, registry = vertex
    registry.register("adult", ONE, FACTS)
    (request,) = fake.uploads()
    container = request.model.container_spec
    variables = {
        "AIP_STORAGE_URI": request.model.artifact_uri,
        "AIP_PREDICT_ROUTE": container.predict_route,
        "AIP_HEALTH_ROUTE": container.health_route,
    }
    world = World(contract=Contract.of(variables))
    store(replace(binary_package(), version=ONE), world.lake.bucket)
    assert world.client.get(container.health_route).status_code == 200
    status, answer = world.ask({"instances": [RECORD]}, container.predict_route)
    assert status == 200
    assert answer["predictions"][0]["model_version"] == ONE


def test_the_next_version_belongs_to_the_same_model(
    vertex: tuple[FakeVertex, VertexRegistry],
) -> None:
    """And does not become the default that Vertex deploys by itself."""
    fake, registry = vertex
    registry.register("adult", ONE, FACTS)
    assert registry.register("adult", TWO, FACTS) == TrackedVersion("2", "")
    assert (fake.uploads()[1].model_id, fake.uploads()[1].parent_model) == ("", _model())
    assert "default" in fake.versions[_model()][0].version_aliases


@pytest.mark.parametrize("code", ["UNAVAILABLE", "DEADLINE_EXCEEDED", "INTERNAL"])
def test_an_upload_whose_answer_is_lost_is_found_by_the_next(
    vertex: tuple[FakeVertex, VertexRegistry], code: str
) -> None:
    """Nothing is sent twice by itself; the retry finds the version that there is."""
    fake, registry = vertex
    fake.fail("UploadModel", grpc.StatusCode[code], after=True)
    with pytest.raises(TrackingUnavailable):
        registry.register("adult", ONE, FACTS)
    assert registry.register("adult", ONE, FACTS) == TrackedVersion("1", "")
    assert len(fake.uploads()) == len(fake.versions[_model()]) == 1


def test_an_upload_that_never_came_is_sent_by_the_next(
    vertex: tuple[FakeVertex, VertexRegistry],
) -> None:
    """The service was down before it did anything."""
    fake, registry = vertex
    fake.fail("UploadModel", grpc.StatusCode.UNAVAILABLE)
    with pytest.raises(TrackingUnavailable):
        registry.register("adult", ONE, FACTS)
    assert registry.register("adult", ONE, FACTS) == TrackedVersion("1", "")


def test_a_model_that_somebody_else_made_meanwhile_gets_a_version(
    vertex: tuple[FakeVertex, VertexRegistry],
) -> None:
    """ALREADY_EXISTS for the first upload: ours becomes the next version."""
    fake, registry = vertex
    registry.register("adult", ONE, FACTS)
    fake.fail("GetModel", grpc.StatusCode.NOT_FOUND)
    fake.fail("GetModel", grpc.StatusCode.NOT_FOUND)
    assert registry.register("adult", TWO, FACTS) == TrackedVersion("2", "")
    assert [bool(request.parent_model) for request in fake.uploads()] == [False, False, True]


def test_a_version_without_its_alias_is_found_by_its_label(
    vertex: tuple[FakeVertex, VertexRegistry],
) -> None:
    """Somebody tidied the aliases up."""
    fake, registry = vertex
    registry.register("adult", ONE, FACTS)
    fake.versions[_model()][0].version_aliases = ["default"]
    assert registry.find("adult", ONE) == TrackedVersion("1", "")
    assert registry.register("adult", ONE, FACTS) == TrackedVersion("1", "")
    assert len(fake.uploads()) == 1


def test_a_version_of_somebody_else_is_no_version_of_ours(
    vertex: tuple[FakeVertex, VertexRegistry],
) -> None:
    """An alias that points at it says so instead of pretending that there is none."""
    fake, registry = vertex
    first = registry.register("adult", ONE, FACTS)
    registry.set_alias("adult", "champion", first)
    fake.versions[_model()][0].labels.clear()
    assert registry.alias("adult", "champion") == "#1"


@pytest.mark.parametrize("method", ["GetModel", "MergeVersionAliases", "UpdateModel"])
def test_a_short_outage_is_waited_out(
    vertex: tuple[FakeVertex, VertexRegistry], method: str
) -> None:
    """Calls that may be repeated are."""
    fake, registry = vertex
    first = registry.register("adult", ONE, FACTS)
    fake.fail(method, grpc.StatusCode.UNAVAILABLE)
    registry.set_alias("adult", "champion", first)
    registry.describe("adult", first, "text")
    assert registry.alias("adult", "champion") == ONE


def test_a_refusal_is_a_fault_of_the_registry_alone(
    vertex: tuple[FakeVertex, VertexRegistry],
) -> None:
    """Missing rights cost a note in the training and a retry in mirror, nothing else."""
    fake, registry = vertex
    fake.fail("GetModel", grpc.StatusCode.PERMISSION_DENIED)
    with pytest.raises(TrackingUnavailable, match="Vertex AI"):
        registry.find("adult", ONE)
    fake.fail("ListModelVersions", grpc.StatusCode.RESOURCE_EXHAUSTED)
    with pytest.raises(TrackingUnavailable):
        registry.find("adult", ONE)


def test_a_running_upload_is_waited_for(vertex: tuple[FakeVertex, VertexRegistry]) -> None:
    """Uploads are operations that take a while."""
    fake, registry = vertex
    fake.slow_uploads = 1
    assert registry.register("adult", ONE, FACTS) == TrackedVersion("1", "")


def test_an_upload_that_takes_too_long_is_found_later(
    vertex: tuple[FakeVertex, VertexRegistry], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody waits for ever, and the version that Vertex finishes meanwhile is not sent again."""
    fake, registry = vertex
    monkeypatch.setattr(vertex_registry, "_UPLOAD_SECONDS", 0.3)
    fake.slow_uploads = 10**6
    with pytest.raises(TrackingUnavailable):
        registry.register("adult", ONE, FACTS)
    assert registry.register("adult", ONE, FACTS) == TrackedVersion("1", "")
    assert len(fake.uploads()) == 1
