"""A sample of a file on this disk, for drafting a spec: read with the reader that training uses, so
that what is drafted is what will be read.

    settle -> encoding of all bytes -> header or none -> rows in blocks -> first rows, then steps
"""

from __future__ import annotations

import codecs
import csv
import difflib
import io
from collections import Counter
from pathlib import Path
from typing import BinaryIO, cast

from shared.errors import BadSpec, EmptyFile
from shared.files import dialect
from shared.files.content import check_content
from shared.spec.model import Source, Spec
from shared.spec.sample import COMMA_NUMBER, POINT_NUMBER, Sample
from shared.tabular.reading.sheets import Block, open_sheet

FIRST_ROWS = 10_000
STEP = 10
MAX_KEPT = 40_000
MAX_ROWS = 1_000_000
CHUNK_BYTES = 1024 * 1024


def read_sample(path: Path, target: str) -> Sample:
    """The sample. In a file without a header the columns are called column_1, column_2 ..., and so
    is the target. Raises EmptyFile, BinaryFile, UnreadableText, BadSpec."""
    source, head = _settled(path)
    names = None
    if source.format == "csv":
        first = _first_records(head, source, path)
        names = _made_up(first, target, path)
        source = source.model_copy(update={"header": names is None})
    with path.open("rb") as stream:
        sheet = open_sheet(cast(BinaryIO, stream), source, name=path.name, names=names)
        _check_columns(sheet.names, target, path)
        gathered = _Gathered(sheet.names, target)
        for block in sheet.blocks:
            gathered.add(block)
            if gathered.rows >= MAX_ROWS:
                break
    if not gathered.good:
        raise _no_rows(path, gathered)
    return gathered.sample(sheet.source.model_copy(update={"header": source.header}))


class _Gathered:
    """The first rows, then every tenth, and fewer the longer the file is."""

    def __init__(self, names: tuple[str, ...], target: str) -> None:
        self.names, self._target = names, target
        self._first: list[list[str]] = [[] for _ in names]
        self._later: list[list[str]] = [[] for _ in names]
        self._step = STEP
        self.classes: Counter[str] = Counter()
        self.good = 0
        self.ragged: Counter[int] = Counter()

    @property
    def rows(self) -> int:
        return self.good + self.ragged.total()

    def add(self, block: Block) -> None:
        self.good += len(block)
        self.ragged.update(len(item.cells) for item in block.ragged)
        cells = block.cells[self._target].value_counts().to_pylist()
        self.classes.update({str(item["values"]).strip(): 0 for item in cells})
        for item in cells:
            self.classes[str(item["values"]).strip()] += item["counts"]
        room = max(0, FIRST_ROWS - len(self._first[0]))
        for place, name in enumerate(self.names):
            column = block.cells[name]
            self._first[place] += _texts(column[:room])
            self._later[place] += _texts(column[room :: self._step])
        if len(self._later[0]) > MAX_KEPT:
            self._step *= 2
            self._later = [column[::2] for column in self._later]

    def sample(self, source: Source) -> Sample:
        columns = tuple(
            first + later for first, later in zip(self._first, self._later, strict=True)
        )
        return Sample(
            self.names,
            columns,
            source,
            self.classes,
            self.rows,
            self.ragged.total(),
            self.rows < MAX_ROWS,
        )


def _texts(cells: object) -> list[str]:
    """An array's cells, stripped."""
    return [text.strip() for text in cells.to_pylist()]  # type: ignore[attr-defined]


def _settled(path: Path) -> tuple[Source, bytes]:
    """How the file is written, and its first bytes without compression."""
    with path.open("rb") as stream:
        head = dialect.unzip(cast(BinaryIO, stream)).read(dialect.HEAD_BYTES)
    if not head.strip():
        raise EmptyFile(f"{path} is empty; a training file needs rows")
    check_content(head)
    source = dialect.settle(Source(), head, path.name)
    if source.format != "parquet":
        source = source.model_copy(update={"encoding": _encoding(path)})
    return source, head


def _encoding(path: Path) -> str:
    """By all bytes, for the first umlaut may come late."""
    decoders: dict[str, codecs.IncrementalDecoder] = {
        name: codecs.getincrementaldecoder(name)() for name in ("utf-8", "cp1252")
    }
    with path.open("rb") as stream:
        text = dialect.unzip(cast(BinaryIO, stream))
        while chunk := text.read(CHUNK_BYTES):
            for name, decoder in list(decoders.items()):
                try:
                    decoder.decode(chunk)
                except UnicodeDecodeError:
                    del decoders[name]
    return next(iter(decoders), "latin-1")


