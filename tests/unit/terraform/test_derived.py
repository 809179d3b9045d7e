"""What Terraform derives from the topology: names that Google takes, times in order, and everything
for a part that was added."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from infra import topology
from tests.support import terraform
from tests.support.terraform import ROOT

# The longest that Google allows; everything of ours is derived from it.
PROJECT = "p" * 30
PROJECT_NUMBER = "9" * 13
ECHO = """
  echo:
    purpose: "says what it heard"
    reads: ["lake/models/"]
    publishes: ["alerts"]
    secrets: ["echo-key"]
"""
ECHO_TICKS = """
  echo-ticks:
    topic: "ticks"
    push: "echo"
    filter: "attributes.type = \\"DigestDue\\""
"""


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return terraform.outputs(tmp_path_factory.mktemp("topology"))


def resource_names(found: dict[str, Any]) -> Iterator[tuple[str, str, int]]:
    """Name, what Google takes, and the longest. Sources: the resources' API references."""
    lower = r"[a-z][a-z0-9-]*[a-z0-9]"
    for name in (*found["functions"], *found["services"]):
        # A host name's label holds the service and the project's number.
        yield name, lower, min(49, 62 - len(PROJECT_NUMBER))
    for name in found["job_names"].values():
        yield name, lower, 63 - len("-abcde")  # an execution's
    for name in (*found["topic_names"].values(), *found["subscription_names"].values()):
        yield name, r"(?!goog)[A-Za-z][A-Za-z0-9._~+%-]{2,}", 255
    for identity in found["identities"].values():
        yield identity["account_id"], r"[a-z][a-z0-9-]{4,}[a-z0-9]", 30
    for name in found["buckets"]:
        yield f"{PROJECT}-millrace-{name}", r"(?!goog)[a-z0-9][a-z0-9._-]+[a-z0-9]", 63
    for name in found["schedules"]:
        yield f"millrace-{name}", r"[A-Za-z0-9_-]+", 500
    for item in (*found["functions"].values(), *found["services"].values()):
        for secret in item["secrets"]:
            yield f"millrace-{secret}", r"[A-Za-z0-9_-]+", 255


def test_google_takes_every_name(found: dict[str, Any]) -> None:
    """In characters and length, in the project with the longest id."""
    names = list(resource_names(found))
    assert len(names) > 50
    for name, rule, longest in names:
        assert re.fullmatch(rule, name), name
        assert len(name) <= longest, name


def test_nothing_is_called_twice(found: dict[str, Any]) -> None:
    """Functions and services share Cloud Run's names; accounts are everybody's."""
    services = [*found["functions"], *found["services"], "mlflow"]
    assert len(services) == len(set(services))
    accounts = [identity["account_id"] for identity in found["identities"].values()]
    assert len(accounts) == len(set(accounts))


def test_times_are_in_order_where_they_are_deployed(found: dict[str, Any]) -> None:
    """A function gives up before its message comes again, and that before its claim expires."""
    pushes = [item for item in found["subscriptions"].values() if item["push"]]
    assert pushes
    for item in pushes:
        function = found["functions"][item["push"]]
        assert (
            function["timeout_seconds"] < item["ack_deadline_seconds"] < function["claim_seconds"]
        ), item["name"]


def test_cpu_goes_with_memory_and_concurrency(found: dict[str, Any]) -> None:
    """Cloud Run refuses a part of a core for several requests, and memory no core can have."""
    # https://cloud.google.com/run/docs/configuring/services/memory-limits and .../jobs/cpu
    least = {"0.5": 128, "1": 128, "2": 128, "4": 2048, "8": 4096}
    most = {"0.5": 1024, "1": 4096, "2": 8192, "4": 16384, "8": 32768}
    runtimes = [*found["functions"].values(), *found["services"].values()]
    for part in [*runtimes, *found["deployed_jobs"].values()]:
        amount, unit = re.fullmatch(r"(\d+)(Mi|Gi)", part["memory"]).groups()  # type: ignore[union-attr]
        mib = int(amount) * (1024 if unit == "Gi" else 1)
        assert least[part["cpu"]] <= mib <= most[part["cpu"]], part["name"]
        if float(part["cpu"]) < 1:
            assert part["concurrency"] == 1, part["name"]


def test_another_filter_is_another_subscription(found: dict[str, Any], tmp_path: Path) -> None:
    """Google changes no filter, so the name changes with it; no other name does."""
    text = topology.FILE.read_text(encoding="utf-8")
    changed = text.replace("gcloud/tmp/", "gcloud/other/")
    names = terraform.outputs(tmp_path, changed)["subscription_names"]
    different = {key for key in names if names[key] != found["subscription_names"][key]}
    assert different == {"intake-uploads"}
    assert all(re.fullmatch(rf"{key}-[0-9a-f]{{8}}", name) for key, name in names.items())


def test_a_function_that_is_added_needs_no_other_edit(
    found: dict[str, Any], tmp_path: Path
) -> None:
    """One entry in the topology and Terraform has the function, its account, subscription and
    secret."""
    text = topology.FILE.read_text(encoding="utf-8")
    changed = text.replace("\nservices:\n", f"{ECHO}\nservices:\n")
    changed = changed.replace("\nschedules:\n", f"{ECHO_TICKS}\nschedules:\n")
    (tmp_path / "topology.yaml").write_text(changed, encoding="utf-8")
    python = topology.load(file=tmp_path / "topology.yaml")
    more = terraform.outputs(tmp_path, changed)
    assert more["functions"].keys() - found["functions"].keys() == {"echo"}
    assert more["functions"]["echo"]["timeout_seconds"] == python.functions["echo"].timeout_seconds
    assert more["subscriptions"]["echo-ticks"]["push"] == "echo"
    assert more["subscription_names"]["echo-ticks"].startswith("echo-ticks-")
    assert more["identities"]["echo"]["account_id"] == "mr-echo"


# Types whose state holds a value that opens something.
REVEALING = {
    *("google_secret_manager_secret_version", "google_service_account_key", "random_password"),
    *("google_storage_hmac_key", "google_sql_ssl_cert", "tls_private_key"),
}


def test_no_secret_is_in_the_state() -> None:
    """Terraform makes containers for secrets and never sees a value."""
    files = [*ROOT.rglob("*.tf")]
    assert len(files) > 15
    text = "\n".join(_code(file) for file in files)
    assert not REVEALING & set(re.findall(r'(?:resource|data|ephemeral) "(\w+)"', text))
    assert not re.findall(r"(?m)^\s*(?:password|secret_data|root_password)\s*=", text)


OURS = (
    *("main.tf", "storage.tf", "pubsub.tf", "functions.tf", "predict.tf", "jobs.tf"),
    *("scheduler.tf", "secrets.tf", "outputs.tf", "identities.tf", "topology/main.tf"),
)


def test_no_part_is_spelled_out() -> None:
    """Loops over the topology make everything; only addresses that all are told name two parts."""
    parts = topology.load()
    names = {*parts.functions, *parts.services, *parts.jobs, *parts.subscriptions}
    spelled = {
        (file, name)
        for file in OURS
        for name in re.findall(r'"([a-z-]+)"', _code(ROOT / file))
        if name in names
    }
    addresses = {
        (file, name) for file in ("main.tf", "outputs.tf") for name in ("predict", "promote")
    }
    assert spelled == addresses | {("main.tf", "score")}


def _code(file: Path) -> str:
    return re.sub(r"(?m)#.*$", "", file.read_text(encoding="utf-8"))
