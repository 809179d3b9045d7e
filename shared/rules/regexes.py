"""Regular expressions of a spec (`require.regex`), matched against whole texts in linear time.

What Python's `re.fullmatch` says, without what makes `re` run for ever: a pattern becomes an
automaton whose states are made as texts need them (Thompson 1968; Cox, "Regular Expression Matching
Can Be Simple And Fast"). Training and serving ask the same code. Standard library only.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from shared.rules.regex_trees import (
    Characters,
    Choice,
    Edge,
    RegexError,
    Repeat,
    Sequence,
    Tree,
    parse,
)

__all__ = ["Pattern", "RegexError"]

MAX_STATES = 5000
# What a pattern keeps of the texts it saw, in numbers of states and ways between: a few MB.
_KEPT = 50_000


@dataclass(slots=True)
class _State:
    """A state of the nondeterministic automaton: it takes a character (`takes`), stands at an edge
    of the text, ends (`to` is empty), or goes on by itself."""

    to: list[int]
    takes: Characters | None = None
    edge: Edge | None = None


@dataclass(slots=True, eq=False)
class _Deterministic:
    """States that a text may have led to, and what was found out about where they lead."""

    inside: frozenset[int]
    accepts: bool
    after: dict[str, _Deterministic] = field(default_factory=dict)


class Pattern:
    """A pattern that whole texts match or not. Safe to share between threads."""

    def __init__(self, text: str) -> None:
        """Raises RegexError."""
        self.text = text
        self._states: list[_State] = []
        end = self._add(_State([]))
        self._end = end
        start = self._build(parse(text), end)
        self._known: dict[frozenset[int], _Deterministic] = {}
        self._kept = 0
        self._start = self._deterministic(self._closure([start], start=True))
        self._takes_nothing = end in self._closure([start], start=True, end=True)

    def matches(self, text: str) -> bool:
        """Whether the whole text matches."""
        if not text:
            return self._takes_nothing
        state = self._start
        for character in text:
            found = state.after.get(character)
            state = self._step(state, character) if found is None else found
            if not state.inside:
                return False
        return state.accepts

    def _step(self, state: _Deterministic, character: str) -> _Deterministic:
        if self._kept > _KEPT:  # texts that need more pay for it by time
            self._forget()
        reached = [
            goal
            for number in state.inside
            for goal in self._states[number].to
            if (takes := self._states[number].takes) is not None and takes.holds(character)
        ]
        found = self._deterministic(self._closure(reached))
        state.after[character] = found
        self._kept += 1
        return found

    def _deterministic(self, inside: frozenset[int]) -> _Deterministic:
        found = self._known.get(inside)
        if found is None:
            found = _Deterministic(inside, self._end in self._closure(inside, end=True))
            self._known[inside] = found
            self._kept += len(inside)
        return found

    def _forget(self) -> None:
        """States hold each other by the ways between them, so those go first."""
        for state in [self._start, *self._known.values()]:
            state.after.clear()
        self._known.clear()
        self._kept = 0

    def _closure(
        self, numbers: Iterable[int], *, start: bool = False, end: bool = False
    ) -> frozenset[int]:
        """All states that are reached without taking a character."""
        found: set[int] = set()
        todo = list(numbers)
        while todo:
            number = todo.pop()
            if number in found:
                continue
            found.add(number)
            state = self._states[number]
            passed = state.edge is None or (end if state.edge.end else start)
            if state.takes is None and passed:
                todo += state.to
        return frozenset(found)

    # --- building --------------------------------------------------------------------------------

    def _add(self, state: _State) -> int:
        if len(self._states) >= MAX_STATES:
            raise RegexError("is too large; use fewer or smaller repeats", 0)
        self._states.append(state)
        return len(self._states) - 1

    def _build(self, tree: Tree, then: int) -> int:
        """States for a tree; the number of the first one comes back."""
        if isinstance(tree, Characters):
            return self._add(_State([then], takes=tree))
        if isinstance(tree, Edge):
            return self._add(_State([then], edge=tree))
        if isinstance(tree, Sequence):
            for part in reversed(tree.parts):
                then = self._build(part, then)
            return then
        if isinstance(tree, Choice):
            return self._add(_State([self._build(part, then) for part in tree.parts]))
        return self._repeat(tree, then)

    def _repeat(self, tree: Repeat, then: int) -> int:
        if tree.most is None:
            loop = self._add(_State([then]))
            self._states[loop].to.append(self._build(tree.part, loop))
            then = loop
        else:
            after = then
            for _ in range(tree.most - tree.least):
                then = self._add(_State([after, self._build(tree.part, then)]))
        for _ in range(tree.least):
            before = len(self._states)
            then = self._build(tree.part, then)
            if len(self._states) == before:  # takes nothing, however often
                break
        return then
