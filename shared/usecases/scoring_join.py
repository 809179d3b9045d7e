"""The rows to score of a model made of several sources: the primary's, with what the champion's
sources add.

    source came with the batch -> joined as at the training: the version's own aggregates or SQL
    its columns are in the file -> taken as they are
    neither                     -> looked up in the version's snapshot, as a request by key is

The new columns follow the original ones in predictions.csv, where monitoring and later trainings
find them. A row that has none keeps its place and gets an error. What was joined is told in
predictions/<model>/<run_id>/join.json.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from shared import documents, paths
from shared.documents import dumps
from shared.errors import BadSource, FeaturesTooOld, HeaderMismatch
from shared.events import parse_time
from shared.files.headers import Served, scored_columns, scored_layouts
from shared.ports import Bucket
from shared.runs import InputRef, RunRequest
from shared.serving.loaded_model import LoadedModel
from shared.serving.sources.aggregates import SourceAggregates
from shared.serving.sources.forms import Cells, LookUp, Reader, RefusedCells
from shared.serving.sources.snapshot import fetch
from shared.spec.model import JoinedSource, Source, Spec
from shared.tabular.joins.joining import Beside, Join, Unusable, as_cells
from shared.tabular.joins.report import report_of
from shared.tabular.reading.sheets import BLOCK_ROWS, Block, Sheet, open_input
from shared.usecases.training.joined import inputs_of, together

REPORT = "join.json"
_EXAMPLES = 20


@contextmanager
def open_batch(
    request: RunRequest,
    spec: Spec,
    served: Served | None,
    champion: LoadedModel,
    *,
    lake: Bucket,
    block_rows: int = BLOCK_ROWS,
) -> Iterator[Sheet]:
    """The primary's rows in their order, with the columns of every source of the champion.
    Raises Rejected for files that can never be scored."""
    batch = _Batch(request, spec, champion, lake, block_rows, served=served)
    with ExitStack() as stack:
        names, source = batch.look()
        wanted = [one for one in champion.package.sources if not set(one.types) <= set(names)]
        came = [one for one in wanted if inputs_of(request.inputs, one.name)]
        known = [one for one in wanted if one not in came]
        twice = [name for one in came for name in one.types if name in names]
        if twice:
            raise HeaderMismatch(
                f"the file has {', '.join(twice)}, which other files of the batch add as well"
            )
        join = batch.join(came, stack) if came else None
        readers = [batch.reader(one) for one in known]
        added = [name for one in (*came, *known) for name in one.types if name not in names]
        blocks = batch.blocks(join, readers)
        yield Sheet((*names, *added), source, blocks)


class _Batch:
    """The files of one scoring run, and how they are read."""

    def __init__(
        self,
        request: RunRequest,
        spec: Spec,
        champion: LoadedModel,
        lake: Bucket,
        block_rows: int,
        *,
        served: Served | None,
    ) -> None:
        self._request, self._spec, self._champion = request, spec, champion
        self._lake, self._block_rows = lake, block_rows
        self._layouts = scored_layouts(spec, served)
        self._expected = scored_columns(spec, served, spec.primary).expected
        primary = spec.primary
        self._primary = inputs_of(request.inputs, primary) or inputs_of(request.inputs, "")
        if len(self._primary) != 1:
            raise BadSource(
                f"the batch has {len(self._primary)} files of {primary or 'the model'}, whose rows "
                "are scored; it needs one"
            )

    # --- the primary -----------------------------------------------------------------------------

    def look(self) -> tuple[tuple[str, ...], Source]:
        """The primary's columns, and how it is written."""
        with self._open_primary() as sheet:
            return sheet.names, sheet.source

    @contextmanager
    def _open_primary(self) -> Iterator[Sheet]:
        with open_input(
            self._lake,
            self._primary[0],
            self._spec.main_source,
            names=self._layouts,
            expected=self._expected,
            block_rows=self._block_rows,
        ) as sheet:
            yield sheet

    def blocks(self, join: Join | None, readers: Sequence[Reader]) -> Iterator[Block]:
        """The primary's blocks with all columns."""
        reading = join.read() if join is not None else None
        with self._open_primary() as sheet:
            for block in sheet.blocks:
                beside = reading.beside(block) if reading is not None else Beside({}, {})
                for reader in readers:
                    self._look_up(block, reader, beside)
                yield together(block, beside)

    # --- sources that came -----------------------------------------------------------------------

    def join(self, sources: Sequence[SourceAggregates], stack: ExitStack) -> Join:
        """The join of this batch's files, as the champion was trained."""
        folder = Path(stack.enter_context(TemporaryDirectory()))
        sql = self._sql(sources)
        join = stack.enter_context(closing(Join(folder, sources, self._champion.schema, sql=sql)))
        for source in sources:
            items = inputs_of(self._request.inputs, source.name)
            join.load(source.name, self._origins(items, source))
        with self._open_primary() as sheet:
            join.place(sheet.blocks)
        join.compute()
        self._report(join)
        return join

    def _origins(
        self, items: Sequence[InputRef], source: SourceAggregates
    ) -> Iterator[tuple[str, Block]]:
        about = self._spec.sources.get(source.name) or JoinedSource(key=source.key)
        names = [about.columns or source.columns_needed]
        for item in items:
            with open_input(
                self._lake, item, about, names=names, expected=source.columns_needed
            ) as sheet:
                for block in sheet.blocks:
                    yield item.source, block

    def _sql(self, sources: Sequence[SourceAggregates]) -> dict[str, str]:
        """The SELECTs that the champion was trained with."""
        if not any(source.is_sql for source in sources):
            return {}
        name = paths.run_stage(self._request.model, self._champion.version, "prepared.json")
        kept = documents.require(self._lake, name)["sources"]
        return {item["name"]: item["sql"] for item in kept if item["sql"] is not None}

    def _report(self, join: Join) -> None:
        bad = [asdict(row) for row in islice(join.bad(), _EXAMPLES)]
        body = {
            **report_of(join, primary=self._primary[0].source, dated_target=True),
            "version": self._champion.version,
            "bad_examples": bad,
        }
        name = paths.predictions(self._request.model, self._request.run_id, REPORT)
        self._lake.write(name, dumps(body), content_type="application/json")

    # --- sources that did not --------------------------------------------------------------------

    def reader(self, source: SourceAggregates) -> Reader:
        """Look-ups in the snapshot of a source, as a request by key does them."""
        download = self._lake.download
        snapshot = fetch(source.snapshot, download) if source.snapshot is not None else None
        return Reader(source, self._champion.schema, snapshot)

    def _look_up(self, block: Block, reader: Reader, beside: Beside) -> None:
        """Add the columns of one source to `beside`, or why a row has none."""
        source = reader.source
        asked = [
            name
            for name in (source.key, source.as_of_column, *source.types)
            if name is not None and name in block.cells
        ]
        columns = [block.cells[name].to_pylist() for name in asked]
        found: list[Cells] = []
        # When the run was asked for, so that a retry finds the same ages.
        now = parse_time(self._request.requested_at)
        for row, cells in enumerate(zip(*columns, strict=True) if asked else [()] * len(block)):
            record: dict[str, Any] = dict(zip(asked, cells, strict=True))
            try:
                found.append(reader.read(record, now, _ignore))
            except RefusedCells as refused:
                why = "; ".join(f"{name}: {rule}" for name, _, rule in refused.cells)
                beside.unusable.setdefault(row, Unusable("key", why))
                found.append({})
            except FeaturesTooOld as error:
                beside.unusable.setdefault(row, Unusable("max_age", str(error)))
                found.append({})
        for name, kind in source.types.items():
            if name not in block.cells:
                values = [cells.get(name) for cells in found]
                beside.cells[name] = as_cells(values, kind, self._champion.schema)


def _ignore(_: LookUp) -> None:
    """Every row of a batch is looked up in the same snapshot; nothing to tell row by row."""
