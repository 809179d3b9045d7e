"""Answered rows as bytes of a scored file: CSV, JSON lines or Parquet.

    CSV           header + records, score and error empty where there is none
    JSON lines    one object per row, null where there is none
    Parquet       each part a file of its own, null where there is none

The input's cells are texts in all of them, as they stood there. Parts of CSV and JSON lines make
the file one behind the other.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet

from shared.tabular.answers import answer_names
from shared.tabular.reading.csv_blocks import bytes_of, csv_bytes, quoted
from shared.tabular.scored.answered import Answered

Output = Literal["csv", "jsonl", "parquet"]

CONTENT_TYPES: dict[Output, str] = {
    "csv": "text/csv; charset=utf-8",
    "jsonl": "application/jsonl",
    "parquet": "application/vnd.apache.parquet",
}


@dataclass(frozen=True, slots=True)
class ScoredWriter:
    """Writes rows of one run. `names` are the input's columns that are kept, as they are written
    (`shared.tabular.answers.written_names`)."""

    output: Output
    names: tuple[str, ...]
    task: str
    version: str
    run_id: str

    def head(self) -> bytes:
        """What stands before the rows."""
        if self.output != "csv":
            return b""
        header = [*self.names, *answer_names(self.task)]
        return csv_bytes([pa.array([name], pa.string()) for name in header])

    def body(self, rows: Answered) -> bytes:
        """Some rows of CSV or JSON lines."""
        return self._csv(rows) if self.output == "csv" else self._jsonl(rows)

    def table(self, rows: Answered) -> pa.Table:
        """Some rows of Parquet."""
        label = rows.label_texts()
        columns = {
            **{name: rows.cells[name] for name in self.names},
            "score": rows.scores(),
            **({"label": label} if label is not None else {}),
            "model_version": pa.repeat(self.version, len(rows)),
            "prediction_id": self._ids(rows),
            "error": rows.error_texts(None),
        }
        return pa.table(columns)

    def _csv(self, rows: Answered) -> bytes:
        if not len(rows):
            return b""
        score = pc.cast(rows.scores(), pa.string())
        # Nearly all that stands between score and number is one text per label.
        between = self._between(rows)
        tail = pa.scalar("")
        if rows.errors:
            score = score.fill_null("")
            tail = quoted(rows.error_texts(""))
        comma, number = pa.scalar(","), pc.cast(pa.array(rows.record), pa.string())
        if rows.lines is not None:
            pieces = [rows.lines, comma, score, between, number, comma, tail]
            return bytes_of(pc.binary_join_element_wise(*pieces, ""))[1:] + b"\n"
        columns = [piece for name in self.names for piece in (quoted(rows.cells[name]), comma)]
        pieces = [*columns, score, between, number, comma, tail, pa.scalar("\n")]
        return bytes_of(pc.binary_join_element_wise(*pieces, ""))

    def _between(self, rows: Answered) -> pa.Array | pa.Scalar:
        rest = quoted(pa.array([self.version], pa.string()))[0].as_py() + f",{self.run_id}-"
        if rows.label is None:
            return pa.scalar(f",{rest}")
        labels = quoted(pa.array([*rows.labels, ""], pa.string())).to_pylist()
        texts = pa.array([f",{label},{rest}" for label in labels], pa.string())
        place = np.where(rows.refused, len(rows.labels), rows.label) if rows.errors else rows.label
        return texts.take(pa.array(place))

    def _jsonl(self, rows: Answered) -> bytes:
        if not len(rows):
            return b""
        score = pc.cast(rows.scores(), pa.string()).fill_null("null")
        columns = {name: json_texts(rows.cells[name]) for name in self.names} | {"score": score}
        label = rows.label_texts()
        if label is not None:
            columns["label"] = json_texts(label)
        columns["model_version"] = pa.scalar(json.dumps(self.version))
        columns["prediction_id"] = json_texts(self._ids(rows))
        columns["error"] = json_texts(rows.error_texts(None)) if rows.errors else pa.scalar("null")
        pieces: list[pa.Array | pa.Scalar] = []
        for number, (name, texts) in enumerate(columns.items()):
            key = json.dumps(name, ensure_ascii=False)
            pieces += [pa.scalar(f"{', ' if number else '{'}{key}: "), texts]
        return bytes_of(pc.binary_join_element_wise(*pieces, pa.scalar("}\n"), ""))

    def _ids(self, rows: Answered) -> pa.Array:
        numbers = pc.cast(pa.array(rows.record), pa.string())
        return pc.binary_join_element_wise(f"{self.run_id}-", numbers, "")


def json_texts(column: pa.Array) -> pa.Array:
    """Texts as JSON spells them, nothing as null."""
    data = bytes_of(column.fill_null("")) if column.null_count else bytes_of(column)
    if b'"' in data or b"\\" in data or (np.frombuffer(data, np.uint8) < 32).any():
        encoded = column.dictionary_encode()
        spelled = [json.dumps(text, ensure_ascii=False) for text in encoded.dictionary.to_pylist()]
        return pa.array(spelled, pa.string()).take(encoded.indices).fill_null("null")
    quote = pa.scalar('"')
    return pc.binary_join_element_wise(quote, column, quote, "").fill_null("null")
