"""Retraining and comparing: never on rows that one of the models has used."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from shared import documents, paths
from shared.errors import NotTrainable
from shared.events import ComparisonCompleted
from shared.spec.registry import register
from shared.tabular.dataset import Dataset, unpack
from tests.unit.tabular.world import MODEL, RUN, World, csv_bytes, rows, spec_of

SCORED = "20260106T090000-00000001"
AGAIN = "20260107T090000-00000002"


@pytest.fixture
def world() -> World:
    """A champion, trained on 400 rows."""
    world = World()
    world.ask(csv_bytes(rows(400)))
    world.train()
    world.promote(RUN)
    world.clock.advance(timedelta(days=2))
    return world


def _label(world: World, data: list[list[str]], score_run: str = SCORED) -> str:
    """Score these rows and label them all, in one file."""
    world.scored(score_run, data)
    return world.labelled(
        "20260107T080000-0000000f",
        [(f"{score_run}-{n}", row[3], score_run, 0) for n, row in enumerate(data, start=1)],
    )


def _sides(world: World, run_id: str) -> dict[str, list[str]]:
    dataset = unpack(world.lake.read(paths.dataset(MODEL, run_id, "data.csv.gz")).data)
    found: dict[str, list[str]] = {}
    rows = zip(dataset.origin, dataset.prediction_id, dataset.side, strict=True)
    for origin, prediction_id, side in rows:
        found.setdefault(f"{origin} {side}", []).append(prediction_id)
    return found


def test_the_holdout_of_a_retraining_is_the_newest_labelled_rows(world: World) -> None:
    """70 % of the new rows fit beside the champion's, the last 30 % compare, and the champion's
    holdout takes part in neither."""
    fresh = rows(600, seed=1)
    world.ask_again(RUN, [_label(world, fresh)], AGAIN)
    world.train(AGAIN)
    old, new = _sides(world, RUN), _sides(world, AGAIN)
    assert len(new["file fit"]) == len(old["file fit"])
    assert len(new["file reserved"]) == len(old["file holdout"])
    newest = {f"{SCORED}-{number}" for number in range(421, 601)}
    assert set(new["labels holdout"]) <= newest
    assert len(new["labels holdout"]) > 170, "only rows equal to fitted ones may leave it"
    assert not newest.isdisjoint(new["labels holdout"])
    comparison = world.document(paths.version(MODEL, AGAIN, "comparison.json"))
    assert comparison["against"] == RUN
    assert comparison["holdout"]["kind"] == "new_labels"
    assert comparison["holdout"]["rows"] == len(new["labels holdout"])
    assert comparison["holdout"]["overlap"] == 0
    assert comparison["evidence"] == "sufficient"
    assert comparison["holdout"]["units"]["blocks of time"] == pytest.approx(10, abs=1)
    assert comparison["gain"] is not None
    about = world.document(paths.version(MODEL, AGAIN, "version.json"))
    assert len(about["labels_used"]) == 1


def test_a_labelled_row_equal_to_a_used_one_keeps_its_side(world: World) -> None:
    """Replayed training rows can neither leak into the new holdout nor free the old one."""
    fresh, replayed = rows(500, seed=1), rows(400)[:100]
    world.ask_again(RUN, [_label(world, [*fresh, *replayed])], AGAIN)
    world.train(AGAIN)
    new = _sides(world, AGAIN)
    held = {int(found.rpartition("-")[2]) for found in new["labels holdout"]}
    assert max(held) <= 500
    assert len(new["labels reserved"]) > 0
    comparison = world.document(paths.version(MODEL, AGAIN, "comparison.json"))
    assert comparison["holdout"]["overlap"] == 0
    assert comparison["holdout"]["removed"] == 0


def test_the_next_retraining_learns_from_the_last_one(world: World) -> None:
    """A second round starts from the first one's dataset; a corrected label replaces the old."""
    world.ask_again(RUN, [_label(world, rows(600, seed=1))], AGAIN)
    world.train(AGAIN)
    world.promote(AGAIN)
    again, scored = "20260109T090000-00000003", "20260108T090000-00000004"
    world.scored(scored, rows(600, seed=2))
    labels = [(f"{scored}-{n}", row[3], scored, 0) for n, row in enumerate(rows(600, seed=2), 1)]
    corrected = "no" if rows(600, seed=1)[0][3] == "yes" else "yes"
    labels.append((f"{SCORED}-1", corrected, SCORED, 1))
    world.ask_again(AGAIN, [world.labelled("20260109T080000-0000000e", labels)], again)
    world.train(again)
    dataset = unpack(world.lake.read(paths.dataset(MODEL, again, "data.csv.gz")).data)
    at = [n for n, found in enumerate(dataset.prediction_id) if found == f"{SCORED}-1"]
    assert [dataset.cells["y"][n] for n in at] == [corrected]
    assert [dataset.side[n] for n in at] == ["fit"]
    assert len(dataset) == 400 + 600 + 600
    reserved = set(_sides(world, again)["labels reserved"])
    assert reserved >= set(_sides(world, AGAIN)["labels holdout"]), "it was seen once"


