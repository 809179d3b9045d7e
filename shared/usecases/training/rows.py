"""What a training reads, as often as it needs to: the rows of its inputs, block by block.

    one input or several of one kind: the files themselves      (here)
    several sources: the primary's rows with joined columns     (shared.usecases.training.joined)

Mended rows of a quarantine (inputs with role `corrected`) stand in for the original records while
those are read: same source, same record number, other cells.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Protocol

from shared.events import parse_time
from shared.runs import InputRef
from shared.tabular.reading.sheets import Block, Sheet, open_input
from shared.tabular.validating.row_reasons import BadRow
from shared.usecases.training.columns_needed import check_columns
from shared.usecases.training.corrections import CORRECTED, Corrections, corrections, replayed
from shared.usecases.training.stages import Training

__all__ = ["CORRECTED", "Corrections", "Rows", "arrived", "corrections", "open_rows"]


class Rows(Protocol):
    """Rows to learn from. `names` are the columns of a block, joined ones included; `file_names`
    are those of the (primary) file, which quarantine shows; `report` is the join's."""

    @property
    def names(self) -> tuple[str, ...]: ...

    @property
    def file_names(self) -> tuple[str, ...]: ...

    @property
    def sources(self) -> list[dict[str, Any]]:
        """What the package says of joined sources, with their snapshots."""

    @property
    def report(self) -> dict[str, Any] | None: ...

    def blocks(self) -> Iterator[tuple[str, Block]]:
        """The source of an input (`InputRef.source`) with each of its blocks, in order; every call
        starts again and gives the same. A record that is bad already is in `Block.ragged`."""

    def bad(self) -> Iterable[BadRow]:
        """Records of other sources that were not joined, with `role` and `names`."""


def open_rows(run: Training) -> AbstractContextManager[Rows]:
    """The rows of a training's inputs. Raises Rejected for files that cannot be read."""
    if run.spec.sources:
        from shared.usecases.training.joined import open_joined  # DuckDB, for few trainings

        return open_joined(run, corrections(run))
    return nullcontext(_FileRows(run))


def arrived(run: Training) -> float:
    """When the file arrived whose rows are read (seconds since 1970): for a replay, the first."""
    requests = [run.request, *replayed(run)]
    return parse_time(requests[-1].requested_at).timestamp()


class _FileRows:
    """Files of one kind, one after the other: the columns of the first that all of them have."""

    report: dict[str, Any] | None = None

    def __init__(self, run: Training) -> None:
        self._run = run
        self._inputs = [item for item in run.request.inputs if item.role != CORRECTED]
        found = []
        for item in self._inputs:
            with self._open(item) as sheet:
                check_columns(sheet.names, run.spec)
                found.append(sheet.names)
        self.names = tuple(name for name in found[0] if all(name in names for names in found))
        self.file_names = self.names
        self.sources: list[dict[str, Any]] = []
        self._corrections = corrections(run)

    def blocks(self) -> Iterator[tuple[str, Block]]:
        for item in self._inputs:
            with self._open(item) as sheet:
                for block in sheet.blocks:
                    cells = {name: block.cells[name] for name in self.names}
                    narrow = Block(cells, block.record, block.ragged)
                    yield item.source, self._corrections.apply(item.source, self.names, narrow)

    def bad(self) -> Iterable[BadRow]:
        return ()

    def _open(self, item: InputRef) -> AbstractContextManager[Sheet]:
        spec = self._run.spec
        names = spec.file_columns(with_target=True) if not spec.source.header else None
        expected = spec.file_columns(with_target=True)
        return open_input(self._run.lake, item, spec.source, names=names, expected=expected)
