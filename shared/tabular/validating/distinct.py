"""A column by its different cells: each is judged once, by the rules that serving has.

    texts of a block -> dictionary -> Schema.convert for each different text -> back to the rows

So a file and a request cannot be judged differently. Numbers in plain spelling, of which a column
may have a different one in every row, take a faster way that gives the same (a property test says
so): Arrow and Python both read decimal texts exactly rounded.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from shared.serving.cells import BadCell, Rule
from shared.serving.columns import Schema
from shared.serving.features import Bounds, Feature
from shared.serving.times import moment_of

# Below this many different texts the faster way has nothing to gain.
_FEW = 200


@dataclass(frozen=True, slots=True)
class Distinct:
    """The different cells of a column and which row has which. `values` are converted (NaN or ""
    for missing and for what breaks a rule), `kept` are the texts as they are kept."""

    texts: pa.StringArray
    codes: NDArray[np.int64]
    kept: pa.StringArray
    values: NDArray[Any]
    rules: dict[int, Rule]

    def rows(self) -> NDArray[Any]:
        """The converted value of every row."""
        return self.values[self.codes]

    def kept_rows(self) -> pa.StringArray:
        return self.kept.take(pa.array(self.codes))

    def broken(self) -> NDArray[np.bool_]:
        """Which rows break a rule."""
        marks = np.zeros(len(self.texts), bool)
        marks[list(self.rules)] = True
        return marks[self.codes]

    def at(self, row: int) -> tuple[str, Rule | None]:
        """The cell of a row as in the file, and the rule that it breaks."""
        code = int(self.codes[row])
        return self.texts[code].as_py(), self.rules.get(code)


def judge(cells: pa.Array, feature: Feature, schema: Schema) -> Distinct:
    """A column, converted and held against what it requires."""
    if feature.kind == "time":
        return judge_times(cells, feature.require, schema)
    texts, codes = _encoded(cells)
    if feature.kind == "number" and len(texts) > _FEW:
        values, rules, kept = _numbers(texts, feature, schema)
    else:
        plain = texts.to_pylist()
        values, rules = schema.convert(feature, plain)
        kept = pa.array(normalise(plain, schema), pa.string())
    return Distinct(texts, codes, kept, values, rules)


def judge_times(cells: pa.Array, require: Bounds, schema: Schema) -> Distinct:
    """A time column: seconds since 1970, NaN for missing."""
    texts, codes = _encoded(cells)
    plain = texts.to_pylist()
    values = np.full(len(plain), np.nan)
    rules: dict[int, Rule] = {}
    markers = frozenset(schema.missing)
    for position, text in enumerate(plain):
        try:
            value = moment_of(text, markers)
        except BadCell as error:
            rules[position] = Rule(str(error), "time")
            continue
        values[position] = value
        rule = require.broken_by(value) if math.isnan(value) else None
        if rule is not None:
            rules[position] = rule
    return Distinct(texts, codes, pa.array(normalise(plain, schema), pa.string()), values, rules)


def normalise(cells: Sequence[str], schema: Schema) -> list[str]:
    """Cells as they are kept: stripped where the spec strips, "" for every missing marker."""
    missing = {*schema.missing, ""}
    known: dict[str, str] = {}
    for cell in set(cells):
        text = cell.strip() if schema.strip else cell
        known[cell] = "" if text in missing else text
    return [known[cell] for cell in cells]


def _encoded(cells: pa.Array) -> tuple[pa.StringArray, NDArray[np.int64]]:
    found = cells.dictionary_encode()
    return found.dictionary, found.indices.to_numpy(zero_copy_only=False).astype(np.int64)


def _numbers(
    texts: pa.StringArray, feature: Feature, schema: Schema
) -> tuple[NDArray[np.float64], dict[int, Rule], pa.StringArray]:
    """What `Schema.convert` gives; only texts that are no plain numbers are asked one by one."""
    mark = "," if schema.decimal == "," else r"\."
    plain = pc.match_substring_regex(texts, rf"^-?[0-9]+({mark}[0-9]+)?$")
    plain = pc.and_not(plain, pc.is_in(texts, value_set=pa.array(schema.missing, pa.string())))
    # RE2's `$` is the end of the text; a line end before it is not passed over as Python would.
    marks = plain.to_numpy(zero_copy_only=False).astype(bool)
    spelled = texts.filter(plain)
    if schema.decimal == ",":
        spelled = pc.replace_substring(spelled, ",", ".")
    values = np.full(len(texts), np.nan)
    values[marks] = pc.cast(spelled, pa.float64()).to_numpy(zero_copy_only=False)
    require = feature.require
    doubtful = ~marks | ~np.isfinite(values)
    for bound, outside in ((require.min, np.less), (require.max, np.greater)):
        if bound is not None:
            with np.errstate(invalid="ignore"):
                doubtful |= outside(values, bound)
    positions = np.flatnonzero(doubtful).tolist()
    asked = [texts[position].as_py() for position in positions]
    found, broken = schema.convert(feature, asked)
    values[positions] = found
    rules = {positions[place]: rule for place, rule in broken.items()}
    if marks.all():
        return values, rules, texts
    kept = texts.to_pylist()
    odd = [kept[position] for position in np.flatnonzero(~marks).tolist()]
    for position, text in zip(np.flatnonzero(~marks).tolist(), normalise(odd, schema), strict=True):
        kept[position] = text
    return values, rules, pa.array(kept, pa.string())