# --- the header ----------------------------------------------------------------------------------


def _first_records(head: bytes, source: Source, path: Path) -> list[list[str]]:
    """Up to ten records that are not blank, cells stripped."""
    encoding = "utf-8-sig" if source.encoding == "utf-8" else source.encoding
    text = io.StringIO(head.decode(encoding, "replace"), newline="")
    found: list[list[str]] = []
    try:
        for row in csv.reader(text, delimiter=source.delimiter, skipinitialspace=True):
            if any(cell.strip() for cell in row):
                found.append([cell.strip() for cell in row])
            if len(found) == 10:
                break
    except csv.Error as error:
        raise BadSpec(f"{path} is not CSV: {error}; is a quote left open?") from error
    if not found:
        raise EmptyFile(f"{path} holds only blank lines and delimiters")
    return found


def _made_up(records: list[list[str]], target: str, path: Path) -> tuple[str, ...] | None:
    """Names for the columns of a file without a header, None where the first line has the target's
    name. Raises BadSpec."""
    first = records[0]
    if target in first:
        return None
    width = Counter(map(len, records)).most_common(1)[0][0]
    made_up = tuple(f"column_{place}" for place in range(1, width + 1))
    if target not in made_up:
        raise BadSpec(_unknown_target(records, target, path))
    if len(first) != width:
        raise BadSpec(
            f"{path}: the first line has {len(first)} cells and those below have {width}; if it is "
            f"a title or a comment, take it out"
        )
    if _is_other(first, records[1:]):
        raise BadSpec(
            f"{path}: the first line, {', '.join(first):.200}, is not like those below; if it is a "
            f"header, call the target by its name, else take it out"
        )
    return made_up


def _is_other(first: list[str], rest: list[list[str]]) -> bool:
    """Whether a line has texts where all of the others have numbers, in half of those columns."""
    columns = enumerate(zip(*rest, strict=False))
    places = [place for place, cells in columns if all(map(_is_number, cells))]
    texts = [i for i in places if first[i] not in Source().missing and not _is_number(first[i])]
    return len(rest) > 1 and 0 < len(places) <= 2 * len(texts)


def _is_number(cell: str) -> bool:
    return bool(POINT_NUMBER.fullmatch(cell) or COMMA_NUMBER.fullmatch(cell))


def _unknown_target(records: list[list[str]], target: str, path: Path) -> str:
    first = records[0]
    for number, record in enumerate(records[1:], start=2):
        if target in record and len(record) > 1:
            return f"{path}: {target!r} stands in line {number}; take out the lines above it"
    if len(first) == 1 and len({len(record[0].split()) for record in records} - {1}) == 1:
        return (
            f"{path}: the cells seem to be separated by blanks; write it with one of , ; | or tab "
            f"between them"
        )
    close = difflib.get_close_matches(target, first, n=1)
    close = close or [name for name in first if name.lower() == target.lower()]
    hint = f"did you mean {close[0]!r}? " if close else ""
    return (
        f"{path} has no column {target!r}: {hint}its first line is {', '.join(first):.500}. If "
        f"that is no header, call the target column_1 ... column_{len(first)}."
    )


def _check_columns(names: tuple[str, ...], target: str, path: Path) -> None:
    doubled = [name for name, count in Counter(names).items() if count > 1]
    if doubled:
        raise BadSpec(f"{path}: these columns are there twice: {', '.join(doubled)}")
    if target not in names:
        raise BadSpec(_unknown_target([list(names)], target, path))


def _no_rows(path: Path, gathered: _Gathered) -> Exception:
    if not gathered.ragged:
        return EmptyFile(f"{path} has a header but no rows")
    width, count = gathered.ragged.most_common(1)[0]
    hint = ""
    if width == len(gathered.names) + 1:
        hint = ". Row names stand in front of the rows: give that column a name in the header"
    return BadSpec(
        f"{path}: {count} rows have {width} cells, its header names {len(gathered.names)}{hint}"
    )


def first_cells(path: Path, spec: Spec, *, rows: int = 100) -> list[dict[str, str]]:
    """The cells of a file's first rows by column, as training with this spec reads them."""
    names = None if spec.source.header else tuple(spec.file_columns(with_target=True))
    with path.open("rb") as stream:
        sheet = open_sheet(
            cast(BinaryIO, stream), spec.source, name=path.name, names=names, block_rows=rows
        )
        block = next(iter(sheet.blocks))
    columns = [block.cells[name][:rows].to_pylist() for name in sheet.names]
    return [dict(zip(sheet.names, row, strict=True)) for row in zip(*columns, strict=True)]
