"""Envelopes: what a request to a function carries, and who asks. Pure.

One parser for a raw Pub/Sub push, a binary CloudEvent around one, and a storage CloudEvent.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from shared.errors import MalformedMessage, NotAllowed
from shared.events import parse_time
from shared.ports import ObjectInfo


@dataclass(frozen=True, slots=True)
class Delivery:
    """One delivery of one message. `body` is the decoded JSON object of the message."""

    message_id: str
    publish_time: datetime
    attempt: int
    subscription: str
    attributes: Mapping[str, str]
    body: dict[str, Any]

    @property
    def said_at(self) -> datetime:
        """When one of our messages was published: a duplicate of the service keeps this time."""
        try:
            return parse_time(str(self.body.get("time")))
        except ValueError:
            return self.publish_time


def parse_delivery(headers: Mapping[str, str], raw: bytes) -> Delivery:
    """A delivery from a raw Pub/Sub push, a binary CloudEvent around one, or a binary CloudEvent
    of Cloud Storage. Raises MalformedMessage with what was expected and what came."""
    envelope = json_object(raw, "the request body")
    if (_header(headers, "ce-type") or "").startswith("google.cloud.storage.object."):
        envelope = {"message": {"data": base64.b64encode(raw).decode()}}
    message = envelope.get("message")
    if not isinstance(message, dict):
        raise MalformedMessage("the request body has no `message` object; is this a Pub/Sub push?")
    try:
        data = base64.b64decode(message.get("data") or "", validate=True)
    except (binascii.Error, TypeError, ValueError) as error:
        raise MalformedMessage("`message.data` is not base64") from error
    attributes = message.get("attributes") or {}
    if not isinstance(attributes, dict):
        raise MalformedMessage("`message.attributes` is not an object")
    published = message.get("publishTime") or _header(headers, "ce-time")
    try:
        publish_time = parse_time(str(published))
    except ValueError as error:
        raise MalformedMessage(f"`message.publishTime` is {published!r}, not a time") from error
    attempt = envelope.get("deliveryAttempt") or 1
    return Delivery(
        message_id=str(message.get("messageId") or _header(headers, "ce-id") or ""),
        publish_time=publish_time,
        attempt=attempt if isinstance(attempt, int) else 1,
        subscription=str(envelope.get("subscription") or ""),
        attributes={str(key): str(value) for key, value in attributes.items()},
        body=json_object(data, "`message.data`"),
    )


def parse_upload(delivery: Delivery) -> ObjectInfo:
    """The object of a Cloud Storage finalize notification. Raises MalformedMessage."""
    body = delivery.body
    try:
        return ObjectInfo(
            bucket=str(body["bucket"]),
            name=str(body["name"]),
            generation=int(body["generation"]),
            metageneration=int(body.get("metageneration", 1)),
            size_bytes=int(body["size"]),
            crc32c=str(body.get("crc32c", "")),
            md5=body.get("md5Hash"),
            content_type=str(body.get("contentType") or "application/octet-stream"),
            content_encoding=body.get("contentEncoding"),
            created=parse_time(body["timeCreated"]),
            metadata=body.get("metadata") or {},
        )
    except (KeyError, TypeError, ValueError) as error:
        raise MalformedMessage(f"not a storage notification: {error!r} in {body!r:.200}") from error


def _header(headers: Mapping[str, str], name: str) -> str | None:
    return next((value for key, value in headers.items() if key.lower() == name), None)


def json_object(raw: bytes, what: str) -> dict[str, Any]:
    try:
        value = json.loads(raw)
    except (ValueError, UnicodeDecodeError) as error:
        raise MalformedMessage(f"{what} is not JSON") from error
    except RecursionError as error:
        raise MalformedMessage(f"{what} is JSON in too many brackets") from error
    if not isinstance(value, dict):
        raise MalformedMessage(f"{what} is JSON but not an object")
    return value


_NO_NAME = "decisions need an ID token with a verified e-mail address"


def caller(headers: Mapping[str, str], identity: str) -> str:
    """Who asks. `token`: the e-mail in the ID token that Cloud Run has verified (signature, issuer,
    audience, expiry; it replaces the signature, so it cannot be verified again). `header`: the
    local stack's word. Raises NotAllowed."""
    if identity == "header":
        return _header(headers, "x-millrace-user") or "somebody local"
    # Where both are there, Cloud Run looks at this one alone and lets the other through unseen.
    given = _header(headers, "x-serverless-authorization")
    token = (given or _header(headers, "authorization") or "").removeprefix("Bearer ")
    try:
        _, payload, _ = token.split(".")
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        found = claims["email"] if claims.get("email_verified") is not False else None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise NotAllowed(_NO_NAME) from error
    if not isinstance(found, str) or not found:
        raise NotAllowed(_NO_NAME)
    return found
