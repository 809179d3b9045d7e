"""Alerts, dashboard and objectives cover whatever is in the topology, ask for what Google measures,
and lead to the runbook."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from infra import topology
from infra.bundle import REPOSITORY
from tests.support import terraform

RUNBOOK = REPOSITORY / "infra" / "docs" / "runbook.md"
POLICIES = terraform.ROOT / "observability" / "policies.tf"
DELTA, GAUGE = "DELTA", "GAUGE"
# Of each metric: kind, whether it is a distribution, monitored resource, labels of either. From
# https://cloud.google.com/monitoring/api/metrics_gcp and the list of monitored resources.
SERVICE = ("cloud_run_revision", {"service_name", "revision_name", "location"})
JOB = ("cloud_run_job", {"job_name", "location"})
SUBSCRIPTION = ("pubsub_subscription", {"subscription_id"})
TOPIC = ("pubsub_topic", {"topic_id"})
DATABASE = ("cloudsql_database", {"database_id", "region"})
RUN, PUBSUB, SQL = "run.googleapis.com", "pubsub.googleapis.com", "cloudsql.googleapis.com"
METRICS: dict[str, tuple[str, bool, list[tuple[str, set[str]]], set[str]]] = {
    f"{RUN}/request_count": (DELTA, False, [SERVICE], {"response_code", "response_code_class"}),
    f"{RUN}/request_latencies": (DELTA, True, [SERVICE], {"response_code", "response_code_class"}),
    f"{RUN}/container/instance_count": (GAUGE, False, [SERVICE], {"state"}),
    f"{RUN}/container/memory/utilizations": (DELTA, True, [SERVICE, JOB], set()),
    f"{RUN}/job/completed_execution_count": (DELTA, False, [JOB], {"result"}),
    f"{RUN}/job/running_executions": (GAUGE, False, [JOB], set()),
    f"{PUBSUB}/subscription/dead_letter_message_count": (DELTA, False, [SUBSCRIPTION], set()),
    f"{PUBSUB}/subscription/oldest_unacked_message_age": (GAUGE, False, [SUBSCRIPTION], set()),
    f"{PUBSUB}/subscription/num_undelivered_messages": (GAUGE, False, [SUBSCRIPTION], set()),
    f"{PUBSUB}/topic/send_message_operation_count": (DELTA, False, [TOPIC], {"response_class"}),
    f"{SQL}/database/disk/utilization": (GAUGE, False, [DATABASE], set()),
    f"{SQL}/database/postgresql/num_backends": (GAUGE, False, [DATABASE], {"database"}),
    "logging.googleapis.com/user/millrace/drop_to_served": (DELTA, True, [SERVICE], set()),
}
ALIGNERS = {
    (DELTA, False): {"ALIGN_DELTA", "ALIGN_RATE"},
    (DELTA, True): {"ALIGN_DELTA"},
    (GAUGE, False): {"ALIGN_MEAN", "ALIGN_MAX"},
}


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return terraform.watched(tmp_path_factory.mktemp("watched"))


def conditions(found: Any) -> Iterator[dict[str, Any]]:
    for policy in found["policies"].values():
        yield from policy["conditions"]


def charts(found: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """Filter and aggregation of every line that is drawn."""
    for tile in found["dashboard"]["mosaicLayout"]["tiles"]:
        for line in tile["widget"]["xyChart"]["dataSets"]:
            (query,) = line["timeSeriesQuery"].values()
            for part in [query] if "filter" in query else query.values():
                yield part["filter"], part["aggregation"]


def asked(found: Any) -> Iterator[tuple[str, str, str, list[str]]]:
    """Filter, aligner, reducer and groups of everything that looks at a metric."""
    for one in conditions(found):
        for text in filter(None, [one["filter"], one["denominator"]]):
            yield text, one["aligner"], one["reducer"], one["by"]
    for text, how in charts(found):
        yield (text, how["perSeriesAligner"], how["crossSeriesReducer"], how["groupByFields"])
    for one in found["objectives"].values():
        for text in filter(None, [one["total"], one["bad"], one["distribution"]]):
            yield text, "ALIGN_DELTA", "", []


def test_google_measures_what_is_asked_for(found: Any) -> None:
    """Every metric exists on the resource that is named, with the labels that are used, and can be
    aligned and reduced as it is."""
    seen = set()
    for text, aligner, reducer, by in asked(found):
        (metric,) = re.findall(r'metric\.type = "([^"]+)"', text)
        (resource,) = re.findall(r'resource\.type = "([^"]+)"', text)
        kind, distribution, resources, labels = METRICS[metric]
        of_resource = dict(resources)[resource]
        named = [*re.findall(r"(resource|metric)\.labels\.(\w+)", text)]
        named += [(group.split(".")[0], group.split(".")[2]) for group in by]
        for where, label in named:
            assert label in (of_resource if where == "resource" else labels), (metric, label)
        assert aligner in ALIGNERS[kind, distribution], metric
        assert reducer.startswith("REDUCE_PERCENTILE") == (distribution and bool(reducer)), metric
        assert len(text) < 2048, "Google takes no longer filter"
        seen.add(metric)
    assert seen == METRICS.keys()


def test_everything_of_the_topology_is_watched(found: Any, tmp_path: Path) -> None:
    """A function and a subscription that are added are alerted on and drawn, without another
    edit; so are those that are there."""
    more = _with_another(topology.FILE.read_text(encoding="utf-8"))
    for watched, known in (
        (found, topology.load()),
        (terraform.watched(tmp_path, more), topology.finish(_read(more, tmp_path))),
    ):
        backlog = " ".join(one["filter"] for one in watched["policies"]["backlog"]["conditions"])
        drawn = " ".join(text for text, _ in charts(watched))
        for name in known.subscriptions:
            pattern = re.compile(rf"[(\"|]{name}-[0-9a-f]{{8}}[|\"]")
            (parked,) = watched["policies"]["dead-letters"]["conditions"]
            for where in (backlog, parked["filter"], drawn):
                assert pattern.search(where), name
        (failed,) = watched["policies"]["executions"]["conditions"]
        for job in known.jobs.values():
            for size in job.sizes:
                assert f"millrace-{job.name}-{size}" in failed["filter"]
        for function in known.functions:
            assert re.search(rf"[\"|]{function}[|\"]", drawn), function
        for service in known.services:
            assert f"{service}-availability" in watched["objectives"]


def test_nothing_of_the_topology_is_written_out() -> None:
    """The same where there is no terraform to ask: names come from the topology; those that are
    written are sweep, which must run, and the topic of predictions."""
    known = topology.load()
    names = [*known.functions, *known.services, *known.subscriptions, *known.topics]
    names += [f"{job.name}-{size}" for job in known.jobs.values() for size in job.sizes]
    text = "".join(
        file.read_text(encoding="utf-8") for file in sorted(POLICIES.parent.glob("*.tf"))
    )
    written = {name for name in names if re.search(rf'"{name}\\?"', text)}
    assert written == {"sweep", "predictions"}
    for source in ("topology.functions", "topology.services", "topology.job_names"):
        assert f"(var.{source})" in text, source
    assert "(var.topology.subscription_names)" in text


def _with_another(text: str) -> str:
    """The topology with a function like retrain and a subscription like retrain's."""
    for entry in ("retrain", "retrain-alerts"):
        (found,) = re.findall(rf"(?m)^  {entry}:\n(?:    .*\n)+", text)
        text = text.replace(found, found + found.replace("retrain", "oddity"))
    assert 'push: "oddity"' in text
    return text


