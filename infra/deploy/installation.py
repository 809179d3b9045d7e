"""The last stages: bundles, everything else by Terraform, secrets, and the context that the command
line takes from then on.
"""

from __future__ import annotations

import json
import os
from functools import cache
from pathlib import Path
from typing import Any

from infra import bundle as bundles
from infra.bundle import REPOSITORY
from infra.deploy import images, traffic
from infra.deploy.deployment import Deployment, write_private
from infra.deploy.ground import is_absent, place
from infra.deploy.stages import Look
from infra.deploy.terraform import Terraform
from infra.deploy.tools import StepFailed, shown
from infra.local.code_version import code_version
from shared.adapters.names import wire_secret
from shared.cli import installations
from shared.cli.installations import Installation

BUCKET = 'google_storage_bucket.bucket["{}"]'


class Bundles:
    key = "bundles"
    title = "Bundles of the functions (built here, named by content)"
    help = "A function's folder needs main.py and requirements.txt (`make bundles` tries them)."

    def look(self, deployment: Deployment) -> Look:
        missing = [name for name, path in bundle_paths(deployment).items() if not path.is_file()]
        if not missing:
            return Look("done")
        return Look("to do", (), (f"to build here: {', '.join(missing)}",))

    def apply(self, deployment: Deployment) -> None:
        for name, path in bundle_paths(deployment).items():
            if path.is_file():
                continue
            try:
                folder = bundles.build(name, "functions", deployment.bundles)
            except OSError as error:
                raise StepFailed(str(error)) from error
            if bundles.zip_bundle(folder) != path:
                raise StepFailed(f"{name} was edited meanwhile")


@cache
def bundle_paths(deployment: Deployment) -> dict[str, Path]:
    """The zip of every function, built or not; as its content is at the first look."""
    return {
        name: deployment.bundles
        / f"{name}-{bundles.fingerprint(REPOSITORY / 'functions' / name)}.zip"
        for name in deployment.topology.functions
    }


# --- Terraform -----------------------------------------------------------------------------------


class Root:
    key = "installation"
    title = "Everything else (terraform)"
    help = (
        "Rights and service agents take minutes until all of Google believes in them: the first "
        "thing to try is the same call again. A lock that a killed terraform left: its message "
        "names the id for `terraform force-unlock`."
    )

    def look(self, deployment: Deployment) -> Look:
        *commands, apply = terraform_of(deployment).commands
        held = shown(traffic.command(deployment, "hold"))
        return Look("to do", (*commands, held, apply))

    def apply(self, deployment: Deployment) -> None:
        write_settings(deployment)
        for marker in deployment.folder.glob("unprotected-*.json"):  # of an earlier teardown
            marker.unlink()
        terraform = terraform_of(deployment)
        terraform.init()
        for bucket in ("lake", "inbox"):
            adopt(terraform, deployment, bucket)
        if not terraform.plan():
            return
        if not deployment.agree("Apply this plan?"):
            raise StepFailed("the plan was not agreed to, and nothing of it was applied")
        traffic.hold(deployment)
        terraform.apply_plan()

    def show(self, deployment: Deployment) -> None:
        """What Terraform would change, for reading. Needs logins, the state, and bundles here."""
        write_settings(deployment)
        terraform_of(deployment).show()


def adopt(terraform: Terraform, deployment: Deployment, bucket: str) -> None:
    """A bucket that an earlier installation left (`teardown` keeps the lake) is taken over."""
    name = f"{deployment.project}-millrace-{bucket}"
    address = BUCKET.format(bucket)
    if terraform.owns(address):
        return
    said = deployment.tools.ask(
        *("gcloud", "storage", "buckets", "describe", f"gs://{name}"),
        *(f"--project={deployment.project}", "--format=value(name)"),
    )
    if said.good:
        deployment.tools.tell(f"  gs://{name} is there from before and is taken over")
        terraform.adopt(address, name)
    elif not is_absent(said):
        raise StepFailed(f"whether gs://{name} exists: {said.why}")


