"""Rows of a block with the answers of a loaded version."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from shared.serving.coded import Coded, Converted, columns_of
from shared.serving.columns import Schema
from shared.serving.features import Feature
from shared.serving.loaded_model import LoadedModel
from shared.tabular.reading.blocks import Block
from shared.tabular.scored.answered import Answered
from shared.tabular.scored.ordered import in_order

# Texts that Python and arrow read as the same number, without blanks and names such as inf.
_PLAIN_NUMBER = r"^-?[0-9]{1,30}(\.[0-9]{1,30})?([eE][-+]?[0-9]{1,3})?$"
_MANY = 100


def answer(
    block: Block, names: Sequence[str], kept: Mapping[str, str], champion: LoadedModel
) -> Answered:
    """All rows of a block in order; every problem of a row is in its error. `kept` maps columns to
    the names they are written under."""
    rows = in_order(block, names)
    schema = champion.schema
    cells = {item.name: coded(schema, item, rows.cells[item.name]) for item in schema.inputs}
    columns, reasons = columns_of(schema, cells)
    score, label = champion.predict_many(columns)
    errors = {position: "; ".join(rules) for position, rules in reasons.items()}
    as_it_stands = block.lines is not None
    return Answered(
        cells={} if as_it_stands else {text: rows.cells[name] for name, text in kept.items()},
        record=rows.record,
        score=score,
        labels=champion.package.labels,
        label=label,
        errors={**errors, **rows.errors},
        lines=block.lines,
    )


def coded(schema: Schema, feature: Feature, column: pa.Array, *, many: int = _MANY) -> Coded:
    """A column of texts as codes, numbers that are many converted at once."""
    encoded = column.dictionary_encode()
    codes = encoded.indices.to_numpy(zero_copy_only=False)
    converted = None
    if feature.kind == "number" and schema.decimal == "." and len(encoded.dictionary) > many:
        converted = _numbers(schema, feature, encoded.dictionary)
    return Coded(encoded.dictionary.to_pylist(), codes, converted)


def _numbers(schema: Schema, feature: Feature, texts: pa.Array) -> Converted:
    """What `Schema.convert` makes of different texts: what is plainly a number without its help."""
    plain = pc.match_substring_regex(texts, _PLAIN_NUMBER)
    plain = pc.and_not(plain, pc.is_in(texts, pa.array(schema.missing, pa.string())))
    is_plain = plain.to_numpy(zero_copy_only=False)
    values = np.full(len(texts), np.nan)
    values[is_plain] = pc.cast(texts.filter(plain), pa.float64()).to_numpy(zero_copy_only=False)
    bounds = feature.require
    low = -np.inf if bounds.min is None else bounds.min
    high = np.inf if bounds.max is None else bounds.max
    with np.errstate(invalid="ignore"):
        easy = is_plain & np.isfinite(values) & (values >= low) & (values <= high)
    rest = np.flatnonzero(~easy)
    found, rules = schema.convert(feature, texts.take(pa.array(rest)).to_pylist())
    values[rest] = found
    return values, {int(rest[place]): rule for place, rule in rules.items()}
