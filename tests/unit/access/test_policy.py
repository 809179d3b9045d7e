"""What Terraform may grant at all, read from its files: no terraform is needed."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest

from infra.topology import Topology
from tests.support.granting import finished_topology
from tests.support.hcl import Resource, files, resources
from tests.support.terraform import ROOT

GRANT = re.compile(r"google_\w+_iam_(member|binding|policy|audit_config)")
# Ways around roles on things: keys, lists of access on objects, and whole policies, which would
# take away what others granted.
NEVER = re.compile(
    r"google_service_account_key|google_storage_hmac_key|google_\w+_iam_(binding|policy)"
    r"|google_storage_(bucket|object|default_object)_(acl|access_control)"
)
EVERYBODY = re.compile(r"\ballUsers\b|\ballAuthenticatedUsers\b")
BASIC = re.compile(r"roles/(owner|editor|viewer)\b")
ADMIN = re.compile(r"roles/[a-zA-Z.]*[aA]dmin\b")
# What people may have on the whole project: to see what runs, and to start what Scheduler starts.
SEES = re.compile(r"roles/(logging|monitoring|run|cloudscheduler)\.viewer|[a-z/]+\.jobRunner")

CALLABLE = """{ for key, edge in local.grants.invoker : key => edge
                if contains(keys(local.callable), edge.service) }"""
NOTIFYING = """{ for key, bucket in module.topology.buckets : key => bucket
                 if bucket.notify_topic != null }"""
# Every grant of the installation: what it goes through (None: no edges of the topology), and with
# which role. An edge reaches Google by one of these and in no other way.
LOOPS = {
    "google_storage_bucket_iam_member.access": ("local.grants.bucket", "each.value.role"),
    "google_pubsub_topic_iam_member.publisher": ("local.grants.topic", "roles/pubsub.publisher"),
    "google_cloud_run_v2_job_iam_member.runner": (
        "local.grants.job",
        "roles/run.jobsExecutorWithOverrides",
    ),
    "google_cloud_run_v2_job_iam_member.watcher": (
        "local.grants.job",
        "google_project_iam_custom_role.executions.id",
    ),
    "google_cloud_run_v2_service_iam_member.invoker": (
        CALLABLE,
        "roles/run.invoker",
    ),
    "google_secret_manager_secret_iam_member.reader": (
        "local.grants.secret",
        "roles/secretmanager.secretAccessor",
    ),
    "google_project_iam_member.vertex_registry": (
        '{ for key, edge in local.grants.registry : key => edge if edge.external == "vertex" }',
        "google_project_iam_custom_role.vertex_registry[0].name",
    ),
    "google_project_iam_member.people": ("local.grants.project", "each.value.role"),
    "google_pubsub_topic_iam_member.dead_letter_publisher": ("", "roles/pubsub.publisher"),
    "google_pubsub_subscription_iam_member.dead_letter_subscriber": (
        "toset(module.topology.agent_grants.dead_letters)",
        "roles/pubsub.subscriber",
    ),
    "google_pubsub_topic_iam_member.scheduler_publisher": (
        "toset(module.topology.agent_grants.scheduler_topics)",
        "roles/pubsub.publisher",
    ),
    "google_pubsub_topic_iam_member.storage_agent": (
        NOTIFYING,
        "roles/pubsub.publisher",
    ),
    "google_storage_bucket_iam_member.export_writer": (None, "each.value.role"),
    "google_service_account_iam_member.deployer": (None, "roles/iam.serviceAccountUser"),
    "google_project_iam_member.mlflow_database": (None, "each.key"),
    "google_storage_bucket_iam_member.vertex_agent": (None, "roles/storage.objectViewer"),
}


@pytest.fixture(scope="module")
def every() -> list[Resource]:
    return resources()


def is_grant(resource: Resource) -> bool:
    return GRANT.fullmatch(resource.type) is not None


def breaches(every: Iterable[Resource], plan: Topology) -> list[str]:
    """What may not be, in words."""
    every = list(every)
    found = [f"{item.key} is a {item.type}" for item in every if NEVER.fullmatch(item.type)]
    for item in every:
        text = str(item.body)
        if EVERYBODY.search(text):
            found.append(f"{item.key} is for everybody")
        if BASIC.search(text):
            found.append(f"{item.key} has a basic role")
        if is_grant(item) and ADMIN.search(text):
            found.append(f"{item.key} administers")
    projects = {item.key for item in every if item.type == "google_project_iam_member"}
    found += [
        f"{key} is the project's, without a reason" for key in projects - {*plan.project_roles}
    ]
    found += [f"{key} has a reason and no grant" for key in {*plan.project_roles} - projects]
    found += [
        f"{name} may too much of the project: {role}"
        for name, people in plan.people.items()
        for role in people.project
        if not SEES.fullmatch(role)
    ]
    return [*found, *_loops(every)]


def _loops(every: Iterable[Resource]) -> list[str]:
    """The installation's grants are the ones we know, and go through what they should."""
    ours = {f"{x.type}.{x.name}": x.body for x in every if is_grant(x) and not x.folder}
    found = [f"{key} grants what no edge asks for" for key in ours.keys() - LOOPS.keys()]
    found += [f"{key} is gone, and its edges with it" for key in LOOPS.keys() - ours.keys()]
    for key in LOOPS.keys() & ours.keys():
        through, role = LOOPS[key]
        body = ours[key]
        if through is not None and _words(body.get("for_each", "")) != _words(through):
            found.append(f"{key} goes through something else")
        if _words(body["role"]) != _words(role):
            found.append(f"{key} grants another role")
    return found


