"""What the module `infra/terraform/topology` hands to Terraform allows what the topology says, and
nothing else: run by the real `terraform`, its conditions evaluated."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from infra import access, topology
from infra.access import WORDS, Edge
from infra.topology import Topology
from tests.support import terraform
from tests.support.conditions import Request, holds, permitted
from tests.support.granting import finished_topology

Outputs = dict[str, Any]
AGENTS = ("storage", "scheduler", "pubsub")


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Outputs:
    return terraform.outputs(tmp_path_factory.mktemp("topology"))


@pytest.fixture
def changed(found: Outputs) -> Outputs:
    return copy.deepcopy(found)


# --- edges other than objects --------------------------------------------------------------------


def granted(found: Outputs) -> set[Edge]:
    """Everything that is granted, one by one, but what is in buckets."""
    kinds = {"topic": "publishes", "job": "runs", "secret": "secrets"}
    edges = {
        Edge(item["who"], verb, item[kind], item["when"])
        for kind, verb in kinds.items()
        for item in found[f"{kind}_grants"].values()
    }
    edges |= {
        Edge(item["who"], "calls", item["service"], item["when"])
        for item in found["invoker_grants"].values()
    }
    edges |= {
        Edge(item["who"], "calls", item["external"], item["when"])
        for item in found["registry_grants"].values()
    }
    edges |= {
        Edge(item["who"], "has", item["role"], item["when"])
        for item in found["project_grants"].values()
    }
    agents = found["agent_grants"]
    edges |= {Edge("agent/storage", "publishes", x) for x in agents["storage_topics"].values()}
    edges |= {Edge("agent/scheduler", "publishes", x) for x in agents["scheduler_topics"]}
    edges |= {Edge("agent/pubsub", "subscribes", x) for x in agents["dead_letters"]}
    edges |= {Edge("agent/pubsub", "publishes", agents["dead_topic"])}
    return edges


def expected(plan: Topology) -> set[Edge]:
    objects = {*WORDS.values(), "but not"}
    return {edge for edge in access.edges(plan) if edge.verb not in objects}


def test_every_edge_has_its_grant_and_no_grant_is_without_an_edge(found: Outputs) -> None:
    """Publishers, jobs, secrets, callers and Google's agents."""
    assert granted(found) == expected(finished_topology())
    assert len(granted(found)) > 80


def test_everybody_has_an_account_and_nobody_shares_one(found: Outputs) -> None:
    """Functions, services, jobs and externals, and a pusher for each function that is pushed to."""
    plan = finished_topology()
    pushed = {access.PUSH + item.push for item in plan.subscriptions.values() if item.push}
    assert found["identities"].keys() == {*plan.parties, *pushed}
    accounts = [item["account_id"] for item in found["identities"].values()]
    assert len(accounts) == len(set(accounts))
    switched = {who for who, item in found["identities"].items() if item["when"] != "always"}
    assert switched == {"mlflow"}


@pytest.mark.parametrize(
    ("kind", "key"),
    [
        ("topic_grants", "intake/alerts"),
        ("job_grants", "launch/train-s"),
        ("secret_grants", "notify/smtp-password"),
        ("invoker_grants", "push-intake/intake"),
        ("registry_grants", "mirror/vertex"),
    ],
)
def test_a_grant_that_is_missing_or_too_much_is_found(
    found: Outputs, changed: Outputs, kind: str, key: str
) -> None:
    """Of each kind: the comparison says which."""
    whole = granted(found)
    del changed[kind][key]
    (missing,) = whole - granted(changed)
    assert f"{missing.who}/{missing.what}" == key
    changed[kind]["x"] = {**found[kind][key], "who": "label"}
    assert granted(changed) - whole == {missing._replace(who="label")}


# --- objects -------------------------------------------------------------------------------------


