"""Is the new revision good enough? Asked directly by its tag, and judged by what people got of it.

    smoke  alive, the same models as the stable revision, and each answers its own example
    watch  a share of traffic for a while, then the smoke again, and Cloud Monitoring's counts:
           errors (5xx) and the 99th percentile of latency, beside the stable revision's

Counts arrive some minutes late and a quiet service has few: too few to judge is said, and then the
smoke alone decides. Standard library only, as all of this package.
"""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from infra.rollout.steps import CheckFailed
from infra.rollout.traffic import STABLE, Traffic

MONITORING = "https://monitoring.googleapis.com"
_TIMEOUT = 30.0
_MOST_MODELS = 20
_TRIES = 3
# Judged from as many requests on; below, chance alone makes any share of errors.
FEWEST_REQUESTS = 50
WORST_ERRORS = 0.01
SLOWEST_MS = 500.0
_WORSE_BY = 2.0

Headers = Callable[[], Mapping[str, str]]


@dataclass(frozen=True, slots=True)
class Counts:
    """Of a revision in a span of time. `p99_ms` is 0 where nothing is known."""

    requests: int
    errors: int
    p99_ms: float

    @property
    def share(self) -> float:
        return self.errors / self.requests if self.requests else 0.0


def verdict(new: Counts, stable: Counts) -> str:
    """What is wrong with the new revision; empty when nothing is, or too little is known."""
    if new.requests < FEWEST_REQUESTS:
        return ""
    if new.share > max(WORST_ERRORS, _WORSE_BY * stable.share):
        return f"{new.errors} of {new.requests} requests failed (stable: {stable.share:.1%})"
    if new.p99_ms > max(SLOWEST_MS, _WORSE_BY * stable.p99_ms):
        return f"99 % took up to {new.p99_ms:.0f} ms (stable: {stable.p99_ms:.0f} ms)"
    return ""


@dataclass(frozen=True, slots=True)
class Predictor:
    """Asks a predictor over HTTP with headers of the caller's identity."""

    headers: Headers

    def smoke(self, url: str, beside: str = "") -> str:
        """Alive, the models of `beside` (another base URL; empty for none), an answer from each.
        Says what was asked. Raises CheckFailed."""
        self._get(f"{url}/v2/health/live")
        models = self._models(url)
        missing = set(self._models(beside)) - set(models) if beside else set()
        if missing:
            raise CheckFailed(f"{url} does not serve {', '.join(sorted(missing))}")
        for model in models[:_MOST_MODELS]:
            self._example(url, model)
        asked = ", ".join(models[:_MOST_MODELS])
        return f"answers for {asked}" if asked else "is alive; no model has a champion yet"

    def _models(self, url: str) -> list[str]:
        found: list[str] = self._get(f"{url}/models")["models"]
        return sorted(found)

    def _example(self, url: str, model: str) -> None:
        example = self._get(f"{url}/models/{model}")["example"]
        answer = self._send(url + example["path"], example["body"])
        if not answer.get("predictions"):
            raise CheckFailed(f"{url} has no prediction for the example of {model}: {answer}")

    def _get(self, url: str) -> Any:
        return self._send(url, None)

    def _send(self, url: str, body: Any) -> Any:
        """A cold start or a line that breaks is asked again; an answer that is wrong is not."""
        data = None if body is None else json.dumps(body).encode()
        trouble: Exception | None = None
        for attempt in range(_TRIES):
            time.sleep(attempt)
            sent = {**self.headers(), "Content-Type": "application/json"}
            try:
                return answered(url, data, sent)
            except urllib.error.HTTPError as error:
                text = error.read()[:300].decode(errors="replace")
                trouble = CheckFailed(f"{url} answered {error.code}: {text}")
                if error.code not in (429, 503):
                    break
            except (OSError, ValueError) as error:
                trouble = error
        raise CheckFailed(f"{trouble}") from trouble


