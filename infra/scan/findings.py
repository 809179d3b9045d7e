"""What a scan found against what was decided about it: pure, knows no tool.

A baseline entry excuses findings of one rule at one place and says why. Everything else fails: a
finding that no entry excuses, an entry that excuses nothing any more, an entry with a number that
is not the number found.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import yaml

FILE = Path(__file__).with_name("baseline.yaml")
_KEYS = {"rule", "where", "times", "reason"}
_SHORTEST_REASON = 20


class BadBaseline(ValueError):
    """baseline.yaml has an entry without a rule, a place or a reason."""


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """`where` is a file of the repository, a resource of Terraform, or a package."""

    tool: str
    rule: str
    where: str
    text: str
    line: int = 0

    def __str__(self) -> str:
        place = f"{self.where}:{self.line}" if self.line else self.where
        return f"{self.tool} {self.rule} {place}: {self.text}"


@dataclass(frozen=True, slots=True)
class Entry:
    """`where` may have `*`; `times` is how often the rule is excused there, None for any number."""

    tool: str
    rule: str
    where: str
    reason: str
    times: int | None = None

    def covers(self, finding: Finding) -> bool:
        same = (self.tool, self.rule) == (finding.tool, finding.rule)
        return same and fnmatchcase(finding.where, self.where)

    def __str__(self) -> str:
        return f"{self.tool} {self.rule} {self.where}"


def read(file: Path = FILE) -> list[Entry]:
    """Raises BadBaseline."""
    raw: Mapping[str, Any] = yaml.safe_load(file.read_text(encoding="utf-8")) or {}
    return [_entry(tool, item) for tool, items in raw.items() for item in items or ()]


def _entry(tool: str, item: Mapping[str, Any]) -> Entry:
    if unknown := set(item) - _KEYS:
        raise BadBaseline(f"{tool}: unknown {', '.join(sorted(unknown))} in {dict(item)}")
    if not item.get("rule") or not item.get("where"):
        raise BadBaseline(f"{tool}: an entry needs `rule` and `where`: {dict(item)}")
    if len(str(item.get("reason", ""))) < _SHORTEST_REASON:
        raise BadBaseline(f"{tool} {item['rule']} {item['where']}: say why, in a sentence")
    return Entry(tool, item["rule"], item["where"], item["reason"], item.get("times"))


def judge(findings: Iterable[Finding], entries: Sequence[Entry], tools: Iterable[str]) -> list[str]:
    """Sentences about what is new or out of date, of the tools that did run; empty when all is
    as it was decided. The first entry that covers a finding excuses it."""
    excused = dict.fromkeys(entries, 0)
    problems: list[str] = []
    for finding in sorted(findings):
        entry = next((one for one in entries if one.covers(finding)), None)
        if entry is None:
            problems.append(f"new: {finding}")
        else:
            excused[entry] += 1
    ran = set(tools)
    for entry, found in excused.items():
        if entry.tool in ran and (trouble := _stale(entry, found)):
            problems.append(f"baseline: {entry} {trouble}")
    return problems


def _stale(entry: Entry, found: int) -> str:
    if not found:
        return "excuses nothing any more: remove it"
    if entry.times is not None and found != entry.times:
        more = "one of them is new: look at each" if found > entry.times else "lower the number"
        return f"excuses {entry.times}, found {found}: {more}"
    return ""
