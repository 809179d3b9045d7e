"""Column types from the data, for a spec that names none. Pure.

A column is a number when all its known cells are. One whose texts are nearly all different tells a
model nothing (names, ids, free text) and is left out.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from shared.errors import NotTrainable
from shared.serving.columns import BadCell, Schema
from shared.spec.model import Column, Spec
from shared.tabular.reading import Cells

# From this share of distinct texts on, a text column is taken for an identifier.
DISTINCT_SHARE = 0.5
MIN_DISTINCT = 100


def infer_columns(cells: Cells, spec: Spec) -> Spec:
    """The spec with its columns in file order. Raises NotTrainable when none can be used."""
    reader = Schema(
        (), missing=spec.source.missing, strip=spec.source.strip, decimal=spec.source.decimal
    )
    columns = {name: _column(texts, reader) for name, texts in cells.items()}
    columns[spec.target.column] = Column(type="number" if spec.task == "regression" else "category")
    if all(column.exclude for name, column in columns.items() if name != spec.target.column):
        raise NotTrainable(
            "no usable column: apart from the target all are empty, constant or identifiers"
        )
    return spec.model_copy(update={"columns": columns})


def _column(texts: Sequence[str], reader: Schema) -> Column:
    known = {text: reader.category_of(text) for text in set(texts)}
    distinct = set(known.values()) - {""}
    if len(distinct) < 2:
        return Column(exclude=True)
    if all(_is_number(text, reader) for text, value in known.items() if value):
        return Column(type="number")
    filled = sum(1 for text in texts if known[text])
    identifier = len(distinct) > max(MIN_DISTINCT, DISTINCT_SHARE * filled)
    return Column(exclude=identifier)


def _is_number(text: str, reader: Schema) -> bool:
    try:
        return not math.isnan(reader.number_of(text))
    except BadCell:
        return False