@pytest.mark.parametrize(
    ("data", "from_file", "from_labels"),
    [("accumulate", None, 420), ("latest", 0, 420), ("last 500", 80, 420), ("last 300", 0, 300)],
)
def test_old_rows_are_learned_from_as_the_spec_says(
    data: str, from_file: int | None, from_labels: int
) -> None:
    """All of the champion's, none of them, or the newest of them and the new labels. What compares
    is the same, and what the champion compared on stays out of fitting."""
    world = World(spec_of(retrain={"data": data}))
    world.ask(csv_bytes(rows(400)))
    world.train()
    world.promote(RUN)
    world.clock.advance(timedelta(days=2))
    fresh = rows(600, seed=1)
    world.ask_again(RUN, [_label(world, fresh)], AGAIN)
    world.train(AGAIN)
    old, new = _sides(world, RUN), _sides(world, AGAIN)
    learned = len(old["file fit"]) if from_file is None else from_file
    assert len(new.get("file fit", [])) == pytest.approx(learned, abs=5)
    assert len(new["labels fit"]) == pytest.approx(from_labels, abs=5)
    assert max(int(found.rpartition("-")[2]) for found in new["labels fit"]) >= 415, "the newest"
    assert len(new["file reserved"]) == len(old["file holdout"])
    comparison = world.document(paths.version(MODEL, AGAIN, "comparison.json"))
    assert comparison["holdout"]["rows"] == len(new["labels holdout"]) > 170
    assert comparison["holdout"]["overlap"] == 0
    record = world.document(paths.run_stage(MODEL, AGAIN, "prepared.json"))
    fitted = len(new.get("file fit", [])) + len(new["labels fit"])
    assert record["let_go"] == len(old["file fit"]) + 600 - len(new["labels holdout"]) - (
        fitted + len(new.get("labels reserved", []))
    )


def _logged(world: World, data: list[list[str]], *, redacted: int = 0) -> list[dict[str, Any]]:
    """Predictions online, `call-<number>`, a second apart; the first ones without their city."""
    return [
        {
            "model": MODEL,
            "version": RUN,
            "time": documents.timestamp(world.clock.now() + timedelta(seconds=number)),
            "prediction_id": f"call-{number}",
            "instance": {
                "age": int(row[0]),
                "gain": None if row[1] == "?" else float(row[1]),
                "city": None if number < redacted else row[2],
            },
            "score": 0.5,
            "label": "no",
            "error": None,
            **({"redacted": ["city"]} if number < redacted else {}),
        }
        for number, row in enumerate(data)
    ]


