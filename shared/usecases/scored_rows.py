"""The rows of a scoring run with the input's cells, wherever they are kept.

the scored file has the column     -> from there
`scoring.columns` left it out      -> from the input, whose rows are in the same order
neither                            -> ""
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass

import pyarrow as pa

from shared import runs
from shared.errors import ObjectNotFound, Rejected
from shared.files.headers import scored_columns, scored_layouts
from shared.ports import Bucket
from shared.predicted import BatchRun
from shared.runs import RunRequest
from shared.served import learned_by
from shared.spec.model import Spec
from shared.spec.registry import read_generation
from shared.tabular.reading.sheets import Sheet, open_input
from shared.tabular.scored.ordered import in_order
from shared.tabular.scored.reading import read_scored


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Some rows: texts of the columns that were asked for, in that order, and the answers by their
    names ("" where there is none)."""

    cells: list[pa.Array]
    answers: dict[str, pa.Array]


def scored_rows(model: str, run: BatchRun, names: Sequence[str], *, lake: Bucket) -> Iterator[Rows]:
    """All rows of a scoring run, in input order. Raises ObjectNotFound, UnreadableText."""
    with ExitStack() as stack:
        left_out: _Input | None = None
        for number, block in enumerate(read_scored(lake, run.object)):
            found = {name: block.cells(name) for name in names}
            missing = [name for name, column in found.items() if column is None]
            if number == 0 and missing:
                left_out = _input_of(model, run, stack, lake)
            given = left_out.take(missing, len(block)) if left_out and missing else {}
            cells = [
                column if column is not None else given.get(name, _empty(len(block)))
                for name, column in found.items()
            ]
            yield Rows(cells, block.answers)


def find_row(
    model: str, run: BatchRun, prediction_id: str, *, lake: Bucket
) -> tuple[dict[str, str], dict[str, str]] | None:
    """The cells (of the whole input, as far as they are known) and the answers of one prediction;
    None where the file has none of that id. Raises ObjectNotFound."""
    record = 0
    for block in read_scored(lake, run.object):
        ids = block.answers["prediction_id"]
        place = ids.index(pa.scalar(prediction_id)).as_py()
        if place < 0:
            record += len(block)
            continue
        answers = {name: column[place].as_py() for name, column in block.answers.items()}
        kept = {name: column[place].as_py() for name, column in block.kept.items()}
        with ExitStack() as stack:
            left_out = _input_of(model, run, stack, lake)
            more = left_out.row(record + place) if left_out is not None else {}
        return {**more, **kept}, answers
    return None


class _Input:
    """The rows of an input, taken from its start to its end."""

    def __init__(self, sheet: Sheet) -> None:
        self._names, self._blocks = sheet.names, sheet.blocks
        self._waiting: dict[str, pa.Array] = {}

    def take(self, names: Sequence[str], count: int) -> dict[str, pa.Array]:
        """The next `count` rows of those columns that there are."""
        known = [name for name in names if name in self._names]
        parts: dict[str, list[pa.Array]] = {name: [] for name in known}
        while known and count:
            if not self._waiting:
                block = next(self._blocks, None)
                if block is None:
                    return {}  # fewer rows than were answered: not the file that was scored
                self._waiting = in_order(block, self._names).cells
            there = len(self._waiting[known[0]])
            taken = min(there, count)
            for name in known:
                parts[name].append(self._waiting[name].slice(0, taken))
            rest = {name: column.slice(taken) for name, column in self._waiting.items()}
            self._waiting = rest if taken < there else {}
            count -= taken
        return {name: pa.concat_arrays(found) for name, found in parts.items() if found}

    def row(self, place: int) -> dict[str, str]:
        """The cells of the row at this place (from 0)."""
        self.take(self._names[:1], place)
        return {name: column[0].as_py() for name, column in self.take(self._names, 1).items()}


def _input_of(model: str, run: BatchRun, stack: ExitStack, lake: Bucket) -> _Input | None:
    """The input of a run whose scored file does not have all of it; None where it has, or where
    nobody has the input any more."""
    try:
        request = runs.read_work(model, run.run_id, lake=lake)
        spec = read_generation(model, request.spec_generation, lake=lake)
        if spec.scoring.columns == "all":
            return None
        return _Input(stack.enter_context(_opened(request, spec, run.version, lake)))
    except (ObjectNotFound, Rejected):
        return None


def _opened(
    request: RunRequest, spec: Spec, version: str, lake: Bucket
) -> AbstractContextManager[Sheet]:
    served = learned_by(request.model, version, lake=lake)
    primary = [item for item in request.inputs if item.role in ("", spec.primary)]
    return open_input(
        lake,
        primary[0],
        spec.main_source,
        names=scored_layouts(spec, served),
        expected=scored_columns(spec, served, spec.primary).expected,
    )


def _empty(count: int) -> pa.Array:
    return pa.repeat("", count)
