"""A weighted average of several models in one package: their encoders side by side, their engines
on slices of one matrix.

    encoder   [ columns of encoder 1 | columns of encoder 2 ]     equal ones stand once
    engine    sum of weight_i * engine_i(its slice)               weights sum to 1

Loaded only for packages that have it. Knows nothing of how weights are found.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.errors import PackageInvalid
from shared.serving.columns import Columns
from shared.serving.encoder import CategoryCode, Encoder, Matrix, NumberCode
from shared.serving.engine import Engine, Scores


@dataclass(frozen=True, slots=True)
class JoinedEncoder:
    """Encoders of one schema, one after the other. `codes` are those of the first."""

    parts: tuple[Encoder, ...]
    names: tuple[str, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        names = tuple(name for part in self.parts for name in part.names)
        object.__setattr__(self, "names", names)

    @property
    def codes(self) -> tuple[NumberCode | CategoryCode, ...]:
        return self.parts[0].codes

    def starts(self) -> list[int]:
        """The first column of each part, and the width of all."""
        return [0, *np.cumsum([len(part.names) for part in self.parts]).tolist()]

    def transform(self, columns: Columns) -> Matrix:
        return np.concatenate([part.transform(columns) for part in self.parts], axis=1)

    def transform_row(self, values: Sequence[float | str]) -> Matrix:
        return np.concatenate([part.transform_row(values) for part in self.parts], axis=1)

    def to_json(self) -> dict[str, Any]:
        return {"layout": "joined", "parts": [part.to_json() for part in self.parts]}

    @classmethod
    def from_json(cls, body: Mapping[str, Any]) -> JoinedEncoder:
        return cls(tuple(map(Encoder.from_json, body["parts"])))


@dataclass(frozen=True, slots=True, eq=False)
class BlendPart:
    """An engine, how much it counts, and which columns [start, stop) it reads."""

    weight: float
    start: int
    stop: int
    engine: Engine

    def __post_init__(self) -> None:
        if self.engine.width != self.stop - self.start:
            raise PackageInvalid(
                f"a part reads {self.stop - self.start} columns, its engine takes "
                f"{self.engine.width}"
            )


class BlendEngine:
    """The weighted average of its parts' scores. `files` are numbered by part."""

    def __init__(self, parts: Sequence[BlendPart]) -> None:
        if not parts:
            raise PackageInvalid("a blend needs parts")
        self.parts = tuple(parts)

    @property
    def width(self) -> int:
        return max(part.stop for part in self.parts)

    def score(self, x: NDArray[np.float64]) -> Scores:
        first, *others = self.parts
        total: Scores = first.weight * first.engine.score(x[:, first.start : first.stop])
        for part in others:
            total += part.weight * part.engine.score(x[:, part.start : part.stop])
        return total

    def to_json(self) -> dict[str, Any]:
        return {
            "kind": "blend",
            "parts": [
                {
                    "weight": part.weight,
                    "start": part.start,
                    "stop": part.stop,
                    "engine": _renamed(part.engine.to_json(), number),
                }
                for number, part in enumerate(self.parts, start=1)
            ],
        }

    def files(self) -> dict[str, bytes]:
        return {
            _numbered(name, number): data
            for number, part in enumerate(self.parts, start=1)
            for name, data in part.engine.files().items()
        }


def join(encoders: Sequence[Encoder]) -> tuple[Encoder | JoinedEncoder, list[tuple[int, int]]]:
    """One encoder for all of them, and the columns of each in it. Equal ones stand once."""
    different: list[Encoder] = []
    for encoder in encoders:
        if encoder not in different:
            different.append(encoder)
    if len(different) == 1:
        return different[0], [(0, len(different[0].names))] * len(encoders)
    joined = JoinedEncoder(tuple(different))
    starts = joined.starts()
    places = [different.index(encoder) for encoder in encoders]
    return joined, [(starts[place], starts[place + 1]) for place in places]


def _numbered(name: str, number: int) -> str:
    """`trees.onnx` of the second part is `trees-2.onnx`."""
    stem, dot, suffix = name.rpartition(".")
    return f"{stem}-{number}{dot}{suffix}"


def _renamed(body: dict[str, Any], number: int) -> dict[str, Any]:
    return {**body, "file": _numbered(body["file"], number)} if "file" in body else body
