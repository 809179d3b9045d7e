"""The feature snapshot: exact, deterministic, read-only, checked."""

from __future__ import annotations

import hashlib
import math
import shutil
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.errors import PackageInvalid
from shared.serving.sources.snapshot import Known, Snapshot, SnapshotMeta, fetch, write_snapshot

META = SnapshotMeta("m", "v1", "visits", "2026-01-01T00:00:00Z", ("spent", "shop"))
ROWS = [
    Known("a", {"spent": 0.1 + 0.2, "shop": "Köln"}),
    Known("b", {"spent": math.nan, "shop": ""}),
    Known("ä ' \" 東京", {"spent": 1e-300, "shop": "\0"}, latest=12.5),
]


def copier(path: Path) -> Callable[[str, Path], object]:
    return lambda name, to: shutil.copyfile(path, to)


def test_what_was_written_is_found(tmp_path: Path) -> None:
    """Keys of any spelling lead to the exact values; others lead nowhere."""
    ref = write_snapshot(tmp_path / "s", ROWS, META)
    assert ref.object == "features/m/v1/visits.sqlite"
    assert ref.sha256 == hashlib.sha256((tmp_path / "s").read_bytes()).hexdigest()
    assert (ref.keys, ref.features_as_of) == (3, META.features_as_of)
    assert ref.size_bytes == (tmp_path / "s").stat().st_size
    snapshot = fetch(ref, copier(tmp_path / "s"))
    assert snapshot.meta == META
    for known in ROWS:
        found = snapshot.get(known.key)
        assert found is not None
        assert repr(found) == repr(known)
    for key in ("A", "a ", "", "a\0", "\ud800", "x' OR '1'='1"):
        assert snapshot.get(key) is None


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25)
@given(
    st.dictionaries(
        st.text(st.characters(codec="utf-8")),
        st.floats(allow_infinity=False) | st.floats(allow_nan=False, allow_infinity=False),
        max_size=20,
    ),
    st.randoms(use_true_random=False),
)
def test_same_rows_same_bytes(tmp_path: Path, values: dict[str, float], shuffle) -> None:  # type: ignore[no-untyped-def]
    """A training that runs again writes the same file, in whatever order the keys come."""
    rows = [Known(key, {"spent": value, "shop": key}) for key, value in values.items()]
    refs = []
    for name in ("one", "two"):
        (tmp_path / name).unlink(missing_ok=True)
        refs.append(write_snapshot(tmp_path / name, rows, META))
        shuffle.shuffle(rows)
    assert refs[0] == refs[1]
    snapshot = Snapshot.open(tmp_path / "one")
    for known in rows:
        assert repr(snapshot.get(known.key)) == repr(known)


def test_rows_that_windows_need_are_kept(tmp_path: Path) -> None:
    """As they were written, beside keys without any."""
    rows = [
        Known("a", {"spent": 1.0, "shop": ""}, 5.0, "[[5.0],[null]]"),
        Known("b", {"spent": 2.0, "shop": ""}),
    ]
    write_snapshot(tmp_path / "s", rows, META)
    snapshot = Snapshot.open(tmp_path / "s")
    assert [snapshot.get("a"), snapshot.get("b")] == rows


def test_a_file_from_before_windows_is_read(tmp_path: Path) -> None:
    """Versions that are in force go on being served."""
    write_snapshot(tmp_path / "s", ROWS, META)
    with closing(sqlite3.connect(tmp_path / "s")) as connection:
        connection.execute("ALTER TABLE features DROP COLUMN recent")
    found = Snapshot.open(tmp_path / "s").get(ROWS[2].key)
    assert found == ROWS[2]


def test_a_key_twice_is_an_error(tmp_path: Path) -> None:
    """A snapshot never chooses between two values."""
    with pytest.raises(ValueError, match="visits comes twice"):
        write_snapshot(tmp_path / "s", [ROWS[0], ROWS[0]], META)


def test_another_file_is_refused(tmp_path: Path) -> None:
    """One changed byte, and nothing of it is used."""
    ref = write_snapshot(tmp_path / "s", ROWS, META)
    data = bytearray((tmp_path / "s").read_bytes())
    data[-1] ^= 1
    (tmp_path / "s").write_bytes(data)
    with pytest.raises(PackageInvalid, match=r"visits.sqlite has SHA-256 .* promises"):
        fetch(ref, copier(tmp_path / "s"))


@pytest.mark.parametrize("data", [b"", b"no database", b"SQLite format 3\0" + b"\0" * 5000])
def test_no_snapshot_is_refused(tmp_path: Path, data: bytes) -> None:
    """A file with the promised hash that is no snapshot does not open."""
    path = tmp_path / "s"
    path.write_bytes(data)
    ref = replace(
        write_snapshot(tmp_path / "other", ROWS, META), sha256=hashlib.sha256(data).hexdigest()
    )
    with pytest.raises(PackageInvalid, match="does not read"):
        fetch(ref, copier(path))


def test_a_snapshot_of_another_time_is_refused(tmp_path: Path) -> None:
    """A format that this code does not know is not guessed at."""
    write_snapshot(tmp_path / "s", ROWS, META)
    with sqlite3.connect(tmp_path / "s") as connection:
        connection.execute("UPDATE meta SET value = '2' WHERE name = 'format'")
    connection.close()
    with pytest.raises(PackageInvalid, match="format 2"):
        Snapshot.open(tmp_path / "s")


def test_nothing_is_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The downloaded file has no name any more while it is used, and nothing can be written."""
    ref = write_snapshot(tmp_path / "s", ROWS, META)
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    snapshot = fetch(ref, copier(tmp_path / "s"))
    assert list((tmp_path / "tmp").iterdir()) == []
    assert snapshot.get("a") == ROWS[0]
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        snapshot._connection.execute("DELETE FROM features")
    snapshot.close()


def test_threads_share_it(tmp_path: Path) -> None:
    """Many threads look up at once and each gets its own key's values."""
    rows = [Known(str(number), {"spent": float(number), "shop": ""}) for number in range(500)]
    snapshot = fetch(write_snapshot(tmp_path / "s", rows, META), copier(tmp_path / "s"))
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(snapshot.get, [row.key for row in rows] * 4))
    assert found == rows * 4
