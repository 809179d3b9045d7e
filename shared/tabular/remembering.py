"""Which rows a retraining still learns from, by `retrain.data` of the spec. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from shared.spec.model import Retrain
from shared.tabular.dataset import Side


def let_go(
    sides: Sequence[Side], new_from: int, settings: Retrain, moments: Sequence[float] | None = None
) -> set[int]:
    """Places of rows to fit that are too old to be learned from: all before `new_from`, or all but
    the newest. The newest are the last by `moments` (when rows were), else by their place. Rows
    that fit nobody stay: they say what must not be learned from."""
    fit = [place for place, side in enumerate(sides) if side == "fit"]
    if settings.data == "latest":
        return {place for place in fit if place < new_from}
    if settings.last_rows is None or settings.last_rows >= len(fit):
        return set()
    if moments is not None:
        fit.sort(key=lambda place: (moments[place], place))
    return set(fit[: len(fit) - settings.last_rows])
