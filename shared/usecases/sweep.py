"""Promises that depend on time, kept every few minutes. Each part is repeatable by itself.

Waiting files (released or refused), lanes (dead executions started again, outcomes published that
their jobs did not live to publish), scores that wait too long for a champion, approvals that
expire or were decided and not carried out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from shared import approvals, runs
from shared.errors import InProgress, Retryable
from shared.events import AutomationNoted, parse_time
from shared.lanes import advance, read_lane
from shared.ports import JobRunner
from shared.usecases.promote import Promote, carry_out
from shared.usecases.starting import Intake
from shared.usecases.waiting import settle

SCORE_WAITS = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Swept:
    """How much of each kind one sweep looked after."""

    lanes: int = 0
    waiting: int = 0
    approvals: int = 0


def sweep(intake: Intake, promote: Promote, jobs: JobRunner, *, spec_wait_seconds: int) -> Swept:
    """Look after everything once. One part's trouble does not keep the others waiting; it is
    raised at the end as Retryable."""
    postponed: list[str] = []
    counts = {"waiting": 0, "lanes": 0, "approvals": 0}

    def attempt(part: str, work: Callable[[], int]) -> None:
        try:
            counts[part] += work()
        except (InProgress, Retryable) as error:
            postponed.append(f"{part}: {error}")

    attempt("waiting", lambda: settle(intake, wait_seconds=spec_wait_seconds))
    for info in list(intake.lake.list("lanes/")):
        model = info.name.removeprefix("lanes/").removesuffix(".json")
        attempt("lanes", lambda model=model: _look_after_lane(model, promote, jobs))  # type: ignore[misc]
    attempt("approvals", lambda: _look_after_approvals(promote))
    if postponed:
        raise Retryable("; ".join(postponed))
    return Swept(**counts)


def _look_after_lane(model: str, ports: Promote, jobs: JobRunner) -> int:
    lane, _ = read_lane(model, lake=ports.lake)
    for item in lane.waiting:
        waits = ports.clock.now() - parse_time(item.since)
        if item.kind == "score" and waits > SCORE_WAITS:
            ports.note(model, item.run_id, "expired", why=f"no champion within {SCORE_WAITS}")
            ports.say(
                AutomationNoted(
                    model=model,
                    source="sweep",
                    subject=item.run_id,
                    sentence=f"Scoring {item.run_id} expired: {model} had no champion for "
                    f"{SCORE_WAITS}. Drop the file again once a version is promoted.",
                )
            )
    advance(model, lake=ports.lake, jobs=jobs, publisher=ports.publisher, clock=ports.clock)
    return 1


def _look_after_approvals(ports: Promote) -> int:
    count = 0
    for found in list(approvals.every(lake=ports.lake)):
        approval, model, version = found, found.model, found.version
        if runs.state(model, version, lake=ports.lake).terminal:
            continue
        if approval.pending and approval.expires_at < ports.clock.now():
            approval = approvals.decide(
                approval,
                "expired",
                by="sweep",
                reason="nobody decided in time",
                lake=ports.lake,
                clock=ports.clock,
            )
        action = (approval.decision or {}).get("action")
        if action in ("approve", "decline"):
            carry_out(approval, ports)
            count += 1
        elif action in ("expired", "superseded"):
            _end(approval, str(action), ports)
            count += 1
    return count


def _end(approval: approvals.Approval, action: str, ports: Promote) -> None:
    model, version = approval.model, approval.version
    why = str((approval.decision or {}).get("reason"))
    if action == "expired":
        ports.say(
            AutomationNoted(
                model=model,
                source="sweep",
                subject=f"approval-{version}",
                sentence=f"The approval of {version} expired: {why}. To promote it after all: "
                f"millrace versions promote {model} {version}",
            )
        )
    ports.note(model, version, action, why=why)
