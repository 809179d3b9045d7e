"""What a model's input columns are: names, kinds, and the limits people set on them.

Plain data with a JSON form; `shared.serving.columns` applies it to values.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from shared.rules.regexes import Pattern
from shared.serving.cells import Rule

Kind = Literal["number", "category", "time"]
_NO_LIMITS = (None, None, None, None)


@dataclass(frozen=True, slots=True)
class Bounds:
    """Limits of a column, both ends included. `values` and `regex` (whole texts) are for
    categories. Raises RegexError for a pattern that `shared.rules.regexes` does not know."""

    min: float | None = None
    max: float | None = None
    values: tuple[str, ...] | None = None
    present: bool = False
    regex: str | None = None
    _pattern: Pattern | None = field(init=False, repr=False, compare=False, default=None)

    def __post_init__(self) -> None:
        if self.regex is not None:
            object.__setattr__(self, "_pattern", Pattern(self.regex))

    def __bool__(self) -> bool:
        return self.present or (self.min, self.max, self.values, self.regex) != _NO_LIMITS

    def to_json(self) -> dict[str, Any]:
        body: dict[str, Any] = {
            "min": self.min,
            "max": self.max,
            "values": self.values,
            "regex": self.regex,
        }
        body = {key: value for key, value in body.items() if value is not None}
        return body | ({"present": True} if self.present else {})

    @classmethod
    def from_json(cls, body: Mapping[str, Any]) -> Bounds:
        values = body.get("values")
        return cls(
            min=body.get("min"),
            max=body.get("max"),
            values=None if values is None else tuple(values),
            present=bool(body.get("present", False)),
            regex=body.get("regex"),
        )

    def broken_by(self, value: float | str) -> Rule | None:
        """The rule that a converted value breaks, or None. A missing value breaks only
        `present`."""
        if value == "" or (isinstance(value, float) and math.isnan(value)):
            return Rule("must be present", "present") if self.present else None
        if isinstance(value, str):
            return self._broken_by_text(value)
        if self.min is not None and value < self.min:
            return Rule(f"must be at least {self.min:g}", "range")
        if self.max is not None and value > self.max:
            return Rule(f"must be at most {self.max:g}", "range")
        return None

    def _broken_by_text(self, text: str) -> Rule | None:
        if self.values is not None and text not in self.values:
            return Rule("must be one of " + ", ".join(self.values), "set")
        if self._pattern is not None and not self._pattern.matches(text):
            return Rule(f"must match {self.regex}", "regex")
        return None


NO_BOUNDS = Bounds()


@dataclass(frozen=True, slots=True)
class Feature:
    """One input column. What breaks `expect` is counted, what breaks `require` is refused. A `time`
    is no feature of a model, but one may be derived of it."""

    name: str
    kind: Kind
    expect: Bounds = field(default_factory=Bounds)
    require: Bounds = field(default_factory=Bounds)

    def to_json(self) -> dict[str, Any]:
        body: dict[str, Any] = {"name": self.name, "kind": self.kind}
        for key, bounds in (("expect", self.expect), ("require", self.require)):
            body |= {key: bounds.to_json()} if bounds else {}
        return body

    @classmethod
    def from_json(cls, body: Mapping[str, Any]) -> Feature:
        return cls(
            name=body["name"],
            kind=body["kind"],
            expect=Bounds.from_json(body.get("expect", {})),
            require=Bounds.from_json(body.get("require", {})),
        )
