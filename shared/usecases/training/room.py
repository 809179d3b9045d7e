"""How much memory a training needs, and whether there is so much: said before it is taken.

Cloud Run ends a container that goes over its limit without a word; a sentence that names rows, need
and the next size is worth more than three such ends.
"""

from __future__ import annotations

from pathlib import Path

from shared.errors import NotTrainable
from shared.tabular.inner import SAMPLE_ROWS

# Of control groups version 2, then 1; a container has one of them.
LIMITS = (
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)
# Libraries and models; then what a row takes: its cells as text and number, the encoded matrices of
# the candidates that are fitted side by side, and answers. Measured (infra/docs/measurements.md).
BASE_BYTES = 450 * 1024 * 1024
ROW_BYTES = 400
CELL_BYTES = 130
# A category is a column for each of its levels: two candidates at once, and the folds of a search
# (on a sample) kept for all trials. A forest's leaf has a share for each of many classes.
LEVEL_BYTES, KEPT_LEVEL_BYTES, CLASS_BYTES = 28, 48, 600
# A limit of version 1 that is none.
_NO_LIMIT = 1 << 50
_NEXT = {"s": "m", "m": "l"}


def memory_limit(files: tuple[Path, ...] = LIMITS) -> int | None:
    """The container's limit in bytes, None where there is none (or no container)."""
    for file in files:
        try:
            text = file.read_text().strip()
        except OSError:
            continue
        if text.isdigit() and int(text) < _NO_LIMIT:
            return int(text)
    return None


def needed_bytes(rows: int, columns: int, levels: int = 0, classes: int = 0) -> int:
    """An estimate for fitting on these rows, with so many levels of all categories together."""
    more = max(0, levels - columns) * (
        rows * LEVEL_BYTES + min(rows, SAMPLE_ROWS) * KEPT_LEVEL_BYTES
    )
    several = rows * classes * CLASS_BYTES if classes > 2 else 0
    return BASE_BYTES + rows * (ROW_BYTES + columns * CELL_BYTES) + more + several


def check_room(
    rows: int, columns: int, size: str, limit: int | None, *, levels: int = 0, classes: int = 0
) -> None:
    """Raises NotTrainable when the rows will not fit."""
    need = needed_bytes(rows, columns, levels, classes)
    if limit is None or need <= limit:
        return
    larger = _NEXT.get(size)
    advice = (
        f"write `size: {larger}` into the spec"
        if larger
        else "that is the largest size: drop fewer rows (a sample of them) or fewer columns"
    )
    written = f", {levels:,} levels of categories" if levels > columns else ""
    written += f", {classes} classes" if classes > 2 else ""
    raise NotTrainable(
        f"{rows:,} rows with {columns} columns{written} need about {_gib(need)} GiB of memory to "
        f"train on, this job (size: {size}) has {_gib(limit)} GiB; {advice}"
    )


def _gib(size: int) -> str:
    return f"{size / 1024**3:.1f}"
