"""`.env.example` names every variable that a deployed part reads, with the value it has when left
out; and the compose file asks for nothing else."""

from __future__ import annotations

import ast
import re
import runpy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from infra import bundle
from infra.bundle import REPOSITORY
from infra.images import dockerfile
from shared.adapters.mlflow_tracking import _LIMITS
from shared.config import Config
from tests.support.predictor import World

EXAMPLE = REPOSITORY / ".env.example"
COMPOSE = REPOSITORY / "infra" / "images" / "compose.yaml"
KUBERNETES = REPOSITORY / "infra" / "images" / "kubernetes.yaml"
# A text of this form is a variable's name wherever it stands.
OURS = re.compile(
    r"(MILLRACE|AIP|MLFLOW|OTEL|CLOUD_RUN|OMP|OPENBLAS|GOOGLE|SLACK|STORAGE_EMULATOR|PUBSUB_EMULATOR)"
    r"_[A-Z0-9_]+"
)
# Read by the libraries that we call, not by us.
THEIRS = {
    "GOOGLE_APPLICATION_CREDENTIALS",
    "MLFLOW_TRACKING_AUTH",
    "OTEL_EXPORTER_OTLP_HEADERS",
    "OTEL_RESOURCE_ATTRIBUTES",
    "OTEL_SERVICE_NAME",
    "OTEL_TRACES_SAMPLER",
}
LINE = re.compile(r"(?m)^#?([A-Z][A-Z0-9_]*)=(.*)$")
VARIABLE = re.compile(r"\$\{(\w+)(?::-([^}]*))?\}")
NEEDED = {"MILLRACE_PROJECT": "p", "MILLRACE_INBOX": "i", "MILLRACE_LAKE": "l"}


def shown() -> dict[str, str]:
    """Values by name, of lines that are commented out too."""
    return dict(LINE.findall(EXAMPLE.read_text(encoding="utf-8")))


def deployed() -> Iterator[Path]:
    """The code of all doors."""
    for kind in ("functions", "jobs"):
        yield from sorted((REPOSITORY / kind).glob("*/main.py"))
    for name, path in bundle._contents(REPOSITORY / "functions" / "predict"):
        if name.startswith("shared/") and name.endswith(".py"):
            yield path


def names_in(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        match node:
            case ast.Constant(value=str(text)) if OURS.fullmatch(text):
                yield text
            case ast.Subscript(value=where, slice=ast.Constant(value=str(text))) if _is_env(where):
                yield text
            case ast.Call(
                func=ast.Attribute(value=where, attr="get" | "setdefault"),
                args=[ast.Constant(value=str(text)), *_],
            ) if _is_env(where):
                yield text


def _is_env(node: ast.AST) -> bool:
    """`env`, or `os.environ`; `environ` alone is a WSGI request's."""
    if isinstance(node, ast.Attribute):
        return node.attr == "environ" and isinstance(node.value, ast.Name) and node.value.id == "os"
    return isinstance(node, ast.Name) and node.id == "env"


def read_by_us() -> set[str]:
    return {
        name
        for path in deployed()
        for name in names_in(ast.parse(path.read_text(encoding="utf-8")))
    }


def compose() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(COMPOSE.read_text(encoding="utf-8"))
    return found


def asked_by_compose() -> dict[str, str]:
    return dict(VARIABLE.findall(COMPOSE.read_text(encoding="utf-8")))


def test_every_variable_is_explained() -> None:
    """What the code reads is in the example, and nothing that nobody reads."""
    known, read = shown(), read_by_us()
    assert len(read) > 40, "the search finds nothing any more"
    assert read - known.keys() == set()
    assert known.keys() - read - asked_by_compose().keys() == THEIRS


def test_a_variable_left_out_has_the_value_that_is_shown() -> None:
    """Copying the example changes nothing of an installation."""
    example = {name: value for name, value in shown().items() if value}
    del example["AIP_STORAGE_URI"]
    assert Config.from_env({**example, **NEEDED}) == Config.from_env(NEEDED)
    assert {name: example[name] for name in _LIMITS} == _LIMITS


def test_the_servers_port_and_threads_are_those_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """What gunicorn is told without a variable."""
    for name in ("PORT", "AIP_HTTP_PORT", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    path = REPOSITORY / "shared" / "serving" / "gunicorn_conf.py"
    found, example = runpy.run_path(str(path)), shown()
    assert found["bind"].endswith(f":{example['PORT']}")
    assert found["os"].environ["OMP_NUM_THREADS"] == example["OMP_NUM_THREADS"]
    assert found["os"].environ["OPENBLAS_NUM_THREADS"] == example["OPENBLAS_NUM_THREADS"]


def test_the_compose_file_asks_for_what_is_explained() -> None:
    """Its variables have the defaults that the example shows."""
    example = shown()
    for name, default in asked_by_compose().items():
        assert example[name] == default, name


def test_the_compose_file_builds_our_image_and_runs_the_locked_mlflow() -> None:
    """Paths lead somewhere, the target is a stage, MLflow is the version that is tested here."""
    services = compose()["services"]
    build = services["predict"]["build"]
    context = (COMPOSE.parent / build["context"]).resolve()
    assert (context, context / build["dockerfile"]) == (REPOSITORY, dockerfile.FILE)
    _, stages = dockerfile.read(dockerfile.FILE.read_text(encoding="utf-8"))
    assert build["target"] in {stage.name for stage in stages}
    lock = (REPOSITORY / "infra" / "locks" / "dev.txt").read_text(encoding="utf-8")
    locked = re.search(r"(?m)^mlflow==(\S+)", lock)
    assert locked is not None
    images = {service["image"] for name, service in services.items() if name != "predict"}
    assert images == {f"ghcr.io/mlflow/mlflow:v{locked[1]}"}


def test_kubernetes_asks_the_predictor_what_it_answers() -> None:
    """Probes are routes, the port and the user are the image's, variables are explained."""
    documents = list(yaml.safe_load_all(KUBERNETES.read_text(encoding="utf-8")))
    pod = next(one for one in documents if one["kind"] == "Deployment")["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    client = World().client
    probes = {name: value for name, value in container.items() if name.endswith("Probe")}
    assert set(probes) == {"startupProbe", "readinessProbe", "livenessProbe"}
    for probe in probes.values():
        assert client.get(probe["httpGet"]["path"]).status_code in (200, 503)
    _, stages = dockerfile.read(dockerfile.FILE.read_text(encoding="utf-8"))
    chain = dockerfile.chain(stages, "predict")
    (user,) = [one.value for stage in chain for one in stage.all_of("USER")]
    (port,) = [one.value for stage in chain for one in stage.all_of("EXPOSE")]
    assert container["ports"][0]["containerPort"] == int(port)
    assert pod["securityContext"]["runAsUser"] == int(user.partition(":")[0])
    asked = [one["name"] for each in (container, *pod["initContainers"]) for one in each["env"]]
    assert set(asked) <= shown().keys()


def test_nothing_of_the_compose_file_listens_to_the_world() -> None:
    """Neither part has a login; what has no port needs none."""
    for name, service in compose()["services"].items():
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", [])), name
        assert "no-new-privileges:true" in service["security_opt"], name
        assert not service.keys() & {"privileged", "network_mode", "pid", "devices"}, name
    predict = compose()["services"]["predict"]
    assert (predict["read_only"], predict["cap_drop"]) == (True, ["ALL"])
    assert predict["environment"]["AIP_STORAGE_URI"] == "${AIP_STORAGE_URI:-/package}"