def _learned(world: World, data: list[list[str]], lines: list[dict[str, Any]]) -> Dataset:
    """The rows of a retraining on labels of all these predictions."""
    text = "".join(json.dumps(line) + "\n" for line in lines)
    log = paths.inference_log(world.clock.now().date())
    world.lake.write(f"{log}x.jsonl", text.encode())
    labels = [(f"call-{number}", row[3], None, 0) for number, row in enumerate(data)]
    world.ask_again(RUN, [world.labelled("20260107T080000-0000000f", labels)], AGAIN)
    world.train(AGAIN)
    return unpack(world.lake.read(paths.dataset(MODEL, AGAIN, "data.csv.gz")).data)


def test_online_predictions_are_joined_from_the_inference_log(world: World) -> None:
    """Instances of the log are training rows like any other; an id of another model is not ours."""
    fresh = rows(600, seed=1)
    lines = _logged(world, fresh)
    dataset = _learned(world, fresh, [*lines, {**lines[0], "model": "other"}])
    assert dataset.origin.count("labels") == 600
    at = dataset.prediction_id.index("call-0")
    assert dataset.cells["age"][at] == fresh[0][0]


def test_redacted_predictions_are_not_learned_from(world: World) -> None:
    """A cell that was not kept is not a missing value: such rows are left out, never filled up."""
    fresh = rows(600, seed=1)
    dataset = _learned(world, fresh, _logged(world, fresh, redacted=200))
    assert dataset.origin.count("labels") == 400
    assert "call-199" not in dataset.prediction_id


def test_too_few_new_rows_are_no_evidence(world: World) -> None:
    """Under 150 rows a person decides, whatever the numbers say."""
    world.ask_again(RUN, [_label(world, rows(200, seed=1))], AGAIN)
    world.train(AGAIN)
    comparison = world.document(paths.version(MODEL, AGAIN, "comparison.json"))
    assert comparison["evidence"] == "insufficient_evidence"
    assert "too little to decide on" in comparison["sentence"]


def test_labels_that_belong_to_nothing_are_rejected(world: World) -> None:
    """Without one joined row there is nothing to learn from."""
    world.scored(SCORED, [])
    labels = [(f"{SCORED}-1", "yes", SCORED, 0)]
    world.ask_again(RUN, [world.labelled("20260107T080000-0000000f", labels)], AGAIN)
    with pytest.raises(NotTrainable, match="could be joined"):
        world.train(AGAIN)


def test_a_new_file_is_compared_on_rows_the_champion_never_fitted(world: World) -> None:
    """The salt is frozen: rows of the first file that come again are on their old side."""
    world.ask(csv_bytes([*rows(400), *rows(400, seed=5)]), AGAIN)
    world.train(AGAIN)
    first = unpack(world.lake.read(paths.dataset(MODEL, RUN, "data.csv.gz")).data)
    second = unpack(world.lake.read(paths.dataset(MODEL, AGAIN, "data.csv.gz")).data)
    assert second.side[:400] == first.side
    comparison = world.document(paths.version(MODEL, AGAIN, "comparison.json"))
    assert comparison["holdout"]["removed"] == 0
    assert comparison["against"] == RUN
    assert comparison["champion"] is not None


def test_rows_that_the_champion_fitted_are_taken_out_of_the_holdout(world: World) -> None:
    """Should the frozen salt be another, the comparison still has no row that the champion used."""
    frozen = world.document(paths.first_training(MODEL))
    world.lake.write(paths.first_training(MODEL), documents.dumps({**frozen, "salt": "other"}))
    world.ask(csv_bytes(rows(400)), AGAIN)
    world.train(AGAIN)
    comparison = world.document(paths.version(MODEL, AGAIN, "comparison.json"))
    assert comparison["holdout"]["removed"] > 0
    first = unpack(world.lake.read(paths.dataset(MODEL, RUN, "data.csv.gz")).data)
    assert comparison["holdout"]["rows"] <= first.count("holdout")


