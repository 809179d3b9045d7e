"""Files that are meant to do harm, in a process that has little room."""

from __future__ import annotations

import gzip
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

from shared.errors import UnpacksTooLarge
from shared.spec.model import Source
from shared.tabular.reading.sheets import open_sheet

ROOT = Path(__file__).resolve().parents[2]
_MIB = 1 << 20

_READ = """
import resource, sys
from pathlib import Path
from shared.errors import Rejected
from shared.spec.model import Source
from shared.tabular.reading import sheets_parquet
from shared.tabular.reading.sheets import open_sheet
sheets_parquet.memory_bytes = lambda: 0  # the least that a block may take
pages = int(Path("/proc/self/statm").read_text().split()[5])
most = pages * resource.getpagesize() + (int(sys.argv[2]) << 20)
resource.setrlimit(resource.RLIMIT_DATA, (most, most))
rows = 0
try:
    with open(sys.argv[1], "rb") as file:
        for block in open_sheet(file, Source(), name=sys.argv[1], names=[["a", "b"]]).blocks:
            rows += len(block.record)
except Rejected as error:
    print(error.reason)
else:
    print(rows)
"""


def _read(path: Path, mib: int = 200) -> str:
    done = subprocess.run(
        [sys.executable, "-c", _READ, str(path), str(mib)],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    return done.stdout.strip() or done.stderr


def test_a_packed_bomb_is_refused_in_little_memory(tmp_path: Path) -> None:
    """Two megabytes that unpack to half a gigabyte of one line, in a process that may have 200 MiB
    for it."""
    bomb = tmp_path / "bomb.csv.gz"
    with gzip.open(bomb, "wb", compresslevel=1) as packed:
        packed.write(b"a,b\n")
        for _ in range(128):
            packed.write(b"x" * (4 * _MIB))
    assert bomb.stat().st_size < 4 * _MIB
    assert _read(bomb) == "UnreadableText"


def _repeated(path: Path, *, characters: int, rows: int) -> Path:
    """One text that all rows name."""
    texts = pa.DictionaryArray.from_arrays(
        np.zeros(rows, np.int32), pa.array(["x" * characters], pa.string())
    )
    pa.parquet.write_table(pa.table({"a": texts}), path, compression="zstd", store_schema=False)
    return path


def _one_page(path: Path) -> Path:
    """What unpacks to 270 MB at once."""
    table = pa.table({"a": pa.array(["x" * 900_000] * 300)})
    pa.parquet.write_table(
        table, path, compression="zstd", use_dictionary=False, data_page_size=1 << 30
    )
    return path


def test_a_parquet_bomb_is_refused_in_little_memory(tmp_path: Path) -> None:
    """A kilobyte that asks for 45 GB (one long text that all rows name), and a page that unpacks to
    more than there is: refused by a process that could not have had it."""
    bombs = [
        _repeated(tmp_path / "text.parquet", characters=900_000, rows=50_000),
        _one_page(tmp_path / "page.parquet"),
    ]
    for bomb in bombs:
        assert bomb.stat().st_size < 64 * 1024
        assert _read(bomb, 400) == "UnpacksTooLarge"


def test_rows_without_number_are_refused_before_they_are_read(tmp_path: Path) -> None:
    """Nobody counts to ten million for a kilobyte; a job has other things to do."""
    bomb = tmp_path / "rows.parquet"
    pa.parquet.write_table(pa.table({"a": np.zeros(10_000_000, np.int8)}), bomb)
    with bomb.open("rb") as file, pytest.raises(UnpacksTooLarge, match="10,000,000 rows"):
        open_sheet(file, Source(), name=bomb.name)


def test_long_texts_that_repeat_are_read_in_smaller_blocks(tmp_path: Path) -> None:
    """A sound file is no bomb: 400 MB of text, every row, in a process that may not hold half."""
    assert _read(_repeated(tmp_path / "x.parquet", characters=20_000, rows=20_000), 400) == "20000"
