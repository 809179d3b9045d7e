"""Images of the predictor, the jobs and MLflow: tagged by their content, built by Cloud Build when
that content has no image yet, and named by digest from then on.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from infra import bundle as bundles
from infra.deploy.deployment import Deployment, write_private
from infra.deploy.ground import is_absent
from infra.deploy.stages import Look
from infra.deploy.tools import Said, StepFailed, shown
from infra.images.dockerfile import Ignored

DOCKERFILE = "infra/images/Dockerfile"
MLFLOW = "infra/images/mlflow"
# Stands in a plan for what is not built yet.
NOT_YET = "sha256:" + "0" * 64
_BUILDER = "gcr.io/cloud-builders/docker"
_POLL_SECONDS = 10.0
_ENDED_BADLY = ("FAILURE", "INTERNAL_ERROR", "TIMEOUT", "CANCELLED", "EXPIRED")


@dataclass(frozen=True, slots=True)
class Image:
    """`door` is the folder with main.py, `target` the stage of the Dockerfile."""

    name: str
    door: str
    target: str
    tag: str

    def reference(self, registry: str) -> str:
        return f"{registry}/{self.name}:{self.tag}"


@cache
def wanted(deployment: Deployment) -> tuple[Image, ...]:
    """Every image that the installation needs; as its content is at the first look, whatever is
    edited while it is deployed."""
    topology = deployment.topology
    doors = {name: (f"functions/{name}", name) for name in topology.services}
    doors |= {name: (f"jobs/{name}", "job") for name in topology.jobs}
    if deployment.runs_mlflow:
        doors["mlflow"] = (MLFLOW, "mlflow")
    return tuple(
        Image(name, door, target, _tag(deployment.repository, door, target))
        for name, (door, target) in doors.items()
    )


def _tag(repository: Path, door: str, target: str) -> str:
    more = {DOCKERFILE: repository / DOCKERFILE}
    shared = door != MLFLOW  # nothing of ours but its door: another commit is no other MLflow
    return f"{target}-{bundles.fingerprint(repository / door, more, shared=shared)}"


class Images:
    key = "images"
    title = "Images of the predictor and the jobs (Cloud Build)"
    help = (
        "Mend what the build's log says. `quota restrictions` in it: a new project may not build "
        "in every region, which Google's support changes."
    )

    def look(self, deployment: Deployment) -> Look:
        found = {image: _describe(deployment, image) for image in wanted(deployment)}
        missing = [image for image, said in found.items() if not said.good]
        if not missing:
            return Look("done")
        commands = (shown(_submit(deployment)),)
        notes = [f"to build: {', '.join(f'{image.name}:{image.tag}' for image in missing)}"]
        trouble = next(
            (said for said in found.values() if not said.good and not is_absent(said)), None
        )
        if trouble is not None:
            return Look("unknown", commands, (*notes, f"not looked up: {trouble.why}"))
        return Look("to do", commands, tuple(notes))

    def apply(self, deployment: Deployment) -> None:
        missing = [image for image in wanted(deployment) if not _digest(deployment, image)]
        if missing:
            write_private(_config_file(deployment), build_config(missing, deployment))
            stage_context(deployment.repository, _context(deployment))
            _build(deployment, missing)
        absent = [name for name, ref in references(deployment).items() if ref.endswith(NOT_YET)]
        if absent:
            raise StepFailed(f"built, but not in the registry: {', '.join(absent)}")


def references(deployment: Deployment) -> dict[str, str]:
    """Image by name, by digest; with NOT_YET where there is none. Raises StepFailed where that
    could not be looked up."""
    return {
        image.name: f"{deployment.registry}/{image.name}@{_digest(deployment, image) or NOT_YET}"
        for image in wanted(deployment)
    }


def _digest(deployment: Deployment, image: Image) -> str:
    """Empty where there is none. Raises StepFailed: a failed look-up is no reason to build again,
    nor to deploy what nobody can pull."""
    said = _describe(deployment, image)
    if said.good or is_absent(said):
        return said.out.strip() if said.good else ""
    hint = f"\n  {said.next_step}" if said.next_step else ""
    raise StepFailed(f"whether {image.name} has an image was not looked up: {said.why}{hint}")


def _describe(deployment: Deployment, image: Image) -> Said:
    """Its digest."""
    return deployment.tools.ask(
        *("gcloud", "artifacts", "docker", "images", "describe"),
        image.reference(deployment.registry),
        f"--project={deployment.project}",
        "--format=value(image_summary.digest)",
    )


# --- building ------------------------------------------------------------------------------------


def build_config(images: Sequence[Image], deployment: Deployment) -> dict[str, Any]:
    """For Cloud Build: all images at once, each with the layers of its last build at hand."""
    steps, tags = [], []
    for image in images:
        own = image.reference(deployment.registry)
        last = f"{deployment.registry}/{image.name}:{image.target}-last"
        tags += [own, last]
        args = ["build", "--file", DOCKERFILE, "--target", image.target]
        args += ["--build-arg", f"DOOR={image.door}", "--build-arg", "BUILDKIT_INLINE_CACHE=1"]
        args += ["--cache-from", last, "--tag", own, "--tag", last, "."]
        steps.append(
            {
                "id": image.name,
                "name": _BUILDER,
                "args": args,
                "env": ["DOCKER_BUILDKIT=1"],
                "waitFor": ["-"],
            }
        )
    account = f"projects/{deployment.project}/serviceAccounts/{deployment.builder}"
    return {
        "steps": steps,
        "images": tags,
        "serviceAccount": account,
        # The default machine is in every region, also for new projects, and has free minutes.
        "options": {"logging": "CLOUD_LOGGING_ONLY"},
        "timeout": "2400s",
        "tags": ["millrace"],
    }


def stage_context(repository: Path, to: Path) -> None:
    """A folder with what an image may hold, by the rules of .dockerignore, and nothing else: it is
    sent to Google as it is."""
    shutil.rmtree(to, ignore_errors=True)
    for file in _context_files(repository):
        target = to / file
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(repository / file, target)
    shutil.copyfile(repository / ".dockerignore", to / ".dockerignore")


def _context_files(repository: Path) -> Iterator[str]:
    ignored = Ignored((repository / ".dockerignore").read_text(encoding="utf-8"))
    for top in ("functions", "jobs", "shared", "infra/images"):
        for path in sorted((repository / top).rglob("*")):
            name = path.relative_to(repository).as_posix()
            if path.is_file() and (name not in ignored or name == DOCKERFILE):
                yield name


def _context(deployment: Deployment) -> Path:
    return deployment.folder / "context"


def _config_file(deployment: Deployment) -> Path:
    return deployment.folder / "cloudbuild.json"


def _submit(deployment: Deployment) -> tuple[str, ...]:
    return (
        *("gcloud", "builds", "submit", os.fspath(_context(deployment))),
        *(f"--project={deployment.project}", f"--region={deployment.region}"),
        f"--config={_config_file(deployment)}",
        f"--gcs-source-staging-dir=gs://{deployment.bundle_bucket}/source",
        *("--async", "--format=value(id)"),
    )


def _build(deployment: Deployment, images: list[Image]) -> None:
    """Submit and wait, or wait for the build of the same content that an earlier call submitted."""
    tools, tags = deployment.tools, sorted(f"{image.name}:{image.tag}" for image in images)
    build = _earlier(deployment, tags)
    if build:
        tools.tell(f"  build {build} of an earlier call goes on")
    else:
        command = _submit(deployment)
        tools.tell(f"  $ {shown(command)}")
        said = tools.ask(*command)
        build = said.out.strip()
        if not said.good or not build:
            raise StepFailed(f"`{shown(command)}`: {said.why}")
        write_private(_memory(deployment), {"build": build, "tags": tags})
    started = time.monotonic()
    while (status := _status(deployment, build)) not in ("SUCCESS", *_ENDED_BADLY):
        tools.tell(f"  build {build}: {status.lower()}, {time.monotonic() - started:.0f} s")
        time.sleep(_POLL_SECONDS)
    if status != "SUCCESS":
        _memory(deployment).unlink(missing_ok=True)
        raise StepFailed(f"build {build} ended with {status}:\n{_log_of(deployment, build)}")
    tools.tell(f"  build {build}: done in {time.monotonic() - started:.0f} s")


def _memory(deployment: Deployment) -> Path:
    return deployment.folder / "build.json"


def _earlier(deployment: Deployment, tags: list[str]) -> str:
    """The build of exactly these images that was submitted before and has not failed."""
    try:
        body: Mapping[str, Any] = json.loads(_memory(deployment).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return ""
    build = str(body.get("build", "")) if body.get("tags") == tags else ""
    return build if build and _status(deployment, build) in ("QUEUED", "WORKING") else ""


def _status(deployment: Deployment, build: str) -> str:
    """Raises StepFailed when nobody says."""
    command = ["gcloud", "builds", "describe", build, f"--project={deployment.project}"]
    command += [f"--region={deployment.region}", "--format=value(status)"]
    for _ in range(3):  # one lost answer is no reason to stop watching
        said = deployment.tools.ask(*command)
        if said.good:
            return said.out.strip() or "UNKNOWN"
    raise StepFailed(f"`{shown(command)}`: {said.why}")


def _log_of(deployment: Deployment, build: str) -> str:
    query = f'resource.type="build" AND resource.labels.build_id="{build}"'
    command = ["gcloud", "logging", "read", query, f"--project={deployment.project}"]
    command += ["--limit=60", "--order=desc", "--format=value(textPayload)"]
    said = deployment.tools.ask(*command)
    if not said.good:
        return f"    its log: {shown(command)}"
    return "\n".join(f"    {line}" for line in reversed(said.out.splitlines()) if line.strip())
