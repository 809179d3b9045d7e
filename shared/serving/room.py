"""How much memory the versions in a predictor may take, and giving back what they no longer do.

A loaded version takes some ten times the size of its package (measured: 0.1 MB -> 1.3, 0.8 -> 8.9,
8.8 -> 67 MiB): onnxruntime has the trees as a model and as its own structure, tables for many rows
are made of them. What is loaded is therefore counted as ten times its bytes, and a process keeps
within a share of its memory; the rest is for requests. Knows nothing of manifests.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

MIB = 1024 * 1024
_FACTOR = 10
_LEAST = MIB
# Of the memory of an instance; of 512 MiB the libraries take 70, large requests up to 200.
_SHARE = 0.4
_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


def weight_of(files: Mapping[str, bytes], snapshots: Iterable[int] = ()) -> int:
    """Bytes that a version of these files, and snapshots of these sizes, will take."""
    return _LEAST + _FACTOR * sum(map(len, files.values())) + sum(snapshots)


def room_of(setting: str | None = None) -> int:
    """Bytes for loaded versions: `setting` in MiB, else a share of what this process may have.
    Raises ValueError for a setting that is no positive number."""
    if not setting:
        return int(memory_bytes() * _SHARE)
    if not setting.isdigit() or not int(setting):
        raise ValueError(f"MILLRACE_MODEL_MEMORY_MIB is {setting!r}, expected a number of MiB")
    return int(setting) * MIB


def memory_bytes() -> int:
    """What this process may have: the container's limit, else the machine's memory."""
    found = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    for name in _LIMITS:
        try:
            text = Path(name).read_text().strip()
        except OSError:
            continue
        if text.isdigit():
            found.append(int(text))
    return min(found)


def give_back() -> None:
    """Hand freed memory back to the system. glibc keeps it for later otherwise, in pieces that the
    next version does not fit into: twenty loads of 67 MiB, one at a time, kept 230."""
    import ctypes  # cold start: only who replaces a version comes here

    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # not with every C library
    if trim is not None:
        trim(0)
