"""The doctor: what it asks before a deployment, and every link of the chain afterwards."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from click.testing import CliRunner

from infra.deploy import trial
from infra.deploy.after import LINKS, after, subscription_name
from infra.deploy.before import ROLES, before
from infra.deploy.chain import Chain
from infra.deploy.checks import Check, missing, verdict
from infra.deploy.doors import DOORS, doors
from infra.deploy.places import largest_vcpu, quota_in
from infra.deploy.tools import StepFailed
from infra.topology import Subscription, Topology
from infra.topology import load as load_topology
from shared.adapters.names import wire_job, wire_topic
from shared.cli import identity, installations
from shared.cli.installations import Installation
from shared.cli.main import cli
from tests.support.fake_cloud import NUMBER
from tests.unit.deploy.conftest import Site

THERE = Installation.predicted("acme", "acme-data", NUMBER, "europe-west1", "dev", mlflow=True)
TOPOLOGY = load_topology()


# --- before --------------------------------------------------------------------------------------


def found(site: Site, name: str, **more: Any) -> Check:
    return next(check for check in before(site.deployment(**more)) if check.name == name)


def test_a_ready_project_is_in_order(site: Site) -> None:
    """Nothing to do, and nothing was changed to find out; no token is shown."""
    checks = list(before(site.deployment()))
    assert missing(checks) == []
    assert site.cloud.changes() == []
    assert "a-token" not in json.dumps([check.to_json() for check in checks])


@pytest.mark.parametrize(
    ("world", "name", "state", "command"),
    [
        ({"account": ""}, "login", "missing", "gcloud auth login"),
        (
            {"adc": False},
            "application default credentials",
            "missing",
            "gcloud auth application-default login",
        ),
        ({"billing": False}, "billing", "missing", "gcloud billing projects link acme-data"),
        ({"roles": ["roles/run.admin"]}, "roles", "doubtful", "add-iam-policy-binding"),
        ({"regions": ["europe-north1"]}, "region for cloudscheduler", "missing", ""),
        ({"quota": 1000}, "Cloud Run quota", "doubtful", "console.cloud.google.com"),
        ({"apis": []}, "region for run", "unknown", ""),
        ({"apis": []}, "APIs", "doubtful", "gcloud services enable"),
    ],
)
def test_what_is_missing_comes_with_its_command(
    site: Site, world: Mapping[str, Any], name: str, state: str, command: str
) -> None:
    """The exact one; what deploy does itself, or a group may have given, stops nobody."""
    site.cloud.be(**world)
    check = found(site, name)
    assert (check.state, command in check.fix) == (state, True)


def test_whoever_has_the_roles_needs_not_own_the_project(site: Site) -> None:
    """All that Terraform needs, without MLflow's."""
    site.cloud.be(roles=list(ROLES))
    assert found(site, "roles").state == "ok"
    assert "roles/cloudsql.admin" in found(site, "roles", mlflow="server").fix


def test_an_old_gcloud_cannot_make_mlflows_tables(site: Site) -> None:
    """Asked only where MLflow runs."""
    assert found(site, "gcloud for MLflow", mlflow="server").state == "ok"
    site.cloud.fail("sql users assign-roles --help")
    assert found(site, "gcloud for MLflow", mlflow="server").fix == "gcloud components update"
    names = {check.name for check in before(site.deployment())}
    assert "gcloud for MLflow" not in names


def test_an_old_terraform_is_not_enough(site: Site) -> None:
    """With the version that is."""
    site.cloud.be(answers={"terraform version": {"terraform_version": "1.5.7"}})
    check = found(site, "terraform")
    assert (check.state, check.fix) == ("missing", "version 1.9 or newer")


def test_a_region_that_google_lacks_names_its_neighbours(site: Site) -> None:
    """Cloud Scheduler is in fewer regions than Cloud Run."""
    site.cloud.be(answers={"scheduler locations": "europe-west1\neurope-west3\nus-east1"})
    check = found(site, "region for cloudscheduler", region="europe-southwest1")
    assert check.found == "not in europe-southwest1; near: europe-west1, europe-west3"


def test_quotas_are_read_for_the_region() -> None:
    """Of several, the one that applies here; nothing where there is none."""
    infos = [
        {
            "quotaId": "CpuAllocPerProjectRegion",
            "dimensionsInfos": [
                {"applicableLocations": ["us-east1"], "details": {"value": "1000"}},
                {"applicableLocations": ["europe-west1"], "details": {"value": "20000"}},
            ],
        }
    ]
    text = json.dumps(infos)
    assert quota_in(text, "CpuAllocPerProjectRegion", "europe-west1") == 20_000
    assert quota_in(text, "CpuAllocPerProjectRegion", "asia-east1") is None
    assert quota_in("no JSON", "CpuAllocPerProjectRegion", "europe-west1") is None
    assert largest_vcpu(TOPOLOGY) > 20