def test_looks_at_a_holdout_are_counted(world: World) -> None:
    """Challengers on the rows that compared the first one see how often these were used. Comparing
    again is a look of its own; a first version and a retry are none."""
    more, again = "20260107T100000-00000005", "20260107T110000-00000006"
    third, file = "20260107T120000-00000007", csv_bytes([*rows(400), *rows(400, seed=5)])
    assert world.names("comparisons/") == []

    def looks(version: str) -> tuple[int, int]:
        budget = world.document(paths.version(MODEL, version, "comparison.json"))["budget"]
        return budget["comparisons"], budget["same_holdout"]

    for run_id, data in ((AGAIN, csv_bytes(rows(400))), (more, file)):
        world.ask(data, run_id)
        world.train(run_id)
    assert looks(AGAIN) == (0, 0)
    assert looks(more) == (1, 0)
    world.promote(AGAIN)
    world.ask_comparison(more, again)
    world.train(again)
    assert looks(more) == (2, 1)
    for _ in range(2):
        world.lake.delete(paths.run_stage(MODEL, again, "compared-again.json"))
        world.train(again, attempt=2)
        assert looks(more) == (2, 1)
    assert len(world.names(f"comparisons/{MODEL}/")) == 3
    world.ask(file, third)
    world.train(third)
    assert looks(third) == (3, 2)


def test_comparing_again_uses_the_champion_of_the_day(world: World) -> None:
    """A ComparisonRequested run judges the stored version against who serves now, and no more."""
    other = "20260107T100000-00000005"
    for run_id, seed in ((AGAIN, 5), (other, 6)):
        world.ask(csv_bytes([*rows(400), *rows(400, seed=seed)]), run_id)
        world.train(run_id)
    world.promote(AGAIN)
    before = world.names("models/")
    world.ask_comparison(other, "20260107T110000-00000006")
    ended = world.train("20260107T110000-00000006")
    assert ended == ComparisonCompleted(
        model=MODEL, run_id="20260107T110000-00000006", version=other
    )
    comparison = world.document(paths.version(MODEL, other, "comparison.json"))
    assert comparison["against"] == AGAIN
    assert comparison["version"] == other
    assert comparison["evidence"] == "sufficient" or comparison["holdout"]["rows"] < 150
    assert world.names("models/") == before


@pytest.mark.parametrize(
    "where",
    [
        paths.run_stage(MODEL, AGAIN, "compared.json"),
        paths.version(MODEL, AGAIN, "comparison.json"),
    ],
    ids=["record", "comparison"],
)
def test_a_zombie_training_does_not_bring_its_old_comparison_back(world: World, where: str) -> None:
    """An attempt that was given up wakes when its version was compared again with the champion of
    now: that comparison stays the one that promote judges."""
    other, late = "20260107T100000-00000005", "20260107T110000-00000006"
    world.ask(csv_bytes([*rows(400), *rows(400, seed=6)]), other)
    world.train(other)
    world.ask(csv_bytes([*rows(400), *rows(400, seed=5)]), AGAIN)
    lake = world.lake

    class Sleeps:
        """Sleeps over what the others do."""

        def __getattr__(self, name: str) -> Any:
            return getattr(lake, name)

        def write(self, name: str, data: bytes, **more: Any) -> Any:
            if name == where and not later:
                later.append(name)
                world.train(AGAIN, attempt=2)
                world.promote(other)
                world.ask_comparison(AGAIN, late)
                world.train(late)
            return lake.write(name, data, **more)

    later: list[str] = []
    world.train(AGAIN, lake=Sleeps())
    assert later
    comparison = world.document(paths.version(MODEL, AGAIN, "comparison.json"))
    assert comparison["against"] == other
    names = [name for name in world.names(f"comparisons/{MODEL}/") if AGAIN in name]
    assert [world.document(name)["against"] for name in names] == [RUN]


@pytest.mark.parametrize("trouble", ["gone", "changed", "rows"])
def test_a_champion_that_cannot_be_read_is_not_comparable(world: World, trouble: str) -> None:
    """Its package or its rows are gone or are other bytes: the training still ends with a version,
    which waits for a person. What serves cannot keep its successors away."""
    name = paths.package(MODEL, RUN, "package.json")
    if trouble == "rows":
        name = paths.dataset(MODEL, RUN, "data.csv.gz")
    world.lake.delete(name)
    if trouble != "gone":
        world.lake.write(name, b"{}")
    world.ask(csv_bytes([*rows(400), *rows(400, seed=5)]), AGAIN)
    world.train(AGAIN)
    comparison = world.document(paths.version(MODEL, AGAIN, "comparison.json"))
    assert (comparison["against"], comparison["evidence"]) == (RUN, "not_comparable")
    assert "cannot be compared" in comparison["sentence"]


