"""Where contents lie: small ones as rows, large ones as files beside the database.

Contents never change, so copies share them; they go when no object refers to them any more.
"""

from __future__ import annotations

import sqlite3
import uuid
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from shared.adapters.memory.database import Database
from shared.adapters.memory.staging import Content, Staging


class Blobs:
    def __init__(self, database: Database, directory: Path | None) -> None:
        self._db = database
        self._files = directory / "blobs" if directory else None
        self._staging = directory / "staging" if directory else None
        for folder in (self._files, self._staging):
            if folder:
                folder.mkdir(parents=True, exist_ok=True)
        self._sweep()

    def stage(self) -> Staging:
        return Staging(self._staging)

    def adopt(self, content: Content) -> str:
        """A name for staged content, whose file now lies in its place but has no row yet: if we
        die here, the next start sweeps it."""
        blob = uuid.uuid4().hex
        if content.path is not None:
            content.path.rename(self._file(blob))
        return blob

    def disown(self, blob: str) -> None:
        """The row never came."""
        if self._files:
            self._file(blob).unlink(missing_ok=True)

    def insert(self, tx: sqlite3.Connection, blob: str, content: Content) -> None:
        tx.execute("INSERT INTO blobs VALUES (?, ?)", (blob, content.data))

    def open(self, tx: sqlite3.Connection, blob: str) -> BinaryIO:
        row = tx.execute("SELECT data FROM blobs WHERE id = ?", (blob,)).fetchone()
        return BytesIO(row["data"]) if row["data"] is not None else self._file(blob).open("rb")

    def release(self, tx: sqlite3.Connection, blob: str) -> None:
        """An object stopped referring to it."""
        if tx.execute("SELECT 1 FROM objects WHERE blob = ? LIMIT 1", (blob,)).fetchone():
            return
        tx.execute("DELETE FROM blobs WHERE id = ?", (blob,))
        if self._files:
            self._db.unlink_after_commit(self._file(blob))

    def _file(self, blob: str) -> Path:
        if self._files is None:
            raise ValueError(f"content {blob} lies in a file, but there is no directory")
        return self._files / blob

    def _sweep(self) -> None:
        """Files a killed process left: staged ones, and contents that never got their row."""
        if self._files is None or self._staging is None:
            return
        for path in self._staging.iterdir():
            path.unlink(missing_ok=True)
        with self._db.reading() as tx:
            known = {row["id"] for row in tx.execute("SELECT id FROM blobs WHERE data IS NULL")}
        for path in self._files.iterdir():
            if path.name not in known:
                path.unlink(missing_ok=True)
