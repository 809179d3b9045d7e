"""Taking an installation down, in the reverse order of making it. The lake stays unless its data
are to go as well; so do the state bucket, and the APIs.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from infra.deploy import ground, installation
from infra.deploy.deployment import Deployment, write_private
from infra.deploy.images import NOT_YET
from infra.deploy.stages import Look, Stage
from infra.deploy.terraform import Terraform
from infra.deploy.tools import StepFailed, shown
from shared.cli import installations

# What else in Terraform is about the lake bucket goes, the bucket with its objects stays.
LAKE = installation.BUCKET.format("lake")
UNPROTECTED = "-var=deletion_protection=false"


class Unprotect:
    """Terraform deletes nothing that its state says is protected, so that is changed first. Once:
    later, a plan would make again what is deleted already."""

    key = "protection"
    title = "Protection against deletion is taken off"
    help = "Nothing was deleted yet."

    def look(self, deployment: Deployment) -> Look:
        if _marker(deployment, self.key).exists():
            return Look("done")
        *_, plan, apply = installation.terraform_of(deployment).commands
        return Look("to do", (f"{plan} {UNPROTECTED}", apply))

    def apply(self, deployment: Deployment) -> None:
        with_settings(deployment)
        _unprotect(installation.terraform_of(deployment))
        write_private(_marker(deployment, self.key), {"done": True})


class Keep:
    key = "lake"
    title = "The lake is taken out of Terraform's state, and stays"
    help = "Nothing was deleted yet."

    def look(self, deployment: Deployment) -> Look:
        return Look("to do", (shown(installation.terraform_of(deployment).forgetting(LAKE)),))

    def apply(self, deployment: Deployment) -> None:
        terraform = installation.terraform_of(deployment)
        terraform.init()
        if terraform.owns(LAKE):
            terraform.forget(LAKE)


class Destroy:
    key = "installation"
    title = "Everything of the installation is deleted (terraform)"
    help = "What is half deleted is deleted by the same call again."

    def look(self, deployment: Deployment) -> Look:
        destroying = installation.terraform_of(deployment).destroying(UNPROTECTED)
        return Look("to do", (shown(destroying),))

    def apply(self, deployment: Deployment) -> None:
        terraform = installation.terraform_of(deployment)
        terraform.init()
        terraform.destroy(UNPROTECTED)


class DestroyFoundation:
    key = "foundation"
    title = "Images, bundles and the build account are deleted (terraform foundation/)"
    help = "What is half deleted is deleted by the same call again."

    def look(self, deployment: Deployment) -> Look:
        terraform = ground.terraform_of(deployment)
        *_, plan, apply = terraform.commands
        return Look(
            "to do",
            (f"{plan} {UNPROTECTED}", apply, shown(terraform.destroying(UNPROTECTED))),
        )

    def apply(self, deployment: Deployment) -> None:
        ground.place(deployment)
        terraform = ground.terraform_of(deployment)
        marker = _marker(deployment, self.key)
        if not marker.exists():
            _unprotect(terraform)
            write_private(marker, {"done": True})
        terraform.destroy(UNPROTECTED)


class Forget:
    key = "context"
    title = "The command line forgets it"
    help = ""

    def look(self, deployment: Deployment) -> Look:
        return Look("to do", (), (f"{installations.file_of(deployment.name)} goes",))

    def apply(self, deployment: Deployment) -> None:
        installations.remove(deployment.name)
        for stage in (Unprotect, DestroyFoundation):
            _marker(deployment, stage.key).unlink(missing_ok=True)


def stages(*, with_data: bool) -> tuple[Stage, ...]:
    """Reversed: what runs before what it runs on."""
    kept: tuple[Stage, ...] = () if with_data else (Keep(),)
    return (Unprotect(), *kept, Destroy(), DestroyFoundation(), Forget())


def stays(deployment: Deployment, *, with_data: bool) -> Iterator[str]:
    """What is there afterwards, and how to remove that too."""
    lake = f"gs://{deployment.project}-millrace-lake"
    if with_data:
        yield f"gone for good: {lake} with every version, prediction and report in it"
    else:
        yield f"kept: {lake}; the next `deploy` takes it over, --with-data deletes it, too"
    inbox = f"gs://{deployment.project}-millrace-inbox"
    yield f"gone for good: {inbox} (what was accepted is in the lake)"
    yield "gone for good: the values of secrets, and MLflow's database where it runs"
    state = f"gs://{deployment.state_bucket}"
    yield f"kept: {state}; to remove it: gcloud storage rm --recursive {state}"
    yield "kept: APIs that were switched on; they cost nothing"


def unsure(deployment: Deployment) -> str:
    """Why nobody knows whether anything is deployed; empty where Terraform's state is there."""
    said = ground.describe(deployment)
    bucket = f"gs://{deployment.state_bucket}"
    if said.good:
        return ""
    if ground.is_absent(said):
        return f"Not deployed, as far as is known: {bucket} (Terraform's state) is not there."
    hint = f" {said.next_step}." if said.next_step else ""
    return f"Not looked up: {bucket} (Terraform's state): {said.why.rstrip('.')}.{hint}"


def with_settings(deployment: Deployment) -> None:
    """Terraform wants to know every variable, also for deleting. Raises StepFailed where this
    checkout cannot say what was deployed."""
    ground.place(deployment)
    if installation.settings_file(deployment).is_file():
        return
    installation.Bundles().apply(deployment)
    found = installation.settings(deployment)
    unknown = [name for name, image in found["images"].items() if image.endswith(NOT_YET)]
    if unknown:
        raise StepFailed(
            f"this checkout is another than the one that was deployed (images of "
            f"{', '.join(unknown)}); check that out, or `deploy` this one first"
        )
    write_private(installation.settings_file(deployment), found)


def _unprotect(terraform: Terraform) -> None:
    terraform.init()
    if not terraform.empty() and terraform.plan(UNPROTECTED):
        terraform.apply_plan()


def _marker(deployment: Deployment, key: str) -> Path:
    return deployment.folder / f"unprotected-{key}.json"
