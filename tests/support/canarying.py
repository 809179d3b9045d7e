"""Models with a canary, for tests: a champion with traffic, a challenger that won, log lines."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from shared import documents, paths
from shared.beside import canaries
from shared.beside.canaries import Record
from shared.beside.second_version import SecondVersion
from shared.manifests import Manifest, read_manifest
from tests.support.experimenting import store_package
from tests.support.system import CSV, SPEC, System
from tests.support.working import everything

STEPS = "serving: {canary: {steps: [0.1, 0.5], min_rows: 20, max_duration: 2d, on_timeout: %s}}\n"
BACK = SPEC + STEPS % "back"
ASK = SPEC + STEPS % "ask"
PROMOTE = SPEC + STEPS % "promote"
GATE = {
    "rows": 1000,
    "labels": {"differ": 50, "share": 0.05, "upper": 0.07},
    "scores": None,
    "spread": 1.0,
    "sentence": "It names another label for 5.0 %.",
}


def in_canary(spec: str = BACK) -> System:
    """A champion with traffic and a challenger in the first step of its canary."""
    system = everything()
    begin(system, spec)
    return system


def begin(system: System, spec: str = BACK) -> str:
    """The champion's id."""
    champion = train(system, spec)
    traffic(system)
    train(system)
    return champion


def train(
    system: System, spec: str = "", *, then: Callable[[], None] | None = None, **comparison: Any
) -> str:
    """Another version, that wins if nothing else is said; its id. `then` comes before its end is
    delivered, which is left to do."""
    system.clock.advance(60)
    if spec:
        system.drop("_specs/m.yaml", spec)
    source = system.drop("m/train/a.csv", CSV + b"%d,z,no\n" % len(system.run_ids()))
    system.drain()
    version = str(system.claim(source)["run_id"])
    store_package(system, version)
    system.train(**{"disagreement": GATE, **comparison})
    if then:
        then()
    else:
        system.drain()
    return version


def manifest_of(system: System) -> Manifest:
    found = read_manifest("m", lake=system.lake)
    assert found is not None
    return found


def running(system: System) -> SecondVersion | None:
    return manifest_of(system).beside


def present(system: System) -> SecondVersion:
    found = running(system)
    assert found is not None
    return found


def record(system: System) -> Record:
    return next(canaries.latest("m", lake=system.lake))


# --- the log -------------------------------------------------------------------------------------


def write_log(system: System, lines: list[dict[str, Any]], name: str = "") -> None:
    """An object of the log, as the subscription writes it."""
    now = system.clock.now()
    data = b"".join(json.dumps(line, separators=(",", ":")).encode() + b"\n" for line in lines)
    unique = name or f"{now:%H-%M-%S}-{len(list(system.lake.list('inference-log/')))}"
    system.lake.write(f"{paths.inference_log(now.date())}{unique}", data)


def traffic(system: System, rows: int = 400) -> None:
    """Predictions of the champion."""
    system.clock.advance(600)
    write_log(system, [_line(system, number, None) for number in range(rows)])


def answer(system: System, rows: int = 30, *, differ: int = 0, left_out: str | None = None) -> None:
    """Rows of the canary's present step, `differ` of them with another label, and those of the
    champion beside it; then some minutes pass."""
    canary = present(system)
    start = 1000 * len(list(system.lake.list("inference-log/")))
    lines = [
        _line(system, start + number, _mark(canary, "yes" if number < differ else "no", left_out))
        for number in range(rows)
    ]
    others = [_line(system, start + 900, {**_mark(canary, "no", None), "arm": "champion"})]
    write_log(system, [*lines, *others])
    system.clock.advance(300)


def _mark(canary: SecondVersion, label: str, left_out: str | None) -> dict[str, Any]:
    mark = {
        "id": canary.id,
        "arm": "challenger",
        "share": canary.share,
        "key": canary.key,
        "unit": "0" * 16,
        "left_out": left_out,
    }
    if left_out:
        return mark
    said = {"champion": {"score": 0.4, "label": "no"}, "challenger": {"score": 0.4, "label": label}}
    return {**mark, **said}


def _line(system: System, number: int, mark: dict[str, Any] | None) -> dict[str, Any]:
    line: dict[str, Any] = {
        "model": "m",
        "version": "v",
        "time": f"{system.clock.now():%Y-%m-%dT%H:%M:%S}.{number:06d}Z",
        "prediction_id": f"p{number}",
        "instance": {},
        "score": 0.4,
        "label": "no",
        "error": None,
    }
    return line if mark is None else {**line, "canary": mark}


def said(system: System) -> list[str]:
    """What people were told about canaries, each once, by its subject's last words."""
    found = {
        item["subject"]: None
        for item in system.published("AutomationNoted")
        if item["subject"].startswith("canary-")
    }
    return [subject.split("-", 3)[3] for subject in found]


def decision(system: System, version: str) -> dict[str, Any]:
    """How a version's story ended."""
    return documents.read(system.lake, paths.version("m", version, "decision.json")).body
