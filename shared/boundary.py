"""The edge: one outcome table for all functions and jobs (`shared.envelope` parses what comes in).

    use case ...                     function             job task
    returns                          204 (ack)            exit 0
    raises Rejected                  keep reason, 204     outcome RunRejected, exit 0
    raises InProgress                503, later again     exit 0 (another execution owns the run)
    raises Retryable, anything else  503, logged          exit 1, retried

The only module that may catch `Exception`. An error's text never leaves in a response.
"""

from __future__ import annotations

import json
import os
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from shared import decoding, documents, events, paths, runs
from shared.documents import timestamp
from shared.envelope import Delivery, caller, json_object, parse_delivery
from shared.errors import InProgress, Rejected, Retryable, UnknownMessageType
from shared.events import AutomationNoted, Event, RunRejected, publish
from shared.noted import Noted
from shared.ports import Bucket, Clock, Publisher

if TYPE_CHECKING:  # flask comes with functions-framework; importing it here would only cost
    from flask import Request

    from shared.wiring import Wiring

Reply = tuple[str, int]
ACK: Reply = ("", 204)
LATER: Reply = ("", 503)


# --- functions -----------------------------------------------------------------------------------

Handler = Callable[[Any, Delivery], object]


def function(
    name: str, handlers: Mapping[type[Event], Handler], wiring: Wiring
) -> Callable[[Request], Reply]:
    """The door of a function that receives our messages: one handler per event class."""

    def use_case(delivery: Delivery) -> object:
        event = decoding.decode({**delivery.body, "type": _type(delivery)})
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
                found = use_case(delivery)
                if isinstance(found, Noted):
                    facts |= found
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


def apart(parts: Iterable[tuple[str, Callable[[], int]]]) -> int:
    """Do every part, whatever becomes of the others; the sum of what they return comes back.
    Raises Retryable naming the parts in trouble."""
    done, trouble = 0, dict[str, Exception]()
    for name, work in parts:
        try:
            done += work()
        except Exception as error:  # one model's broken object must not stop all models' sweep
            trouble[name] = error
    if trouble:
        told = "; ".join(f"{name}: {type(e).__name__}: {e}" for name, e in trouble.items())
        raise Retryable(told) from next(iter(trouble.values()))
    return done


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
    retry: int = 0

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> Task:
        return cls(
            model=env["MILLRACE_MODEL"],
            run_id=env["RUN_ID"],
            attempt=int(env["ATTEMPT"]),
            execution=env["CLOUD_RUN_EXECUTION"],
            index=int(env.get("CLOUD_RUN_TASK_INDEX", "0")),
            count=int(env.get("CLOUD_RUN_TASK_COUNT", "1")),
            retry=int(env.get("CLOUD_RUN_TASK_ATTEMPT", "0")),
        )


def job(name: str, use_case: Callable[[Task], object], wiring: Wiring) -> int:
    """The door of a job: the exit code of this task."""
    started = time.monotonic()
    facts: dict[str, Any] = {"job": name}
    task: Task | None = None
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
    if task is not None:
        facts |= _keep_time(task, time.monotonic() - started, code, wiring)
    log(started, outcome, code == 0, facts)
    return code


def _keep_time(task: Task, seconds: float, code: int, wiring: Wiring) -> dict[str, Any]:
    """Write down what the try of a task took, for `cost --actual`; facts for the log come back.
    The work is done: whatever this has against it changes no exit code."""
    at = (task.model, task.run_id, task.attempt, task.index, task.retry)
    body = {"seconds": round(seconds, 3), "exit_code": code, "at": timestamp(wiring.clock.now())}
    try:
        documents.create(wiring.lake, paths.run_task(*at), body)
    except Exception as error:  # a count that is lost must not make a task that worked fail
        return {"time_not_kept": str(error)}
    return {}


def run_task(
    task: Task,
    use_case: Callable[[Task], object],
    *,
    lake: Bucket,
    publisher: Publisher,
    clock: Clock,
) -> str:
    """Lease the attempt and do the work, unless the run has its outcome: then publish that where
    nobody did."""
    try:
        runs.lease(task.model, task.run_id, task.attempt, task.index, task.execution, lake=lake)
        found = runs.outcome(task.model, task.run_id, lake=lake)
        if isinstance(found, events.RunEvent):
            if not runs.announced(task.model, task.run_id, lake=lake):
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
                use_case(json_object(request.get_data(), "the request body"), by),
                200,
            )
        except Rejected as error:
            sentence, status = str(error), 409
        except (InProgress, Retryable) as error:
            sentence, status = f"{error}; ask again in a moment", 503
        except Exception as error:  # the outcome table's last row
            sentence, status = "something went wrong here; the log has it", 500
            facts |= {"error": str(error), "traceback": traceback.format_exc()}
        log(started, sentence, status == 200, facts)
        return json.dumps({"ok": status == 200, "sentence": sentence}), status

    return main
