"""The edge: one envelope parser and one outcome table for all functions and jobs.

    use case ...                     function             job task
    returns                          204 (ack)            exit 0
    raises Rejected                  keep reason, 204     outcome RunRejected, exit 0
    raises InProgress                503, later again     exit 0 (another execution owns the run)
    raises Retryable, anything else  503, logged          exit 1, retried

The only module that may catch `Exception`. An error's text never leaves in a response.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from shared import documents, events, paths, runs
from shared.documents import timestamp
from shared.errors import (
    InProgress,
    MalformedMessage,
    NotAllowed,
    Rejected,
    Retryable,
    UnknownMessageType,
)
from shared.events import AutomationNoted, Event, RunRejected, parse_time, publish
from shared.ports import Bucket, Clock, ObjectInfo, Publisher

if TYPE_CHECKING:  # flask comes with functions-framework; importing it here would only cost
    from flask import Request

    from shared.wiring import Wiring

Reply = tuple[str, int]
ACK: Reply = ("", 204)
LATER: Reply = ("", 503)


@dataclass(frozen=True, slots=True)
class Delivery:
    """One delivery of one message. `body` is the decoded JSON object of the message."""

    message_id: str
    publish_time: datetime
    attempt: int
    subscription: str
    attributes: Mapping[str, str]
    body: dict[str, Any]


# --- envelopes -----------------------------------------------------------------------------------


def parse_delivery(headers: Mapping[str, str], raw: bytes) -> Delivery:
    """A delivery from a raw Pub/Sub push, a binary CloudEvent around one, or a binary CloudEvent
    of Cloud Storage. Raises MalformedMessage with what was expected and what came."""
    envelope = _json_object(raw, "the request body")
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
        body=_json_object(data, "`message.data`"),
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


def _json_object(raw: bytes, what: str) -> dict[str, Any]:
    try:
        value = json.loads(raw)
    except (ValueError, UnicodeDecodeError) as error:
        raise MalformedMessage(f"{what} is not JSON") from error
    if not isinstance(value, dict):
        raise MalformedMessage(f"{what} is JSON but not an object")
    return value


# --- functions -----------------------------------------------------------------------------------

Handler = Callable[[Any, Delivery], object]


def function(
    name: str, handlers: Mapping[type[Event], Handler], wiring: Wiring
) -> Callable[[Request], Reply]:
    """The door of a function that receives our messages: one handler per event class."""

    def use_case(delivery: Delivery) -> object:
        event = events.decode({**delivery.body, "type": _type(delivery)})
        for cls in type(event).__mro__:
            if cls in handlers:
                return handlers[cls](event, delivery)
        raise UnknownMessageType(f"{name} does not handle {event.type}")

    return receive(name, use_case, wiring)


def receive(
    name: str, use_case: Callable[[Delivery], object], wiring: Wiring
) -> Callable[[Request], Reply]:
    """The door of a function that receives deliveries, whatever their body."""

    def main(request: Request) -> Reply:
        started = time.monotonic()
        raw = request.get_data(cache=True)
        trace = request.headers.get("X-Cloud-Trace-Context", "")
        facts: dict[str, Any] = {"function": name, "trace": trace}
        try:
            try:
                delivery = parse_delivery(dict(request.headers), raw)
                facts |= {
                    "message_id": delivery.message_id,
                    "delivery_attempt": delivery.attempt,
                    "type": _type(delivery),
                }
                use_case(delivery)
                reply, outcome = ACK, "done"
            except Rejected as error:
                keep_rejected(name, error, raw, wiring)
                reply, outcome = ACK, f"rejected: {error}"
        except InProgress as error:
            reply, outcome = LATER, f"in progress: {error}"
        except Exception as error:  # the outcome table's last row
            reply, outcome = LATER, f"{type(error).__name__}: {error}"
            facts["traceback"] = traceback.format_exc()
        log(started, outcome, reply == ACK, facts)
        return reply

    return main


def _type(delivery: Delivery) -> str:
    return str(delivery.attributes.get("type") or delivery.body.get("type") or "")


def keep_rejected(name: str, error: Rejected, raw: bytes, wiring: Wiring) -> None:
    """Park a body that can never work, with its reason, and say so; nothing is lost."""
    key = paths.digest(name + raw.decode("utf-8", "replace"), 32)
    body = {
        "function": name,
        "reason": error.reason,
        "message": str(error),
        "at": timestamp(wiring.clock.now()),
        "body": raw.decode("utf-8", "replace"),
    }
    where = paths.rejection("_messages", f"{name}-{key}")
    documents.create(wiring.lake, where, body)
    sentence = f"{name} refused a message: {error} It is kept in {where}."
    note = AutomationNoted(model="", source=name, subject=key, sentence=sentence)
    publish(note, publisher=wiring.publisher, clock=wiring.clock)


def log(started: float, outcome: str, good: bool, facts: Mapping[str, Any]) -> None:
    """One JSON line per delivery or task on stdout, as Cloud Logging reads it."""
    line = {
        "severity": "INFO" if good else "ERROR" if "traceback" in facts else "WARNING",
        "message": outcome,
        "duration_seconds": round(time.monotonic() - started, 4),
        **facts,
    }
    sys.stdout.write(json.dumps(line, default=str) + "\n")
    sys.stdout.flush()


# --- jobs ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Task:
    """One task of one execution, from the variables of the platform and of launch."""

    model: str
    run_id: str
    attempt: int
    execution: str
    index: int
    count: int

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> Task:
        return cls(
            model=env["MILLRACE_MODEL"],
            run_id=env["RUN_ID"],
            attempt=int(env["ATTEMPT"]),
            execution=env["CLOUD_RUN_EXECUTION"],
            index=int(env.get("CLOUD_RUN_TASK_INDEX", "0")),
            count=int(env.get("CLOUD_RUN_TASK_COUNT", "1")),
        )


def job(name: str, use_case: Callable[[Task], object], wiring: Wiring) -> int:
    """The door of a job: the exit code of this task."""
    started = time.monotonic()
    facts: dict[str, Any] = {"job": name}
    try:
        task = Task.from_env(os.environ)
        facts |= {"model": task.model, "run_id": task.run_id, "attempt": task.attempt}
        facts |= {"execution": task.execution, "task": task.index}
        outcome, code = (
            run_task(
                task, use_case, lake=wiring.lake, publisher=wiring.publisher, clock=wiring.clock
            ),
            0,
        )
    except Exception as error:  # the outcome table's last row
        outcome, code = f"{type(error).__name__}: {error}", 1
        facts["traceback"] = traceback.format_exc()
    log(started, outcome, code == 0, facts)
    return code


def run_task(
    task: Task,
    use_case: Callable[[Task], object],
    *,
    lake: Bucket,
    publisher: Publisher,
    clock: Clock,
) -> str:
    """Lease the attempt and do the work, unless the run has its outcome: then publish that."""
    try:
        runs.lease(task.model, task.run_id, task.attempt, task.index, task.execution, lake=lake)
        found = runs.outcome(task.model, task.run_id, lake=lake)
        if isinstance(found, events.RunEvent):
            runs.finish(found, lake=lake, publisher=publisher, clock=clock)
            return f"already ended: {found.type}"
        use_case(task)
    except Rejected as error:
        event = RunRejected(
            model=task.model, run_id=task.run_id, reason=error.reason, message=str(error)
        )
        runs.finish(event, lake=lake, publisher=publisher, clock=clock)
        return f"rejected: {error}"
    except InProgress as error:
        return f"not ours: {error}"
    return "done"


# --- people --------------------------------------------------------------------------------------


def ask(
    name: str, use_case: Callable[[dict[str, Any], str], str], wiring: Wiring
) -> Callable[[Request], Reply]:
    """The door for a person's request: JSON in, `{"ok", "sentence"}` out. The use case gets the
    body and the caller's name."""

    def main(request: Request) -> Reply:
        started = time.monotonic()
        facts: dict[str, Any] = {"function": name}
        try:
            by = caller(dict(request.headers), wiring.config.identity)
            facts["by"] = by
            sentence, status = (
                use_case(_json_object(request.get_data(), "the request body"), by),
                200,
            )
        except Rejected as error:
            sentence, status = str(error), 409
        except Retryable as error:
            sentence, status = str(error), 503
        except Exception as error:  # the outcome table's last row
            sentence, status = "something went wrong here; the log has it", 500
            facts |= {"error": str(error), "traceback": traceback.format_exc()}
        log(started, sentence, status == 200, facts)
        return json.dumps({"ok": status == 200, "sentence": sentence}), status

    return main


def caller(headers: Mapping[str, str], identity: str) -> str:
    """Who asks. `token`: the e-mail in the ID token that Cloud Run has verified (it replaces the
    signature, so it cannot and need not be verified again). `header`: the local stack's word.
    Raises NotAllowed."""
    if identity == "header":
        return _header(headers, "x-millrace-user") or "somebody local"
    token = (_header(headers, "authorization") or "").removeprefix("Bearer ")
    try:
        payload = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        return str(claims["email"])
    except (IndexError, ValueError, KeyError, TypeError) as error:
        raise NotAllowed("decisions need an ID token with an e-mail address") from error
