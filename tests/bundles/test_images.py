"""The images: what is in them, what they start, and the few rules that a linter would ask for.

`make bundles` builds and starts them by the same lines.
"""

from __future__ import annotations

import re

import pytest

from infra import bundle, topology
from infra.bundle import REPOSITORY
from infra.images import check, dockerfile, rehearsal
from infra.images.dockerfile import FILE, Ignored, Stage

BEFORE, STAGES = dockerfile.read(FILE.read_text(encoding="utf-8"))
TARGETS = ("predict", "job", "mlflow")
DOORS = [
    path.parent.relative_to(REPOSITORY).as_posix()
    for path in sorted(REPOSITORY.glob("*/*/main.py"))
    if check.has_image(path.parent.relative_to(REPOSITORY).as_posix())
]
MLFLOW = check.MLFLOW


def last_of(name: str, target: str) -> list[str]:
    """The words of the instruction that decides in an image."""
    found = [one for stage in dockerfile.chain(STAGES, target) for one in stage.all_of(name)]
    return found[-1].words


def test_the_predictor_starts_as_the_topology_says() -> None:
    """The local stack runs `command`, a container CMD: they are the same."""
    assert tuple(last_of("CMD", "predict")) == topology.load().services["predict"].command
    assert STAGES[-1].name == "predict", "a build without --target gives the last stage"


def test_a_job_starts_as_the_local_stack_starts_it() -> None:
    assert last_of("CMD", "job") == ["python", "main.py"]


@pytest.mark.parametrize("door", DOORS)
def test_an_image_holds_what_a_bundle_holds(door: str) -> None:
    """.dockerignore and infra/bundle.py leave out the same: people's tools, fakes, caches."""
    seen = set(rehearsal.context_files())
    kind, name = door.split("/")
    bundled = {wanted for wanted, _ in bundle._contents(REPOSITORY / kind / name)}
    doors = {"main.py", "requirements.txt"}
    assert {path for path in seen if path.startswith("shared/")} == bundled - doors
    assert {f"{door}/{file}" for file in doors} <= seen


def test_mlflows_image_holds_nothing_of_the_rest() -> None:
    """Another commit of ours makes no other image of it, and so no migration and no restart."""
    assert check.target_of(MLFLOW) == "mlflow"
    assert {path for path in rehearsal.context_files() if path.startswith("infra/")} == {
        f"{MLFLOW}/{file}" for file in ("main.py", "requirements.txt")
    }
    built = dockerfile.chain(STAGES, "build-mlflow")
    copied = {one.words[0] for each in built for one in each.all_of("COPY")}
    assert copied == {"${DOOR}/requirements.txt", "${DOOR}/main.py"}
    assert last_of("CMD", "mlflow") == ["python", "main.py", "serve"]


def test_nothing_else_reaches_a_build() -> None:
    """A secret or data beside the code is never sent to a builder."""
    ignored = Ignored((REPOSITORY / ".dockerignore").read_text(encoding="utf-8"))
    for path in (
        ".env",
        ".git/config",
        ".millrace/local/stack.json",
        "infra/topology.yaml",
        "shared/cli/main.py",
        "shared/serving/__pycache__/app.cpython-311.pyc",
        "shared/.env",
        "functions/predict/.env",
        "functions/predict/data.csv",
        "adult.csv",
        "tests/unit/test_train.py",
    ):
        assert path in ignored, path
    assert "shared/serving/app.py" not in ignored


def stage(name: str) -> Stage:
    return next(one for one in STAGES if one.name == name)


def test_the_base_is_pinned_and_the_same_in_all_stages() -> None:
    """By version for people and by digest for the builder; bytecode fits its interpreter."""
    (base,) = [one.value.partition("=")[2] for one in BEFORE]
    assert re.fullmatch(r"python:3\.11\.\d+-slim-\w+@sha256:[0-9a-f]{64}", base)
    names = {one.name for one in STAGES}
    assert {one.base for one in STAGES} - names == {"${PYTHON}"}


@pytest.mark.parametrize("target", TARGETS)
def test_a_container_is_not_root(target: str) -> None:
    """And Kubernetes can see it, which takes a number."""
    user = last_of("USER", target)[0]
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", user)


def test_installing_is_locked_and_runs_no_foreign_build() -> None:
    """Every package by its hash and as a wheel; no package by apt, no file from an address."""
    runs = [one.value for each in STAGES for one in each.all_of("RUN")]
    installs = [line for line in runs if "install" in line]
    assert len(installs) == 1
    assert {"--require-hashes", "--only-binary=:all:", "--no-cache-dir"} <= set(installs[0].split())
    assert not any(each.all_of("ADD") for each in STAGES)
    assert not any(re.search(r"\b(curl|wget|apt-get|apt)\b", line) for line in runs)


@pytest.mark.parametrize("target", TARGETS)
def test_tools_of_the_build_stay_there(target: str) -> None:
    """What runs comes from the build stage by COPY; it runs nothing while it is made."""
    stages = dockerfile.chain(STAGES, target)
    assert stage("packages") not in stages
    assert not any(each.all_of("RUN") for each in stages)
