"""versions: who is who, what differs, who served when and why."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from shared import documents, paths
from shared.cli import decide
from shared.cli.comparing import compare
from shared.ports import Bucket
from shared.spec.registry import register
from tests.support.system import CSV, SPEC, System
from tests.unit.cli.conftest import Shell
from tests.unit.tabular.world import MODEL, RUN, World, csv_bytes, rows, spec_of

SECOND = "20260106T090000-00000002"
THIRD = "20260107T090000-00000003"


def give_number(system: System, version: str, number: str) -> None:
    """What a training does besides storing its version."""
    name = paths.version("m", version, "version.json")
    body = documents.require(system.lake, name)
    system.lake.write(name, documents.dumps({**body, "semantic_version": number}))
    documents.create(system.lake, paths.number("m", number), {"version": version})


@pytest.fixture
def two(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> tuple[Shell, str, str]:
    """A model with two versions, 1.0.0 and 1.1.0; the second serves. Decisions reach promote's
    door without a network."""
    system = shell.system

    def post(
        method: str, url: str, body: object | None = None, headers: Mapping[str, str] | None = None
    ) -> tuple[int, Any]:
        assert (method, url.rpartition("/")[2]) == ("POST", "decide")
        text, status = system.post("promote", json.dumps(body).encode(), "/decide", headers)
        return status, json.loads(text)

    monkeypatch.setattr(decide, "request", post)
    system.drop("_specs/m.yaml", SPEC)
    found = []
    for number in ("1.0.0", "1.1.0"):
        system.clock.advance(60)
        source = system.drop("m/train/a.csv", CSV + f"{number[2]},z,no\n".encode())
        shell.work()
        found.append(str(system.claim(source)["run_id"]))
        give_number(system, found[-1], number)
    return shell, found[0], found[1]


def carried(result: Any) -> str:
    assert result.exit_code == 0, result.output
    return str(result.stdout)


@pytest.mark.parametrize("way", ["number", "v", "whole", "beginning", "end"])
def test_a_version_is_named_as_people_do(two: tuple[Shell, str, str], way: str) -> None:
    """By number, by id, or by as much of the id as tells it from the others."""
    shell, first, _ = two
    text = {
        "number": "1.0.0",
        "v": "v1.0.0",
        "whole": first,
        "beginning": first[:-2],
        "end": first[-6:],
    }[way]
    assert json.loads(carried(shell("versions", "show", "m", text, "--json")))["version"] == first
    carried(shell("versions", "promote", "m", text, "--reason", "it was better"))
    assert shell.system.champion() == first


def test_runs_are_named_by_what_they_made(two: tuple[Shell, str, str]) -> None:
    """`why` takes a semantic version, the end of an id, and the model before either."""
    shell, first, _ = two
    for text in ("1.0.0", first[-6:], "m/1.0.0", f"m/{first}"):
        assert json.loads(carried(shell("why", text, "--json")))["run_id"] == first
    assert shell("why", "n/1.0.0").exit_code == 1
    assert shell("why", "m/").exit_code == 1


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("1.0.1", ("no version '1.0.1'", "did you mean 1.0.0 (2")),
        ("2026", ("fits 2 versions of m", "1.1.0 (2026", "1.0.0 (2026")),
        ("1", ("no version '1'", "did you mean 1.")),
        ("zzz", ("no version 'zzz'", "the newest is 1.1.0 (2")),
    ],
)
def test_a_version_that_is_none_is_answered_with_one_that_is(
    two: tuple[Shell, str, str], text: str, words: tuple[str, ...]
) -> None:
    """A typo or an ambiguous beginning is a sentence with what there is; nothing is decided."""
    shell, _, second = two
    for command in ("show", "promote", "compare"):
        result = shell("versions", command, "m", text)
        assert result.exit_code == 1
        assert all(word in result.output for word in words), result.output
    assert "known: m" in shell("versions", "show", "n", "1.0.0").output
    assert shell.system.champion() == second


def test_a_version_whose_training_did_not_finish_is_none(two: tuple[Shell, str, str]) -> None:
    """Neither listed nor found, whatever it left behind; a number that it took stands for
    nothing."""
    shell, _, _ = two
    half = "20270101T000000-aaaaaaaa"
    shell.system.lake.write(paths.package("m", half, "package.json"), b"{}")
    documents.create(shell.system.lake, paths.number("m", "1.1.1"), {"version": half})
    rows = json.loads(carried(shell("versions", "list", "m", "--json")))
    assert [row["semantic_version"] for row in rows] == ["1.1.0", "1.0.0"]
    for text in (half, "1.1.1"):
        assert shell("versions", "show", "m", text).exit_code == 1


def test_one_set_of_commands_in_two_places() -> None:
    """`rollback`, `pin` and `unpin` are the same commands at the top and in the group."""
    from shared.cli.versions import versions

    for name in ("rollback", "pin", "unpin"):
        assert versions.commands[name] is getattr(decide, name)


def test_a_rollback_says_what_it_does_and_holds_automation(two: tuple[Shell, str, str]) -> None:
    """Dry: who would serve instead of whom. Done: the version before serves, the model is pinned
    until unpinned, and status and history show it."""
    shell, first, second = two
    dry = shell("versions", "rollback", "m", "--dry-run")
    expected = f"1.0.0 ({first}) serves instead of 1.1.0 ({second}), and automation is held"
    assert expected in dry.stderr
    assert shell.system.champion() == second
    assert "Automation is held" in carried(shell("rollback", "m", "--reason", "complaints"))
    assert shell.system.champion() == first
    row = json.loads(shell("status", "--json").stdout)[0]
    assert (row["champion"], row["semantic_version"], row["pinned"]) == (first, "1.0.0", True)
    for nowhere in (shell("rollback", "m"), shell("rollback", "m", "--dry-run")):
        assert nowhere.exit_code == 1
        assert "no previous version" in nowhere.output
        assert "versions promote m VERSION" in nowhere.output
    letter = shell("decision", "show", "m", first).output
    assert "./millrace rollback" not in letter
    assert "./millrace versions promote m VERSION" in letter


def test_without_a_champion_there_is_nothing_to_take_back(shell: Shell) -> None:
    """Said before anything is asked; a typo is answered with the models there are."""
    shell.system.drop("_specs/m.yaml", SPEC)
    shell.work()
    for action in ("rollback", "pin", "unpin"):
        assert "m has no champion" in shell(action, "m", "--dry-run").output
        assert "known: m" in shell(action, "n", "--dry-run").output


def test_a_pin_outlives_a_promotion_by_hand(two: tuple[Shell, str, str]) -> None:
    """Only `unpin` lets automation go on; each command says what is so already."""
    shell, first, _ = two
    assert "is pinned" in carried(shell("versions", "pin", "m", "--reason", "audit"))
    assert "pinned already" in shell("pin", "m", "--dry-run").stderr
    assert "stays pinned" in carried(shell("versions", "promote", "m", "1.0.0"))
    assert json.loads(shell("status", "--json").stdout)[0]["pinned"] is True
    assert "serves already" in shell("versions", "promote", "m", first, "--dry-run").stderr
    carried(shell("versions", "unpin", "m"))
    assert json.loads(shell("status", "--json").stdout)[0]["pinned"] is False


def test_history_has_every_move_with_who_when_and_why(two: tuple[Shell, str, str]) -> None:
    """Policy and people, promotions and pins, oldest first, with the objects behind them."""
    shell, first, second = two
    shell("rollback", "m", "--reason", "complaints")
    shell("unpin", "m", "--reason", "mended")
    moves = json.loads(carried(shell("versions", "history", "m", "--json")))
    assert [(move["action"], move["version"]) for move in moves] == [
        ("promote", first),
        ("promote", second),
        ("rollback", first),
        ("unpin", first),
    ]
    assert moves[0]["by"] == "policy"
    assert moves[1]["rests_on"] == [f"gs://lake/{paths.version('m', second, 'decision.json')}"]
    assert moves[2]["by"] == moves[3]["by"] != "policy"
    assert (moves[2]["previous_semantic_version"], moves[2]["semantic_version"]) == (
        "1.1.0",
        "1.0.0",
    )
    text = carried(shell("versions", "history", "m"))
    assert text.index("First version") < text.index("complaints") < text.index("mended")
    assert "known: m" in shell("versions", "history", "n").output


def test_a_declined_version_that_a_person_promoted_says_so(two: tuple[Shell, str, str]) -> None:
    """List and show keep the first decision and tell what came later."""
    shell, first, second = two
    name = paths.version("m", first, "decision.json")
    found = documents.read(shell.system.lake, name)
    body = {**found.body, "action": "not_promoted", "by": "policy"}
    documents.swap(shell.system.lake, name, body, generation=found.generation)
    rows = {
        row["version"]: row for row in json.loads(shell("versions", "list", "m", "--json").stdout)
    }
    assert rows[second]["later"] is None
    assert rows[first]["decision"] == "not_promoted"
    assert rows[first]["later"].startswith("promoted by hand (")
    assert "promoted by hand (" in shell("versions", "show", "m", first).output
    same = shell("versions", "compare", "m", second)
    assert (same.exit_code, "the champion itself" in same.output) == (1, True)


def test_history_does_not_wait_for_the_audit_objects(two: tuple[Shell, str, str]) -> None:
    """A move whose object a crash kept from being written is told all the same; one of a manifest
    of old has its reason from its decision."""
    shell, _, _ = two
    lake = shell.system.lake
    lake.delete(paths.move("m", 2))
    manifest = documents.require(lake, paths.manifest("m"))
    for key in ("reason", "action", "pinned", "semantic_version"):
        del manifest["moves"][1][key]
    lake.write(paths.manifest("m"), documents.dumps(manifest))
    moves = json.loads(carried(shell("versions", "history", "m", "--json")))
    assert [move["revision"] for move in moves] == [1, 2]
    assert "the gain in auroc" in moves[1]["reason"]


# --- side by side --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def trained() -> World:
    """1.0.0; 1.1.0 on the same file with another recipe; 1.1.1 on other rows."""
    world = World()
    world.ask(csv_bytes(rows(400)))
    world.train()
    world.promote(RUN)
    training = {"candidates": ["linear"], "trials": 2, "false_positive_ceiling": 0.5}
    spec = spec_of(training=training)
    registered = register(MODEL, spec, "test 2", lake=world.lake, clock=world.clock)
    world.generation = registered.generation
    world.ask(csv_bytes(rows(400)), SECOND)
    world.train(SECOND)
    world.ask(csv_bytes(rows(500, seed=1)), THIRD)
    world.train(THIRD)
    return world


def test_on_the_same_rows_differences_are_told(trained: World) -> None:
    """Spec, recipe and every metric, with what the gate said about these two."""
    found = compare(MODEL, RUN, SECOND, trained.lake)
    assert found["same_data"]
    assert found["holdout"]["same_rows"] is True
    assert [item["key"] for item in found["spec"]] == ["training.trials"]
    for item in found["metrics"]:
        assert item["difference"] == pytest.approx(item["b"] - item["a"])
    assert (found["judged"]["version"], found["judged"]["against"]) == (SECOND, RUN)
    assert found["a"]["size_bytes"] > 0


def test_on_other_rows_no_difference_is_claimed(trained: World) -> None:
    """Metrics stand side by side, and it is said why they cannot be subtracted."""
    found = compare(MODEL, SECOND, THIRD, trained.lake)
    assert found["holdout"]["same_rows"] is False
    assert "cannot be subtracted" in found["holdout"]["sentence"]
    assert all(item["difference"] is None for item in found["metrics"])
    assert all(item["a"] is not None for item in found["metrics"])
    held = found["holdout"]
    assert held["common"] + held["only_b"] == found["b"]["data"]["holdout"]
    assert found["judged"] is None


def test_the_same_rows_in_another_file_are_the_same_rows(trained: World) -> None:
    """Rows are told by their cells, not by the file they came in; a holdout whose rows are gone is
    not known."""
    fourth = "20260108T090000-00000004"
    trained.ask(csv_bytes(rows(400)[::-1]), fourth)
    trained.train(fourth)
    found = compare(MODEL, RUN, fourth, trained.lake)
    assert not found["same_data"]
    assert found["holdout"]["same_rows"] is True
    trained.lake.delete(paths.dataset(MODEL, fourth, "data.csv.gz"))
    gone = compare(MODEL, RUN, fourth, trained.lake)
    assert gone["holdout"]["same_rows"] is None
    assert all(item["difference"] is None for item in gone["metrics"])


def test_compare_and_show_are_readable(trained: World, shell: Shell) -> None:
    """Without a second version the champion is the first; the sentences stand below the table."""
    copy_all(trained.lake, shell.system.lake)
    text = carried(shell("versions", "compare", "m", "1.1.0"))
    assert text.index("auroc") < text.index("the same") < text.index("training.trials: 1 -> 2")
    assert "gs://inbox/m/train/a.csv#1" in text
    assert "1.0.0" in text.splitlines()[0]
    other = carried(shell("versions", "compare", "m", "1.1.0", "1.1.1"))
    assert "cannot be subtracted" in other
    page = carried(shell("versions", "show", "m", "1.1.0"))
    assert "minor since 1.0.0: training.trials: 1 -> 2" in page
    assert "not recorded" in page


def copy_all(source: Bucket, target: Bucket) -> None:
    for info in source.list(""):
        target.write(info.name, source.read(info.name).data)
