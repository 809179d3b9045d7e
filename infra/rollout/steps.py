"""The rollout: traffic in steps with a check between, or back. Knows no gcloud and no HTTP.

    hold   before Terraform makes a revision: what serves keeps all traffic
    roll   tag -> smoke -> 5 % -> check -> 25 % -> check ... -> 100 % -> check -> stable
    back   all traffic to the revision before

Whatever ends a rollout but a kill leads back. After a kill, `roll` goes on from the share that is
there (smoke first) and `hold` and `back` undo it: the service's tags say how far it was.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from infra.rollout.lease import Lease, Taken
from infra.rollout.traffic import CANDIDATE, PREVIOUS, STABLE, GcloudFailed, Service, Traffic

STEPS = (5, 25, 50, 100)
_TRIES_BACK = 3


class CheckFailed(Exception):
    """The new revision is not good enough; the text says what was seen."""


class RolledBack(Exception):
    """The old revision has all traffic again; the cause says why."""


class NothingToRoll(Exception):
    """There is no service, no revision that is ready, or none before this one."""


class Checks(Protocol):
    def smoke(self, traffic: Traffic, tag: str) -> None:
        """Asks the revision with a tag. Raises CheckFailed."""

    def watch(self, candidate: str, stable: str) -> str:
        """Lets a share of traffic act for a while and judges it; says what it saw.
        Raises CheckFailed."""


@dataclass(frozen=True, slots=True)
class Rollout:
    """Raises, from every command: Taken when another is at work, GcloudFailed."""

    service: Service
    lease: Lease
    checks: Checks
    say: Callable[[str], None]
    steps: Sequence[int] = STEPS

    def hold(self) -> None:
        """What serves now keeps all traffic, whatever revision comes next."""
        if self.service.read() is None:
            self.say("There is no service yet, so nothing to hold.")
            return
        self._alone(self._hold)

    def roll(self) -> None:
        """Raises NothingToRoll, RolledBack."""
        self._alone(self._roll)

    def back(self) -> None:
        """From an unfinished rollout to the stable revision, else to the one before it.
        Raises NothingToRoll."""
        self._alone(self._back)

    def _alone(self, work: Callable[[], None]) -> None:
        self.lease.take()
        try:
            work()
        except Taken:
            raise  # it is not ours to release
        except BaseException:
            self._release()
            raise
        self._release()

    def _release(self) -> None:
        try:
            self.lease.release()
        except GcloudFailed as error:
            self.say(f"The lease was not released, it runs out by itself: {error}")

    def _hold(self) -> None:
        traffic = self._read()
        if CANDIDATE in traffic.tags and STABLE in traffic.tags:
            self.say(f"An unfinished rollout of {traffic.tags[CANDIDATE]} is undone.")
            self._all_to(traffic.tags[STABLE], traffic.tags)
            return
        serving = traffic.serving
        if self._in_order(traffic, serving):
            self.say(f"{serving} has all traffic already.")
        else:
            self._all_to(serving, traffic.tags)

    def _in_order(self, traffic: Traffic, revision: str) -> bool:
        """All traffic is a revision's, by name, and no rollout is half done."""
        alone = traffic.shares == {revision: 100} and not traffic.follows_latest
        return alone and traffic.tags.get(STABLE) == revision and CANDIDATE not in traffic.tags

    def _roll(self) -> None:
        traffic = self._read()
        new = traffic.latest_ready
        if traffic.latest_created != new:
            raise NothingToRoll(f"{traffic.latest_created} is not ready; no traffic was moved")
        old = traffic.tags.get(STABLE, traffic.serving)
        if new == old:
            self._settled(traffic, new)
            return
        share = traffic.shares.get(new, 0) if traffic.tags.get(CANDIDATE) == new else 0
        try:
            self._step(new, old, share, traffic.tags)
            if share:
                self.say(f"{new} goes on from {share} %.")
            self.checks.smoke(self._read(), CANDIDATE)
            for percent in [step for step in self.steps if step > share]:
                self._step(new, old, percent, traffic.tags)
                self.say(f"{percent} %: {self.checks.watch(new, old)}")
        except Taken:
            raise  # the traffic is another's now
        except BaseException as error:
            self._undo(old, traffic.tags, error)
            raise RolledBack(f"{old} has all traffic again: {error}") from error
        self.lease.renew()
        self.service.write({new: 100}, {STABLE: new, PREVIOUS: old})
        self.say(f"{new} has all traffic; `back` leads to {old}.")

    def _settled(self, traffic: Traffic, revision: str) -> None:
        """No new revision; what an earlier rollout left half done is put in order."""
        if not self._in_order(traffic, revision):
            self._all_to(revision, traffic.tags)
        self.say(f"No revision is newer than {revision}, which has all traffic.")

    def _step(self, new: str, old: str, percent: int, tags: Mapping[str, str]) -> None:
        shares = {new: percent, old: 100 - percent}
        named = {STABLE: old, CANDIDATE: new}
        if PREVIOUS in tags:
            named[PREVIOUS] = tags[PREVIOUS]
        self.lease.renew()
        self.service.write({name: share for name, share in shares.items() if share}, named)

    def _undo(self, old: str, tags: Mapping[str, str], why: BaseException) -> None:
        """Raises Taken; GcloudFailed when it is known that traffic may be divided."""
        for left in reversed(range(_TRIES_BACK)):
            try:
                self._all_to(old, tags, urgent=True)
            except GcloudFailed as error:
                if not left:
                    raise GcloudFailed(
                        f"NOT BACK: {old} should have all traffic and may not ({error}). Run "
                        f"`back`. The rollout ended because: {why}"
                    ) from why
            else:
                return

    def _all_to(self, revision: str, tags: Mapping[str, str], *, urgent: bool = False) -> None:
        named = {STABLE: revision}
        if tags.get(PREVIOUS, revision) != revision:
            named[PREVIOUS] = tags[PREVIOUS]
        try:
            self.lease.renew()
        except GcloudFailed:
            # A lease that cannot be reached is no reason to leave people with errors.
            if not urgent:
                raise
        self.service.write({revision: 100}, named)
        self.say(f"{revision} has all traffic.")

    def _back(self) -> None:
        traffic = self._read()
        if CANDIDATE in traffic.tags and STABLE in traffic.tags:
            self._all_to(traffic.tags[STABLE], traffic.tags)
            return
        before = traffic.tags.get(PREVIOUS)
        if before is None:
            raise NothingToRoll("no revision is tagged `previous`: nothing was rolled out before")
        self.lease.renew()
        self.service.write({before: 100}, {STABLE: before, PREVIOUS: traffic.serving})
        self.say(f"{before} has all traffic; {traffic.serving} is `previous` now.")

    def _read(self) -> Traffic:
        traffic = self.service.read()
        if traffic is None or not traffic.shares:
            raise NothingToRoll("there is no such service, or no revision of it has traffic")
        return traffic