def terraform_of(deployment: Deployment) -> Terraform:
    files = [*deployment.settings, settings_file(deployment)]
    return Terraform(deployment, deployment.root, "installation", files)


def settings_file(deployment: Deployment) -> Path:
    return deployment.folder / "installation.tfvars.json"


def write_settings(deployment: Deployment) -> Path:
    """What deploy itself knows, for Terraform."""
    return write_private(settings_file(deployment), settings(deployment))


def settings(deployment: Deployment) -> dict[str, Any]:
    """Paths are relative to Terraform's root, because Terraform remembers them."""
    where: dict[str, Any] = json.loads(place(deployment).read_text(encoding="utf-8"))
    zips = bundle_paths(deployment)
    pinned = deployment.setting("secret_versions", "")  # by people, who then say them all
    return {
        **where,
        "context": deployment.name,
        "bundles": {
            name: {
                "path": os.path.relpath(path, deployment.root),
                "hash": path.stem.rpartition("-")[2],
            }
            for name, path in zips.items()
        },
        "images": images.references(deployment),
        "code_version": code_version(deployment.repository),
        **({} if pinned else {"secret_versions": secret_versions(deployment)}),
    }


# --- secrets -------------------------------------------------------------------------------------


def secret_versions(deployment: Deployment) -> dict[str, str]:
    """The newest enabled version of every secret that has one. Raises StepFailed where that could
    not be looked up: taken for none, it would switch off what needs the secret."""
    found = {name: secret_version(deployment, name) for name in deployment.topology.secrets}
    return {name: version for name, version in found.items() if version}


def secret_version(deployment: Deployment, name: str) -> str:
    """Empty for a secret that has no enabled version, or is not made yet. Raises StepFailed."""
    said = deployment.tools.ask(
        *("gcloud", "secrets", "versions", "list", wire_secret(name)),
        *(f"--project={deployment.project}", "--filter=state:ENABLED"),
        *("--sort-by=~createTime", "--limit=1", "--format=value(name)"),
    )
    if said.good:
        return said.out.strip().rpartition("/")[2]
    if is_absent(said):
        return ""
    hint = f"\n  {said.next_step}" if said.next_step else ""
    raise StepFailed(f"whether {wire_secret(name)} has a value was not looked up: {said.why}{hint}")


def secret_shown(name: str) -> str:
    """A secret as people know it, and as the console lists it."""
    return f"{name} ({wire_secret(name)})"


def add_secret(deployment: Deployment, name: str, value: str) -> None:
    """A new version of a secret. The value goes through stdin: no argument, no file, no state.
    Raises StepFailed."""
    command = ["gcloud", "secrets", "versions", "add", wire_secret(name)]
    command += [f"--project={deployment.project}", "--data-file=-"]
    said = deployment.tools.ask(*command, stdin=value)
    if not said.good:
        hint = f"\n  {said.next_step}" if said.next_step else ""
        raise StepFailed(f"`{shown(command)}`: {said.why}{hint}")


# --- the context ---------------------------------------------------------------------------------


class Known:
    key = "context"
    title = "A context, so that the command line knows it"
    help = "`terraform output -json installation` must print an object."

    def look(self, deployment: Deployment) -> Look:
        there = installations.find(deployment.name)
        file = installations.file_of(deployment.name)
        state = "written again" if there else "written"
        return Look("to do", (), (f"{file} is {state} from Terraform's output `installation`",))

    def apply(self, deployment: Deployment) -> None:
        body = terraform_of(deployment).output("installation")
        before = installations.find(deployment.name)
        if before is not None and before.impersonate:
            body = {**body, "impersonate": before.impersonate}
        installations.save(Installation.from_json(deployment.name, body))
        deployment.tools.tell(f"  ./millrace --context {deployment.name} status")
