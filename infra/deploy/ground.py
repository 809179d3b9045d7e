"""The first stages: what Terraform itself needs, and what must be there before a build."""

from __future__ import annotations

import json
from pathlib import Path

from infra.complaints import kind
from infra.deploy.deployment import Deployment, write_private
from infra.deploy.stages import Look
from infra.deploy.terraform import Terraform
from infra.deploy.tools import Said, shown

# Terraform asks these about the project before it can switch anything on.
FIRST_APIS = (
    "cloudresourcemanager.googleapis.com",
    "iam.googleapis.com",
    "serviceusage.googleapis.com",
    "storage.googleapis.com",
)


class Ground:
    key = "ground"
    title = "Basic APIs, and a bucket for Terraform's state"
    help = "`./millrace doctor` says what is missing and how to get it."

    def look(self, deployment: Deployment) -> Look:
        said = describe(deployment)
        commands = tuple(shown(command) for command in _commands(deployment))
        if said.good:
            versioned = _versioned(said.out)
            return Look("done") if versioned else Look("to do", commands[-1:])
        if is_absent(said):
            return Look("to do", commands)
        return Look("unknown", commands, (f"not looked up: {said.why}",))

    def apply(self, deployment: Deployment) -> None:
        enable, create, update = _commands(deployment)
        deployment.tools.do(*enable, log=self.key)
        if not describe(deployment).good:
            deployment.tools.do(*create, log=self.key)
        deployment.tools.do(*update, log=self.key)


def is_absent(said: Said) -> bool:
    """Whether gcloud says that something is not there, and not that it could not look."""
    return not said.good and kind(said.err) == "absent"


def describe(deployment: Deployment) -> Said:
    bucket = f"gs://{deployment.state_bucket}"
    return deployment.tools.ask(
        *("gcloud", "storage", "buckets", "describe", bucket),
        *(f"--project={deployment.project}", "--format=json"),
    )


def _versioned(out: str) -> bool:
    try:
        body = json.loads(out)
    except ValueError:
        return False
    return bool(body.get("versioning_enabled") or (body.get("versioning") or {}).get("enabled"))


def _commands(deployment: Deployment) -> tuple[tuple[str, ...], ...]:
    project, bucket = f"--project={deployment.project}", f"gs://{deployment.state_bucket}"
    location = f"--location={deployment.region}"
    create = ("gcloud", "storage", "buckets", "create", bucket, project, location)
    return (
        ("gcloud", "services", "enable", *FIRST_APIS, project),
        (*create, "--uniform-bucket-level-access", "--public-access-prevention"),
        ("gcloud", "storage", "buckets", "update", bucket, project, "--versioning"),
    )


# --- foundation ----------------------------------------------------------------------------------


class Foundation:
    key = "foundation"
    title = "APIs, image repositories, bundle bucket, build account (terraform foundation/)"
    help = (
        "An API that was switched on this minute may refuse for a few more; the same call goes on."
    )

    def look(self, deployment: Deployment) -> Look:
        return Look("to do", terraform_of(deployment).commands)

    def apply(self, deployment: Deployment) -> None:
        place(deployment)
        terraform_of(deployment).apply()

    def show(self, deployment: Deployment) -> None:
        """What Terraform would change, for reading. Needs logins and the state."""
        place(deployment)
        terraform_of(deployment).show()


def terraform_of(deployment: Deployment) -> Terraform:
    files = [*deployment.settings, place_file(deployment)]
    return Terraform(deployment, deployment.foundation, "foundation", files)


def place_file(deployment: Deployment) -> Path:
    return deployment.folder / "place.tfvars.json"


def place(deployment: Deployment) -> Path:
    """Where everything goes, for both roots; it has the last word over people's files."""
    body = {
        "project": deployment.project,
        "region": deployment.region,
        "environment": deployment.environment,
        **({"mlflow": deployment.mlflow} if deployment.mlflow else {}),
    }
    return write_private(place_file(deployment), body)
