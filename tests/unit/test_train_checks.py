"""What checks do to a training: a first one stops, a later one warns, and everybody is told."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from infra.bundle import REPOSITORY
from shared import documents, paths, runs
from shared.errors import DataStopped
from shared.spec.load import load_spec
from shared.spec.model import Spec, Target
from shared.spec.registry import register
from shared.usecases.training import written
from shared.usecases.training.checked import EVENT, PROFILE, predecessor
from shared.usecases.training.stages import Training
from tests.support.crashing import Crash, Fuse
from tests.unit.tabular.world import MODEL, RUN, World, csv_bytes, spec_of

NEXT = "20260106T090000-00000002"
THIRD = "20260107T090000-00000003"
COLUMNS: dict[str, Any] = {
    "status": {},
    "amount": {"type": "number"},
    "purpose": {},
    "y": {},
}


def loans(count: int = 400, seed: int = 0, *, factor: float = 1.0) -> bytes:
    """Loans whose `status` is their outcome in other words."""
    random = np.random.default_rng(seed)
    amount = random.lognormal(9, 0.5, count)
    bad = random.random(count) < 1 / (1 + np.exp(-(amount / 8000 - 2)))
    purpose = random.choice(["car", "house", "other"], count)
    rows = [
        [
            ("Charged Off" if number % 9 else "Default") if bad[number] else "Fully Paid",
            f"{amount[number] * factor:.4f}",
            str(purpose[number]),
            "default" if bad[number] else "paid off",
        ]
        for number in range(count)
    ]
    return csv_bytes(rows, list(COLUMNS))


def loan_spec(status: dict[str, Any] | None = None, **changes: Any) -> Spec:
    target = {"column": "y", "positive": "default"}
    return spec_of(target=target, columns={**COLUMNS, "status": status or {}}, **changes)


def _asked(world: World, run_id: str, data: bytes, spec: Spec | None = None) -> None:
    if spec is not None:
        found = register(MODEL, spec, run_id, lake=world.lake, clock=world.clock)
        world.spec, world.generation = spec, found.generation
    world.ask(data, run_id)


def _findings(world: World, run_id: str) -> dict[str, str]:
    """Level by name, from the history."""
    for event in runs.history(MODEL, run_id, lake=world.lake):
        if event["name"] == EVENT:
            return {found["name"]: found["level"] for found in event["facts"]["findings"]}
    return {}


def _version(world: World, run_id: str) -> dict[str, Any]:
    return world.document(paths.version(MODEL, run_id, "version.json"))


SHIPPED = (REPOSITORY / "infra" / "specs" / "loan_default.yaml").read_text(encoding="utf-8")


def shipped(text: str = SHIPPED) -> Spec:
    """The spec that ships, with a quick training."""
    spec = load_spec(text, "loan_default.yaml")
    quick = {"candidates": ("linear",), "trials": 1, "search": {}, "false_positive_ceiling": None}
    return spec.model_copy(update={"training": spec.training.model_copy(update=quick)})


def lending(spec: Spec, count: int = 600) -> bytes:
    """A file for the shipped spec: the worse the grade, the more defaults."""
    random = np.random.default_rng(11)
    grade = np.round(random.uniform(0, 7, count), 1)
    bad = random.random(count) < 1 / (1 + np.exp(grade - 2))
    cells: dict[str, list[str]] = {
        name: [f"{value:.2f}" for value in random.uniform(1, 30, count)]
        if column.type == "number"
        else [f"{name} {level}" for level in random.integers(0, 3, count)]
        for name, column in spec.columns.items()
    }
    cells["grade"] = [f"{value}" for value in grade]
    cells["term"] = random.choice(["36 months", "60 months"], count).tolist()
    cells["status"] = ["Charged Off" if value else "Fully Paid" for value in bad]
    cells["outcome"] = ["default" if value else "paid off" for value in bad]
    return csv_bytes([list(row) for row in zip(*cells.values(), strict=True)], list(cells))


@pytest.fixture(scope="module")
def excluded() -> World:
    """A first training whose spec leaves the leak out, for tests that only look."""
    world = World(loan_spec({"exclude": True}))
    world.ask(loans())
    world.train()
    return world


def test_a_first_training_with_a_leak_stops_and_names_the_line_to_add() -> None:
    """No version, nothing fixed for later; with the line it trains."""
    world = World(loan_spec())
    world.ask(loans())
    with pytest.raises(DataStopped, match="`status` alone nearly settles `y`") as stopped:
        world.train()
    assert "`columns: {status: {exclude: true}}`" in str(stopped.value)
    assert _findings(world, RUN) == {"leakage": "stop"}
    assert world.names(paths.version(MODEL, RUN)) == []
    assert not documents.read(world.lake, paths.first_training(MODEL)).exists
    _asked(world, NEXT, loans(), loan_spec({"exclude": True}))
    world.train(NEXT)
    assert _version(world, NEXT)["version"] == NEXT
    assert _findings(world, NEXT) == {}


def test_a_spec_without_columns_gets_them_drafted_first() -> None:
    """One line under `columns` would hide the others; the message says how to get them all."""
    world = World(Spec(task="binary", target=Target(column="y", positive="default")))
    world.ask(loans())
    with pytest.raises(DataStopped, match="init FILE --target y` drafts it") as stopped:
        world.train()
    assert "`columns: {status: {exclude: true}}`" in str(stopped.value)


def test_a_sample_is_enough_and_said_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of more rows than are held for the checks, measures are of a sample and counts of all."""
    monkeypatch.setattr(written, "SAMPLE_ROWS", 250)
    world = World(loan_spec(checks={"min_class_rows": 399}))
    world.ask(loans())
    with pytest.raises(DataStopped, match=r"AUROC 1.000\), in a sample of 200 of 400 rows"):
        world.train()
    assert _findings(world, RUN) == {"leakage": "stop", "small_class": "warn"}


