"""Counts and times of a predictor process in Prometheus' text form. Knows no HTTP."""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_HELP = {
    "millrace_requests_total": "Prediction requests by model, protocol and HTTP status.",
    "millrace_rows_total": "Rows answered by model and version.",
    "millrace_refused_rows_total": "Rows that broke the model's schema.",
    "millrace_unseen_categories_total": "Values of no category that the version has a level for.",
    "millrace_unexpected_values_total": "Values outside of what the spec expects, by column.",
    "millrace_unknown_fields_total": "Rows with fields that the model does not know.",
    "millrace_log_failures_total": "Rows whose prediction log line was not accepted.",
    "millrace_left_out_total": "Rows that do not count for a second version, by reason; "
    "the champion answered.",
    "millrace_compared_rows_total": "Rows that champion and second version both scored.",
    "millrace_disagreed_rows_total": "Of these, rows that got different labels.",
    "millrace_span_failures_total": "Times that spans were not accepted, or found no room.",
    "millrace_spans_lost_total": "Spans of requests that are in no trace.",
    "millrace_alert_failures_total": "Alerts about versions that do not load, not accepted.",
    "millrace_let_go_total": "Models whose versions left memory for another model's.",
    "millrace_refresh_failures_total": "Manifest looks or version loads that failed.",
}
_LATENCY = "millrace_request_seconds"
_HISTOGRAMS = {
    _LATENCY: "Time to answer a prediction request.",
    "millrace_second_version_seconds": "Of that, what a second version took for its rows.",
}


class Metrics:
    """Counters, and histograms of time per model and version. Safe to share between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[tuple[str, tuple[tuple[str, str], ...]]] = Counter()
        self._buckets: dict[tuple[str, str, str], list[int]] = {}
        self._seconds: defaultdict[tuple[str, str, str], float] = defaultdict(float)

    def count(self, name: str, amount: int = 1, **labels: str) -> None:
        with self._lock:
            self._counts[name, tuple(labels.items())] += amount

    def observe(self, model: str, version: str, seconds: float, *, of: str = _LATENCY) -> None:
        """One request to that version of a model, in one of the histograms."""
        key = of, model, version
        with self._lock:
            buckets = self._buckets.get(key)
            if buckets is None:
                buckets = self._buckets[key] = [0] * (len(_SECONDS) + 1)
            buckets[bisect_left(_SECONDS, seconds)] += 1
            self._seconds[key] += seconds

    def text(self, loaded: Iterable[tuple[str, str]] = ()) -> str:
        """The whole exposition; `loaded` are (model, version) in memory."""
        with self._lock:
            lines = self._counter_lines() + self._histogram_lines()
        lines += [
            "# HELP millrace_model_info Versions in memory.",
            "# TYPE millrace_model_info gauge",
        ]
        lines += [
            f"millrace_model_info{_labels((('model', model), ('version', version)))} 1"
            for model, version in loaded
        ]
        return "\n".join(lines) + "\n"

    def _counter_lines(self) -> list[str]:
        lines = []
        for name, about in _HELP.items():
            lines += [f"# HELP {name} {about}", f"# TYPE {name} counter"]
            lines += [
                f"{name}{_labels(labels)} {value}"
                for (found, labels), value in sorted(self._counts.items())
                if found == name
            ]
        return lines

    def _histogram_lines(self) -> list[str]:
        lines = []
        for name, about in _HISTOGRAMS.items():
            lines += [f"# HELP {name} {about}", f"# TYPE {name} histogram"]
            for (found, model, version), buckets in sorted(self._buckets.items()):
                if found == name:
                    labels = (("model", model), ("version", version))
                    seconds = self._seconds[found, model, version]
                    lines += _histogram(name, labels, buckets, seconds)
        return lines


def _labels(labels: tuple[tuple[str, str], ...]) -> str:
    def quoted(value: str) -> str:
        return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")

    return "{" + ",".join(f'{name}="{quoted(value)}"' for name, value in labels) + "}"


def _histogram(
    name: str, about: tuple[tuple[str, str], ...], buckets: list[int], seconds: float
) -> list[str]:
    lines, total = [], 0
    for limit, count in zip([*map(str, _SECONDS), "+Inf"], buckets, strict=True):
        total += count
        lines.append(f"{name}_bucket{_labels((*about, ('le', limit)))} {total}")
    return [
        *lines,
        f"{name}_sum{_labels(about)} {seconds:.6f}",
        f"{name}_count{_labels(about)} {total}",
    ]
