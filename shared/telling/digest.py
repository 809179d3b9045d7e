"""The digest as a message: by model, by kind, what repeats only counted. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from shared import paths
from shared.decoding import decode
from shared.errors import MalformedMessage, UnknownMessageType
from shared.events import AutomationNoted, Event, MonitorAlert, RunEvent, parse_time
from shared.telling.blocks import SECTION_CHARACTERS, cut, finished, header, section
from shared.telling.draft import Where, escaped, when
from shared.telling.drafts import draft_of
from shared.telling.kinds import KINDS, LEADS

SHOWN = 3  # of one kind and model
LINE_CHARACTERS = 400
PAGES = 20

Entry = Mapping[str, Any]


def digest_message(plan: Mapping[str, Any], where: Where) -> dict[str, Any]:
    """The message of a plan (`digests/<slot>.json`)."""
    groups = _groups(plan)
    models = sorted({model for model, _ in groups}, key=lambda model: (not model, model))
    lead = f"{LEADS['know']}: the digest of {plan['slot']}"
    count = len(plan["entries"])
    things = "thing" if count == 1 else "things"
    sentence = f"{count} {things} that nobody had to know at once."
    lines: list[str] = []
    for model in models:
        lines.append(f"*{escaped(model or 'Millrace itself')}*")
        for kind in sorted({kind for one, kind in groups if one == model}, key=_order):
            lines += _lines(kind, *groups[model, kind], where)
    pages = list(_pages(lines))
    all_of_it = f"all of it: gs://{where.lake}/{paths.digest_plan(str(plan['slot']))}"
    if len(pages) > PAGES:
        all_of_it = f"too much for a message; {all_of_it}"
    sections = [header(lead), section(sentence), *map(section, pages[:PAGES])]
    return finished(f"{lead}. {sentence}", sections, [all_of_it])


def _groups(plan: Mapping[str, Any]) -> dict[tuple[str, str], tuple[int, list[Entry]]]:
    """Per model and kind how many entries there are, and those that were read, oldest first."""
    counts = Counter(_group(name) for name in plan["entries"])
    read: dict[tuple[str, str], list[Entry]] = defaultdict(list)
    for entry in plan["told"]:
        read[_group(entry["name"])].append(entry)
    return {group: (count, read[group]) for group, count in counts.items()}


def _order(kind: str) -> tuple[int, str]:
    known = list(KINDS)
    return (known.index(kind) if kind in known else len(known), kind)


def _group(name: str) -> tuple[str, str]:
    model, kind, _ = name.removeprefix(paths.DIGEST_ENTRIES).split("/")
    return "" if model == "_" else model, kind


def _lines(kind: str, count: int, told: Sequence[Entry], where: Where) -> Iterator[str]:
    """What is new in full, as far as it fits; what goes on and what is muted counted."""
    muted = [entry for entry in told if entry["word"] == "muted"]
    again = [entry for entry in told if entry["word"] in ("same", "late")]
    new = [entry for entry in told if entry not in muted and entry not in again]
    for entry in new[-SHOWN:]:
        yield _line(kind, _sentence(entry, where))
    incidents: dict[str, list[Entry]] = defaultdict(list)
    for entry in again:
        incidents[_incident(entry)].append(entry)
    for entries in incidents.values():
        # What the loop answers to it goes without saying, where its windows are there.
        windows = [one for one in entries if isinstance(_event(one), MonitorAlert)] or entries
        times = f" ({len(windows)} times)" if len(windows) > 1 else ""
        yield _line(f"{kind}, as told before{times}", _sentence(windows[-1], where))
    if muted:
        yield _line(f"{kind}, {_muted(muted)}", _sentence(muted[-1], where))
    more = count - len(told) + max(len(new) - SHOWN, 0)
    if more > 0:
        yield _line(kind, f"and {more} more")


def _muted(entries: Sequence[Entry]) -> str:
    """By whom, until when; an entry that was weighed again after its mute does not know."""
    mute = next((entry["mute"] for entry in reversed(entries) if entry["mute"]), None)
    by = f" until {when(parse_time(mute['until']))} by {mute['by']}" if mute else ""
    return f"muted{by}, {len(entries)} kept"


def _line(kind: str, sentence: str) -> str:
    one_line = cut(" ".join(sentence.split()), LINE_CHARACTERS)
    return f"\u2022 {escaped(kind.replace('_', ' '))}: {escaped(one_line)}"


def _sentence(entry: Entry, where: Where) -> str:
    event = _event(entry)
    if event is None:  # of a version that was taken back
        body = entry["event"]
        return str(body.get("sentence") or body.get("message") or body["id"])
    run = f" ({event.run_id})" if isinstance(event, RunEvent) else ""
    return draft_of(event, where).sentence + run


def _incident(entry: Entry) -> str:
    event = _event(entry)
    return event.incident if isinstance(event, MonitorAlert | AutomationNoted) else ""


def _event(entry: Entry) -> Event | None:
    try:
        return decode(dict(entry["event"]))
    except (MalformedMessage, UnknownMessageType):
        return None


def _pages(lines: Sequence[str]) -> Iterator[str]:
    """The lines in as few texts as fit into a section each."""
    page: list[str] = []
    for line in lines:
        if page and len("\n".join([*page, line])) > SECTION_CHARACTERS:
            yield "\n".join(page)
            page = []
        page.append(line)
    yield "\n".join(page)
