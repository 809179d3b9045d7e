"""Who builds: no identity of a build may more than its step of the way needs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import hcl2
import pytest

from infra.deploy import before
from tests.support.terraform import ROOT

FOLDER = ROOT / "delivery"
# What these end in is for looking only; `securityReviewer` reads policies, not data.
READERS = ("viewer", "Viewer", "reader", "browser", "securityReviewer")


def plain(value: Any) -> Any:
    """hcl2 keeps the quotes of strings."""
    if isinstance(value, str):
        return value.strip('"')
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {plain(key): plain(item) for key, item in value.items()}
    return value


def parsed(name: str) -> dict[str, Any]:
    with (FOLDER / name).open(encoding="utf-8") as file:
        found: dict[str, Any] = plain(hcl2.load(file))
    return found


@pytest.fixture(scope="module")
def local() -> dict[str, Any]:
    (found,) = parsed("grants.tf")["locals"]
    values: dict[str, Any] = found
    return values


def test_who_plans_only_reads(local: dict[str, Any]) -> None:
    """The build that runs before an approval can change nothing of what runs."""
    for role in [*local["reading"], *local["reading_mlflow"]]:
        assert role.endswith(READERS), role


def test_who_applies_may_what_a_person_who_deploys_may(local: dict[str, Any]) -> None:
    """One list is the doctor's, who tells people what they lack; the other is Terraform's."""
    assert local["applying"] == list(before.ROLES)
    assert local["applying_mlflow"] == list(before.ROLES_MLFLOW)


def test_nobody_has_a_basic_role(local: dict[str, Any]) -> None:
    """Owner, editor, viewer of a project, which mean everything there will ever be."""
    text = (FOLDER / "grants.tf").read_text(encoding="utf-8")
    for basic in ("roles/owner", "roles/editor", "roles/viewer", "allUsers", "allAuthenticated"):
        assert basic not in text


def test_prefixes_are_closed() -> None:
    """`_specs` would also be the beginning of `_specs-of-others/`."""
    text = (FOLDER / "grants.tf").read_text(encoding="utf-8")
    prefixes = [
        word.strip(' "')
        for part in text.split("prefixes = [")[1:]
        for word in part.partition("]")[0].split(",")
    ]
    assert prefixes
    assert all(prefix.endswith("/") for prefix in prefixes)


def test_who_plans_may_look_at_every_object_that_terraform_keeps() -> None:
    """A plan asks Google for each resource of the state: without the right to one, no plan is made
    from the second deployment on."""
    kept = re.findall(
        r'resource "google_storage_bucket_object".*?name\s+= "([^$"]*/)',
        "".join(file.read_text(encoding="utf-8") for file in sorted(ROOT.glob("*.tf"))),
        re.DOTALL,
    )
    readable = re.findall(
        r'who = "plan", bucket = local.bundles, role = "roles/storage.object(?:Viewer|User)", '
        r'prefixes = \["([^"]+)"\]',
        (FOLDER / "grants.tf").read_text(encoding="utf-8"),
    )
    assert kept == ["functions/"]
    assert set(kept) <= set(readable)


def test_every_grant_is_in_the_one_file() -> None:
    """So that who reads it has read all of them."""
    for file in Path(FOLDER).glob("*.tf"):
        if file.name != "grants.tf":
            assert "_iam_member" not in file.read_text(encoding="utf-8"), file.name
            assert "_iam_binding" not in file.read_text(encoding="utf-8"), file.name
