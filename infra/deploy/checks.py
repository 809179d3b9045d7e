"""What a doctor finds: one line per thing, and the exact command for what is missing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

# `missing` stops a deployment; `doubtful` is told; `unknown` could not be looked up.
State = Literal["ok", "missing", "doubtful", "unknown"]


@dataclass(frozen=True, slots=True)
class Check:
    """`found` is what is there, `fix` a command (or, where there is none, a sentence)."""

    name: str
    state: State
    found: str
    fix: str = ""

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    def line(self) -> str:
        marks = {"ok": "ok", "missing": "MISSING", "doubtful": "look", "unknown": "?"}
        text = f"{marks[self.state]:<8} {self.name}: {self.found}"
        return f"{text}\n           {self.fix}" if self.fix and self.state != "ok" else text


def not_made(names: Sequence[str], why: str) -> Iterator[Check]:
    """Checks that could not be made, so that nobody takes the others for all."""
    for name in names:
        yield Check(name, "unknown", f"not asked: {why}")


def missing(checks: Iterable[Check]) -> list[Check]:
    return [check for check in checks if check.state == "missing"]


def verdict(checks: list[Check]) -> str:
    """One sentence for the end."""
    counts = {
        state: sum(1 for check in checks if check.state == state)
        for state in ("ok", "missing", "doubtful", "unknown")
    }
    told = [f"{counts['ok']} of {len(checks)} in order"]
    told += [f"{counts['missing']} missing"] if counts["missing"] else []
    told += [f"{counts['doubtful']} to look at"] if counts["doubtful"] else []
    told += [f"{counts['unknown']} not looked up"] if counts["unknown"] else []
    return ", ".join(told) + "."
