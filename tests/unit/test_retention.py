"""What is kept how long: every prefix has an answer, and time takes what it says and no more."""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path

import pytest

from infra import topology
from infra.local.lifecycle import expire
from infra.topology import BadTopology
from shared import paths
from shared.adapters.memory import FixedClock
from tests.support.system import memory_cloud

ROOT = Path(__file__).resolve().parents[2]
DAY = 86_400
LAKE = topology.load().buckets["lake"]
INBOX = topology.load().buckets["inbox"]
_PREFIX = re.compile(r"[a-z][a-z-]*(/|\.json$)")


def _prefixes() -> set[str]:
    """What object names of shared/paths.py begin with."""
    texts = (
        node.value
        for node in ast.walk(ast.parse(inspect.getsource(paths)))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    )
    return {match[0] for text in texts if (match := _PREFIX.match(text))}


def test_every_prefix_has_an_answer() -> None:
    """Whatever is written into the lake either goes after some days or stays for a reason. MLflow's
    artifacts are written by its own client."""
    assert _prefixes() | {"mlflow/"} == LAKE.retention.keys() | LAKE.kept.keys()
    assert len(_prefixes()) > 30


def test_no_prefix_has_two_answers() -> None:
    """Nothing that is kept for good lies under a prefix that goes, or the other way round."""
    every = [*LAKE.retention, *LAKE.kept]
    assert len(every) == len(set(every))
    assert not [(a, b) for a in every for b in every if a != b and a.startswith(b)]


def test_documented() -> None:
    """The page about retention has a line for every prefix, with its days."""
    page = (ROOT / "infra" / "docs" / "retention.md").read_text(encoding="utf-8")
    for prefix, days in LAKE.retention.items():
        assert f"| `{prefix}` | {days:,} |" in page, prefix
    for prefix in LAKE.kept:
        assert f"`{prefix}`" in page, prefix


def test_what_decides_who_serves_never_expires() -> None:
    """A lifecycle rule can take neither a version nor the history of how it came to serve."""
    for prefix in ("models/", "serving/", "specs/", "moves/", "runs/", "approvals/", "features/"):
        assert prefix in LAKE.kept


@pytest.mark.parametrize("prefix", sorted(LAKE.retention))
def test_goes_on_its_day(prefix: str) -> None:
    """An object is there until its retention has passed, then it is not."""
    cloud = memory_cloud(FixedClock())
    name = f"{prefix}m/x.json"
    cloud.lake.write(name, b"{}")
    assert isinstance(cloud.clock, FixedClock)
    cloud.clock.advance(LAKE.retention[prefix] * DAY - 1)
    assert expire(cloud.engine, [LAKE]) == 0
    cloud.clock.advance(1)
    assert expire(cloud.engine, [LAKE]) == 1
    assert [info.name for info in cloud.lake.list()] == []


def test_kept_for_good() -> None:
    """Ten years later everything that has no retention is there."""
    cloud = memory_cloud(FixedClock())
    names = sorted(name if name.endswith(".json") else f"{name}m.json" for name in LAKE.kept)
    for name in names:
        cloud.lake.write(name, b"{}")
    assert isinstance(cloud.clock, FixedClock)
    cloud.clock.advance(3_650 * DAY)
    assert expire(cloud.engine, [LAKE]) == 0
    assert [info.name for info in cloud.lake.list()] == names


def test_written_again_counts_from_then() -> None:
    """An object that was replaced is as old as what is in it."""
    cloud = memory_cloud(FixedClock())
    assert isinstance(cloud.clock, FixedClock)
    cloud.lake.write("predictions/m/latest.json", b"{}")
    cloud.clock.advance(399 * DAY)
    cloud.lake.write("predictions/m/latest.json", b"{}")
    cloud.clock.advance(399 * DAY)
    assert expire(cloud.engine, [LAKE]) == 0


def test_old_generations_of_the_inbox() -> None:
    """An overwritten drop can be brought back for a while and is gone then; what is live stays."""
    assert INBOX.noncurrent_days is not None
    cloud = memory_cloud(FixedClock())
    assert isinstance(cloud.clock, FixedClock)
    old = cloud.inbox.write("m/train/a.csv", b"old")
    cloud.clock.advance(DAY)
    cloud.inbox.write("m/train/a.csv", b"new")
    cloud.clock.advance(INBOX.noncurrent_days * DAY - 1)
    assert expire(cloud.engine, [INBOX]) == 0
    assert cloud.inbox.read("m/train/a.csv", generation=old.generation).data == b"old"
    cloud.clock.advance(1)
    assert expire(cloud.engine, [INBOX]) == 1
    assert cloud.inbox.read("m/train/a.csv").data == b"new"


@pytest.mark.parametrize("line", ['"models": 5', '"Models/": 5', '"models/": 0', '"/": 5'])
def test_a_wrong_retention_is_refused(line: str, tmp_path: Path) -> None:
    """A prefix without its slash would take objects of other folders, one of nothing takes all."""
    text = (ROOT / "infra" / "topology.yaml").read_text(encoding="utf-8")
    broken = tmp_path / "topology.yaml"
    broken.write_text(text.replace('"alerts/": 730', line), encoding="utf-8")
    with pytest.raises(BadTopology):
        topology.read(broken)
