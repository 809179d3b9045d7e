"""How often monitoring cries wolf, and how soon it sees what is wrong, at the defaults of a spec.

    python tests/bench/simulate_alarms.py                       Markdown, minutes on 2 cores
    python tests/bench/simulate_alarms.py --years 5 --shifts 40
    python tests/bench/simulate_alarms.py --number wasserstein --category js
    python tests/bench/simulate_alarms.py --slices sex family     a slice of family may break

Every model-year is a model of its own: four weeks of a stream are its training, 20 % of them the
holdout, then 365 daily windows come through the same judgement and persistence as in production,
all labelled. A false alarm is an alarm that opens. Intervals are 95 %: Poisson for alarms a year,
binomial for what is found. Seeds are fixed.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402 - a script finds the repository first
from scipy.stats import chi2  # noqa: E402

from shared.serving.columns import Schema  # noqa: E402
from shared.spec.model import Spec  # noqa: E402
from shared.tabular.alarms import KINDS, Alarm  # noqa: E402
from shared.tabular.performance import worth_measuring  # noqa: E402
from shared.tabular.profile import build_reference  # noqa: E402
from shared.tabular.rates import rate_interval  # noqa: E402
from shared.tabular.season import Season, window_of  # noqa: E402
from shared.tabular.season import Window as Judged  # noqa: E402
from shared.tabular.window import WindowRows  # noqa: E402
from shared.usecases.monitoring.rows import Labels, VersionFacts, Window  # noqa: E402
from shared.usecases.monitoring.verdict import judge_version, settle_kinds  # noqa: E402
from tests.bench.alarm_streams import (  # noqa: E402
    FEATURES,
    NAMES,
    NUMBERS,
    SHIFTS,
    STREAMS,
    Day,
    Kind,
    Shift,
    Stream,
)

MONDAY, DAY = datetime(2026, 1, 5, tzinfo=UTC), timedelta(days=1)
TRAINING_DAYS, HOLDOUT = 28, 0.2
FOUND_WITHIN = 3


@dataclass(frozen=True, slots=True)
class Chosen:
    """What differs from the defaults: `monitoring.statistics`, and the columns of
    `promotion.slices`."""

    statistics: Mapping[str, Any] = field(default_factory=dict)
    slices: tuple[str, ...] = ()


USUAL = Chosen()


def spec_of(chosen: Chosen) -> Spec:
    return Spec.model_validate(
        {
            "task": "binary",
            "target": {"column": "y", "positive": "yes"},
            "columns": {
                **{name: {"type": "number"} if name in NUMBERS else {} for name in NAMES},
                "y": {},
            },
            "monitoring": {"statistics": dict(chosen.statistics)},
            "promotion": {"slices": {"columns": list(chosen.slices)}},
        }
    )


SPEC = spec_of(USUAL)
MATURE = Labels((), mature=True, count_from=MONDAY)


@dataclass(slots=True)
class Model:
    """A model that was trained on a stream and is watched from day to day."""

    stream: Stream
    chosen: Chosen = USUAL
    spec: Spec = field(init=False)
    facts: VersionFacts = field(init=False)
    past: dict[str, list[Alarm]] = field(init=False)
    windows: list[Judged] = field(default_factory=list)
    day: int = TRAINING_DAYS

    def __post_init__(self) -> None:
        days = [self.stream.day(number) for number in range(TRAINING_DAYS)]
        self.spec = spec_of(self.chosen)
        sample, slices = bool(self.chosen.statistics), self.chosen.slices
        reference = trained(days, self.stream.random, sample=sample, slices=slices)
        self.facts = VersionFacts(Schema.of(self.spec), "binary", reference)
        self.past = {kind: [] for kind in KINDS}

    def judge(self, shift: Shift | None = None) -> dict[str, str]:
        """The next day's window; what alarms that did not the day before, with the reason."""
        start = MONDAY + self.day * DAY
        window = Window("m", "online", start, start + DAY)
        rows = gathered(self.stream.day(self.day, shift), self.chosen.slices)
        season = Season(self._back(*(7 * week for week in range(1, 5))), self._back(*range(1, 7)))
        found = judge_version(self.facts, rows, self.spec, MATURE, channel="online", season=season)
        judged = [found]
        alarms = settle_kinds(judged, self.past, window, self.spec.monitoring.persistence)
        opened: dict[str, str] = {}
        for kind in KINDS:
            before = self.past[kind][0].firing if self.past[kind] else False
            if alarms[kind].firing and not before:
                opened[kind] = judged[0].sentence(kind)
            self.past[kind].insert(0, alarms[kind])
            del self.past[kind][30:]
        self.windows.append(window_of(asdict(found.drift)))
        self.day += 1
        return opened

    def _back(self, *days: int) -> list[Judged]:
        return [self.windows[-back] for back in days if back <= len(self.windows)]


def trained(
    days: Sequence[Day],
    random: np.random.Generator,
    *,
    sample: bool = False,
    slices: Sequence[str] = (),
) -> dict[str, Any]:
    """The reference of a model that learned from these days but for the holdout. `sample` is for
    drawings, and for statistics of values."""
    columns = {name: np.concatenate([day.columns[name] for day in days]) for name in NAMES}
    scores = np.concatenate([day.scores for day in days])
    truths = np.concatenate([day.truths for day in days])
    out = random.random(len(scores)) < HOLDOUT
    made = build_reference(
        {name: column[~out] for name, column in columns.items()},
        FEATURES,
        scores=scores[out],
        labels=_labels(scores[out]),
        targets=truths[out],
        task="binary",
        positive="yes",
        metrics={},
        slices={name: columns[name][out] for name in slices},
    )
    return made if sample else made | {"sample": {"columns": {}, "score": []}}


