"""Where an installation is to run: what Google has there, and how much of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from infra.complaints import kind
from infra.deploy.checks import Check, missing, not_made
from infra.deploy.deployment import Deployment
from infra.deploy.stages import Look
from infra.deploy.tools import StepFailed
from infra.topology import Topology

REGIONS = ("region for run", "region for cloudfunctions", "region for cloudscheduler")
QUOTA = "Cloud Run quota"
_CPU_QUOTA = "CpuAllocPerProjectRegion"


class Region:
    """Asked again: in a new project nobody answers before the APIs are on."""

    key = "region"
    title = "The region has Cloud Run, Functions and Scheduler"
    help = "Take the installation down (`teardown`) and deploy it into a region that has them."

    def look(self, deployment: Deployment) -> Look:
        checks = list(regions(deployment, None))
        notes = tuple(check.line() for check in checks if check.state != "ok")
        unknown = any(check.state == "unknown" for check in checks)
        return Look("to do" if missing(checks) else "unknown" if unknown else "done", (), notes)

    def apply(self, deployment: Deployment) -> None:
        lacking = missing(regions(deployment, None))
        if lacking:
            raise StepFailed("; ".join(f"{check.name}: {check.found}" for check in lacking))


def regions(deployment: Deployment, enabled: set[str] | None) -> Iterator[Check]:
    """Each of these knows other regions; Cloud Scheduler the fewest."""
    project, region = f"--project={deployment.project}", deployment.region
    places = {
        "run": ("gcloud", "run", "regions", "list", project, "--format=value(locationId)"),
        "cloudfunctions": (
            *("gcloud", "functions", "regions", "list", project),
            "--format=value(locationId)",
        ),
        "cloudscheduler": (
            *("gcloud", "scheduler", "locations", "list", project),
            "--format=value(locationId)",
        ),
    }
    trouble = ""
    for api, command in places.items():
        name = f"region for {api}"
        if enabled is not None and f"{api}.googleapis.com" not in enabled:
            yield Check(name, "unknown", "asked once the API is on")
            continue
        if trouble:  # of the login or the network: the next one has it, too
            yield from not_made([name], trouble)
            continue
        said = deployment.tools.ask(*command)
        known = {word.rpartition("/")[2] for word in said.out.split()}
        if not said.good or not known:
            trouble = said.why if kind(said.err) in ("login", "network") else ""
            yield Check(name, "unknown", said.why, said.next_step)
        elif region in known:
            yield Check(name, "ok", region)
        else:
            near = sorted(place for place in known if place.split("-")[0] == region.split("-")[0])
            yield Check(name, "missing", f"not in {region}; near: {', '.join(near)}")


def quotas(deployment: Deployment) -> Check:
    """What Cloud Run may take in the region at once, against the largest that could run at once."""
    vcpu = largest_vcpu(deployment.topology)
    said = deployment.tools.ask(
        *("gcloud", "beta", "quotas", "info", "list", "--service=run.googleapis.com"),
        *(f"--project={deployment.project}", "--format=json"),
    )
    name = QUOTA
    page = f"https://console.cloud.google.com/iam-admin/quotas?project={deployment.project}"
    found = quota_in(said.out, _CPU_QUOTA, deployment.region) if said.good else None
    if found is None:
        return Check(name, "unknown", f"needs up to {vcpu:.0f} vCPU at once; compare with: {page}")
    # The API counts in thousandths.
    have = found / 1000
    told = f"{have:.0f} vCPU in {deployment.region}, at most {vcpu:.0f} needed at once"
    return Check(name, "ok" if have >= vcpu else "doubtful", told, f"ask for more: {page}")


def largest_vcpu(topology: Topology) -> float:
    """A predictor at its limit, one training and one scoring run of the largest size, and every
    function at its limit."""
    running = [float(item.cpu) * item.max_instances for item in topology.functions.values()]
    running += [float(item.cpu) * item.max_instances for item in topology.services.values()]
    for job in topology.jobs.values():
        running.append(max(float(size.cpu) for size in job.sizes.values()) * job.max_tasks)
    return sum(running)


def quota_in(text: str, quota: str, region: str) -> float | None:
    """The limit of a quota in a region, from what `gcloud beta quotas info list` prints."""
    for info in _list(text):
        if info.get("quotaId") != quota:
            continue
        for item in info.get("dimensionsInfos", ()):
            value = item.get("details", {}).get("value")
            here = region in item.get("applicableLocations", ())
            if value is not None and (here or item.get("dimensions", {}).get("region") == region):
                return float(value)
    return None


def _list(text: str) -> list[dict[str, Any]]:
    try:
        body = json.loads(text)
    except ValueError:
        return []
    return [item for item in body if isinstance(item, dict)] if isinstance(body, list) else []
