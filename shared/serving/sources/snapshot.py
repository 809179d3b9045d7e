"""The feature snapshot: what a joined source says about every key, as one immutable SQLite file.

    features/<model>/<version>/<source>.sqlite

    meta      name -> text: model, version, source, features_as_of, columns (JSON)
    features  key -> its values as a JSON array in the order of `columns` (null: missing), and
              where records bring cut-offs of their own: the moment of its last row, and the rows
              that windows may still need (absent in files of earlier versions)

A training writes it with `write_snapshot` before the version exists; the same rows give the same
bytes. The predictor downloads it once per version, checks its SHA-256, opens it read-only and
removes its name, so that a process that dies leaves nothing behind. A look-up reads a few pages:
the file stays on disk - which on Cloud Run is memory (see infra/docs/aggregates.md for its size).

sqlite3 is imported when a snapshot is written or opened, not before: most models have none.
"""

from __future__ import annotations

import hashlib
import json
import math
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shared import paths
from shared.errors import PackageInvalid, Retryable
from shared.serving.sources.aggregate_functions import Value

if TYPE_CHECKING:
    import sqlite3

FORMAT = "1"
_TABLES = (
    # Before any table; the file is read by page, and a record is a hundred bytes.
    "PRAGMA page_size = 4096",
    "PRAGMA journal_mode = OFF",
    "PRAGMA synchronous = OFF",
    "CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
    """CREATE TABLE features (
        key TEXT PRIMARY KEY, cells TEXT NOT NULL, latest REAL, recent TEXT
    ) WITHOUT ROWID""",
)
_GET = "SELECT cells, latest, recent FROM features WHERE key = ?"
_GET_EARLIER = "SELECT cells, latest, NULL FROM features WHERE key = ?"  # before windows
_encode = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode


@dataclass(frozen=True, slots=True)
class Known:
    """One key of a snapshot. Where each record brings a cut-off of its own: `latest` is the moment
    of its last row, `recent` the rows that windows may need (`aggregate_recent`)."""

    key: str
    values: Mapping[str, Value]
    latest: float | None = None
    recent: str | None = None


@dataclass(frozen=True, slots=True)
class SnapshotRef:
    """A snapshot in the lake. `features_as_of`: no row after this moment is in it."""

    object: str
    sha256: str
    features_as_of: str
    keys: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class SnapshotMeta:
    """What a snapshot says of itself; `columns` are in the order of its values."""

    model: str
    version: str
    source: str
    features_as_of: str
    columns: tuple[str, ...]


def write_snapshot(path: Path, rows: Iterable[Known], meta: SnapshotMeta) -> SnapshotRef:
    """Write the file in bounded memory; where it belongs in the lake comes back. The caller
    uploads it there.

    Args:
        path: A file that does not exist yet.
        rows: Each key once, in any order that is the same every time; sorted ones write fastest.

    Raises ValueError for a key that comes twice.
    """
    import sqlite3

    connection = sqlite3.connect(path, isolation_level=None)
    try:
        for statement in _TABLES:
            connection.execute(statement)
        connection.execute("BEGIN")
        about = {**_texts(meta), "format": FORMAT}
        connection.executemany("INSERT INTO meta VALUES (?, ?)", sorted(about.items()))
        connection.executemany(
            "INSERT INTO features VALUES (?, ?, ?, ?)", _lines(rows, meta.columns)
        )
        (keys,) = connection.execute("SELECT count(*) FROM features").fetchone()
        connection.execute("COMMIT")
        # Pages in key order, without the gaps that unsorted keys leave.
        connection.execute("VACUUM")
    except sqlite3.IntegrityError as error:
        raise ValueError(f"a key of {meta.source} comes twice: {error}") from error
    finally:
        connection.close()
    return SnapshotRef(
        object=paths.features(meta.model, meta.version, f"{meta.source}.sqlite"),
        sha256=_sha256(path),
        features_as_of=meta.features_as_of,
        keys=keys,
        size_bytes=path.stat().st_size,
    )


