"""Rows of a block with the answers of a loaded version."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa

from shared.serving.coded import Coded, columns_of
from shared.serving.package import LoadedModel
from shared.tabular.reading.blocks import Block
from shared.tabular.scored.answered import Answered
from shared.tabular.scored.ordered import in_order


def answer(
    block: Block, names: Sequence[str], kept: Mapping[str, str], champion: LoadedModel
) -> Answered:
    """All rows of a block in order; every problem of a row is in its error. `kept` maps columns to
    the names they are written under."""
    rows = in_order(block, names)
    cells = {feature.name: coded(rows.cells[feature.name]) for feature in champion.schema.inputs}
    columns, reasons = columns_of(champion.schema, cells)
    found = champion.predict(columns)
    errors = {position: "; ".join(rules) for position, rules in reasons.items()}
    labels = champion.package.labels
    place = {label: position for position, label in enumerate(labels)}
    return Answered(
        cells={written: rows.cells[name] for name, written in kept.items()},
        record=rows.record,
        score=found.score,
        labels=labels,
        label=None if found.label is None else np.array([place[text] for text in found.label]),
        errors={**errors, **rows.errors},
    )


def coded(column: pa.Array) -> Coded:
    """A column of texts as codes."""
    encoded = column.dictionary_encode()
    codes = encoded.indices.to_numpy(zero_copy_only=False)
    return Coded(encoded.dictionary.to_pylist(), codes)
