"""The demo's spec: the shipped one with a few settings that make months fit into two minutes."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from shared.spec.load import load_spec
from shared.spec.model import Spec, format_duration

SPECS = Path(__file__).resolve().parents[3] / "infra" / "specs"
NO_TIME = timedelta(0)


def shipped(model: str) -> Spec:
    name = f"{model}.yaml"
    return load_spec((SPECS / name).read_text(encoding="utf-8"), name)


def for_demo(spec: Spec) -> tuple[Spec, list[str]]:
    """The demo's spec and one line per setting that differs, with the reason."""
    training = spec.training.model_copy(update={"trials": 1})
    promotion = spec.promotion.model_copy(update={"approval": "auto"})
    monitoring = spec.monitoring.model_copy(
        update={"grace": NO_TIME, "label_delay": NO_TIME, "persistence": (1, 1)}
    )
    retrain = spec.retrain.model_copy(update={"cooldown": NO_TIME})
    changed = spec.model_copy(
        update={
            "training": training,
            "promotion": promotion,
            "monitoring": monitoring,
            "retrain": retrain,
        }
    )
    old, new = spec, changed
    lines = [
        _line(
            "training.trials",
            old.training.trials,
            new.training.trials,
            "the hand-set recipes, no search",
        ),
        _line(
            "promotion.approval",
            old.promotion.approval,
            new.promotion.approval,
            "nobody is here to say yes, not even to the first version",
        ),
        _line(
            "monitoring.grace",
            format_duration(old.monitoring.grace),
            format_duration(new.monitoring.grace),
            "windows are judged at once, and each scoring file is a window of its own",
        ),
        _line(
            "monitoring.label_delay",
            format_duration(old.monitoring.label_delay),
            format_duration(new.monitoring.label_delay),
            "labels count as soon as they are there",
        ),
        _line(
            "monitoring.persistence",
            list(old.monitoring.persistence),
            list(new.monitoring.persistence),
            "one bad window is enough",
        ),
        _line(
            "retrain.cooldown",
            format_duration(old.retrain.cooldown),
            format_duration(new.retrain.cooldown),
            "the loop may train again at once",
        ),
    ]
    return changed, lines


def _line(key: str, old: object, new: object, why: str) -> str:
    return f"{key}: {new} (shipped: {old}) - {why}"