def names(plan: Topology) -> Iterator[tuple[str, str]]:
    """Bucket and name (or listed prefix) of everything that a slip could open: inside every prefix,
    beside it, above it."""
    lake = plan.buckets["lake"]
    for prefix in ("", "claims/notify/", "mlflow/", *lake.retention, *lake.kept):
        yield "lake", prefix
        if not prefix.endswith(".json"):
            yield "lake", f"{prefix}m/x.json"
            yield "lake", prefix.rstrip("/") + "-of-others/m/x.json"
    for name in ("", "m/train/a.csv", "_specs/", "_specs/m.yaml", "_specsx", "runs/m/x.json"):
        yield "inbox", name


def slips(found: Outputs, plan: Topology) -> list[tuple[str, str, str, str, bool]]:
    """Where Google would decide otherwise than the topology: (who, operation, bucket, name, what
    Google says)."""
    parties = {**plan.parties, **{access.PEOPLE + n: item for n, item in plan.people.items()}}
    wrong: list[tuple[str, str, str, str, bool]] = []
    for who, party in parties.items():
        grants = [item for item in found["bucket_grants"].values() if item["who"] == who]
        for operation in WORDS:
            for bucket, name in names(plan):
                if operation != "list" and (not name or name.endswith("/")):
                    continue  # no object of ours is called so
                may = permitted(grants, operation, bucket, name)
                if may != access.allows(party, operation, bucket, name):
                    wrong.append((who, operation, bucket, name, may))
    return wrong


def test_objects_are_open_to_those_whom_the_topology_names(found: Outputs) -> None:
    """Read, list, create and change, for every party and role of people, on every kind of name."""
    assert len(list(names(finished_topology()))) > 80
    assert slips(found, finished_topology()) == []


def test_specs_are_written_by_their_writers_alone(found: Outputs) -> None:
    """What is policy comes from one role of people: no part, and nobody who may only drop files,
    can put an object into `_specs/` of the inbox."""
    may = set()
    for who in {item["who"] for item in found["bucket_grants"].values()}:
        grants = [item for item in found["bucket_grants"].values() if item["who"] == who]
        if any(permitted(grants, word, "inbox", "_specs/m.yaml") for word in ("create", "change")):
            may.add(who)
    assert may == {"people/spec-writers"}


def test_only_those_whom_the_topology_names_have_grants_on_buckets(found: Outputs) -> None:
    """A grant to somebody unknown would escape the comparison above."""
    plan = finished_topology()
    known = {*plan.parties, *(access.PEOPLE + name for name in plan.people)}
    assert {item["who"] for item in found["bucket_grants"].values()} <= known


def without(key: str) -> Callable[[Outputs], None]:
    def change(found: Outputs) -> None:
        del found["bucket_grants"][key]

    return change


def other(key: str, **changes: str) -> Callable[[Outputs], None]:
    def change(found: Outputs) -> None:
        found["bucket_grants"][key] |= changes

    return change


RUNS = 'resource.name.startsWith("projects/_/buckets/lake/objects/runs/")'


@pytest.mark.parametrize(
    ("change", "slip"),
    [
        (without("launch/lake/reads-0"), ("launch", "read", "lake", "serving/m/x.json", False)),
        (without("launch/lake/creates-0"), ("launch", "create", "lake", "runs/m/x.json", False)),
        (without("launch/lake/changes-0"), ("launch", "change", "lake", "lanes/m/x.json", False)),
        (without("predict/lake/reads-0"), ("predict", "list", "lake", "serving/", False)),
        (
            other("launch/lake/creates-0", role="roles/storage.objectUser"),
            ("launch", "change", "lake", "runs/m/x.json", True),
        ),
        (
            other("launch/lake/changes-0", condition=RUNS.removesuffix('/")') + '")'),
            ("launch", "change", "lake", "runs-of-others/m/x.json", True),
        ),
        (
            # The default of the attribute begins with nothing: true for every request.
            other(
                "people/watchers/lake/reads-0",
                condition='api.getAttribute("storage.googleapis.com/objectListPrefix", "")'
                '.startsWith("")',
            ),
            ("people/watchers", "read", "lake", "predictions/m/x.json", True),
        ),
        (
            other(
                "people/droppers/inbox/changes-0",
                condition='resource.name.startsWith("projects/_/buckets/inbox/objects/")',
            ),
            ("people/droppers", "change", "inbox", "_specs/m.yaml", True),
        ),
    ],
)
def test_a_condition_that_opens_too_much_or_too_little_is_found(
    changed: Outputs,
    change: Callable[[Outputs], None],
    slip: tuple[str, str, str, str, bool],
) -> None:
    """Missing grants, a stronger role, a prefix without its end, a list that opens everything."""
    change(changed)
    assert slip in slips(changed, finished_topology())


