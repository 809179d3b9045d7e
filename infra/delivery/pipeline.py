"""What the builds do between the checks and the traffic, by the same stages as `./millrace deploy`:
a plan that is kept, and the applying of exactly that plan once a person approved.

    plan build   bake file -> (buildx builds the images) -> plan, kept under the commit
    apply build  that plan -> database, context; then doctor, rollout and specs

    gs://<project>-millrace-bundles/plans/<commit>/<environment>/
        tfplan  plan.txt  images.json  .terraform.lock.hcl
"""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from infra.deploy import images
from infra.deploy.deployment import Deployment, write_private
from infra.deploy.ground import place
from infra.deploy.images import DOCKERFILE, NOT_YET, Image
from infra.deploy.installation import Bundles, Known, terraform_of, write_settings
from infra.deploy.stages import Stage
from infra.deploy.tools import StepFailed
from shared.cli import installations

PLAN, TEXT, IMAGES, PROVIDERS = "tfplan", "plan.txt", "images.json", ".terraform.lock.hcl"
# Where the layers of earlier builds are; `mode=max` keeps those of the build stage as well. Not
# beside the images: of each name in the registry only the newest ten are kept.
_CACHE = "type=registry,ref={registry}/cache-{name}:layers"


@dataclass(frozen=True, slots=True)
class Delivery:
    """One commit on its way to one installation. `folder` is handed from step to step."""

    deployment: Deployment
    commit: str
    folder: Path

    @property
    def shelf(self) -> str:
        """Where the commit's plan is kept for the apply build."""
        where = f"{self.deployment.bundle_bucket}/plans/{self.commit}"
        return f"gs://{where}/{self.deployment.environment}"

    # --- the plan build

    def bake(self) -> list[str]:
        """Write what buildx is to build, if anything: the names of images without one."""
        bake_file = self.folder / "bake.json"
        bake_file.unlink(missing_ok=True)
        absent = images.references(self.deployment)
        missing = [one for one in images.wanted(self.deployment) if NOT_YET in absent[one.name]]
        if missing:
            write_private(bake_file, baked(missing, self.deployment.registry))
        return [image.name for image in missing]

    def plan(self) -> bool:
        """Make the plan and keep it; False when nothing would change. Raises StepFailed."""
        place(self.deployment)
        Bundles().apply(self.deployment)
        self._check_images()
        write_settings(self.deployment)
        terraform = terraform_of(self.deployment)
        terraform.init()
        # Whoever plans may not write the state, so holds no lock of it: a plan that is overtaken
        # is refused when it is applied.
        changes = terraform.plan("-lock=false", f"-var=code_version={self.commit}")
        self.folder.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(terraform.plan_file, self.folder / PLAN)
        shutil.copyfile(self.deployment.root / PROVIDERS, self.folder / PROVIDERS)
        (self.folder / TEXT).write_text(terraform.text(), encoding="utf-8")
        write_private(self.folder / IMAGES, images.references(self.deployment))
        self._copy([self.folder / name for name in (TEXT, IMAGES, PROVIDERS, PLAN)], self.shelf)
        return changes

    def _check_images(self) -> None:
        """Every image is there, and what buildx pushed is what the registry has. Raises
        StepFailed."""
        found = images.references(self.deployment)
        absent = [name for name, reference in found.items() if NOT_YET in reference]
        if absent:
            raise StepFailed(f"no image of this commit: {', '.join(absent)}")
        metadata = self.folder / "metadata.json"
        pushed: dict[str, Any] = json.loads(metadata.read_text()) if metadata.is_file() else {}
        for name, about in pushed.items():
            digest = about.get("containerimage.digest") if isinstance(about, dict) else None
            if digest and not found[name].endswith(f"@{digest}"):
                raise StepFailed(f"{name} was pushed as {digest}, the registry has {found[name]}")

    # --- the apply build

    def apply(self, after: list[Stage], identity: str) -> None:
        """Apply the plan of this commit, and no other; then the stages after it, and the context
        that the command line takes, in which services are asked as `identity`: a builder has no
        identity token of its own. Raises StepFailed."""
        place(self.deployment)
        Bundles().apply(self.deployment)  # the zips that the plan names, byte by byte
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            self._copy([f"{self.shelf}/{name}" for name in (PLAN, PROVIDERS)], self.folder)
        except StepFailed as error:
            raise StepFailed(
                f"there is no plan of {self.commit} for {self.deployment.environment}: its plan "
                f"build failed or goes on; start this one again when it is done ({error})"
            ) from error
        terraform = terraform_of(self.deployment)
        # The plan was made with these providers and is refused by others.
        shutil.copyfile(self.folder / PROVIDERS, self.deployment.root / PROVIDERS)
        terraform.init()
        shutil.copyfile(self.folder / PLAN, terraform.plan_file)
        terraform.apply_plan()
        for stage in [*after, Known()]:
            self.deployment.tools.tell(stage.title)
            stage.apply(self.deployment)
        if there := installations.find(self.deployment.name):
            installations.save(replace(there, impersonate=identity))

    def drop_specs(self, specs: list[Path], identity: str) -> None:
        """Drop them into the inbox, as an account that may write there and nowhere else. One that
        says the same again changes nothing. Raises StepFailed."""
        if specs:
            inbox = f"gs://{self.deployment.project}-millrace-inbox/_specs"
            self._copy([os.fspath(spec) for spec in specs], inbox, as_whom=identity)

    def _copy(self, what: list[Any], to: object, *, as_whom: str = "") -> None:
        command = ["gcloud", "storage", "cp", *map(str, what), f"{to}/", "--quiet"]
        command += [f"--impersonate-service-account={as_whom}"] if as_whom else []
        self.deployment.tools.do(*command, log="delivery")


def baked(missing: list[Image], registry: str) -> dict[str, Any]:
    """For `docker buildx bake`: https://docs.docker.com/build/bake/reference/"""
    return {
        "group": {"default": {"targets": [image.name for image in missing]}},
        "target": {image.name: _target(image, registry) for image in missing},
    }


def _target(image: Image, registry: str) -> dict[str, Any]:
    cache = _CACHE.format(registry=registry, name=image.name)
    return {
        "context": ".",
        "dockerfile": DOCKERFILE,
        "target": image.target,
        "args": {"DOOR": image.door},
        "tags": [image.reference(registry)],
        "platforms": ["linux/amd64"],
        "cache-from": [cache],
        "cache-to": [f"{cache},mode=max"],
        # A plain manifest: Vertex AI reads no index with attestations beside the image.
        "attest": ["type=provenance,disabled=true", "type=sbom,disabled=true"],
    }
