"""From how much an installation is used to how much of each priced thing that is. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from infra.occasions import DAYS_PER_MONTH, occasions, receivers
from infra.topology import Runtime, Topology
from shared.cli.costing.assumptions import value

GIB = 2**30
TIB = 2**40
_MINUTES_PER_MONTH = 43_800
Amounts = dict[str, float]


@dataclass(frozen=True, slots=True)
class Usage:
    """A month: `trainings`, `scorings` of files with `rows` each, online `predictions`, one per
    request. Storage is what has gathered after `months`. `training_seconds` overrides what follows
    from the rows; `size` is the jobs' size class."""

    trainings: int = 0
    scorings: int = 0
    predictions: int = 0
    models: int = 1
    rows: int = 30_000
    months: int = 12
    size: str = "s"
    mlflow: Literal["server", "off"] = "off"
    min_instances: int = 0
    training_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Component:
    """`idle`: costs the same when nobody uses the installation."""

    name: str
    idle: bool
    amounts: Amounts


def components(usage: Usage, topology: Topology, hours_per_month: float) -> list[Component]:
    """Idle ones first."""
    return [
        Component("looking after promises (schedules)", True, _schedules(usage, topology)),
        Component("images and builds", True, _images()),
        Component("secrets", True, {"secrets": float(len(topology.secrets))}),
        Component("predictor that waits", True, _waiting(usage, topology, hours_per_month)),
        Component("MLflow's database", True, _mlflow(usage, hours_per_month)),
        Component("trainings", False, _trainings(usage, topology)),
        Component("scored files", False, _scorings(usage, topology)),
        Component("predictions", False, _predictions(usage, topology)),
        Component("monitoring windows", False, _windows(usage, topology)),
        Component("what has gathered in the lake", False, {"storage": _stored(usage, topology)}),
    ]


def _add(*many: Mapping[str, float]) -> Amounts:
    found: Amounts = {}
    for amounts in many:
        for name, amount in amounts.items():
            found[name] = found.get(name, 0.0) + amount
    return found


def memory_gib(text: str) -> float:
    number = float(text[:-2])
    return number if text.endswith("Gi") else number / 1024


def calls_of(runtime: Runtime, calls: float, seconds: float) -> Amounts:
    """So many calls of a function or service, one after the other, each with its log line."""
    return {
        "requests": calls,
        "request_cpu": calls * seconds * float(runtime.cpu),
        "request_memory": calls * seconds * memory_gib(runtime.memory),
        "logging": calls * value("access_log_bytes") / GIB,
    }


# --- what runs without being used ----------------------------------------------------------------


def _schedules(usage: Usage, topology: Topology) -> Amounts:
    found: list[Amounts] = [{"scheduler": float(len(topology.schedules))}]
    for schedule in topology.schedules.values():
        count = occasions(schedule.cron)
        names = list(receivers(topology, schedule.topic, schedule.message))
        found.append({"pubsub": count * (1 + len(names)) * value("message_bytes") / TIB})
        found += [calls_of(topology.functions[name], count, _seconds(name)) for name in names]
        if schedule.message == "SweepDue":
            listed = value("sweep_class_a") + usage.models * value("sweep_model_class_a")
            read = usage.models * value("sweep_model_class_b")
            found.append({"class_a": count * listed, "class_b": count * read})
    return _add(*found)


def _seconds(function: str) -> float:
    return value("monitor_seconds" if function == "monitor" else "function_seconds")


def _images() -> Amounts:
    return {"registry": value("registry_gib"), "build": value("build_minutes")}


def _waiting(usage: Usage, topology: Topology, hours: float) -> Amounts:
    """Instances that are kept although nobody asks; none by default."""
    predict, seconds = topology.services["predict"], usage.min_instances * hours * 3600
    return {
        "idle_cpu": seconds * float(predict.cpu),
        "idle_memory": seconds * memory_gib(predict.memory),
    }


def _mlflow(usage: Usage, hours: float) -> Amounts:
    if usage.mlflow == "off":
        return {}
    return {"database": hours, "database_disk": 1.0, "secrets": 1.0}


