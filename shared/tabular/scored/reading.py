"""The one reader of scored files, whatever their form: blocks of texts, in input order.

    predictions.csv | predictions.jsonl      one object
    predictions.json                         a manifest of Parquet files

Reads what `shared.tabular.scored.writing` wrote, and what earlier versions wrote as CSV.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa

from shared import documents
from shared.errors import UnreadableText
from shared.ports import Bucket
from shared.runs import InputRef
from shared.spec.model import Source
from shared.tabular.answers import answer_names, input_position
from shared.tabular.reading.blocks import BLOCK_ROWS, Block
from shared.tabular.reading.lines import Text
from shared.tabular.reading.sheets_csv import CsvReader
from shared.tabular.reading.sheets_json import JsonReader
from shared.tabular.reading.sheets_parquet import ParquetReader, RangeFile

_WRITTEN = {"delimiter": ",", "encoding": "utf-8", "strip": False}
_CSV = Source.model_validate({"format": "csv", **_WRITTEN})
_JSONL = Source.model_validate({"format": "jsonl", **_WRITTEN})
_LABEL = "label"


@dataclass(frozen=True, slots=True, eq=False)
class ScoredBlock:
    """Some rows. `kept` are cells of the input by the names they are written under, `answers` those
    of `answer_names`: texts without nulls, "" where there is nothing."""

    kept: dict[str, pa.Array]
    answers: dict[str, pa.Array]

    def __len__(self) -> int:
        return len(self.answers["prediction_id"])

    @property
    def task(self) -> str:
        """Of its answers: whether there are labels is what tells them apart."""
        return "binary" if _LABEL in self.answers else "regression"

    def cells(self, name: str) -> pa.Array | None:
        """The cells of an input column; None where they were not kept."""
        header = [*self.kept, *self.answers]
        place = input_position(name, header, self.task)
        return None if place is None else self.kept[header[place]]


def read_scored(lake: Bucket, name: str, *, block_rows: int = BLOCK_ROWS) -> Iterator[ScoredBlock]:
    """The rows of a scored file, by the name that its summary has. Raises ObjectNotFound,
    UnreadableText."""
    if name.endswith(".json"):
        for part in documents.require(lake, name)["parts"]:
            file = RangeFile(lake, InputRef.of(lake.stat(part["object"]), ""))
            reader = ParquetReader(file, ".", block_rows=block_rows)
            yield from _scored(reader.names, reader.blocks(), name)
        return
    with lake.open_reader(name) as stream:
        if name.endswith(".jsonl"):
            lines = JsonReader(Text(stream, _JSONL), block_rows=block_rows)
            yield from _scored(lines.names, lines.blocks(), name)
        else:
            records = CsvReader(Text(stream, _CSV), block_rows=block_rows)
            blocks = records.blocks(records.first, header=True)
            yield from _scored(records.first, blocks, name)


def _scored(names: Sequence[str], blocks: Iterable[Block], name: str) -> Iterator[ScoredBlock]:
    task = "binary" if tuple(names[-5:]) == answer_names("binary") else "regression"
    answers = answer_names(task)
    if tuple(names[-len(answers) :]) != answers:
        raise UnreadableText(f"{name} has no {', '.join(answers)} as its last columns")
    for block in blocks:
        if block.ragged:
            raise UnreadableText(f"record {block.ragged[0].record} of {name} is not as written")
        kept = {column: block.cells[column] for column in names[: -len(answers)]}
        yield ScoredBlock(kept, {column: block.cells[column] for column in answers})
