"""Files that are meant to do harm, in a process that has little room."""

from __future__ import annotations

import gzip
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_MIB = 1 << 20

_READ = """
import resource, sys
from pathlib import Path
from shared.errors import Rejected
from shared.spec.model import Source
from shared.tabular.reading.sheets import open_sheet
pages = int(Path("/proc/self/statm").read_text().split()[5])
most = pages * resource.getpagesize() + (200 << 20)
resource.setrlimit(resource.RLIMIT_DATA, (most, most))
rows = 0
try:
    with open(sys.argv[1], "rb") as file:
        for block in open_sheet(file, Source(), name="bomb.csv.gz", names=[["a", "b"]]).blocks:
            rows += len(block.record)
except Rejected as error:
    print(error.reason)
else:
    print(rows)
"""


def _read(path: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-c", _READ, str(path)],
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
