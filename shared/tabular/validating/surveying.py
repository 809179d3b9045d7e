"""The first pass over rows: what has to be known of all of them before any can be judged. Pure.

How often each target text stands there, what columns there are where the spec names none, and from
which time on rows are the holdout where the split goes by time. Bounded memory.
"""

from __future__ import annotations

from collections import Counter

import numpy as np
from numpy.typing import NDArray

from shared.errors import NotTrainable, TooManyBadRows
from shared.serving.columns import Schema
from shared.serving.features import NO_BOUNDS
from shared.spec.model import Spec
from shared.tabular.reading.blocks import Block
from shared.tabular.splitting import time_cut
from shared.tabular.validating.distinct import judge_times, normalise
from shared.tabular.validating.inferring import Inference

MAX_TARGET_TEXTS = 100_000
SAMPLED_TIMES = 1_000_000


class Survey:
    """Looks at every block of a reading."""

    def __init__(self, spec: Spec, names: tuple[str, ...]) -> None:
        self._spec = spec
        source = spec.main_source
        self._cells = Schema((), missing=source.missing, strip=source.strip, decimal=source.decimal)
        self._inference = None if spec.columns else Inference(spec, names)
        self._times = Thinned(SAMPLED_TIMES)
        self.targets: Counter[str] = Counter()
        # First and last moment of usable rows, in seconds since 1970, where the split goes by time.
        self.window: tuple[float, float] | None = None
        self._rows = self._unusable = 0
        self._why = ""

    def add(self, block: Block) -> None:
        """Raises NotTrainable for a target with too many different texts to be a class."""
        self._rows += len(block)
        self._unusable += len(block.ragged)
        if block.ragged and not self._why:
            self._why = block.ragged[0].reason
        if self._spec.task != "regression":
            self._count_targets(block)
        if self._inference is not None:
            self._inference.add(block)
        if self._spec.training.time_column is not None:
            times = self._known_times(block, self._spec.training.time_column)
            self._times.add(times)
            if len(times):
                first, last = self.window or (np.inf, -np.inf)
                self.window = (min(first, float(times.min())), max(last, float(times.max())))

    def check_any(self) -> None:
        """Raises TooManyBadRows when no record at all had columns."""
        if not self._rows:
            raise TooManyBadRows(
                f"none of {self._unusable} rows can be used. The first of them: {self._why[:500]}"
            )

    def spec(self) -> Spec:
        """The spec with its columns. Raises NotTrainable."""
        return self._spec if self._inference is None else self._inference.spec()

    def cut(self) -> float | None:
        """Where the split by time is, if it goes by time. Raises NotTrainable."""
        if self._spec.training.time_column is None:
            return None
        return time_cut(self._times.values(), self._spec.training.holdout)

    def _count_targets(self, block: Block) -> None:
        found = block.cells[self._spec.target.column].dictionary_encode()
        counts = np.bincount(found.indices.to_numpy(zero_copy_only=False))
        for text, count in zip(found.dictionary.to_pylist(), counts.tolist(), strict=True):
            self.targets[text] += count
        if len(self.targets) > MAX_TARGET_TEXTS:
            raise NotTrainable(
                f"{self._spec.target.column} has more than {MAX_TARGET_TEXTS:,} different values; "
                f"is the task regression?"
            )

    def _known_times(self, block: Block, name: str) -> NDArray[np.float64]:
        """Times of the rows that have one, and a target: the others will not be learned from."""
        times: NDArray[np.float64] = judge_times(block.cells[name], NO_BOUNDS, self._cells).rows()
        found = block.cells[self._spec.target.column].dictionary_encode()
        has = np.array(
            [bool(text) for text in normalise(found.dictionary.to_pylist(), self._cells)]
        )
        known = ~np.isnan(times)
        if len(times):
            known &= has[found.indices.to_numpy(zero_copy_only=False)]
        return times[known]


class Thinned:
    """Numbers in order: all of them, or every second, fourth, eighth ... one, so that no more than
    `limit` are kept. The same numbers give the same sample."""

    def __init__(self, limit: int) -> None:
        self._limit, self._step, self._skip = limit, 1, 0
        self._parts: list[NDArray[np.float64]] = []
        self._size = 0

    def add(self, values: NDArray[np.float64]) -> None:
        part = values[self._skip :: self._step]
        self._skip = (self._skip - len(values)) % self._step
        self._parts.append(part)
        self._size += len(part)
        while self._size > self._limit:
            kept = np.concatenate(self._parts)
            # The next one to take is `skip` away from here; half of the positions fall out.
            if len(kept) % 2:
                self._skip += self._step
            self._parts, self._step = [kept[::2]], self._step * 2
            self._size = len(self._parts[0])

    def values(self) -> NDArray[np.float64]:
        return np.concatenate([np.empty(0), *self._parts])
