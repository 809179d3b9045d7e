"""The doctor of an installation: walks the chain of the topology on Google Cloud, link by link, and
asks its doors (`infra.deploy.doors`). It changes nothing.

    inbox -> notification -> topics -> subscriptions -> functions -> jobs; schedules, secrets
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

from infra.complaints import kind, next_step
from infra.deploy.chain import Chain
from infra.deploy.checks import Check, not_made
from infra.deploy.doors import doors
from infra.topology import Subscription
from shared.adapters.names import wire_job, wire_schedule, wire_secret, wire_topic

LINKS = ("buckets", "topics", "subscriptions", "functions", "jobs", "schedules", "secrets")


def after(chain: Chain, unasked: str = "") -> Iterator[Check]:
    """All links, in the order in which a dropped file takes them; where there is a reason why they
    are not asked for, and without gcloud, the doors alone."""
    if not unasked and not chain.tools.has("gcloud"):
        unasked = "gcloud is not installed"
    if unasked:
        yield from not_made(LINKS, unasked)
    else:
        yield from _buckets(chain)
        yield from _topics(chain)
        yield from _subscriptions(chain)
        yield from _services(chain)
        yield from _jobs(chain)
        yield from _schedules(chain)
        yield from _secrets(chain)
    yield from doors(chain)


def _buckets(chain: Chain) -> Iterator[Check]:
    for key, name in (("inbox", chain.there.inbox), ("lake", chain.there.lake)):
        said = chain.tools.ask("gcloud", "storage", "buckets", "describe", f"gs://{name}")
        if not said.good:
            yield _trouble(chain, f"bucket {key}", said.why, said.err)
            continue
        yield Check(f"bucket {key}", "ok", f"gs://{name}")
        topic = chain.topology.buckets[key].notify_topic
        if topic is not None:
            yield _notification(chain, name, wire_topic(topic))


def _notification(chain: Chain, bucket: str, topic: str) -> Check:
    name = "notification of uploads"
    listing = ("gcloud", "storage", "buckets", "notifications", "list", f"gs://{bucket}")
    said = chain.tools.ask(*listing, "--format=json")
    if said.good and f"/topics/{topic}" in said.out:
        return Check(name, "ok", f"gs://{bucket} tells {topic}")
    if not said.good:
        return _trouble(chain, name, said.why, said.err)
    return Check(name, "missing", f"gs://{bucket} tells nobody of {topic}", chain.again)


def _trouble(chain: Chain, name: str, why: str, complaint: str = "") -> Check:
    """Gone only where Google says so in so many words; else nobody could look."""
    text = complaint or why
    if kind(text) == "absent":
        return Check(name, "missing", why, chain.again)
    return Check(name, "unknown", why, next_step(text))


def _topics(chain: Chain) -> Iterator[Check]:
    rows, trouble = chain.list("pubsub", "topics", "list")
    if trouble:
        yield _trouble(chain, "topics", trouble)
        return
    there = {_last(row.get("name")) for row in rows}
    gone = [key for key in chain.topology.topics if wire_topic(key) not in there]
    if gone:
        yield Check("topics", "missing", f"not there: {', '.join(gone)}", chain.again)
    else:
        yield Check("topics", "ok", f"all {len(chain.topology.topics)} are there")


# --- subscriptions -------------------------------------------------------------------------------


def subscription_name(item: Subscription) -> str:
    """As Terraform calls it: another filter is another subscription."""
    return f"{item.name}-{hashlib.sha256(item.filter.encode()).hexdigest()[:8]}"


def _subscriptions(chain: Chain) -> Iterator[Check]:
    rows, trouble = chain.list("pubsub", "subscriptions", "list")
    if trouble:
        yield _trouble(chain, "subscriptions", trouble)
        return
    there = {_last(row.get("name")): row for row in rows}
    for key, item in chain.topology.subscriptions.items():
        row = there.get(subscription_name(item))
        wrong = ["not there"] if row is None else list(_differences(item, row))
        to = f"{item.export.bucket}/{item.export.prefix}" if item.export else item.push
        told = "; ".join(wrong) if wrong else f"{item.topic} -> {to}"
        yield Check(f"subscription {key}", "missing" if wrong else "ok", told, chain.again)


def _differences(item: Subscription, row: Mapping[str, Any]) -> Iterator[str]:
    """What is not as the topology says."""
    if row.get("state", "ACTIVE") != "ACTIVE":
        yield f"its state is {row['state']}"
    if _last(row.get("topic")) != wire_topic(item.topic):
        yield f"it listens to {row.get('topic')}"
    if row.get("filter", "") != item.filter:
        yield f"its filter is {row.get('filter', '')!r}"
    letters = _last((row.get("deadLetterPolicy") or {}).get("deadLetterTopic"))
    if item.dead_letter and letters != wire_topic("dead-letters"):
        yield "it has no dead letters"
    if item.push is not None:
        yield from _push_differences(item.push, row.get("pushConfig") or {})
    elif not (row.get("cloudStorageConfig") or {}).get("bucket"):
        yield "it writes to no bucket"


def _push_differences(function: str, push: Mapping[str, Any]) -> Iterator[str]:
    endpoint = str(push.get("pushEndpoint", ""))
    token = push.get("oidcToken") or {}
    if not endpoint.startswith(f"https://{function}-"):
        yield f"it pushes to {endpoint or 'nobody'}"
    if not token.get("serviceAccountEmail"):
        yield "it pushes without a token"
    elif str(token.get("audience", "")).rstrip("/") not in (endpoint.rstrip("/"), ""):
        yield f"its tokens are for {token['audience']}"


# --- what runs -----------------------------------------------------------------------------------


def _services(chain: Chain) -> Iterator[Check]:
    rows, trouble = chain.list("run", "services", "list", f"--region={chain.there.region}")
    if trouble:
        yield _trouble(chain, "functions", trouble)
        return
    there = {row.get("metadata", {}).get("name"): row for row in rows}
    names = [*chain.topology.functions, *chain.topology.services]
    for name in [*names, *(["mlflow"] if chain.there.mlflow_url else [])]:
        kind = "function" if name in chain.topology.functions else "service"
        yield _running(f"{kind} {name}", there.get(name), chain.account(name), chain)


def _running(what: str, row: Mapping[str, Any] | None, account: str, chain: Chain) -> Check:
    if row is None:
        return Check(what, "missing", "not there", chain.again)
    spec = row.get("spec", {}).get("template", {}).get("spec", {})
    runs_as = spec.get("serviceAccountName")
    conditions = row.get("status", {}).get("conditions", ())
    ready: Mapping[str, Any] = next(
        (item for item in conditions if item.get("type") == "Ready"), {}
    )
    if runs_as != account:
        return Check(what, "missing", f"runs as {runs_as}, not as {account}", chain.again)
    if ready.get("status") != "True":
        told = ready.get("message") or "it is not ready"
        return Check(what, "missing", str(told)[:300], chain.again)
    return Check(what, "ok", f"ready, as {account.partition('@')[0]}")


def _jobs(chain: Chain) -> Iterator[Check]:
    rows, trouble = chain.list("run", "jobs", "list", f"--region={chain.there.region}")
    if trouble:
        yield _trouble(chain, "jobs", trouble)
        return
    there = {row.get("metadata", {}).get("name"): row for row in rows}
    for name, job in chain.topology.jobs.items():
        deployed = {size: there.get(wire_job(f"{name}-{size}")) for size in job.sizes}
        gone = [size for size, row in deployed.items() if row is None]
        others = {_job_account(row) for row in deployed.values() if row} - {chain.account(name)}
        if gone or others:
            found = f"no size {', '.join(gone)}" if gone else f"runs as {', '.join(sorted(others))}"
            yield Check(f"job {name}", "missing", found, chain.again)
        else:
            sizes = ", ".join(job.sizes)
            yield Check(f"job {name}", "ok", f"sizes {sizes}, as mr-{name}")


def _job_account(row: Mapping[str, Any]) -> str:
    found: Any = row
    for key in ("spec", "template", "spec", "template", "spec", "serviceAccountName"):
        found = found.get(key, {}) if isinstance(found, dict) else {}
    return str(found or "nobody in particular")


def _schedules(chain: Chain) -> Iterator[Check]:
    rows, trouble = chain.list("scheduler", "jobs", "list", f"--location={chain.there.region}")
    if trouble:
        yield _trouble(chain, "schedules", trouble)
        return
    there = {_last(row.get("name")): row for row in rows}
    for key, item in chain.topology.schedules.items():
        row = there.get(wire_schedule(key))
        state = row.get("state") if row else None
        if row is None:
            yield Check(f"schedule {key}", "missing", "not there", chain.again)
        elif state != "ENABLED":
            found = f"{str(state).lower()}: nothing that depends on time happens"
            yield Check(f"schedule {key}", "doubtful", found, "set schedules_paused = false")
        else:
            yield Check(f"schedule {key}", "ok", f"{item.cron} UTC -> {item.message}")


def _secrets(chain: Chain) -> Iterator[Check]:
    for name in chain.topology.secrets:
        listing = ("secrets", "versions", "list", wire_secret(name), "--filter=state:ENABLED")
        rows, trouble = chain.list(*listing)
        fix = f"./millrace --context {chain.there.name} secret set {name}"
        if trouble:
            yield _trouble(chain, f"secret {name}", trouble)
        elif rows:
            yield Check(f"secret {name}", "ok", "has a value")
        else:
            yield Check(f"secret {name}", "doubtful", "no value: what needs it is off", fix)


def _last(path: object) -> str:
    return str(path or "").rpartition("/")[2]
