"""What an answered request adds to the metrics, and what of it people have to hear."""

from __future__ import annotations

import json
from collections import Counter

from shared.serving.access_log import to_stdout
from shared.serving.alerts import Alerts
from shared.serving.answers import Answer, Dealt
from shared.serving.metrics import Metrics
from shared.serving.watching import UNSEEN


def count_answer(metrics: Metrics, alerts: Alerts, model: str, answer: Answer) -> None:
    """Rows by version, odd values and unknown fields; and what people hear of a second version."""
    if answer.dealt is None:
        rows = len(answer.predictions)
        metrics.count("millrace_rows_total", rows, model=model, version=answer.version)
    else:
        _count_dealt(metrics, model, answer, answer.dealt)
        _tell(alerts, model, answer.dealt)
    for (kind, column), count in (answer.odd or {}).items():
        what = "unseen_categories" if kind == UNSEEN else "unexpected_values"
        metrics.count(f"millrace_{what}_total", count, model=model, column=column)
    if answer.unknown is not None:
        metrics.count("millrace_unknown_fields_total", answer.unknown.rows, model=model)


def count_lost(metrics: Metrics, lost: Counter[str], error: Exception) -> None:
    """Lines of the prediction log that were not accepted, by model."""
    for model, lines in lost.items():
        metrics.count("millrace_log_failures_total", lines, model=model)
        log_line(model, error, f"{lines} lines of the prediction log are lost: ")


def count_untold(metrics: Metrics, model: str, error: Exception) -> None:
    """An alert that was not accepted."""
    metrics.count("millrace_alert_failures_total", model=model)
    log_line(model, error, "an alert is not published: ")


def count_span_trouble(metrics: Metrics, lost: int, reason: str) -> None:
    """Spans that the collector did not take, and those that are lost for it."""
    metrics.count("millrace_span_failures_total")
    if lost:
        metrics.count("millrace_spans_lost_total", lost)
    line = {"severity": "WARNING", "message": f"tracing: {reason}; {lost} spans are lost"}
    to_stdout(json.dumps(line) + "\n")


def count_let_go(metrics: Metrics, model: str) -> None:
    """A model that went out of memory for another one."""
    metrics.count("millrace_let_go_total", model=model)


def log_line(model: str, error: Exception, before: str = "") -> None:
    """One line of JSON about what went wrong behind an answer."""
    _say(model, f"{before}{type(error).__name__}: {error}")


def _say(model: str, message: str) -> None:
    line = {"severity": "ERROR", "model": model, "message": message}
    to_stdout(json.dumps(line) + "\n")


def _count_dealt(metrics: Metrics, model: str, answer: Answer, dealt: Dealt) -> None:
    """Count an answer of two versions."""
    versions = Counter(row["model_version"] for row in answer.predictions)
    for version, count in versions.items():
        metrics.count("millrace_rows_total", count, model=model, version=version)
    for reason, count in dealt.left_out.items():
        metrics.count("millrace_left_out_total", count, model=model, reason=reason)
    second = dealt.beside.second
    about = {"model": model, "version": second.version, "kind": second.kind}
    if dealt.compared:
        metrics.count("millrace_compared_rows_total", len(dealt.compared), **about)
        metrics.count("millrace_disagreed_rows_total", dealt.disagreed, **about)
        metrics.observe(model, second.version, dealt.seconds, of="millrace_second_version_seconds")


def _tell(alerts: Alerts, model: str, dealt: Dealt) -> None:
    """What a challenger cannot do is told once, and once more when it is given up."""
    second = dealt.beside.second
    if dealt.problem is not None and not dealt.beside.told:
        dealt.beside.told = True
        _say(model, f"challenger {second.version} {dealt.problem}")
    if dealt.stops:
        sentence = (
            f"{second.kind.capitalize()} {second.id}: an instance no longer asks {second.version}, "
            f"{second.against} answers everything there. The last of its failures: it "
            f"{dealt.problem}."
        )
        _say(model, sentence)
        alerts.given_up(model, second, sentence)
