"""Reads a Dockerfile and its .dockerignore, as far as ours go: no heredocs, no escape directive.

Knows the syntax; what is done with it is `infra.images.rehearsal`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

FILE = Path(__file__).with_name("Dockerfile")
_VARIABLE = re.compile(r"\$(?:\{(\w+)\}|(\w+))")
_FLAG = re.compile(r"--(\w[\w-]*)=(\S+)\s+")


@dataclass(frozen=True, slots=True)
class Instruction:
    """`value` is what stands behind the name and its flags, variables as they are written."""

    name: str
    value: str
    flags: Mapping[str, str] = field(default_factory=dict)

    @property
    def words(self) -> list[str]:
        """Of the exec form, or between spaces."""
        if self.value.startswith("["):
            found: list[str] = json.loads(self.value)
            return found
        return self.value.split()


@dataclass(frozen=True, slots=True)
class Stage:
    name: str
    base: str
    instructions: list[Instruction]

    def all_of(self, name: str) -> list[Instruction]:
        return [one for one in self.instructions if one.name == name]


def read(text: str) -> tuple[list[Instruction], list[Stage]]:
    """What stands before the first FROM, and the stages. Raises ValueError."""
    before: list[Instruction] = []
    stages: list[Stage] = []
    for one in _instructions(text):
        if one.name == "FROM":
            base, _, name = one.value.partition(" AS ")
            stages.append(Stage(name.strip(), base.strip(), []))
        else:
            (stages[-1].instructions if stages else before).append(one)
    return before, stages


def _instructions(text: str) -> Iterator[Instruction]:
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    for line in re.sub(r"\\\n", " ", "\n".join(lines)).splitlines():
        name, _, rest = line.strip().partition(" ")
        rest, flags = re.sub(r"\s+", " ", rest).strip(), {}
        while name != "RUN" and (flag := _FLAG.match(rest)):
            flags[flag[1]] = flag[2]
            rest = rest[flag.end() :]
        if not name.isupper():
            raise ValueError(f"{name!r} is no instruction in capitals")
        yield Instruction(name, rest, flags)


def chain(stages: list[Stage], target: str) -> list[Stage]:
    """The stages that a target is made of, its base first. Raises KeyError."""
    named = {stage.name: stage for stage in stages}
    found = [named[target]]
    while found[0].base in named:
        found.insert(0, named[found[0].base])
    return found


def filled(text: str, variables: Mapping[str, str]) -> str:
    """With variables in place; those that nobody set are empty, as Docker has it."""
    return _VARIABLE.sub(lambda match: variables.get(match[1] or match[2], ""), text)


class Ignored:
    """What .dockerignore keeps out of a build: the last rule that fits a path decides."""

    def __init__(self, text: str) -> None:
        lines = [line.strip() for line in text.splitlines()]
        self._rules = [
            (_pattern(line.lstrip("!")), line.startswith("!"))
            for line in lines
            if line and not line.startswith("#")
        ]

    def __contains__(self, path: str) -> bool:
        inside = True
        for pattern, kept in self._rules:
            if pattern.match(path):
                inside = kept
        return not inside


def _pattern(rule: str) -> re.Pattern[str]:
    """Fits the path itself and everything below it."""
    parts = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    split = re.split(r"(\*\*/|\*\*|\*|\?)", rule.strip("/"))
    return re.compile("".join(parts.get(part, re.escape(part)) for part in split) + r"(?:/|\Z)")