def gathered(day: Day, slices: Sequence[str] = ()) -> WindowRows:
    """A day as monitoring reads it."""
    labels = np.array(_labels(day.scores), object)
    rows = len(labels)
    return WindowRows(
        version="v",
        rows=rows,
        refused=0,
        profiled=rows,
        columns=day.columns,
        scores=day.scores,
        labels=labels,
        labelled=rows,
        measured=worth_measuring("binary", day.scores, labels, day.truths, "yes"),
        truths=day.truths,
        slices={name: day.columns[name] for name in slices},
    )


def _labels(scores: Any) -> list[str]:
    return ["yes" if score >= 0.5 else "no" for score in scores]


def quiet_year(kind: Kind, chosen: Chosen, seed: Sequence[int]) -> list[tuple[int, str, str]]:
    """Alarms of a year in which nothing is wrong: day, kind, reason."""
    model = Model(Stream(kind, np.random.default_rng(seed)), chosen)
    return [(day, what, why) for day in range(365) for what, why in model.judge().items()]


def shifted(
    kind: Kind, shift: Shift, chosen: Chosen, seed: Sequence[int]
) -> tuple[int, str] | None:
    """At which window of a shift an alarm opened, and which; None after FOUND_WITHIN. One to two
    quiet weeks come first, so that it starts on any day of the week."""
    random = np.random.default_rng(seed)
    model = Model(Stream(kind, random, moved=NAMES[int(random.integers(len(NAMES)))]), chosen)
    for _ in range(7 + int(random.integers(7))):
        model.judge()
    for number in range(FOUND_WITHIN):
        for what in model.judge(shift):
            return number + 1, what
    return None


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--years", type=int, default=40, help="model-years per stream")
    parser.add_argument("--shifts", type=int, default=200, help="times that a shift is tried")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--streams", nargs="+", default=STREAMS, choices=STREAMS)
    parser.add_argument("--only", nargs="+", default=SHIFTS[:-1], choices=SHIFTS, help="shifts")
    parser.add_argument("--number", help="statistic of numbers (monitoring.statistics)")
    parser.add_argument("--category", help="statistic of categories")
    parser.add_argument("--threshold", nargs=2, action="append", default=[], help="ks 0.2")
    parser.add_argument("--slices", nargs="+", default=[], help="columns of promotion.slices")
    parser.add_argument("--why", action="store_true", help="print what alarmed, and when")
    asked = parser.parse_args(arguments)
    chosen = chosen_by(asked)
    with ProcessPoolExecutor(2) as pool:
        print("| nothing is wrong | model-years | false alarms | a model-year (95 %) | by kind |")
        print("|---|---:|---:|---:|---|")
        for place, kind in enumerate(asked.streams if asked.years else ()):
            seeds = [(asked.seed, 0, place, number) for number in range(asked.years)]
            years = list(pool.map(partial(quiet_year, kind, chosen), seeds))
            print(quiet_line(kind, years), flush=True)
            for number, year in enumerate(years if asked.why else ()):
                for day, what, why in year:
                    print(f"    {number} day {day}: {what}: {why}", file=sys.stderr)
        print(
            f"\n| shift | stream | tried | found within {FOUND_WITHIN} | (95 %) | first seen by |"
        )
        print("|---|---|---:|---:|---:|---|")
        for row, shift in enumerate(SHIFTS if asked.shifts else ()):
            for place, kind in enumerate(asked.streams if shift in asked.only else ()):
                seeds = [(asked.seed, 1 + row, place, number) for number in range(asked.shifts)]
                found = list(pool.map(partial(shifted, kind, shift, chosen), seeds, chunksize=4))
                print(found_line(shift, kind, found), flush=True)
    return 0


def chosen_by(asked: argparse.Namespace) -> Chosen:
    found: dict[str, Any] = {
        kind: value for kind in ("number", "category") if (value := getattr(asked, kind))
    }
    if asked.threshold:
        found["thresholds"] = {name: float(value) for name, value in asked.threshold}
    return Chosen(found, tuple(asked.slices))


def quiet_line(kind: str, years: Sequence[Sequence[tuple[int, str, str]]]) -> str:
    alarms = Counter(what for year in years for _, what, _ in year)
    count, total = alarms.total(), len(years)
    low = float(chi2.ppf(0.025, 2 * count)) / 2 if count else 0.0
    high = float(chi2.ppf(0.975, 2 * count + 2)) / 2
    return (
        f"| {kind} | {total} | {count} | {count / total:.2f} "
        f"({low / total:.2f} to {high / total:.2f}) | {told(alarms)} |"
    )


def told(kinds: Counter[str]) -> str:
    often = (f"{what.replace('_', ' ')} {count}" for what, count in kinds.most_common())
    return ", ".join(often) or "-"


def found_line(shift: str, kind: str, found: Sequence[tuple[int, str] | None]) -> str:
    hits = [one for one in found if one is not None]
    low, high = rate_interval(len(hits), len(found))
    by = told(Counter(what for _, what in hits))
    return (
        f"| {shift} | {kind} | {len(found)} | {len(hits) / len(found):.1%} "
        f"| {low:.1%} to {high:.1%} "
        f"| {by} |"
    )


if __name__ == "__main__":
    raise SystemExit(main())
