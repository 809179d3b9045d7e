"""How a spec says what comes back for a file that is scored, and what can be wrong with that."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

from pydantic import field_validator

from shared.spec.base import Part

if TYPE_CHECKING:
    from shared.spec.model import Spec

Found = tuple[tuple[str, ...], str]


class Scoring(Part):
    """What comes back for a file that is scored. `output` is how it is written (`parquet`: several
    files and a manifest). `columns` stand before the answers: `all` of the input, its `key`, or the
    ones that are named; of joined sources their columns always. Whatever is left out, monitoring
    and trainings find it in the input."""

    output: Literal["csv", "jsonl", "parquet"] = "csv"
    columns: Literal["all", "key"] | tuple[str, ...] = "all"

    @field_validator("columns")
    @classmethod
    def _some(cls, value: str | tuple[str, ...]) -> str | tuple[str, ...]:
        if not value:
            raise ValueError("name a column, or write all or key")
        return value


def scoring_problems(spec: Spec) -> Iterator[Found]:
    """What is wrong with `scoring` in a spec whose single keys are right."""
    wanted, at = spec.scoring.columns, ("scoring", "columns")
    if wanted == "key" and spec.key is None:
        text = "is key, and nothing says which column that is; name it, such as columns: [id]"
        yield at, text
    if isinstance(wanted, str) or not spec.columns:
        return
    for name in wanted:
        if name not in {*spec.all_columns, spec.key}:
            near = difflib.get_close_matches(name, list(spec.all_columns), n=1)
            hint = f"did you mean {near[0]!r}?" if near else "leave it out"
            yield at, f"{name!r} is no column; {hint}"
