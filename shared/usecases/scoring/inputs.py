"""What a scoring run reads: one file, or the files of a batch joined as at the training."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from shared import documents, paths
from shared.errors import HeaderMismatch
from shared.files import guards
from shared.files.headers import Served, Wanted, check_columns, scored_columns, scored_layouts
from shared.ports import Bucket
from shared.runs import RunRequest
from shared.served import learned_by
from shared.serving.loaded_model import LoadedModel, load
from shared.spec.model import Spec
from shared.spec.registry import read_generation
from shared.spec.scoring import Scoring as ScoringSpec
from shared.tabular.answers import written_names
from shared.tabular.reading.sheets import Sheet, open_input

AS_THEY_STAND = ScoringSpec(output="csv", columns="all")


@dataclass(frozen=True, slots=True)
class Scoring:
    """One scoring run and what it works with. `served` is what the champion was trained by,
    `workers` how many blocks are answered at once."""

    request: RunRequest
    spec: Spec
    served: Served | None
    champion: LoadedModel
    lake: Bucket
    block_rows: int
    workers: int = 1

    @classmethod
    def of(
        cls, request: RunRequest, version: str, *, lake: Bucket, workers: int, block_rows: int
    ) -> Scoring:
        """Raises ObjectNotFound, PackageInvalid."""
        return cls(
            request,
            read_generation(request.model, request.spec_generation, lake=lake),
            learned_by(request.model, version, lake=lake),
            load_version(request.model, version, lake=lake),
            lake,
            block_rows,
            workers,
        )

    @property
    def is_joined(self) -> bool:
        return bool(self.spec.sources or self.champion.package.sources)

    @contextmanager
    def open(self) -> Iterator[Sheet]:
        """The rows to score. Raises Rejected for what can never be scored."""
        if self.is_joined:
            from shared.usecases.scoring_join import open_batch

            with open_batch(
                self.request,
                self.spec,
                self.served,
                self.champion,
                lake=self.lake,
                block_rows=self.block_rows,
            ) as sheet:
                self._check_names(sheet)
                yield sheet
            return
        (ref,) = self.request.inputs
        head = self.lake.read(ref.object, generation=ref.generation, end=guards.HEAD_BYTES).data
        name, served = ref.object, self.served
        guards.check_head(head, ref.size_bytes, self.spec, "score", name=name, served=served)
        with open_input(
            self.lake,
            ref,
            self.spec.source,
            names=scored_layouts(self.spec, self.served),
            expected=scored_columns(self.spec, self.served).expected,
            block_rows=self.block_rows,
            enough=self.enough,
        ) as sheet:
            self._check_names(sheet)
            yield sheet

    @property
    def enough(self) -> list[str] | None:
        """The columns that the champion reads, where records come back as they stand."""
        as_they_stand = self.spec.scoring == AS_THEY_STAND
        return self.champion.schema.names if as_they_stand and not self.is_joined else None

    def _check_names(self, sheet: Sheet) -> None:
        """The package has the last word on what it needs. Raises HeaderMismatch."""
        champion = self.champion
        is_csv = sheet.source.format == "csv"
        known = scored_columns(self.spec, self.served).known if is_csv else None
        by = str(self.served or f"version {champion.version}, which serves")
        check_columns(sheet.names, Wanted(tuple(champion.schema.names), known, by), strict=True)

    def kept(self, sheet: Sheet) -> Mapping[str, str]:
        """The columns that come back, with the names they are written under. Raises
        HeaderMismatch where one is not there."""
        return kept_columns(self.spec, sheet.names, self.champion)


def kept_columns(spec: Spec, names: tuple[str, ...], champion: LoadedModel) -> dict[str, str]:
    """Of the columns of an input those that `scoring.columns` keeps, by what they are called in
    the scored file. What joined sources add is nowhere else, so it always comes back. Raises
    HeaderMismatch."""
    written = written_names(names, champion.task)
    found = dict(zip(names, written, strict=False))
    wanted = spec.scoring.columns
    if wanted == "all":
        return found
    asked = [spec.key or ""] if isinstance(wanted, str) else list(wanted)
    missing = [name for name in asked if name not in found and name != spec.target.column]
    if missing:
        raise HeaderMismatch(
            f"the file has no {', '.join(missing)}, which scoring.columns of the spec wants back"
        )
    joined = {name for source in champion.package.sources for name in source.types}
    return {name: text for name, text in found.items() if name in {*asked, *joined}}


def load_version(model: str, version: str, *, lake: Bucket) -> LoadedModel:
    """A stored version, ready to answer, whatever the manifest says now. Raises ObjectNotFound,
    PackageInvalid."""
    about = documents.require(lake, paths.version(model, version, "version.json"))

    def read(name: str) -> bytes:
        return lake.read(paths.package(model, version, name)).data

    return load(read, about["package"]["files"])