def test_conditions_are_within_googles_limits(found: Outputs) -> None:
    """12 logical operators each, 20 bindings of one role and member on one bucket that differ in
    their condition, and a policy of less than 64 KiB."""
    grants = found["bucket_grants"].values()
    for grant in grants:
        assert sum(grant["condition"].count(word) for word in ("||", "&&", "!")) <= 12
    for bucket in finished_topology().buckets:
        mine = [grant for grant in grants if grant["bucket"] == bucket]
        pairs = [(grant["who"], grant["role"]) for grant in mine]
        assert max(map(pairs.count, pairs)) <= 20
        assert sum(len(str(grant)) for grant in mine) < 64 * 1024


def test_no_two_bindings_are_one(found: Outputs) -> None:
    """Terraform makes a changed binding before it takes the old one away; two of its resources that
    were the same binding to Google would take it away from each other."""
    grants = found["bucket_grants"].values()
    bindings = [(x["who"], x["bucket"], x["role"], x["title"]) for x in grants]
    assert len(bindings) == len(set(bindings))


def test_the_evaluator_knows_what_it_says() -> None:
    """A word it does not know is an error, never true."""
    request = Request("get", "lake", "runs/m/x.json")
    assert holds(RUNS, request)
    assert not holds(f"!({RUNS})", request)
    assert holds(f'resource.type == "storage.googleapis.com/Object" && {RUNS}', request)
    with pytest.raises(ValueError, match="not a word of ours"):
        holds('resource.name.matches(".*")', request)


# --- a function more -----------------------------------------------------------------------------


ECHO = """
  echo:
    purpose: "says what it heard"
    reads: ["lake/models/"]
    lists: ["lake/models/"]
    creates: ["lake/runs/"]
    changes: ["lake/lanes/"]
    publishes: ["alerts"]
    runs: ["label"]
    calls: ["predict"]
    secrets: ["echo-key"]
"""
ECHO_TICKS = """
  echo-ticks:
    topic: "ticks"
    push: "echo"
"""


def test_a_function_that_is_added_gets_its_identities_and_grants(
    found: Outputs, tmp_path: Path
) -> None:
    """Its entry in the topology is all: accounts, everything it may do, whoever pushes to it, dead
    letters, those who replay them; and nothing changes for anybody else."""
    text = topology.FILE.read_text(encoding="utf-8")
    text = text.replace("\nservices:\n", f"{ECHO}\nservices:\n")
    text = text.replace("\nschedules:\n", f"{ECHO_TICKS}\nschedules:\n")
    file = tmp_path / "topology.yaml"
    file.write_text(text, encoding="utf-8")
    plan, more = topology.load(file=file), terraform.outputs(tmp_path / "copy", text)
    assert more["identities"].keys() - found["identities"].keys() == {"echo", "push-echo"}
    assert granted(more) == expected(plan)
    assert slips(more, plan) == []
    new = granted(more) - granted(found)
    assert new == {
        Edge("echo", "publishes", "alerts"),
        *(Edge("echo", "runs", f"label-{size}") for size in "sml"),
        Edge("echo", "calls", "predict"),
        Edge("echo", "secrets", "echo-key"),
        Edge("push-echo", "calls", "echo"),
        Edge("people/operators", "calls", "echo"),
        Edge("agent/pubsub", "subscribes", "echo-ticks"),
    }
    old = found["bucket_grants"]
    assert {key: more["bucket_grants"][key] for key in old} == old