# --- what is used --------------------------------------------------------------------------------


def training_seconds(usage: Usage) -> float:
    if usage.training_seconds is not None:
        return usage.training_seconds
    return value("training_start_seconds") + usage.rows * value("training_row_seconds")


def job_amounts(topology: Topology, job: str, size: str, seconds: float) -> Amounts:
    """One task of a job, for at least what is billed."""
    found, billed = topology.jobs[job].sizes[size], max(seconds, value("task_minimum_seconds"))
    return {"job_cpu": billed * float(found.cpu), "job_memory": billed * memory_gib(found.memory)}


def _times(count: float, amounts: Mapping[str, float]) -> Amounts:
    return {name: count * amount for name, amount in amounts.items()}


def _run(topology: Topology, kind: str) -> Amounts:
    """What one run costs beside its job: calls (as of intake, which is like the others), their
    messages, operations."""
    calls = value(f"{kind}_calls")
    return _add(
        calls_of(topology.functions["intake"], calls, value("function_seconds")),
        {
            "pubsub": (1.5 * calls) * value("message_bytes") / TIB,
            "class_a": value(f"{kind}_class_a"),
            "class_b": value(f"{kind}_class_b"),
        },
    )


def _trainings(usage: Usage, topology: Topology) -> Amounts:
    job = job_amounts(topology, "train", usage.size, training_seconds(usage))
    awake = value("tracking_seconds") if usage.mlflow == "server" else 0.0
    server = {"request_cpu": awake, "request_memory": awake}
    return _times(usage.trainings, _add(job, server, _run(topology, "training")))


def _scorings(usage: Usage, topology: Topology) -> Amounts:
    seconds = value("scoring_start_seconds") + usage.rows * value("scoring_row_seconds")
    job = job_amounts(topology, "score", usage.size, seconds)
    return _times(usage.scorings, _add(job, _run(topology, "scoring")))


def _predictions(usage: Usage, topology: Topology) -> Amounts:
    """Every prediction is a request that no other one overlaps: the upper bound."""
    predict, count = topology.services["predict"], usage.predictions
    starts = min(count, value("predictor_starts"))
    woken = {**calls_of(predict, starts, value("predictor_start_seconds")), "requests": 0.0}
    line = value("log_line_bytes")
    return _add(
        calls_of(predict, count, value("answer_seconds")),
        {**woken, "logging": 0.0},
        {
            "pubsub": count * max(line, 1024) / TIB,
            "pubsub_export": count * line / TIB,
            # One object a minute at most, and a look at the manifest every other second.
            "class_a": min(count, _MINUTES_PER_MONTH),
            "class_b": float(min(count, _MINUTES_PER_MONTH * 30)),
        },
    )


def _windows(usage: Usage, topology: Topology) -> Amounts:
    """Judged where something was predicted: one of two channels may be silent."""
    channels = (usage.predictions > 0) + (usage.scorings > 0)
    count = usage.models * value("windows") * channels / 2
    return _add(
        calls_of(topology.functions["monitor"], count, value("monitor_seconds")),
        {"class_a": 10 * count, "class_b": count * value("window_class_b")},
    )


def _stored(usage: Usage, topology: Topology) -> float:
    """GiB after so many months under the lake's retention. Drops stay in the inbox until people
    delete them."""
    days = topology.buckets["lake"].retention

    def kept(prefix: str) -> float:
        return min(float(usage.months), days.get(prefix, 10**6) / DAYS_PER_MONTH)

    dropped = (usage.trainings + usage.scorings) * usage.rows * value("input_row_bytes")
    found = [
        usage.months * dropped,
        kept("inputs/") * dropped,
        kept("datasets/") * usage.trainings * usage.rows * value("dataset_row_bytes"),
        kept("models/") * usage.trainings * value("version_bytes"),
        kept("predictions/") * usage.scorings * usage.rows * value("scored_row_bytes"),
        kept("inference-log/") * usage.predictions * value("log_line_bytes"),
    ]
    return sum(found) / GIB