def _read(text: str, folder: Path) -> dict[str, Any]:
    file = folder / "topology.yaml"
    file.write_text(text, encoding="utf-8")
    return topology.read(file)


def test_no_message_may_wait_longer_than_its_alert_knows(found: Any) -> None:
    """Slow functions get more patience, every subscription has one limit, and all of them are
    alarmed before anything is parked."""
    limits: dict[str, list[float]] = {}
    for one in found["policies"]["backlog"]["conditions"]:
        for name in re.findall(r"[\"|]([a-z-]+)-[0-9a-f]{8}", one["filter"]):
            limits.setdefault(name, []).append(one["threshold"])
    for name, item in topology.load().subscriptions.items():
        (limit,) = limits[name]
        assert limit >= 2 * item.ack_deadline_seconds
        first_tries = item.max_backoff_seconds * (item.max_delivery_attempts - 7)
        assert limit + 600 < first_tries, "the dead letter would be sooner"


def test_every_policy_has_its_entry_in_the_runbook(found: Any) -> None:
    """Under its title, where the link in its mail leads; and no entry is about a policy that is
    not there."""
    for policy in found["policies"].values():
        assert policy["link"] == f"https://docs.example/runbook.md#{_anchor(policy['title'])}"
    assert {policy["title"] for policy in found["policies"].values()} == set(_titles())


def test_the_titles_of_policies_are_the_last_entries_of_the_runbook() -> None:
    """Also where there is no terraform to ask: each says what it means, what to look at, what to
    do."""
    text = RUNBOOK.read_text(encoding="utf-8")
    entries = dict(re.findall(r"(?ms)^## ([^\n]+)\n(.*?)(?=^## |\Z)", text))
    names = list(entries)
    assert set(names[names.index("Messages are parked") :]) == set(_titles())
    for title in _titles():
        for part in ("**What it means.**", "**Look first.**", "**What to do.**"):
            assert part in entries[title], title
    page = RUNBOOK.with_name("observability.md").read_text(encoding="utf-8")
    assert re.findall(r"(?m)^\| ([^|]+) \| [^|]+ \|$", page)[1 : 1 + len(_titles())] == _titles()


def _titles() -> list[str]:
    return re.findall(r'(?m)^ +title += "(.+)"$', POLICIES.read_text(encoding="utf-8"))


def _anchor(title: str) -> str:
    """As GitHub makes it."""
    return re.sub(r"[^a-z0-9 -]", "", title.lower()).replace(" ", "-")


def test_what_is_off_is_not_watched(tmp_path: Path) -> None:
    """No alert about a database that is not there, nor about sweeps that are paused on purpose;
    without a web page the mail has no link."""
    off = terraform.watched(tmp_path, mlflow_instance="", schedules_paused=True, runbook="")
    assert "mlflow-database" not in off["policies"]
    assert not any("cloudsql" in text or "mlflow" in text for text, *_ in asked(off))
    enabled = {name: policy["enabled"] for name, policy in off["policies"].items()}
    assert [name for name, is_on in enabled.items() if not is_on] == ["sweep"]
    assert {policy["link"] for policy in off["policies"].values()} == {""}


def test_the_dashboard_is_a_page(found: Any) -> None:
    """Charts lie side by side, none upon another, and all that are described are drawn."""
    layout = found["dashboard"]["mosaicLayout"]
    taken: set[tuple[int, int]] = set()
    for tile in layout["tiles"]:
        cells = {
            (x, y)
            for x in range(tile["xPos"], tile["xPos"] + tile["width"])
            for y in range(tile["yPos"], tile["yPos"] + tile["height"])
        }
        assert not cells & taken
        assert tile["xPos"] + tile["width"] <= layout["columns"]
        taken |= cells
    described = (POLICIES.parent / "dashboard.tf").read_text(encoding="utf-8")
    titles = re.findall(r'(?m)^ +title += "([^"]+)"', described)
    assert [tile["widget"]["title"] for tile in layout["tiles"]] == titles