def test_a_version_that_serves_meanwhile_is_not_compared_with_itself(world: World) -> None:
    """Somebody promoted it by hand while it waited to be compared again: what was found about it
    before stays, instead of a comparison with nobody."""
    late = "20260107T110000-00000006"
    world.ask(csv_bytes([*rows(400), *rows(400, seed=5)]), AGAIN)
    world.train(AGAIN)
    name = paths.version(MODEL, AGAIN, "comparison.json")
    before = world.document(name)
    world.promote(AGAIN)
    world.ask_comparison(AGAIN, late)
    for attempt in (1, 2):
        ended = world.train(late, attempt)
        assert ended == ComparisonCompleted(model=MODEL, run_id=late, version=AGAIN)
    assert world.document(name) == before
    world.promote(RUN)
    assert world.train(late, 3) == ended
    assert world.document(name) == before


def test_nothing_is_added_to_rows_that_are_gone(world: World) -> None:
    """A retraining continues the champion's dataset; without it the run is rejected at once and
    says what to do, instead of dying three times."""
    label = _label(world, rows(300, seed=1))
    world.lake.delete(paths.dataset(MODEL, RUN, "data.csv.gz"))
    world.ask_again(RUN, [label], AGAIN)
    with pytest.raises(NotTrainable, match="drop a training file instead"):
        world.train(AGAIN)


def test_a_champion_that_needs_other_columns_is_not_comparable(world: World) -> None:
    """Columns that went away make a comparison impossible; that is said, not guessed."""
    spec = spec_of(columns={"age": {"type": "number"}, "city": {}, "y": {}})
    world.generation = register(MODEL, spec, "later", lake=world.lake, clock=world.clock).generation
    data = [[row[0], row[2], row[3]] for row in rows(400)]
    world.ask(csv_bytes(data, ["age", "city", "y"]), AGAIN)
    world.train(AGAIN)
    comparison = world.document(paths.version(MODEL, AGAIN, "comparison.json"))
    assert comparison["evidence"] == "not_comparable"
    assert "gain" in comparison["sentence"]
    assert comparison["gain_lower"] is None


def test_a_retraining_follows_the_spec_of_now() -> None:
    """Also where the columns are those that the champion's file had: the version has the recipe
    that its number and its spec generation tell of. What the champion's rows lack is said."""
    world = World(spec_of(columns={}, derive={"ratio": "gain / age"}))
    world.ask(csv_bytes(rows(400)))
    world.train()
    world.promote(RUN)
    world.clock.advance(timedelta(days=2))
    label = _label(world, rows(400, seed=1))
    _register(world, derive={"product": "gain * age"})
    world.ask_again(RUN, [label], AGAIN)
    world.train(AGAIN)
    about = world.document(paths.version(MODEL, AGAIN, "version.json"))
    schema = world.document(paths.package(MODEL, AGAIN, "package.json"))["schema"]
    assert about["semantic_version"] == "1.1.0"
    assert [item["name"] for item in schema["derive"]] == ["product"]
    assert [item["name"] for item in schema["features"]] == ["age", "gain", "city"]
    _register(world, derive={"product": "gain * height"})
    world.ask_again(RUN, [label], "20260108T090000-00000003")
    with pytest.raises(NotTrainable, match="lack height"):
        world.train("20260108T090000-00000003")


def _register(world: World, **changes: Any) -> None:
    spec = spec_of(columns={}, **changes)
    world.clock.advance(timedelta(minutes=1))
    found = register(MODEL, spec, f"{world.clock.now()}", lake=world.lake, clock=world.clock)
    world.generation = found.generation
