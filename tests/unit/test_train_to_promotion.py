"""The train job and promotion together, with real trainings: whatever dies where, the end is one
version, one decision and one move of the champion."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from shared import documents, paths
from shared.ports import TrackedTraining
from shared.usecases.train import train_model
from tests.support.crashing import Crash, Story, crash_everywhere
from tests.unit.tabular.world import csv_bytes, rows

SPEC = """
task: binary
target: {column: y, positive: "yes"}
columns:
  age: {type: number}
  gain: {type: number}
  city: {}
  y: {}
training: {candidates: [linear], trials: 1, false_positive_ceiling: 0.9}
promotion: {approval: auto}
"""


def _work(story: Story) -> None:
    """Run the train job where it waits; one that dies is noticed by sweep and started again."""
    system = story.system
    for _ in range(3):
        if not system.running():
            return
        (execution,) = system.running()
        ports = system.ports
        calm = system.lake, system.publisher
        system.lake, system.publisher = ports["lake"], ports["publisher"]
        use_case = partial(
            train_model,
            lake=system.lake,
            publisher=system.publisher,
            clock=system.clock,
            tracker=ports["tracker"],
            registries=[ports["registry"]],
            workers=1,
        )
        try:
            system.work(use_case)
        except Crash:
            system.cloud.jobs.end(execution.name, "failed")
            story.fuse.armed = False
        system.lake, system.publisher = calm
        story.tick()
        story.drain()


def _settled(story: Story, source: str, *, moves: int) -> str:
    """The version that the file became, once all promises were looked at."""
    system = story.system
    story.check(source)
    version = str(system.claim(source)["run_id"])
    decision = documents.require(system.lake, paths.version("m", version, "decision.json"))
    assert decision["action"] == "promoted", decision["sentence"]
    manifest = documents.require(system.lake, paths.manifest("m"))
    assert [move["version"] for move in manifest["moves"]].count(version) == 1
    assert len(manifest["moves"]) == moves
    assert len({item["id"] for item in system.published("ModelPromoted")}) == moves
    found = system.cloud.registry.find("m", version)
    assert found is not None
    return version


def _tell(story: Story) -> None:
    system, tracker = story.system, MemoryTracker()
    system.ports["tracker"] = story.fuse.wrap("tracker", tracker)
    system.drop("_specs/m.yaml", SPEC)
    first = system.drop("m/train/a.csv", csv_bytes(_gain_alone(rows(300))))
    system.drain()
    _work(story)
    system.drain()
    _settled(story, first, moves=1)
    story.arm()
    second = system.drop("m/train/b.csv", csv_bytes(rows(1500, seed=1)))
    story.drain()
    _work(story)
    story.drain()
    version = _settled(story, second, moves=2)
    assert system.champion() == version
    assert len(list(system.lake.folders("models/m/"))) == 2
    assert sorted(tracker.runs) == sorted(
        folder[9:-1] for folder in system.lake.folders("models/m/")
    )


def _gain_alone(data: list[list[str]]) -> list[list[str]]:
    """A champion that cannot know what the challenger will."""
    return [["50", gain, "a", label] for _, gain, _, label in data]


class MemoryTracker:
    """A tracking server that keeps a run per version."""

    def __init__(self) -> None:
        self.runs: dict[str, str] = {}

    def log(self, training: TrackedTraining, files: Path) -> str:
        assert (files / "package" / "package.json").exists()
        return self.runs.setdefault(training.version, f"run-{len(self.runs)}")


def test_a_crash_after_any_effect_of_train_and_promote_gives_one_of_everything() -> None:
    """Every effect between the drop of a challenger and its promotion: the files and messages of
    intake, launch, train, promote and mirror, tracking and registry included."""
    assert crash_everywhere(_tell, after=True) > 40