class Snapshot:
    """Look-ups in a snapshot, from any thread. Closed when nobody holds it any more."""

    def __init__(self, connection: sqlite3.Connection, meta: SnapshotMeta) -> None:
        self.meta = meta
        self._connection, self._lock = connection, threading.Lock()
        there = {name for _, name, *_ in connection.execute("PRAGMA table_info(features)")}
        self._query = _GET if "recent" in there else _GET_EARLIER
        self.close = weakref.finalize(self, connection.close)

    @classmethod
    def open(cls, path: Path) -> Snapshot:
        """The snapshot in a file, which nobody changes while it is open (but may unlink).
        Raises PackageInvalid for a file that is none."""
        import sqlite3

        uri = f"{path.absolute().as_uri()}?mode=ro&immutable=1"
        # Threads take turns with our lock.
        connection = sqlite3.connect(
            uri, uri=True, check_same_thread=False, isolation_level=None, cached_statements=8
        )
        try:
            found = dict(connection.execute("SELECT name, value FROM meta"))
            connection.execute("SELECT key, cells, latest FROM features LIMIT 1").fetchall()
            return cls(connection, _meta(found))
        except (sqlite3.Error, KeyError, ValueError) as error:
            connection.close()
            raise PackageInvalid(f"the snapshot {path.name} does not read: {error!r}") from error

    def get(self, key: str) -> Known | None:
        """What is known of a key in its canonical spelling, None for an unknown one."""
        try:
            with self._lock:
                found = self._connection.execute(self._query, (key,)).fetchone()
        except UnicodeEncodeError:  # half a surrogate pair, which JSON can spell and no file holds
            return None
        if found is None:
            return None
        cells, latest, recent = found
        values = (math.nan if value is None else value for value in json.loads(cells))
        return Known(key, dict(zip(self.meta.columns, values, strict=True)), latest, recent)


def fetch(ref: SnapshotRef, download: Callable[[str, Path], Any]) -> Snapshot:
    """Download and open a snapshot. `download(name, to)` copies an object of the lake to a file.

    Raises PackageInvalid when it is not the promised one, ObjectNotFound when it is gone,
    Retryable when the disk does not take it.
    """
    try:
        return _fetch(ref, download)
    except OSError as error:
        raise Retryable(f"no room for {ref.object} ({ref.size_bytes} bytes): {error}") from error


def _fetch(ref: SnapshotRef, download: Callable[[str, Path], Any]) -> Snapshot:
    import tempfile

    with tempfile.TemporaryDirectory(prefix="millrace-") as folder:
        path = Path(folder) / "features.sqlite"
        download(ref.object, path)
        actual = _sha256(path)
        if actual != ref.sha256:
            raise PackageInvalid(
                f"{ref.object} has SHA-256 {actual}, its package promises {ref.sha256}"
            )
        return Snapshot.open(path)  # outlives its name


def _lines(
    rows: Iterable[Known], columns: tuple[str, ...]
) -> Iterator[tuple[str, str, float | None, str | None]]:
    for known in rows:
        values = (known.values[name] for name in columns)
        # NaN is the only value that is not itself, and JSON has no word for it.
        cells = [None if value != value else value for value in values]  # noqa: PLR0124
        yield known.key, _encode(cells), known.latest, known.recent


def _texts(meta: SnapshotMeta) -> dict[str, str]:
    return {
        "model": meta.model,
        "version": meta.version,
        "source": meta.source,
        "features_as_of": meta.features_as_of,
        "columns": _encode(list(meta.columns)),
    }


def _meta(found: Mapping[str, str]) -> SnapshotMeta:
    if found["format"] != FORMAT:
        raise ValueError(f"format {found['format']}, this version of Millrace reads {FORMAT}")
    return SnapshotMeta(
        model=found["model"],
        version=found["version"],
        source=found["source"],
        features_as_of=found["features_as_of"],
        columns=tuple(json.loads(found["columns"])),
    )


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
