"""Many rows: searched on a sample, and what matters is judged on all of them."""

from __future__ import annotations

from typing import Any

import pytest

from shared import paths
from shared.errors import PackageInvalid
from shared.tabular import inner
from shared.tabular.compiling import compile_estimator
from shared.usecases.training import fitting, sized
from tests.support.crashing import Crash
from tests.unit.tabular.world import MODEL, RUN, World, csv_bytes, rows, spec_of

DATA = csv_bytes(rows(600))
TRAINING = {
    "candidates": ["linear", "xgboost", "random_forest", "gradient_boosting"],
    "trials": 2,
    "folds": 2,
}


@pytest.fixture(autouse=True)
def _many(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if a few hundred rows were many."""
    monkeypatch.setattr(inner.Folds.sample, "__defaults__", (250,))


def world_of(**training: Any) -> World:
    world = World(spec_of(training={**TRAINING, **training}))
    world.ask(DATA)
    return world


def stages(world: World, kind: str) -> dict[str, dict[str, Any]]:
    """Records by candidate."""
    found = {}
    for name in world.names(f"runs/{MODEL}/{RUN}/stages/{kind}-"):
        body = world.document(name)
        found[name.rpartition(f"{kind}-")[2].removesuffix(".json")] = body
    return found


def test_the_best_of_the_sample_are_judged_on_all_rows() -> None:
    """Every candidate is searched on the same sample; at least two are judged on all rows that fit,
    and the version is one of these. The card says who was judged on what."""
    world = world_of(blend=False)
    world.train()
    about = world.document(paths.version(MODEL, RUN, "version.json"))
    fit = world.document(paths.run_stage(MODEL, RUN, "prepared.json"))["facts"]["fit"]
    tuned, judged = stages(world, "tuned"), stages(world, "judged")
    assert len(tuned) == 4
    assert {record["rows"] for record in tuned.values()} == {next(iter(tuned.values()))["rows"]}
    assert next(iter(tuned.values()))["rows"] <= 250 < fit
    assert len(judged) == 2
    assert {record["rows"] for record in judged.values()} == {fit}
    assert about["candidate"].replace("_", "-") in judged
    card = world.lake.read(paths.version(MODEL, RUN, "card.md")).data.decode()
    assert card.count(" rows)") >= 2


def test_one_that_waited_is_judged_when_the_others_are_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nothing but its turn is missing to a candidate that did worse on the sample."""
    refused: list[str] = []

    def compiles(fitted: Any) -> Any:
        if len(refused) < 2:
            refused.append(fitted.candidate)
            raise PackageInvalid("as if it could not be compiled")
        return compile_estimator(fitted)

    monkeypatch.setattr(sized, "compile_estimator", compiles)
    world = world_of(blend=False)
    world.train()
    about = world.document(paths.version(MODEL, RUN, "version.json"))
    record = world.document(paths.run_stage(MODEL, RUN, "fitted.json"))
    assert about["candidate"] not in refused
    assert [line.split(":")[0] for line in record["refused"]] == refused
    assert len(stages(world, "judged")) == 3


def test_a_retry_judges_nothing_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that died before it fitted keeps searches and judgements, and makes the version that a
    run without a crash makes."""
    whole, broken = world_of(), world_of()
    whole.train()

    def dies(*_: object) -> None:
        raise Crash

    with monkeypatch.context() as patched:
        patched.setattr(fitting, "fit_best", dies)
        with pytest.raises(Crash):
            broken.train()
    kept = {info.name: info.generation for info in broken.lake.list(f"runs/{MODEL}/{RUN}/stages/")}
    broken.train(attempt=2)
    assert any("judged-" in name for name in kept)
    assert all(broken.lake.stat(name).generation == kept[name] for name in kept)
    name = paths.version(MODEL, RUN, "version.json")
    assert broken.document(name)["package"] == whole.document(name)["package"]
