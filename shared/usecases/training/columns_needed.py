"""Which columns a file to learn from must have, or must not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from shared.errors import HeaderMismatch
from shared.spec.model import Require, Spec


def check_columns(names: Sequence[str], spec: Spec) -> None:
    """Raises HeaderMismatch for a file without a column that the training needs."""
    wanted = [*spec.feature_names(), *spec.carried_names(), spec.target.column, *_asked(spec)]
    derived = spec.derived
    missing = [name for name in dict.fromkeys(wanted) if name not in {*names, *derived}]
    if missing:
        raise HeaderMismatch(
            f"the file lacks {', '.join(missing)}; its header is {', '.join(names)[:300]}"
        )
    twice = [name for name in spec.derive if name in names]
    if twice:
        raise HeaderMismatch(
            f"the file has {', '.join(twice)} already, which the spec derives; give what is "
            "derived another name"
        )


def _asked(spec: Spec) -> Iterator[str]:
    """Columns that every row is asked for, whether a model sees them or not."""
    asked = spec.training.time_column, spec.training.group_column
    yield from (name for name in asked if name is not None)
    nothing = Require()
    yield from (name for name, column in spec.columns.items() if column.require != nothing)