def test_the_shipped_loans_train_because_status_is_excluded() -> None:
    """Take the exclude away and the first training stops, naming `status`; as shipped it trains."""
    spec = shipped()
    world = World(spec)
    world.ask(lending(spec))
    world.train()
    assert _version(world, RUN)["metrics"]["auroc"] > 0.7
    assert _findings(world, RUN) == {}
    naive = shipped(SHIPPED.replace("status: {exclude: true}", "status: {}"))
    world = World(naive)
    world.ask(lending(naive))
    with pytest.raises(DataStopped, match="`status` alone nearly settles `outcome`"):
        world.train()


def test_a_leak_that_somebody_vouches_for_may_stay() -> None:
    """The column is learned, and the card says why it may be."""
    world = World(loan_spec({"allow_leak": "the lender knows it on the day"}))
    world.ask(loans())
    world.train()
    card = world.lake.read(paths.version(MODEL, RUN, "card.md")).data.decode()
    assert "the lender knows it on the day" in card
    assert _findings(world, RUN) == {}


@pytest.mark.parametrize(("policy", "found"), [("warn", {"leakage": "warn"}), ("off", {})])
def test_the_policy_decides(policy: str, found: dict[str, str]) -> None:
    """`warn` trains and says so, `off` does not even look."""
    world = World(loan_spec(checks={"leakage": policy}))
    world.ask(loans())
    world.train()
    assert _findings(world, RUN) == found
    card = world.lake.read(paths.version(MODEL, RUN, "card.html")).data.decode()
    assert ("nearly settles" in card) == bool(found)


def test_other_checks_stop_too_where_the_spec_says_so() -> None:
    """One message with every finding that stops; those that warn are in the history."""
    spec = loan_spec(checks={"small_class": "stop", "min_class_rows": 399, "duplicates": "warn"})
    world = World(spec)
    text = loans().split(b"\n")
    world.ask(b"\n".join([*text[:-1], *text[1:]]))
    with pytest.raises(DataStopped, match="the checks stop this training") as stopped:
        world.train()
    assert "small_class: " in str(stopped.value)
    assert "leakage: " in str(stopped.value)
    levels = {"leakage": "stop", "small_class": "stop", "duplicate_rows": "warn"}
    assert _findings(world, RUN) == levels


def test_a_later_training_with_a_leak_warns_and_keeps_its_columns() -> None:
    """What serves is not changed by a check: nothing stops, no column is dropped."""
    world = World(loan_spec({"exclude": True}))
    world.ask(loans())
    world.train()
    _asked(world, NEXT, loans(500, 1), loan_spec())
    world.train(NEXT)
    assert _findings(world, NEXT)["leakage"] == "warn"
    record = world.document(paths.run_stage(MODEL, NEXT, "prepared.json"))
    names = [feature["name"] for feature in record["schema"]["features"]]
    assert names == ["status", "amount", "purpose"]