def answered(url: str, data: bytes | None, headers: Mapping[str, str]) -> Any:
    """The JSON of an answer. Raises OSError (HTTPError), ValueError."""
    request = urllib.request.Request(url, data, dict(headers))  # noqa: S310 - gcloud tells it
    with urllib.request.urlopen(request, timeout=_TIMEOUT) as response:  # noqa: S310 - as above
        return json.loads(response.read())


@dataclass(frozen=True, slots=True)
class Monitoring:
    """Counts of Cloud Run's revisions, from Cloud Monitoring."""

    project: str
    service: str
    headers: Headers
    address: str = MONITORING

    def counts(self, revision: str, start: float, end: float) -> Counts:
        """Between two times (seconds since 1970). Raises OSError, ValueError."""
        about = 'metric.type="run.googleapis.com/{}"'
        about += f' AND resource.labels.service_name="{self.service}"'
        about += f' AND resource.labels.revision_name="{revision}"'
        requests = errors = 0
        by_class = {"crossSeriesReducer": "REDUCE_SUM", "perSeriesAligner": "ALIGN_DELTA"}
        by_class["groupByFields"] = "metric.labels.response_code_class"
        for series in self._series(about.format("request_count"), by_class, start, end):
            count = sum(int(point["value"]["int64Value"]) for point in series["points"])
            requests += count
            if series["metric"]["labels"].get("response_code_class") == "5xx":
                errors += count
        slow = {
            "crossSeriesReducer": "REDUCE_PERCENTILE_99",
            "perSeriesAligner": "ALIGN_DELTA",
        }
        found = self._series(about.format("request_latencies"), slow, start, end)
        values = [float(p["value"]["doubleValue"]) for one in found for p in one["points"]]
        return Counts(requests, errors, max(values, default=0.0))

    def _series(
        self, about: str, aggregation: Mapping[str, str], start: float, end: float
    ) -> list[Any]:
        asked = {
            "filter": about,
            "interval.startTime": _text(start),
            "interval.endTime": _text(end),
            "aggregation.alignmentPeriod": f"{max(60, round(end - start))}s",
            **{f"aggregation.{key}": value for key, value in aggregation.items()},
        }
        url = f"{self.address}/v3/projects/{self.project}/timeSeries?"
        url += urllib.parse.urlencode(asked)
        found: list[Any] = answered(url, None, self.headers()).get("timeSeries", [])
        return found


def _text(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


@dataclass(frozen=True, slots=True)
class RevisionChecks:
    """`seconds` is how long a share of traffic acts before it is judged."""

    predictor: Predictor
    monitoring: Monitoring | None
    read: Callable[[], Traffic | None]
    seconds: float
    sleep: Callable[[float], None] = time.sleep
    now: Callable[[], float] = time.time

    def smoke(self, traffic: Traffic, tag: str) -> None:
        """Raises CheckFailed."""
        url = traffic.urls.get(tag, "")
        if not url:
            raise CheckFailed(f"the service tells no URL of its tag {tag}")
        self.predictor.smoke(url, traffic.urls.get(STABLE, ""))

    def watch(self, candidate: str, stable: str) -> str:
        """Raises CheckFailed."""
        start = self.now()
        self.sleep(self.seconds)
        traffic = self.read()
        tag = next((t for t, r in traffic.tags.items() if r == candidate), "") if traffic else ""
        if traffic is None or not tag:
            raise CheckFailed(f"{candidate} has lost its tag: somebody else moved the traffic")
        self.smoke(traffic, tag)
        if self.monitoring is None:
            return "answers; counts were not asked for"
        try:
            new = self.monitoring.counts(candidate, start, self.now())
            old = self.monitoring.counts(stable, start, self.now())
        except (OSError, ValueError, KeyError) as error:
            return f"answers; Cloud Monitoring does not: {error}"
        if wrong := verdict(new, old):
            raise CheckFailed(f"{candidate}: {wrong}")
        if new.requests < FEWEST_REQUESTS:
            return f"answers; {new.requests} requests are too few to judge it by"
        return f"answers; {new.errors} of {new.requests} failed, 99 % within {new.p99_ms:.0f} ms"
