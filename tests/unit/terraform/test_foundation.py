"""What is applied first is what the installation is built on."""

from __future__ import annotations

import re

import hcl2

from infra.local.addresses import REGION
from tests.support.terraform import ROOT

FOUNDATION = ROOT / "foundation"
# Which API a type of resource speaks to, by the beginning of its name; the longest one counts.
APIS = {
    "google_artifact_registry_": "artifactregistry",
    "google_billing_budget": "billingbudgets",
    "google_cloud_run_v2_": "run",
    "google_cloud_scheduler_": "cloudscheduler",
    "google_cloudbuild_": "cloudbuild",
    "google_cloudfunctions2_": "cloudfunctions",
    "google_iam_workload_identity_": "sts",
    "google_logging_": "logging",
    "google_monitoring_": "monitoring",
    "google_project": "cloudresourcemanager",
    "google_project_iam_custom_role": "iam",
    "google_project_service": "serviceusage",
    "google_pubsub_": "pubsub",
    "google_secret_manager_": "secretmanager",
    "google_service_account": "iam",
    "google_sql_": "sqladmin",
    "google_storage_": "storage",
}


def used() -> set[str]:
    """Types of Google's resources and data in all roots and modules."""
    text = "\n".join(file.read_text(encoding="utf-8") for file in ROOT.rglob("*.tf"))
    return set(re.findall(r'(?m)^(?:resource|data) "(google_\w+)"', text))


def api_of(kind: str) -> str:
    known = [beginning for beginning in APIS if kind.startswith(beginning)]
    assert known, f"which API does {kind} speak to? It belongs into foundation/main.tf"
    return APIS[max(known, key=len)]


def test_every_api_that_is_used_is_switched_on() -> None:
    """A resource of another kind does not fail in somebody's project first."""
    text = (FOUNDATION / "main.tf").read_text(encoding="utf-8")
    switched_on = set(re.findall(r'"(\w+)\.googleapis\.com"', text))
    asked = {api_of(kind) for kind in used()}
    assert len(asked) > 12
    assert asked <= switched_on


def test_the_installation_finds_what_the_foundation_makes() -> None:
    """The two roots share no state, so they share names: a bucket, a repository, an account."""
    made = "\n".join(file.read_text(encoding="utf-8") for file in FOUNDATION.glob("*.tf"))
    (found,) = [
        block["foundation"]
        for block in hcl2.loads((ROOT / "main.tf").read_text(encoding="utf-8"))["locals"]
        if "foundation" in block
    ]
    bundles, repository, account = (
        found[key].strip('"') for key in ("bundles", "function_images", "build")
    )
    assert f'"{bundles}"' in made
    assert re.search(rf"(?m)^ +{repository.rpartition('/')[2]} += ", made)
    account_id = account.rpartition("/")[2].partition("@")[0]
    assert re.search(rf'account_id += "{account_id}"', made)


def test_variables_of_both_roots_mean_the_same() -> None:
    """One file of values is for both, so a name has one type, one default and one rule."""
    ours, theirs = (
        {
            name: body
            for block in hcl2.loads((root / "variables.tf").read_text(encoding="utf-8"))["variable"]
            for name, body in block.items()
            if not name.startswith("__")
        }
        for root in (FOUNDATION, ROOT)
    )
    assert len(ours) > 5
    for name, body in ours.items():
        for key in ("type", "default"):
            assert body.get(key) == theirs[name].get(key), name
        rules = {rule["condition"] for rule in body.get("validation", ())}
        assert rules <= {rule["condition"] for rule in theirs[name].get("validation", ())}, name


def test_the_region_is_the_same_everywhere() -> None:
    """Locally and by default in the cloud."""
    for root in (ROOT, FOUNDATION):
        text = (root / "variables.tf").read_text(encoding="utf-8")
        assert f'default     = "{REGION}"' in text