# --- after ---------------------------------------------------------------------------------------


@dataclass
class World:
    """Google Cloud as its lists show it, in order unless a test changes it."""

    site: Site
    topics: list[dict[str, Any]] = field(default_factory=list)
    subscriptions: list[dict[str, Any]] = field(default_factory=list)
    services: list[dict[str, Any]] = field(default_factory=list)
    jobs: list[dict[str, Any]] = field(default_factory=list)
    schedules: list[dict[str, Any]] = field(default_factory=list)
    notification: str = "millrace-uploads"
    secrets: list[dict[str, Any]] = field(default_factory=lambda: [{"name": "1"}])
    doors: dict[str, tuple[int, int]] = field(default_factory=dict)
    token: bool = True

    def chain(self, topology: Topology = TOPOLOGY) -> Chain:
        lists: dict[str, Any] = {
            "buckets notifications list": [{"topic": f"//x/topics/{self.notification}"}],
            "buckets describe": {"name": "there"},
            "pubsub topics list": self.topics,
            "pubsub subscriptions list": self.subscriptions,
            "run services list": self.services,
            "run jobs list": self.jobs,
            "scheduler jobs list": self.schedules,
            "secrets versions list": self.secrets,
        }
        self.site.cloud.be(answers={**lists, **self.site.cloud.world["answers"]})
        tools = self.site.deployment().tools
        return Chain(THERE, topology, tools, self._ask, self._authorize)

    def _ask(
        self, method: str, url: str, body: object, headers: Mapping[str, str]
    ) -> tuple[int, Any]:
        stranger, known = self.doors[url.partition("//")[2].partition("-")[0]]
        return (known if headers else stranger), {}

    def _authorize(self, url: str) -> Mapping[str, str]:
        if not self.token:
            raise StepFailed("no ID token")
        return {"Authorization": "Bearer a.b.c"}


def subscription(item: Subscription) -> dict[str, Any]:
    body: dict[str, Any] = {
        "name": f"projects/acme-data/subscriptions/{subscription_name(item)}",
        "topic": f"projects/acme-data/topics/{wire_topic(item.topic)}",
        "state": "ACTIVE",
        **({"filter": item.filter} if item.filter else {}),
    }
    if item.dead_letter:
        topic = f"projects/acme-data/topics/{wire_topic('dead-letters')}"
        body["deadLetterPolicy"] = {"deadLetterTopic": topic}
    if item.push:
        url = f"https://{item.push}-abc-ew.a.run.app"
        token = {"serviceAccountEmail": "mr-push@acme-data.iam.gserviceaccount.com"}
        body["pushConfig"] = {"pushEndpoint": url, "oidcToken": {**token, "audience": url}}
    else:
        body["cloudStorageConfig"] = {"bucket": THERE.lake}
    return body


def account(name: str) -> dict[str, str]:
    return {"serviceAccountName": f"mr-{name}@acme-data.iam.gserviceaccount.com"}


@pytest.fixture
def world(site: Site) -> World:
    names = [*TOPOLOGY.functions, *TOPOLOGY.services, "mlflow"]
    ready = {"conditions": [{"type": "Ready", "status": "True"}]}
    return World(
        site,
        topics=[{"name": f"projects/acme-data/topics/{wire_topic(t)}"} for t in TOPOLOGY.topics],
        subscriptions=[subscription(item) for item in TOPOLOGY.subscriptions.values()],
        services=[
            {
                "metadata": {"name": name},
                "spec": {"template": {"spec": account(name)}},
                "status": copy.deepcopy(ready),
            }
            for name in names
        ],
        jobs=[
            {
                "metadata": {"name": wire_job(f"{name}-{size}")},
                "spec": {"template": {"spec": {"template": {"spec": account(name)}}}},
            }
            for name, job in TOPOLOGY.jobs.items()
            for size in job.sizes
        ],
        schedules=[
            {"name": f"projects/p/locations/r/jobs/millrace-{name}", "state": "ENABLED"}
            for name in TOPOLOGY.schedules
        ],
        doors={"predict": (403, 200), "promote": (401, 409), "mlflow": (403, 200)},
    )


def bad(world: World) -> dict[str, Check]:
    return {check.name: check for check in after(world.chain()) if check.state != "ok"}


def test_an_installation_as_the_topology_says_is_in_order(world: World) -> None:
    """Every link is looked at once, and nothing is changed to do so."""
    checks = list(after(world.chain()))
    assert [check for check in checks if check.state != "ok"] == []
    names = {check.name for check in checks}
    assert {f"subscription {name}" for name in TOPOLOGY.subscriptions} <= names
    assert {f"function {name}" for name in TOPOLOGY.functions} <= names
    assert {"job train", "schedule sweep", "door of promote", "door of mlflow"} <= names
    assert verdict(checks) == f"{len(checks)} of {len(checks)} in order."
    assert world.site.cloud.changes() == []


