"""Column types from the data, for a spec that names none. Pure.

A column is a number when nearly all its known cells are (the others are typing errors, and their
rows go to quarantine). One whose texts are nearly all different tells a model nothing (names, ids,
free text) and is left out, as is one that numbers the rows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

from shared.errors import NotTrainable
from shared.serving.cells import BadCell
from shared.serving.columns import Schema
from shared.spec.model import Column, Spec
from shared.tabular.reading import Cells

# From this share of distinct texts on, a text column is taken for an identifier.
DISTINCT_SHARE = 0.5
MIN_DISTINCT = 100
# Of the cells, and of the different ones.
NUMBER_SHARE = 0.99


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
    filled = sum(1 for text in texts if known[text])
    odd = {text for text, value in known.items() if value and not _is_number(text, reader)}
    if len(odd) <= (1 - NUMBER_SHARE) * len(distinct):
        count = sum(text in odd for text in texts)
        if count <= (1 - NUMBER_SHARE) * filled:
            return Column(type="number", exclude=_numbers_rows(texts))
    identifier = len(distinct) > max(MIN_DISTINCT, DISTINCT_SHARE * filled)
    return Column(exclude=identifier)


def _numbers_rows(texts: Sequence[str]) -> bool:
    """Whole numbers, each one more than the one before: where a row stands in the file."""
    try:
        numbers = [int(text) for text in texts]
    except ValueError:
        return False
    return all(after == before + 1 for before, after in pairwise(numbers))


def _is_number(text: str, reader: Schema) -> bool:
    try:
        return not math.isnan(reader.number_of(text))
    except BadCell:
        return False
