"""The daily digest: what people should know and need not know at once. Silent when there is none.

    claim(slot) -> turn (one digest at a time) -> digests/<slot>.json (create-only: the plan)
        -> post -> settle and delete its entries -> complete -> turn is free

What comes after the plan waits for the next one. Whatever dies on the way is finished by the next
delivery of the slot, or by the next slot before its own. An entry is deleted only after the claim
of its event is done, so that a late redelivery of the event does not tell it again.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from shared import claims, documents, paths
from shared.documents import Document, timestamp
from shared.errors import InProgress, ObjectNotFound, PreconditionFailed
from shared.ports import Bucket
from shared.telling.digest import digest_message
from shared.usecases.posting import Notify, post

# More than these are counted, not read: a delivery has seconds.
READ = 200


def digest(slot: str, ports: Notify) -> str:
    """Tell what waits, as the digest of this slot; a word for what was done comes back. Raises
    InProgress while another delivery is at a digest, Retryable when a service does not take it."""
    other = _turn(ports.lake).body.get("slot")
    if other and other != slot:
        digest(other, ports)  # it died; who is alive holds its claim
    claim = ports.take(f"digest:{slot}")
    if claim.done:
        _free(slot, ports.lake)
        return "told before"
    if not _take_turn(slot, ports.lake):
        claims.release(claim, lake=ports.lake, clock=ports.clock)
        raise InProgress("another digest took its turn")
    plan = _plan(slot, ports)
    done = "nothing to tell"
    if plan["entries"]:
        done = post(digest_message(plan, ports.where), claim, ports, more_to_do=True)
        _clear_away(plan, ports)
    ports.complete(claim, done)
    _free(slot, ports.lake)
    return done


def waiting(lake: Bucket) -> list[str]:
    """Names of the entries that wait for the next digest."""
    return [info.name for info in lake.list(paths.DIGEST_ENTRIES)]


def _turn(lake: Bucket) -> Document:
    return documents.read(lake, paths.DIGEST_TURN)


def _take_turn(slot: str, lake: Bucket) -> bool:
    turn = _turn(lake)
    if turn.body.get("slot"):
        return bool(turn.body["slot"] == slot)
    return _swap_turn(turn, slot, lake)


def _free(slot: str, lake: Bucket) -> None:
    turn = _turn(lake)
    if turn.body.get("slot") == slot:
        _swap_turn(turn, "", lake)  # lost only to another delivery of the slot


def _swap_turn(turn: Document, slot: str, lake: Bucket) -> bool:
    try:
        documents.swap(lake, paths.DIGEST_TURN, {"slot": slot}, generation=turn.generation)
    except PreconditionFailed:
        return False
    return True


def _plan(slot: str, ports: Notify) -> dict[str, Any]:
    name = paths.digest_plan(slot)
    found = documents.read(ports.lake, name)
    if found.exists:
        return found.body
    names = waiting(ports.lake)
    told = [{"name": one, **documents.require(ports.lake, one)} for one in names[:READ]]
    body = {
        "slot": slot,
        "planned": timestamp(ports.clock.now()),
        "entries": names,
        "told": sorted(told, key=lambda item: str(item["kept"])),
    }
    if not documents.create(ports.lake, name, body):
        raise InProgress(f"the digest {slot} was planned meanwhile")
    return body


def _clear_away(plan: Mapping[str, Any], ports: Notify) -> None:
    """Delete the entries that were told, once their events count as told. If there are so many that
    the process is killed on the way, the next delivery goes on. Raises InProgress."""
    left = set(waiting(ports.lake))
    known = {entry["name"]: str(entry["event"]["id"]) for entry in plan["told"]}
    for name in plan["entries"]:
        if name not in left:
            continue
        event_id = known.get(name) or documents.require(ports.lake, name)["event"]["id"]
        claim = claims.peek(paths.notification(event_id), lake=ports.lake)
        if claim is not None and not claim.done:  # its delivery died after it had kept the entry
            ports.complete(claim, "told in a digest")
        with suppress(ObjectNotFound):
            ports.lake.delete(name)