def test_every_broken_link_is_named(world: World) -> None:
    """What is wrong with it, and that deploying puts it back."""
    world.topics = [row for row in world.topics if "alerts" not in row["name"]]
    world.notification = "elsewhere"
    world.subscriptions[0].pop("deadLetterPolicy")
    world.subscriptions[1]["filter"] = 'attributes.type = "Other"'
    world.subscriptions[2]["pushConfig"]["oidcToken"]["audience"] = "https://other"
    world.subscriptions[3]["pushConfig"]["pushEndpoint"] = "https://other-x.a.run.app"
    world.subscriptions[4]["state"] = "RESOURCE_ERROR"
    del world.subscriptions[5]
    world.services[0]["spec"]["template"]["spec"] = account("somebody")
    world.services[1]["status"]["conditions"][0]["status"] = "False"
    world.jobs = [row for row in world.jobs if not row["metadata"]["name"].endswith("train-l")]
    del world.schedules[0]
    wrong = bad(world)
    keys = list(TOPOLOGY.subscriptions)
    for key, words in zip(
        keys[:6],
        (
            "no dead letters",
            "its filter is",
            "tokens are for",
            "pushes to",
            "state is",
            "not there",
        ),
        strict=True,
    ):
        assert words in wrong[f"subscription {key}"].found
    functions = list(TOPOLOGY.functions)
    assert "runs as mr-somebody" in wrong[f"function {functions[0]}"].found
    assert wrong[f"function {functions[1]}"].found == "it is not ready"
    assert {"topics", "notification of uploads", "job train"} <= set(wrong)
    assert f"schedule {next(iter(TOPOLOGY.schedules))}" in wrong
    assert {check.state for check in wrong.values()} == {"missing"}
    assert all("deploy acme --apply" in check.fix for check in wrong.values())


def test_what_is_switched_off_is_told_and_stops_nothing(world: World) -> None:
    """A paused schedule, a secret without a value."""
    world.schedules[0]["state"] = "PAUSED"
    world.secrets = []
    wrong = bad(world)
    assert {check.state for check in wrong.values()} == {"doubtful"}
    fix = wrong["secret slack-webhook-url"].fix
    assert fix == "./millrace --context acme secret set slack-webhook-url"


def test_doors_are_tried_as_a_stranger_and_as_oneself(world: World) -> None:
    """An open door is worst; a closed one for oneself says which role opens it."""
    world.doors = {"predict": (200, 200), "promote": (403, 403), "mlflow": (401, 500)}
    wrong = bad(world)
    assert (wrong["door of predict"].state, wrong["door of promote"].state) == (
        "missing",
        "doubtful",
    )
    assert "lets strangers in" in wrong["door of predict"].found
    assert "people.deciders" in wrong["door of promote"].fix
    assert wrong["door of mlflow"].state == "missing"
    world.token = False
    assert bad(world)["door of promote"].state == "unknown"


def test_what_cannot_be_listed_is_unknown_and_not_missing(world: World) -> None:
    """A refusal says nothing about what is there."""
    world.site.cloud.fail("pubsub subscriptions list", said="ERROR: PERMISSION_DENIED")
    check = bad(world)["subscriptions"]
    assert (check.state, "PERMISSION_DENIED" in check.found) == ("unknown", True)


def test_a_bucket_is_missing_only_where_google_says_so(world: World) -> None:
    """Not found is missing, a refusal is unknown; unasked, every link is told as unknown."""
    world.site.cloud.fail("buckets describe gs://acme-data-millrace-inbox", said="ERROR: 404")
    world.site.cloud.fail("buckets describe gs://acme-data-millrace-lake", said="ERROR: 403")
    wrong = bad(world)
    assert (wrong["bucket inbox"].state, wrong["bucket lake"].state) == ("missing", "unknown")
    found = {check.name: check.state for check in after(world.chain(), "nobody is logged in")}
    assert {found.pop(f"door of {name}") for name in ("predict", "promote", "mlflow")} == {"ok"}
    assert found == dict.fromkeys(LINKS, "unknown")