def _words(text: str) -> str:
    """An expression without spaces and without `${}` around it."""
    bare = text[2:-1] if text.startswith("${") and text.endswith("}") else text
    return re.sub(r"\s+", "", bare)


def test_terraform_grants_nothing_that_nobody_may_have(every: list[Resource]) -> None:
    """No basic or administrating role, nobody unknown, no keys, no whole policies, nothing on the
    project without a reason, no grant without an edge and no kind of edge without its grant."""
    assert breaches(every, finished_topology()) == []
    assert sum(map(is_grant, every)) > 15


def member(folder: str, kind: str, name: str, **body: Any) -> Resource:
    base = {"role": "roles/run.invoker", "member": "${each.value.member}"}
    return Resource(folder, kind, name, base | body)


INVOKER = "google_cloud_run_v2_service_iam_member"
PROJECT = "google_project_iam_member"


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (member("", INVOKER, "open", member="allUsers"), "open is for everybody"),
        (member("x", INVOKER, "o", member="allAuthenticatedUsers"), "x/o is for everybody"),
        (member("x", PROJECT, "p", role="roles/editor"), "x/p has a basic role"),
        (member("x", PROJECT, "p", role="roles/browser"), "x/p is the project's, without a reason"),
        (member("x", INVOKER, "a", role="roles/run.admin"), "x/a administers"),
        (member("", INVOKER, "n"), f"{INVOKER}.n grants what no edge asks for"),
        (member("x", "google_service_account_key", "k"), "x/k is a google_service_account_key"),
        (member("x", "google_storage_hmac_key", "k"), "x/k is a google_storage_hmac_key"),
        (
            member("x", "google_storage_bucket_iam_policy", "k"),
            "x/k is a google_storage_bucket_iam_policy",
        ),
        (
            member("x", "google_pubsub_topic_iam_binding", "k"),
            "x/k is a google_pubsub_topic_iam_binding",
        ),
        (
            member("x", "google_storage_object_acl", "k"),
            "x/k is a google_storage_object_acl",
        ),
    ],
)
def test_a_grant_too_many_is_found(every: list[Resource], more: Resource, said: str) -> None:
    """Of every kind that must not be."""
    assert said in breaches([*every, more], finished_topology())


@pytest.mark.parametrize("role", ["roles/run.admin", "roles/viewer", "roles/secretmanager.viewer"])
def test_a_role_of_people_that_reaches_too_far_is_found(every: list[Resource], role: str) -> None:
    """It stands in the topology, not in Terraform's files."""
    plan = finished_topology()
    on_call = replace(plan.people["on-call"], project=(role,))
    more = replace(plan, people={**plan.people, "on-call": on_call})
    assert breaches(every, more) == [f"on-call may too much of the project: {role}"]


@pytest.mark.parametrize("key", sorted(LOOPS))
def test_a_grant_that_is_missing_is_found(every: list[Resource], key: str) -> None:
    """Without any one of the loops the edges that go through it would be words."""
    fewer = [item for item in every if item.folder or f"{item.type}.{item.name}" != key]
    assert len(fewer) == len(every) - 1
    assert f"{key} is gone, and its edges with it" in breaches(fewer, finished_topology())


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"for_each": "${module.topology.people}"}, "goes through something else"),
        ({"role": "roles/pubsub.editor"}, "grants another role"),
    ],
)
def test_a_grant_that_is_another_is_found(
    every: list[Resource], change: dict[str, str], said: str
) -> None:
    """A loop over something else, or a stronger role."""
    key = "google_pubsub_topic_iam_member.publisher"
    changed = [
        item._replace(body=item.body | change) if f"{item.type}.{item.name}" == key else item
        for item in every
    ]
    assert f"{key} {said}" in breaches(changed, finished_topology())


def test_everybody_stands_nowhere_else_either() -> None:
    """Not in a variable's default, a local or an environment's file; only where it is refused."""
    texts = [*files(), *ROOT.glob("environments/*")]
    lines = [
        line.strip()
        for file in texts
        for line in file.read_text(encoding="utf-8").splitlines()
        if EVERYBODY.search(line) or BASIC.search(line)
    ]
    assert all(line.startswith(("error_message", "#", "description")) for line in lines), lines


def test_nothing_has_a_key_or_a_default_account(every: list[Resource]) -> None:
    """What runs says who it is: functions, services, jobs and builds name their own account."""
    runs = {
        "google_cloudfunctions2_function": ("service_config", "service_account_email"),
        "google_cloud_run_v2_service": ("template", "service_account"),
        "google_cloud_run_v2_job": ("template", "template"),
    }
    seen = 0
    for item in every:
        if item.type in runs:
            block, attribute = runs[item.type]
            (inner,) = item.body[block]
            named = inner[attribute]
            if attribute == "template":
                (task,) = named
                named = task["service_account"]
            assert "google_service_account." in named, item.key
            seen += 1
    assert seen >= 3
