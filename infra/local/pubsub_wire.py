"""Pub/Sub's protocol messages to and from the engine's types."""

from __future__ import annotations

from datetime import timedelta

from google.pubsub_v1 import types

from shared.adapters.memory.subscriptions import (
    Delivery,
    ExportConfig,
    Message,
    SubscriptionConfig,
)

_WEEK_SECONDS = 7 * 86_400


class Unsupported(ValueError):
    """A setting this stand-in does not implement."""


def subscription_from(request: types.Subscription) -> SubscriptionConfig:
    """Raises Unsupported."""
    refused = {
        "enable_exactly_once_delivery": request.enable_exactly_once_delivery,
        "enable_message_ordering": request.enable_message_ordering,
        "bigquery_config": request.bigquery_config.table,
        "push_config.no_wrapper": bool(request.push_config.no_wrapper),
        "cloud_storage_config.avro_config": bool(request.cloud_storage_config.avro_config),
    }
    wanted = [name for name, value in refused.items() if value]
    if wanted:
        raise Unsupported(f"this stand-in does not implement {', '.join(wanted)}")
    retry, dead = request.retry_policy, request.dead_letter_policy
    return SubscriptionConfig(
        name=request.name,
        topic=request.topic,
        push=request.push_config.push_endpoint or None,
        filter=request.filter,
        ack_deadline_seconds=request.ack_deadline_seconds or 10,
        min_backoff_seconds=_seconds(retry.minimum_backoff, 10) if retry else 0,
        max_backoff_seconds=_seconds(retry.maximum_backoff, 600) if retry else 0,
        dead_letter_topic=dead.dead_letter_topic or None,
        max_delivery_attempts=dead.max_delivery_attempts or 5,
        retention_seconds=int(_seconds(request.message_retention_duration, _WEEK_SECONDS)),
        export=_export_from(request.cloud_storage_config),
    )


def subscription_to(config: SubscriptionConfig) -> types.Subscription:
    found = types.Subscription(
        name=config.name,
        topic=config.topic,
        filter=config.filter,
        ack_deadline_seconds=config.ack_deadline_seconds,
        message_retention_duration=timedelta(seconds=config.retention_seconds),
        state=types.Subscription.State.ACTIVE,
    )
    if config.push:
        found.push_config = types.PushConfig(push_endpoint=config.push)
    if config.max_backoff_seconds:
        found.retry_policy = types.RetryPolicy(
            minimum_backoff=timedelta(seconds=config.min_backoff_seconds),
            maximum_backoff=timedelta(seconds=config.max_backoff_seconds),
        )
    if config.dead_letter_topic:
        found.dead_letter_policy = types.DeadLetterPolicy(
            dead_letter_topic=config.dead_letter_topic,
            max_delivery_attempts=config.max_delivery_attempts,
        )
    if config.export:
        found.cloud_storage_config = types.CloudStorageConfig(
            bucket=config.export.bucket,
            filename_prefix=config.export.prefix,
            filename_suffix=config.export.suffix,
            filename_datetime_format=config.export.datetime_format,
            max_duration=timedelta(seconds=config.export.max_seconds),
        )
    return found


def received(delivery: Delivery, config: SubscriptionConfig) -> types.ReceivedMessage:
    return types.ReceivedMessage(
        ack_id=delivery.ack_id,
        message=_message(delivery.message),
        delivery_attempt=delivery.attempt if config.dead_letter_topic else 0,
    )


def _message(message: Message) -> types.PubsubMessage:
    return types.PubsubMessage(
        data=message.data,
        attributes=dict(message.attributes),
        message_id=message.id,
        publish_time=message.published,
        ordering_key=message.ordering_key,
    )


def _export_from(config: types.CloudStorageConfig) -> ExportConfig | None:
    if not config.bucket:
        return None
    return ExportConfig(
        bucket=config.bucket,
        prefix=config.filename_prefix,
        suffix=config.filename_suffix,
        datetime_format=config.filename_datetime_format or ExportConfig("").datetime_format,
        max_seconds=int(_seconds(config.max_duration, 300)),
        max_bytes=config.max_bytes or ExportConfig("").max_bytes,
    )


def _seconds(value: timedelta | None, default: float) -> float:
    return value.total_seconds() if value else default


def page_of(names: list[str], token: str, size: int, limit: int = 1000) -> tuple[list[str], str]:
    """A page of sorted names and the token of the next one."""
    rest = [name for name in names if name > token]
    page = rest[: size or limit]
    return page, page[-1] if len(rest) > len(page) else ""
