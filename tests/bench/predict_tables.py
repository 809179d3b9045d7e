"""What `predict.py` measured as Markdown, with the targets beside it."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tests.bench.predict_servers import ECHO, FASTAPI, MLFLOW, Memory, ours_by

# (rows, log) -> [(peer, at least)].
TARGETS: Mapping[tuple[int, str], Sequence[tuple[str, float]]] = {
    (1, "off"): ((ECHO, 0.80), (MLFLOW, 12.0)),
    (1, "buffered"): ((ECHO, 0.65), (MLFLOW, 10.0)),
    (100, "off"): ((FASTAPI, 5.0),),
    (1000, "off"): ((FASTAPI, 2.0),),
}
COLD_SECONDS, RESIDENT_MIB = 1.0, 150.0


@dataclass(frozen=True, slots=True)
class Sample:
    """One server in one cell of one round. `cpu_ms` is the server's own, per request; `busy` the
    load generator's share of a core."""

    per_second: float
    p50_ms: float
    p99_ms: float
    cpu_ms: float
    busy: float


# (rows, connections) -> server -> a sample a round
Samples = Mapping[tuple[int, int], Mapping[str, Sequence[Sample]]]


def speed(samples: Samples) -> list[str]:
    bases = [name for name in (ECHO, FASTAPI, MLFLOW) if name in next(iter(samples.values()))]
    lines = [
        "| rows | connections | server | requests/s | p50 / p99 ms | CPU ms a request | "
        + "".join(f"x {base} | " for base in bases)
        + "client busy |",
        "|---:|---:|---|---:|---:|---:|" + "---:|" * (len(bases) + 1),
    ]
    for (rows, connections), found in samples.items():
        for name, taken in found.items():
            cells = [
                name,
                _spread([each.per_second for each in taken], 0),
                f"{_median(taken, 'p50_ms'):.2f} / {_median(taken, 'p99_ms'):.2f}",
                f"{_median(taken, 'cpu_ms'):.2f}",
                *(_spread(ratios(found, name, base), 2) for base in bases),
                f"{_median(taken, 'busy'):.0%}",
            ]
            lines.append(f"| {rows:,} | {connections} | " + " | ".join(cells) + " |")
    return lines


def targets(samples: Samples, logs: Sequence[str]) -> list[str]:
    """Every target that this run can judge, by the median over rounds."""
    lines = ["| rows | connections | log | beside | measured | at least | |", "|" + "---|" * 7]
    for (rows, connections), found in samples.items():
        for log in logs:
            for base, least in TARGETS.get((rows, log), ()):
                ratio = ratios(found, ours_by(log), base)
                if ratio:
                    met = _met(statistics.median(ratio) >= least)
                    cells = f"{log} | {base} | {_spread(ratio, 2)} | {least:.2f} | {met}"
                    lines.append(f"| {rows:,} | {connections} | {cells} |")
    return lines


def starts(
    cold: Mapping[str, Sequence[float]], idle: Mapping[str, Memory], after: Mapping[str, Memory]
) -> list[str]:
    limits = f"ours: {COLD_SECONDS:.1f} s and {RESIDENT_MIB:.0f} MiB"
    lines = [
        f"| server ({limits}) | first right answer s | resident MiB before / after | PSS | |",
        "|---|---:|---:|---:|---|",
    ]
    for name, seconds in cold.items():
        before, then = idle[name], after[name]
        met = ""
        if name.startswith(ours_by("")):
            good = statistics.median(seconds) <= COLD_SECONDS
            met = _met(good and max(then.largest, then.all) <= RESIDENT_MIB)
        lines.append(
            f"| {name} | {_spread(seconds, 2)} | {before.largest:.0f} / {then.largest:.0f} | "
            f"{before.all:.0f} / {then.all:.0f} | {met} |"
        )
    return lines


def ratios(found: Mapping[str, Sequence[Sample]], name: str, base: str) -> list[float]:
    """Of requests per second, one a round; none where the base was left out."""
    pairs = zip(found[name], found.get(base, ()), strict=False)
    return [mine.per_second / theirs.per_second for mine, theirs in pairs]


def _median(taken: Sequence[Sample], field: str) -> float:
    found: float = statistics.median(getattr(each, field) for each in taken)
    return found


def _spread(values: Sequence[float], digits: int) -> str:
    middle = statistics.median(values)
    ends = f"{min(values):,.{digits}f}..{max(values):,.{digits}f}"
    return f"{middle:,.{digits}f} ({ends})"


def _met(good: bool) -> str:
    return "met" if good else "NOT MET"