@pytest.mark.parametrize(
    ("said", "state", "step"),
    [
        ("You do not currently have an active account selected.", "unknown", "gcloud auth login"),
        ("HTTPSConnectionPool(host='storage', port=443): Max retries", "unknown", "network"),
        ("PERMISSION_DENIED: nor is it known whether x was not found", "unknown", "that right"),
        ("gs://p-404-millrace-inbox: no idea", "unknown", ""),
        ("NOT_FOUND: account ada, which is the active account", "missing", "deploy acme --apply"),
    ],
)
def test_only_a_clear_not_found_is_missing(world: World, said: str, state: str, step: str) -> None:
    """Whoever could not look learns what to do about that, not to deploy."""
    for pattern in ("buckets describe .*inbox", "pubsub topics list", "secrets versions list"):
        world.site.cloud.fail(pattern, said=f"ERROR: {said}")
    wrong = bad(world)
    for name in ("bucket inbox", "topics", "secret slack-webhook-url"):
        assert (wrong[name].state, step in wrong[name].fix) == (state, True)
        assert ("deploy" in wrong[name].fix) is (state == "missing")


def test_a_door_that_is_not_reached_is_not_missing(world: World) -> None:
    """Nor does a page that Google has for no service let anybody in."""
    chain = world.chain()

    def nowhere(*_: object) -> tuple[int, Any]:
        raise ConnectionError("https://predict is not reached: Failed to resolve")

    found = [check.state for check in doors(replace(chain, ask=nowhere))]
    assert found == ["unknown"] * 3
    world.doors["predict"] = (404, 404)
    check = next(doors(chain))
    assert (check.state, "nothing is at" in check.found) == ("missing", True)


def test_without_a_login_every_other_check_is_told_as_not_made(site: Site) -> None:
    """Once it is said, and nothing else is asked of Google."""
    site.cloud.be(account="", adc=False)
    checks = {check.name: check.state for check in before(site.deployment(mlflow="server"))}
    there = ("gcloud", "terraform")
    lacking = ("login", "application default credentials")
    assert [name for name, state in checks.items() if state == "ok"] == list(there)
    assert [name for name, state in checks.items() if state == "missing"] == list(lacking)
    others = {name for name in checks if name not in (*there, *lacking)}
    site.cloud.be(account="ada@example.com", adc=True)
    assert others == {c.name for c in before(site.deployment(mlflow="server"))} - {*there, *lacking}


def test_the_doctor_stops_where_nobody_is_logged_in(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The chain, the doors and the dead letters are told as not asked, and are not."""
    installations.save(THERE)
    site.cloud.be(account="", adc=False)
    monkeypatch.setenv("PATH", str(site.cloud.bin))
    monkeypatch.delenv(identity.TOKEN, raising=False)
    result = CliRunner().invoke(cli, ["doctor", "acme", "--json"])
    assert result.exit_code == 1
    found = {row["name"]: row["state"] for row in json.loads(result.stdout)}
    assert {*LINKS, *DOORS, "door of mlflow", "dead letters"} <= {
        name for name, state in found.items() if state == "unknown"
    }
    assert not any("list" in call for call in site.cloud.calls if "auth list" not in call)


def test_the_doctor_stops_where_google_is_not_reached(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A script does not take that for an installation in order; nothing is called missing."""
    installations.save(THERE)
    site.cloud.fail("projects describe", said="ERROR: Failed to resolve 'googleapis.com'")
    monkeypatch.setenv("PATH", str(site.cloud.bin))
    result = CliRunner().invoke(cli, ["doctor", "acme", "--json"])
    states = {row["state"] for row in json.loads(result.stdout)}
    assert (result.exit_code, states) == (1, {"ok", "unknown"})
    assert not any("buckets" in call for call in site.cloud.calls)


@pytest.mark.parametrize(
    ("said", "state"),
    [
        ("NOT_FOUND: no such project", "missing"),
        ("does not have permission to access acme-data (or it may not exist)", "unknown"),
        ("Failed to resolve 'cloudresourcemanager.googleapis.com'", "unknown"),
    ],
)
def test_a_project_that_nobody_may_see_is_not_made_again(site: Site, said: str, state: str) -> None:
    """What depends on it is not asked."""
    site.cloud.fail("projects describe", said=f"ERROR: {said}")
    checks = {check.name: check.state for check in before(site.deployment())}
    assert (checks["project"], checks["billing"]) == (state, "unknown")


def test_the_last_stage_waits_for_what_is_new(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rights take minutes: it looks again a few times, then says what is not in order."""
    installations.save(THERE)
    monkeypatch.setattr(trial, "PAUSE_SECONDS", 0.0)
    monkeypatch.setattr(trial, "after", after)
    monkeypatch.setattr(trial, "chain_of", lambda *_: world.chain())
    doors = dict(world.doors)
    world.doors["predict"] = (403, 503)
    deployment = world.site.deployment()
    with pytest.raises(StepFailed, match="not in order: door of predict"):
        trial.Trial().apply(deployment)
    assert world.site.text.count("not yet: door of predict") == trial.TRIES - 1

    def mend(line: str) -> None:
        world.site.told.append(line)
        world.doors = doors

    deployment.tools.tell = mend
    trial.Trial().apply(deployment)
    assert "in order." in world.site.text
