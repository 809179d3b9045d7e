"""What `predict.py` measured as Markdown, with the targets beside it."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from tests.bench.predict_servers import ECHO, FASTAPI, MLFLOW, MLFLOW_PACKAGE, Memory, ours_by

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
    found_in = next(iter(samples.values()))
    bases = [name for name in (ECHO, FASTAPI, MLFLOW, MLFLOW_PACKAGE) if name in found_in]
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
                *(_spread(ratios(taken, found[base]), 2) for base in bases),
                f"{_median(taken, 'busy'):.0%}",
            ]
            lines.append(f"| {rows:,} | {connections} | " + " | ".join(cells) + " |")
    return lines


def targets(samples: Samples, logs: Sequence[str]) -> list[str]:
    """Every target that this run can judge, by the median over rounds of requests per second.
    MLflow around our own package is no target: its figures stand beside those that are."""
    lines = [
        "| rows | connections | log | beside | times its requests/s | at least | | its CPU time |",
        "|---:|---:|---|---|---:|---:|---|---:|",
    ]
    for (rows, connections), found in samples.items():
        for log, base, least in _judged(rows, logs):
            mine, theirs = found.get(ours_by(log), ()), found.get(base, ())
            if not (mine and theirs):
                continue
            ratio = ratios(mine, theirs)
            pairs = zip(mine, theirs, strict=True)
            cpu = _spread([other.cpu_ms / one.cpu_ms for one, other in pairs], 2)
            met = f"{least:.2f} | {_met(statistics.median(ratio) >= least)}" if least else "|"
            cells = f"{log} | {base} | {_spread(ratio, 2)} | {met} | {cpu}"
            lines.append(f"| {rows:,} | {connections} | {cells} |")
    return lines


def _judged(rows: int, logs: Sequence[str]) -> Iterator[tuple[str, str, float]]:
    """Mode of the log, peer, and the target, 0 for a figure that has none."""
    for log in logs:
        for base, least in TARGETS.get((rows, log), ()):
            yield log, base, least
            if base == MLFLOW:
                yield log, MLFLOW_PACKAGE, 0.0


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


def ratios(mine: Sequence[Sample], theirs: Sequence[Sample]) -> list[float]:
    """Of requests per second, one a round; none where the other was left out."""
    pairs = zip(mine, theirs, strict=False)
    return [one.per_second / other.per_second for one, other in pairs]


def _median(taken: Sequence[Sample], field: str) -> float:
    found: float = statistics.median(getattr(each, field) for each in taken)
    return found


def _spread(values: Sequence[float], digits: int) -> str:
    middle = statistics.median(values)
    ends = f"{min(values):,.{digits}f}..{max(values):,.{digits}f}"
    return f"{middle:,.{digits}f} ({ends})"


def _met(good: bool) -> str:
    return "met" if good else "NOT MET"
