"""Messages that come late, twice and in any order, over the whole chain: nothing is lost, nothing
happens twice, nothing waits for ever."""

from __future__ import annotations

import pytest

from shared import documents, paths
from shared.adapters.memory import FaultPlan, Faults
from tests.support.promises import check_promises
from tests.support.system import CSV, EVERY_FUNCTION, SPEC, System
from tests.support.working import label_all, score_all

SCORE = b"a,b\n1,x\n"


@pytest.mark.parametrize("seed", range(12))
def test_the_whole_chain_in_disorder(seed: int) -> None:
    """Every message late, twice and in any order: specs, trainings, scores, labels, a refusal and
    a duplicate each end once, one version serves, and everybody hears of everything once."""
    system = System(functions=EVERY_FUNCTION)
    plan = FaultPlan(duplicate=0.5, delay=0.5, delay_seconds=200.0, reorder=True, seed=seed)
    faults = Faults(plan)

    def settle() -> None:
        system.drain(advance=True, faults=faults)
        tick = documents.dumps({"type": "SweepDue"})
        system.publisher.publish("ticks", tick, {"type": "SweepDue"})
        system.drain(advance=True, faults=faults)

    uploads = {
        "m/train/a.csv": CSV,
        "m/train/b.csv": CSV + b"3,z,no\n",
        "m/train/same.csv": CSV,
        "m/score/s.csv": SCORE,
        "m/score/t.csv": SCORE + b"2,y\n",
        "m/score/u.csv": SCORE + b"3,y\n",
        "m/labels/l.csv": b"prediction_id,label\n1,yes\n",
        "m/train/bad.csv": b"nothing\n1\n",
    }
    sources = [system.drop(name, data) for name, data in uploads.items()]
    sources.append(system.drop("_specs/m.yaml", SPEC))
    for _ in range(4):
        settle()
        system.train()
        score_all(system)
        label_all(system)
    settle()
    check_promises(system, *sources)
    states = [system.state(source) for source in sources]
    assert set(states) <= {
        *("promoted", "superseded", "duplicate", "scored", "labelled", "rejected"),
        "spec_registered",
    }, states
    assert states[3:] == ["scored"] * 3 + ["labelled", "rejected", "spec_registered"]
    assert system.champion() is not None
    assert list(system.running()) == []
    moves = documents.require(system.lake, paths.manifest("m"))["moves"]
    assert len({move["version"] for move in moves}) == len(moves) == states.count("promoted")