def test_a_comparison_carries_warnings_of_leaks_and_whether_the_champion_has_them() -> None:
    """So that policy asks about a new one, and not again about what was settled."""
    world = World(loan_spec({"exclude": True}))
    world.ask(loans())
    world.train()
    world.promote(RUN)
    for run_id, known in ((NEXT, False), (THIRD, True)):
        _asked(world, run_id, loans(500, 1 + known), loan_spec())
        world.train(run_id)
        comparison = world.document(paths.version(MODEL, run_id, "comparison.json"))
        (found,) = comparison["data_checks"]
        assert (found["name"], found["columns"], found["known"]) == ("leakage", ["status"], known)
        assert "`columns: {status: {exclude: true}}`" in found["advice"]
        world.promote(run_id)


def test_a_training_that_stopped_is_nobodys_predecessor() -> None:
    """After a stop the next training is still the first one."""
    world = World(loan_spec())
    for run_id in (RUN, NEXT):
        world.ask(loans(), run_id)
        with pytest.raises(DataStopped):
            world.train(run_id)


def test_another_unit_than_in_the_last_file_is_found() -> None:
    """Each file is held against the last one that made a version."""
    world = World(loan_spec({"exclude": True}))
    world.ask(loans())
    world.train()
    _asked(world, NEXT, loans(400, 1, factor=0.001))
    world.train(NEXT)
    assert _findings(world, NEXT) == {"unit_changed": "warn"}
    _asked(world, THIRD, loans(400, 2, factor=0.001))
    world.train(THIRD)
    assert _findings(world, THIRD) == {}


def test_a_repeat_is_held_against_the_same_file() -> None:
    """Dying after any write of the checks: the second attempt finds the same, not nothing because
    the run's own profile is there already."""
    world = World(loan_spec({"exclude": True}))
    world.ask(loans())
    world.train()
    _asked(world, NEXT, loans(400, 1, factor=0.001))
    for name in (PROFILE, EVENT, "stages/prepared.json"):
        fuse = Fuse(_call(world, name), after=True, reads=False)
        with pytest.raises(Crash):
            world.train(NEXT, lake=fuse.wrap("lake", world.lake))
    world.train(NEXT)
    (found,) = world.document(paths.run_stage(MODEL, NEXT, "prepared.json"))["checks"]
    assert found["name"] == "unit_changed"
    assert _findings(world, NEXT) == {"unit_changed": "warn"}


def _call(world: World, name: str) -> int:
    """The number of the first change whose object is called so, in a training like NEXT."""
    other = World(loan_spec({"exclude": True}))
    other.ask(loans())
    other.train()
    _asked(other, NEXT, loans(400, 1, factor=0.001))
    fuse = Fuse(10**9, after=True, reads=False)
    other.train(NEXT, lake=fuse.wrap("lake", other.lake))
    return next(number for number, call in enumerate(fuse.trail) if name in call)


def test_the_profile_lies_beside_the_dataset(excluded: World) -> None:
    """A file a person can open."""
    profile = excluded.document(paths.dataset(MODEL, RUN, PROFILE))
    assert set(profile["columns"]) == {"amount", "purpose"}
    assert profile["columns"]["amount"]["rows"] == 400


def test_the_predecessor_is_a_complete_version_before_this_one(excluded: World) -> None:
    """Neither the run itself, nor a folder without version.json, nor a later one."""
    request = runs.read_request(MODEL, RUN, lake=excluded.lake)
    run = Training(request, excluded.spec, excluded.lake, excluded.clock)
    assert predecessor(run) is None
    again = replace(request, run_id=NEXT)
    later = Training(again, excluded.spec, excluded.lake, excluded.clock)
    excluded.lake.write(paths.version(MODEL, "20260105T100000-00000009", "card.md"), b"half")
    assert predecessor(later) == RUN


def test_the_card_says_that_there_was_nothing_to_say(excluded: World) -> None:
    """Silence is told apart from not looking."""
    card = excluded.lake.read(paths.version(MODEL, RUN, "card.md")).data.decode()
    assert "| checks | nothing to report |" in card
