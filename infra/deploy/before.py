"""The doctor before a deployment: tools, logins, the project, rights, region and quotas.

It asks gcloud and changes nothing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from infra.complaints import kind
from infra.deploy.checks import Check, missing, not_made
from infra.deploy.deployment import Deployment
from infra.deploy.ground import FIRST_APIS
from infra.deploy.places import QUOTA, REGIONS, quotas, regions
from infra.deploy.stages import Look
from infra.deploy.tools import StepFailed, Tools

TERRAFORM = (1, 9)
# What whoever deploys needs where they are no owner; least privilege for the deployed parts is
# another matter.
ROLES = (
    "roles/artifactregistry.admin",
    "roles/cloudbuild.builds.editor",
    "roles/cloudfunctions.admin",
    "roles/cloudscheduler.admin",
    "roles/iam.roleAdmin",
    "roles/iam.serviceAccountAdmin",
    "roles/iam.serviceAccountUser",
    "roles/logging.configWriter",
    "roles/monitoring.admin",
    "roles/pubsub.admin",
    "roles/resourcemanager.projectIamAdmin",
    "roles/run.admin",
    "roles/secretmanager.admin",
    "roles/serviceusage.serviceUsageAdmin",
    "roles/storage.admin",
)
ROLES_MLFLOW = ("roles/cloudsql.admin",)
LOGIN, DEFAULT_CREDENTIALS, PROJECT = "login", "application default credentials", "project"
KNOWS_ROLES = "gcloud for MLflow"


class Before:
    key = "doctor"
    title = "What must be there first"
    help = "Run the commands above; `./millrace doctor` looks again."

    def look(self, deployment: Deployment) -> Look:
        checks = list(before(deployment))
        lacking = missing(checks)
        notes = tuple(check.line() for check in checks if check.state != "ok")
        unknown = any(check.state == "unknown" for check in checks)
        return Look("to do" if lacking else "unknown" if unknown else "done", (), notes)

    def apply(self, deployment: Deployment) -> None:
        """Nothing can be done about what is missing here; what could not be looked up is tried."""
        lacking = missing(before(deployment))
        if lacking:
            raise StepFailed("missing: " + ", ".join(check.name for check in lacking))


def before(deployment: Deployment) -> Iterator[Check]:
    """All of it; what depends on a login or the project is unknown where that is not there."""
    tools = deployment.tools
    yield from tool_checks(tools)
    if not tools.has("gcloud"):
        yield from _unasked(deployment, "login", "gcloud is not installed")
        return
    account = _account(tools)
    yield account
    yield _default_credentials(tools)
    if account.state != "ok":
        yield from _unasked(deployment, "project", "nobody is logged in")
        return
    project = _project(deployment)
    yield project
    if project.state != "ok":
        yield from _unasked(deployment, "billing", "asked once the project is found")
        return
    yield _billing(deployment)
    enabled = _enabled(deployment)
    yield _apis(deployment, enabled)
    yield _roles(deployment, account.found)
    yield from regions(deployment, enabled)
    yield quotas(deployment)
    if deployment.runs_mlflow:
        yield _knows_roles(tools)


def _unasked(deployment: Deployment, first: str, why: str) -> Iterator[Check]:
    """The checks that were not made, from `first` on."""
    names = [LOGIN, DEFAULT_CREDENTIALS, PROJECT, "billing", "APIs", "roles", *REGIONS, QUOTA]
    names += [KNOWS_ROLES] if deployment.runs_mlflow else []
    return not_made(names[names.index(first) :], why)


def _knows_roles(tools: Tools) -> Check:
    """MLflow's account is made a member of the database's owner by a command that gcloud 528, of
    June 2025, does not have yet."""
    said = tools.ask("gcloud", "sql", "users", "assign-roles", "--help")
    if said.good:
        return Check(KNOWS_ROLES, "ok", "knows `sql users assign-roles`")
    found = "too old: it does not know `sql users assign-roles`"
    return Check(KNOWS_ROLES, "missing", found, "gcloud components update")


def tool_checks(tools: Tools) -> Iterator[Check]:
    if tools.has("gcloud"):
        said = tools.ask("gcloud", "version", "--format=json")
        found = _json(said.out).get("Google Cloud SDK", "installed") if said.good else said.why
        yield Check("gcloud", "ok" if said.good else "missing", str(found))
    else:
        fix = "https://cloud.google.com/sdk/docs/install"
        yield Check("gcloud", "missing", "not installed", fix)
    if not tools.has("terraform"):
        fix = "https://developer.hashicorp.com/terraform/install"
        yield Check("terraform", "missing", "not installed", fix)
        return
    said = tools.ask("terraform", "version", "-json")
    version = str(_json(said.out).get("terraform_version", ""))
    numbers = tuple(int(part) for part in re.findall(r"\d+", version)[:2])
    if numbers >= TERRAFORM:
        yield Check("terraform", "ok", version)
    else:
        wanted = ".".join(map(str, TERRAFORM))
        yield Check("terraform", "missing", version or said.why, f"version {wanted} or newer")


def _account(tools: Tools) -> Check:
    said = tools.ask("gcloud", "auth", "list", "--filter=status:ACTIVE", "--format=value(account)")
    account = said.out.strip().splitlines()[0] if said.out.strip() else ""
    if account:
        return Check(LOGIN, "ok", account)
    if not said.good:
        return Check(LOGIN, "unknown", said.why)
    return Check(LOGIN, "missing", "gcloud knows nobody", "gcloud auth login")


def _default_credentials(tools: Tools) -> Check:
    """Terraform and Google's clients take these, not gcloud's own. The token is thrown away."""
    said = tools.ask("gcloud", "auth", "application-default", "print-access-token")
    if said.good:
        return Check(DEFAULT_CREDENTIALS, "ok", "there")
    if kind(said.err) == "network":
        return Check(DEFAULT_CREDENTIALS, "unknown", said.why, said.next_step)
    fix = "gcloud auth application-default login"
    return Check(DEFAULT_CREDENTIALS, "missing", said.why, fix)


def _project(deployment: Deployment) -> Check:
    project = deployment.project
    said = deployment.tools.ask("gcloud", "projects", "describe", project, "--format=json")
    body = _json(said.out) if said.good else {}
    if body.get("lifecycleState") == "ACTIVE":
        return Check(PROJECT, "ok", f"{project} ({body.get('projectNumber')})")
    create = f"gcloud projects create {project}"
    if body.get("lifecycleState"):
        return Check(PROJECT, "missing", f"{project} is {body['lifecycleState']}", create)
    if kind(said.err) == "absent":
        return Check(PROJECT, "missing", said.why, create)
    # Google says to strangers that they may not see it, also where there is none.
    new = f"; if there is none yet: {create}" if kind(said.err) == "rights" else ""
    return Check(PROJECT, "unknown", said.why, f"{said.next_step}{new}")


def _billing(deployment: Deployment) -> Check:
    project = deployment.project
    command = ("gcloud", "billing", "projects", "describe", project)
    said = deployment.tools.ask(*command, "--format=value(billingEnabled)")
    if said.good and said.out.strip() == "True":
        return Check("billing", "ok", "on")
    fix = f"gcloud billing projects link {project} --billing-account=XXXXXX-XXXXXX-XXXXXX"
    if said.good:
        return Check("billing", "missing", f"{project} has no billing account", fix)
    return Check("billing", "unknown", said.why, said.next_step or fix)


def _enabled(deployment: Deployment) -> set[str] | None:
    said = deployment.tools.ask(
        *("gcloud", "services", "list", "--enabled", f"--project={deployment.project}"),
        "--format=value(config.name)",
    )
    return set(said.out.split()) if said.good else None


def _apis(deployment: Deployment, enabled: set[str] | None) -> Check:
    first = [api for api in FIRST_APIS if enabled is not None and api not in enabled]
    fix = f"gcloud services enable {' '.join(FIRST_APIS)} --project={deployment.project}"
    if enabled is None:
        return Check("APIs", "unknown", "gcloud does not list them", fix)
    if first:
        # Not missing: `deploy` switches them on, with these very words.
        return Check("APIs", "doubtful", f"off, and switched on first: {', '.join(first)}", fix)
    return Check("APIs", "ok", f"{len(enabled)} on; deploy switches on the others it needs")


def _roles(deployment: Deployment, account: str) -> Check:
    said = deployment.tools.ask(
        *("gcloud", "projects", "get-iam-policy", deployment.project),
        *("--flatten=bindings[].members", f"--filter=bindings.members:{account}"),
        "--format=value(bindings.role)",
    )
    if not said.good:
        return Check("roles", "unknown", f"{account} may not read them: {said.why}")
    has = set(said.out.split())
    needed = [*ROLES, *(ROLES_MLFLOW if deployment.runs_mlflow else ())]
    lacking = [role for role in needed if role not in has]
    if "roles/owner" in has or not lacking:
        return Check("roles", "ok", f"{account} may deploy")
    kind = "serviceAccount" if account.endswith(".gserviceaccount.com") else "user"
    fix = (
        f"for role in {' '.join(lacking)}; do gcloud projects add-iam-policy-binding "
        f"{deployment.project} --member={kind}:{account} --role=$role --condition=None; done"
    )
    found = f"{account} has not by itself (a group or folder may give them): {', '.join(lacking)}"
    return Check("roles", "doubtful", found, fix)


def _json(text: str) -> dict[str, Any]:
    try:
        body = json.loads(text)
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}
