"""What a model asks of a row: which columns, how their cells are written, what has to hold, and
what is derived of them. Plain data with a JSON form, and the meaning of a single value.

`shared.serving.columns` reads records and files by it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from shared.rules import binding as row_rules
from shared.rules.expressions import parse, parse_value
from shared.serving.cells import BadCell, CellRules, Rule
from shared.serving.features import Bounds, Feature
from shared.serving.times import moment_of

if TYPE_CHECKING:  # the spec needs pydantic, which serving does not carry
    from shared.spec.model import Expect, Spec

Columns = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Declared(CellRules):
    """The columns that a model needs, how their cells are written, and the `rules` (name and
    expression) that a whole row has to keep.

    A model sees its `features` and what `derive` (name and expression) makes of its inputs, in that
    order: `seen`. Its inputs are the features and the `carried` columns, which it does not see
    itself. `group` names the column that says which rows belong together, where the split goes by
    one, `about` the one that labels come back by: predictions do not need them, their log keeps
    them. Raises ExpressionError for a rule or an expression about anything but inputs."""

    features: tuple[Feature, ...]
    rules: tuple[tuple[str, str], ...] = ()
    carried: tuple[Feature, ...] = ()
    derive: tuple[tuple[str, str], ...] = ()
    group: str = ""
    about: str = ""
    _rules: tuple[tuple[str, row_rules.Bound], ...] = field(init=False, repr=False, compare=False)
    _row: tuple[tuple[str, bool, Bounds | None], ...] = field(init=False, repr=False, compare=False)
    _made: tuple[tuple[str, row_rules.BoundValue], ...] = field(
        init=False, repr=False, compare=False
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "features", tuple(self.canonical(f) for f in self.features))
        object.__setattr__(self, "carried", tuple(self.canonical(f) for f in self.carried))
        row = tuple((f.name, f.kind == "number", f.require or None) for f in self.features)
        object.__setattr__(self, "_row", row)
        kinds: dict[str, row_rules.Kind] = {f.name: f.kind for f in self.inputs}
        bound = tuple(
            (name, row_rules.bind(parse(text), kinds, self.category_of))
            for name, text in self.rules
        )
        object.__setattr__(self, "_rules", bound)
        made = tuple(
            (name, row_rules.bind_value(parse_value(text), kinds)) for name, text in self.derive
        )
        object.__setattr__(self, "_made", made)

    @classmethod
    def of(cls, spec: Spec) -> Self:
        """The schema of a model spec: its features in file order, what is derived, and the rules
        that are about nothing but inputs. Raises ExpressionError."""
        columns, source = spec.all_columns, spec.main_source

        def feature(name: str) -> Feature:
            column = columns[name]
            expect, require = bounds_of(column.expect), bounds_of(column.require)
            return Feature(name, column.type, expect, require)

        features, carried = spec.feature_names(), spec.carried_names()
        known = {*features, *carried}
        return cls(
            features=tuple(map(feature, features)),
            carried=tuple(map(feature, carried)),
            derive=tuple(spec.derive.items()),
            group=spec.training.group_column or "",
            about=spec.labels.key or "",
            rules=tuple(
                (name, text)
                for name, text in spec.rules.items()
                if known.issuperset(parse(text).columns)
            ),
            missing=source.missing,
            strip=source.strip,
            decimal=source.decimal,
        )

    @property
    def inputs(self) -> tuple[Feature, ...]:
        """What a record or a row of a file has to bring."""
        return (*self.features, *self.carried)

    @property
    def names(self) -> list[str]:
        """Of the inputs."""
        return [feature.name for feature in self.inputs]

    @property
    def logged(self) -> list[str]:
        """What the log of predictions keeps of a record."""
        beside = [name for name in (self.group, self.about) if name not in ("", *self.names)]
        return list(dict.fromkeys([*self.names, *beside]))

    @property
    def seen(self) -> tuple[Feature, ...]:
        """What a model sees: features, then derived numbers."""
        return (*self.features, *(Feature(name, "number") for name, _ in self.derive))

    @property
    def telling(self) -> tuple[Feature, ...]:
        """What tells rows apart: the features, so that a new expression moves no row to another
        side of a split. Where all that a model sees is derived, its inputs."""
        return self.features or self.carried

    @property
    def bound_rules(self) -> tuple[tuple[str, row_rules.Bound], ...]:
        """The rules by name, ready to be asked."""
        return self._rules

    @property
    def bound_derive(self) -> tuple[tuple[str, row_rules.BoundValue], ...]:
        """The expressions by name, ready to be asked."""
        return self._made

    def with_derived(self, columns: Columns) -> Columns:
        """Columns of all inputs, and those that are derived of them."""
        if not self._made:
            return columns
        with np.errstate(all="ignore"):
            return {**columns, **{name: made.of(columns) for name, made in self._made}}

    def convert(
        self, feature: Feature, values: Sequence[object]
    ) -> tuple[NDArray[Any], dict[int, Rule]]:
        """Values one by one, and the broken rules by position: what decides a cell, in training
        and serving alike. A value that breaks a rule is missing."""
        nothing: float | str = "" if feature.kind == "category" else math.nan
        found: NDArray[Any] = np.empty(len(values), object if nothing == "" else np.float64)
        rules: dict[int, Rule] = {}
        for position, value in enumerate(values):
            converted, rule = self._value(feature, value)
            if rule is not None:
                rules[position] = rule
                converted = nothing
            found[position] = converted
        return found, rules

    def _value(self, feature: Feature, value: object) -> tuple[float | str, Rule | None]:
        """A converted value and the rule that it breaks."""
        try:
            converted = self._converter(feature)(value)
        except BadCell as error:
            return "" if feature.kind == "category" else math.nan, error.rule
        return converted, feature.require.broken_by(converted)

    def moment_of(self, value: object) -> float:
        """Seconds since 1970 that a JSON value or a text stands for, NaN for missing. Raises
        BadCell."""
        return moment_of(value, self._markers)

    def _converter(self, feature: Feature) -> Callable[[object], float | str]:
        if feature.kind == "time":
            return self.moment_of
        return self.number_of if feature.kind == "number" else self.category_of

    def canonical(self, feature: Feature) -> Feature:
        """Declared categories in the spelling that values get."""

        def same(bounds: Bounds) -> Bounds:
            values = bounds.values and tuple(self.category_of(value) for value in bounds.values)
            return replace(bounds, values=values)

        return Feature(feature.name, feature.kind, same(feature.expect), same(feature.require))

    # --- JSON ------------------------------------------------------------------------------------

    def to_json(self) -> dict[str, Any]:
        # A model without rules, derived columns and groups keeps the bytes that it always had.
        rules = [{"name": name, "rule": text} for name, text in self.rules]
        carried = [feature.to_json() for feature in self.carried]
        derive = [{"name": name, "expression": text} for name, text in self.derive]
        return {
            **({"rules": rules} if rules else {}),
            **({"carried": carried} if carried else {}),
            **({"derive": derive} if derive else {}),
            **({"group": self.group} if self.group else {}),
            **({"about": self.about} if self.about else {}),
            "features": [feature.to_json() for feature in self.features],
            "missing": list(self.missing),
            "strip": self.strip,
            "decimal": self.decimal,
        }

    @classmethod
    def from_json(cls, body: Mapping[str, Any]) -> Self:
        return cls(
            features=tuple(Feature.from_json(item) for item in body["features"]),
            missing=tuple(body["missing"]),
            strip=body["strip"],
            decimal=body["decimal"],
            rules=tuple((item["name"], item["rule"]) for item in body.get("rules", ())),
            carried=tuple(Feature.from_json(item) for item in body.get("carried", ())),
            derive=tuple((item["name"], item["expression"]) for item in body.get("derive", ())),
            group=body.get("group", ""),
            about=body.get("about", ""),
        )


def bounds_of(limits: Expect) -> Bounds:
    """What a spec says about the cells of a column."""
    return Bounds(
        min=limits.min,
        max=limits.max,
        values=limits.values,
        present=getattr(limits, "present", False),
        regex=getattr(limits, "regex", None),
    )
