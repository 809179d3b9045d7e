"""What the estimate takes for granted, each with where it comes from.

`measured` values are those of infra/docs (a page and what it says); `counted` ones are counted on
the system in memory by a test; the others are guesses, and say so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class Assumption:
    value: float
    unit: str
    origin: str


def _measured(value: float, unit: str, where: str) -> Assumption:
    return Assumption(value, unit, f"measured: {where}")


def _counted(value: float, unit: str, what: str) -> Assumption:
    return Assumption(value, unit, f"counted: {what}")


def _guess(value: float, unit: str, why: str) -> Assumption:
    return Assumption(value, unit, f"guess: {why}")


ASSUMPTIONS: Mapping[str, Assumption] = MappingProxyType(
    {
        # --- jobs ---
        "task_minimum_seconds": Assumption(60, "s", "Cloud Run bills a job's task for a minute"),
        "training_start_seconds": _measured(
            7, "s", "measurements.md, from drop to served: job starts, cards, MLflow, version"
        ),
        "training_row_seconds": _measured(
            0.003,
            "s a row",
            "quality.md, loan_default: 356 s for 120,000 rows with 8 trials on 2 cores "
            "(adult_income: 0.0015)",
        ),
        "scoring_start_seconds": _guess(10, "s", "a task's start and its imports on Cloud Run"),
        "scoring_row_seconds": _measured(
            0.0000051, "s a row", "score.md: a million rows in 5.1 s, one thread"
        ),
        # --- functions and predictor ---
        "function_seconds": _measured(
            1, "s", "measurements.md: a cold start takes 0.33 to 0.65 s; every call counted as one"
        ),
        "monitor_seconds": _guess(
            10, "s", "pandas and Evidently are imported at a cold start; a small window"
        ),
        "answer_seconds": Assumption(
            0.1, "s a request", "billed in steps of 0.1 s; an answer takes under 1 ms of CPU"
        ),
        "predictor_start_seconds": _measured(
            1, "s", "measurements.md: 0.4 s to the first right answer; the limit is 1.0"
        ),
        "predictor_starts": Assumption(
            2920, "a month at most", "an idle instance is kept for up to 15 minutes"
        ),
        # --- messages ---
        "message_bytes": _guess(2048, "bytes", "an envelope with a body; at least 1 KB is billed"),
        "log_line_bytes": _measured(
            525, "bytes", "a line of the prediction log of Adult's 14 columns"
        ),
        "access_log_bytes": _guess(
            2500, "bytes a request", "our line and Cloud Run's request log in Cloud Logging"
        ),
        # --- per run ---
        "training_calls": _counted(
            8, "function calls", "drop to promoted, on the system in memory"
        ),
        "scoring_calls": _counted(4, "function calls", "drop to scored, on the system in memory"),
        "training_class_a": _guess(
            80, "operations", "23 counted in functions, the rest are stages and files of the job"
        ),
        "training_class_b": _guess(
            100, "operations", "44 counted in functions, the rest the job's"
        ),
        "scoring_class_a": _guess(40, "operations", "13 counted in functions, the rest parts"),
        "scoring_class_b": _guess(60, "operations", "19 counted in functions, the rest the job's"),
        "sweep_class_a": _counted(10, "operations", "one look of sweep at nothing takes 9"),
        "sweep_model_class_a": _counted(1, "operations a model", "one look of sweep at one model"),
        "sweep_model_class_b": _counted(
            10, "operations a model", "one look of sweep at a model takes 9"
        ),
        "windows": Assumption(
            61, "a model and month", "a window a day, of online and of batch predictions"
        ),
        "window_class_b": _guess(100, "operations a window", "log objects of a day and the labels"),
        # --- sizes ---
        "input_row_bytes": _measured(107, "bytes", "score.md: a million Adult-like rows, 107 MB"),
        "scored_row_bytes": _guess(200, "bytes", "the row, and five columns of ours"),
        "dataset_row_bytes": _measured(
            20, "bytes", "measurements.md: 99 MiB of data.csv.gz for 5 million rows"
        ),
        "version_bytes": _guess(5_000_000, "bytes", "package, cards, plots, reports of a version"),
        "registry_gib": _guess(6, "GiB", "a predictor, three jobs, nine functions, one kept each"),
        "build_minutes": _guess(120, "minutes", "four deployments of half an hour"),
        "tracking_seconds": _guess(30, "s a training", "MLflow's server awake for a training"),
    }
)


def value(name: str) -> float:
    return ASSUMPTIONS[name].value
