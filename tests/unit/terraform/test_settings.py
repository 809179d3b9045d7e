"""What the deployed parts are told is what the local stack tells them, and what the code reads."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any

import hcl2
import pytest

from infra import topology
from infra.images import dockerfile
from infra.local.addresses import (
    MAIL,
    Addresses,
    client_env,
    function_env,
    job_env,
    service_env,
)
from tests.support.predictor import World
from tests.support.terraform import ROOT

EXAMPLE = ROOT.parents[1] / ".env.example"
# Of the stand-ins: other endpoints, and no credentials to show them.
LOCAL_ONLY = {
    *("STORAGE_EMULATOR_HOST", "PUBSUB_EMULATOR_HOST", "MILLRACE_ANONYMOUS", "NO_PROXY"),
    *("MILLRACE_PUBSUB_ENDPOINT", "MILLRACE_RUN_ENDPOINT", "GUNICORN_CMD_ARGS"),
}
# Google sets them itself.
PLATFORM = {
    *("PORT", "K_SERVICE", "CLOUD_RUN_TIMEOUT_SECONDS"),
    *("FUNCTION_TARGET", "FUNCTION_SIGNATURE_TYPE"),
}
# What one machine has no use for.
CLOUD_ONLY = {
    "MLFLOW_TRACKING_AUTH",
    *("MILLRACE_DOCS_URL", "MILLRACE_CONSOLE_URL"),
    *("MILLRACE_VERTEX_REGISTRY", "MILLRACE_PREDICT_IMAGE"),
}
# Read by what is installed beside our code: Google's clients, functions-framework, gRPC, MLflow.
THEIRS = {"GOOGLE_CLOUD_PROJECT", "THREADS", "DO_NOT_TRACK"}


@cache
def read(file: Path) -> dict[str, Any]:
    return hcl2.loads(file.read_text(encoding="utf-8"))


def settings() -> set[str]:
    """Names in `local.settings`, which become `local.env`."""
    for block in read(ROOT / "main.tf")["locals"]:
        if "settings" in block:
            return {name for name in block["settings"] if not name.startswith("__")}
    raise AssertionError("main.tf has no local.settings")


def added(file: str) -> set[str]:
    """Names that a file merges into `local.env`."""
    text = (ROOT / file).read_text(encoding="utf-8")
    found = re.findall(r"merge\(local\.env, \{(.*?)\}\)", text, re.DOTALL)
    assert found, f"{file} gives no variables"
    return {name for each in found for name in re.findall(r"\b([A-Z][A-Z_]+)\s*=", each)}


def secrets() -> set[str]:
    """As functions.tf names them: the topology key in capitals."""
    parts = topology.load()
    every = [*parts.functions.values(), *parts.services.values()]
    return {key.upper().replace("-", "_") for part in every for key in part.secrets}


def told_locally() -> set[str]:
    parts = topology.load(local=True)
    base = client_env(Addresses(*[""] * 8), parts, project="p", context="local")
    return {
        *function_env(base, parts.functions["intake"]),
        *service_env(base, "predict", "h", 1),
        *job_env(base),
        *MAIL,
        "MILLRACE_CODE_VERSION",
    }


def test_the_cloud_tells_what_the_local_stack_tells() -> None:
    """A variable that one of the two passes on and the other forgets does not go unnoticed."""
    cloud = settings() | added("functions.tf") | added("jobs.tf") | secrets()
    assert cloud >= CLOUD_ONLY
    assert told_locally() >= LOCAL_ONLY | PLATFORM
    assert told_locally() - LOCAL_ONLY - PLATFORM == cloud - CLOUD_ONLY


def test_every_variable_is_read_by_somebody() -> None:
    """Each name is explained in .env.example, or belongs to a library."""
    known = set(re.findall(r"(?m)^#?([A-Z][A-Z0-9_]*)=", EXAMPLE.read_text(encoding="utf-8")))
    told = settings() | added("functions.tf") | added("jobs.tf") | secrets()
    assert told - known == THEIRS


def test_functions_run_on_the_python_that_is_locked() -> None:
    """Functions have the minor version of the images; locks are of that one."""
    (image,) = re.findall(r"python:(3\.\d+)\.", dockerfile.FILE.read_text(encoding="utf-8"))
    runtime = f'runtime           = "python{image.replace(".", "")}"'
    assert runtime in (ROOT / "functions.tf").read_text(encoding="utf-8")


def test_the_predictor_is_probed_where_it_answers() -> None:
    """Also without a champion, or a new installation could not start; and not at a path that ends
    in z, some of which Google keeps for itself."""
    text = (ROOT / "predict.tf").read_text(encoding="utf-8")
    (path,) = re.findall(r'path = "(.*)"', text)
    assert not path.endswith("z")
    assert World().client.get(path).status_code == 200
    _, stages = dockerfile.read(dockerfile.FILE.read_text(encoding="utf-8"))
    (port,) = [
        one.value for stage in dockerfile.chain(stages, "predict") for one in stage.all_of("EXPOSE")
    ]
    assert set(re.findall(r"port\s+= (\d+)", text)) == {port}


@pytest.mark.parametrize("environment", ["dev", "staging", "prod"])
def test_an_environments_file_sets_what_is_declared(environment: str) -> None:
    """A value for a variable that is not there would be passed over with a warning."""
    values = read(ROOT / "environments" / f"{environment}.tfvars")
    given = {name for name in values if not name.startswith("__")}
    declared = {
        name.strip('"')
        for block in read(ROOT / "variables.tf")["variable"]
        for name in block
        if not name.startswith("__")
    }
    assert given - declared == set()
    assert values["environment"].strip('"') == environment


def test_production_keeps_what_it_has() -> None:
    """Only production refuses deletions."""
    for file in (ROOT / "environments").glob("*.tfvars"):
        assert read(file)["deletion_protection"] is (file.stem == "prod")


def test_every_variable_is_described() -> None:
    """Nobody has to read the code to know what a variable is for."""
    for root in (ROOT, ROOT / "foundation"):
        for block in read(root / "variables.tf")["variable"]:
            for name, body in block.items():
                if not name.startswith("__"):
                    assert len(body["description"]) > 20, name
