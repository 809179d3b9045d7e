"""From the topology to what the engine and the job server understand."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from infra.local.run_execution import JobConfig
from infra.topology import Export, Subscription, Topology
from shared.adapters.memory import (
    BucketConfig,
    Engine,
    ExportConfig,
    SubscriptionConfig,
    subscription_path,
    topic_path,
)
from shared.adapters.names import wire_job

PROJECT = "local"
BRIDGE = "bridge"


def buckets(topology: Topology, project: str = PROJECT) -> list[BucketConfig]:
    """Locally a bucket is called by its topology key."""
    return [
        BucketConfig(
            item.name,
            item.versioning,
            topic_path(project, item.notify_topic) if item.notify_topic else None,
        )
        for item in topology.buckets.values()
    ]


def topics(topology: Topology, project: str = PROJECT) -> list[str]:
    return [topic_path(project, name) for name in topology.topics]


def subscriptions(topology: Topology, project: str = PROJECT) -> list[SubscriptionConfig]:
    return [_subscription(item, project) for item in topology.subscriptions.values()]


def _subscription(item: Subscription, project: str) -> SubscriptionConfig:
    return SubscriptionConfig(
        name=subscription_path(project, item.name),
        topic=topic_path(project, item.topic),
        push=item.push,
        filter=item.filter,
        ack_deadline_seconds=item.ack_deadline_seconds,
        min_backoff_seconds=item.min_backoff_seconds,
        max_backoff_seconds=item.max_backoff_seconds,
        dead_letter_topic=topic_path(project, "dead-letters") if item.dead_letter else None,
        max_delivery_attempts=item.max_delivery_attempts,
        retention_seconds=item.retention_days * 86_400,
        export=_export(item.export) if item.export else None,
    )


def _export(item: Export) -> ExportConfig:
    return ExportConfig(
        bucket=item.bucket,
        prefix=item.prefix,
        datetime_format=item.datetime_format,
        suffix=".jsonl",
        max_seconds=item.max_seconds,
    )


def jobs(
    topology: Topology, bundle: Callable[[str], Path], env: Mapping[str, str]
) -> list[JobConfig]:
    """One job per size, all from the same bundle."""

    def folder(name: str) -> Callable[[], Path]:
        return lambda: bundle(name)

    return [
        JobConfig(
            name=wire_job(f"{job.name}-{size_name}"),
            folder=folder(job.name),
            timeout_seconds=job.timeout_seconds,
            max_retries=job.max_retries,
            cpu=size.cpu,
            memory=size.memory,
            env=env,
        )
        for job in topology.jobs.values()
        for size_name, size in job.sizes.items()
    ]


def prepare(
    engine: Engine, topology: Topology, project: str = PROJECT, *, bridge: bool = False
) -> None:
    """Bring an engine up to date: what is new is made, changed settings are taken over, and
    pushes to functions that no longer exist go. With `bridge` a foreign Pub/Sub delivers, and
    ours only hands our storage's notifications to it."""
    uploads = SubscriptionConfig(
        name=subscription_path(project, BRIDGE),
        topic=topic_path(project, "uploads"),
        push=BRIDGE,
        max_backoff_seconds=10,
        min_backoff_seconds=1,
    )
    wanted = [uploads] if bridge else subscriptions(topology, project)
    engine.create(
        buckets=buckets(topology, project),
        topics=topics(topology, project),
        subscriptions=wanted,
    )
    ours = {config.name for config in wanted}
    for config in engine.pubsub.subscriptions():
        internal = config.export or (config.push and "://" not in config.push)
        if internal and config.name not in ours:
            engine.pubsub.delete_subscription(config.name)
