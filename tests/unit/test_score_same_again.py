"""The same file to be scored again: a duplicate only where the same version has answered it."""

from __future__ import annotations

from shared import runs
from shared.ports import Bucket
from tests.support.promises import check_promises
from tests.support.system import SPEC
from tests.support.working import everything, score_all, trained


def test_an_answer_of_another_version_makes_no_duplicate() -> None:
    """A file waits for its place while the champion moves, and the new one answers it. After a
    rollback the same file is scored by the version that serves again; once more is a duplicate."""
    system = everything()
    first = trained(system, SPEC)
    for name in ("a", "b", "c"):  # two at a time
        system.drop(f"m/score/{name}.csv", f"a,b\n1,{name}\n")
    system.drain()
    second = trained(system)
    score_all(system)
    system.drain()
    score_all(system)
    system.drain()
    waited = _champions(system.run_ids(), system.lake)
    assert sorted(waited.values()) == [first, first, second]
    system.decide(model="m", action="rollback", version=second)
    system.drain(advance=True)
    again = system.drop("m/score/again.csv", "a,b\n1,c\n")
    system.drain()
    score_all(system)
    system.drain(advance=True)
    assert system.state(again) == "scored"
    assert _champions([system.claim(again)["run_id"]], system.lake).popitem()[1] == first
    last = system.drop("m/score/last.csv", "a,b\n1,c\n")
    system.drain(advance=True)
    assert system.state(last) == "duplicate"
    check_promises(system, again, last)


def _champions(run_ids: list[str], lake: Bucket) -> dict[str, str]:
    """Which version answered each of these runs that scored something."""
    return {
        run_id: runs.read_launch("m", run_id, lake=lake)["champion"]
        for run_id in run_ids
        if runs.state("m", run_id, lake=lake).state == "scored"
    }
