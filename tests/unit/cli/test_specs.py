"""spec check, show, diff, plan: they read, say, and change nothing."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from shared.cli import contexts
from shared.spec.load import load_spec
from tests.support.system import SPEC
from tests.unit.cli.conftest import Shell

CHANGED = SPEC.replace("approval: auto", "approval: always").replace("  b: {}\n", "  c: {}\n")


@pytest.fixture
def known(shell: Shell) -> Shell:
    """A model m with a spec."""
    shell.system.drop("_specs/m.yaml", SPEC)
    shell.work()
    return shell


def write(folder: Path, text: str, name: str = "m.yaml") -> str:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return str(path)


def in_production(monkeypatch: pytest.MonkeyPatch) -> None:
    context = contexts.load("production")
    context.__dict__["config"] = replace(context.config, context="production")
    monkeypatch.setattr(contexts, "load", lambda _: context)


def test_check_lists_each_problem_on_its_line(known: Shell, tmp_path: Path) -> None:
    """Exit code 2, for people and as JSON; a good file is summed up."""
    bad = write(tmp_path, "task: binary\ntarget: y\ntrainig: {}\nmax_bad_rows: 2\n", "bad.yaml")
    result = known("spec", "check", bad)
    assert result.exit_code == 2
    lines = result.stderr.splitlines()
    assert [line.split(": ")[0] for line in lines] == [f"{bad}, line 3", f"{bad}, line 4"]
    assert lines[0].endswith("trainig is no key we know; did you mean training?")
    told = json.loads(known("spec", "check", bad, "--json").stdout)
    assert (told["ok"], told["problems"]) == (False, lines)
    binary = tmp_path / "binary.yaml"
    binary.write_bytes(b"\xff\xfe")
    assert "is not UTF-8" in known("spec", "check", str(binary)).stderr
    good = write(tmp_path, SPEC)
    assert "binary, target y, 3 columns" in known("spec", "check", good).stdout
    assert json.loads(known("spec", "check", good, "--json").stdout)["ok"]


def test_show_names_the_origin_of_every_value(known: Shell, tmp_path: Path) -> None:
    """Of a model and of a file, readable by people, by programs, and as a spec."""
    file = write(tmp_path, SPEC)
    for what in ("m", file):
        text = known("spec", "show", what, "--effective").stdout
        assert "approval: auto" in text
        assert "# spec" in text
        assert load_spec(text, "m.yaml") == load_spec(SPEC, "m.yaml")
        body = json.loads(known("spec", "show", what, "--effective", "--json").stdout)
        values = {item["key"]: (item["value"], item["origin"]) for item in body["values"]}
        assert values["promotion.approval"] == ("auto", "spec")
        assert values["promotion.rule"] == ("better", "default")
        assert values["features"] == (["a", "b"], "derived")
    assert "generation 1" in known("spec", "show", "m").stdout
    assert "max_bad_rows" not in known("spec", "show", file).stdout
    assert "known: m" in known("spec", "show", "mm").output


def test_diff_ends_as_diff_does(known: Shell, tmp_path: Path) -> None:
    """0 when the file means what is in force, 1 with what differs."""
    same = known("spec", "diff", write(tmp_path, f"# again\n{SPEC}"))
    assert (same.exit_code, "no difference" in same.stdout) == (0, True)
    file = write(tmp_path, CHANGED, "new.yaml")
    result = known("spec", "diff", file, "--model", "m")
    assert result.exit_code == 1
    assert result.stdout.splitlines()[1:] == [
        "  columns.b removed",
        "  columns.c added",
        "  promotion.approval: auto -> always",
    ]
    body = json.loads(known("spec", "diff", file, "--model", "m", "--json").stdout)
    assert [(item["key"], item["protected"]) for item in body["differences"]] == [
        ("columns.b", False),
        ("columns.c", False),
        ("promotion.approval", True),
    ]


def test_two_generations_can_be_compared(known: Shell) -> None:
    """By number; a number that is none is answered with those there are."""
    known.system.drop("_specs/m.yaml", CHANGED)
    known.work()
    result = known("spec", "diff", "m", "1", "2")
    assert result.exit_code == 1
    assert result.stdout.startswith("m 1 -> m 2: 3 differences\n")
    assert known("spec", "diff", "m", "2", "2").exit_code == 0
    assert "known: 1, 2" in known("spec", "diff", "m", "1", "7").output
    assert "name two generations" in known("spec", "diff", "m", "1").output
    assert "there is no file nowhere.yaml" in known("spec", "diff", "nowhere.yaml").output


def test_plan_says_what_would_happen_and_writes_nothing(known: Shell, tmp_path: Path) -> None:
    """Generation, differences, consequences, and what elsewhere would need an approval."""
    before = [info.name for info in known.system.lake.list()]
    text = known("spec", "plan", write(tmp_path, CHANGED)).stdout
    assert text.startswith("Generation 2 of m would take the place of generation 1 at once.\n")
    assert "  columns.b removed\n" in text
    assert "features: +c -b. The champion needs b" in text
    assert "Needs no approval in context local; elsewhere it would: promotion.approval." in text
    assert [info.name for info in known.system.lake.list()] == before


def test_plan_of_the_same_is_no_change(known: Shell, tmp_path: Path) -> None:
    """Comments and order of keys are no change."""
    text = known("spec", "plan", write(tmp_path, f"# again\n{SPEC}")).stdout
    assert text == "No change: it means the same as generation 1 of m.\n"


def test_plan_of_a_new_model_counts_what_waits_for_it(known: Shell, tmp_path: Path) -> None:
    """A first spec is in force at once and releases files."""
    known.system.drop("other/train/a.csv", b"a,b,y\n1,x,yes\n")
    known.work()
    body = plan(known, write(tmp_path, SPEC, "other.yaml"))
    assert (body["action"], body["generation"], body["approval"]) == ("first", 1, "")
    assert "1 waiting file(s) would be released." in body["consequences"]
    result = known("spec", "plan", write(tmp_path, SPEC, "No-Name.yaml"))
    assert "say which with --model" in result.output


def test_plan_asks_where_dropping_would(
    known: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In another context the protected change waits, with everything beside it."""
    in_production(monkeypatch)
    body = plan(known, write(tmp_path, CHANGED))
    assert (body["action"], body["protected"]) == ("ask", ["promotion.approval"])
    assert "until then generation 1 stays in force" in body["sentence"]
    assert "all of it or nothing: promotion.approval" in body["approval"]
    free = plan(known, write(tmp_path, SPEC + "size: m\n"))
    assert (free["action"], free["approval"]) == ("in_force", "")


def plan(shell: Shell, file: str) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(shell("spec", "plan", file, "--json").stdout)
    return body


def test_a_spec_is_dropped_under_its_own_name(shell: Shell, tmp_path: Path) -> None:
    """Without --model the file's name is the model's; a file of data names its model."""
    file = write(tmp_path, SPEC, "churn.yaml")
    assert shell("drop", file, "--no-wait").exit_code == 0
    named = [info.name for info in shell.system.inbox.list("")]
    assert named == ["_specs/churn.yaml"]
    data = write(tmp_path, "a,y\n1,2\n", "churn.csv")
    refused = shell("drop", data, "--no-wait")
    assert refused.exit_code == 2
    assert "--model NAME" in refused.stderr
    assert [info.name for info in shell.system.inbox.list("")] == named
