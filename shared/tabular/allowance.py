"""How much more memory this process may take for a while, kept by the operating system where it can
(Linux): what asks for more gets a MemoryError instead of being killed without a word."""

from __future__ import annotations

import resource
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# A limit is the process's, so one at a time has it: two that end in another order than they began
# would leave one behind.
_ONE = threading.RLock()


@contextmanager
def allowance(extra_bytes: int) -> Iterator[None]:
    """Within, the process may have so much more than it has now. Raises MemoryError, or what a
    library makes of it."""
    with _ONE:
        soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
        now = data_bytes()
        limits = [limit for limit in (soft, hard) if limit != resource.RLIM_INFINITY]
        if now is not None:
            resource.setrlimit(resource.RLIMIT_DATA, (min([now + extra_bytes, *limits]), hard))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


def data_bytes() -> int | None:
    """What counts towards RLIMIT_DATA; None where nobody says."""
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    except FileNotFoundError:
        return None
    said = (1024 * int(line.split()[1]) for line in lines if line.startswith("VmData:"))
    return next(said, None)  # a sandbox's kernel may leave it out
