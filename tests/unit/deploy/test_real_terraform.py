"""The real terraform, on a root that needs no provider and keeps its state on this disk."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from infra.deploy.deployment import Deployment
from infra.deploy.terraform import Terraform
from infra.deploy.tools import StepFailed, Tools

ROOT = """
terraform {
  backend "local" {}
}
variable "size" { type = number }
variable "deletion_protection" {
  type    = bool
  default = true
}
resource "terraform_data" "thing" {
  for_each = toset(["lake", "inbox"])
  input    = "${var.size} ${var.deletion_protection}"
}
output "installation" { value = { lake = terraform_data.thing["lake"].output } }
"""
LAKE = 'terraform_data.thing["lake"]'

pytestmark = pytest.mark.skipif(
    shutil.which("terraform") is None, reason="terraform is not installed"
)


class LocalState(Terraform):
    """With its state on this disk instead of in a bucket."""

    def _init(self) -> tuple[str, ...]:
        state = f"-backend-config=path={self._folder / 'terraform.tfstate'}"
        return self._command("init", "-input=false", state)


@pytest.fixture
def root(tmp_path: Path) -> Terraform:
    place = tmp_path / "checkout" / "infra" / "terraform"
    place.mkdir(parents=True)
    (place / "main.tf").write_text(ROOT)
    (tmp_path / "size.tfvars").write_text("size = 1\n")
    told: list[str] = []
    home, checkout = tmp_path / "home", tmp_path / "checkout"
    tools = Tools(home / "logs", checkout, told.append)
    names = ("acme", "acme-data", "europe-west1", "dev")
    deployment = Deployment(*names, tools=tools, home=home, repository=checkout)
    return LocalState(deployment, place, "installation", [tmp_path / "size.tfvars"])


def test_terraform_understands_what_it_is_told(root: Terraform, tmp_path: Path) -> None:
    """Twice, with settings, with protection off, without the lake, and away: every flag is one of
    terraform's, and its exit codes mean what is taken from them."""
    assert root.apply()
    assert not root.apply()
    assert root.output("installation") == {"lake": "1 true"}
    assert root.owns(LAKE)
    assert not root.owns('terraform_data.thing["other"]')
    assert root.plan("-var=deletion_protection=false")
    root.apply_plan()
    assert root.output("installation") == {"lake": "1 false"}
    root.forget(LAKE)
    assert not root.owns(LAKE)
    root.adopt(LAKE, "an-id")
    assert root.owns(LAKE)
    root.destroy("-var=deletion_protection=false")
    assert root.empty()
    with pytest.raises(StepFailed):
        root.output("installation")
    place = tmp_path / "checkout" / "infra" / "terraform"
    # What `state rm` copies aside is of states on this disk only.
    tree = {path.name for path in place.iterdir() if "tfstate" not in path.name}
    assert tree <= {"main.tf", ".terraform.lock.hcl"}


def test_a_failing_plan_shows_what_terraform_says(root: Terraform, tmp_path: Path) -> None:
    """Its last lines and where all of them are."""
    (tmp_path / "size.tfvars").write_text('size = "much"\n')
    with pytest.raises(StepFailed, match="number is required") as failed:
        root.apply()
    assert "installation.log" in str(failed.value)
