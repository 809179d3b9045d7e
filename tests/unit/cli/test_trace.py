"""trace: from a version, a run or a prediction back to the exact objects that came in."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from shared import claims, documents, paths, runs
from shared.documents import timestamp
from shared.labelled import LabelSummary
from shared.runs import InputRef
from shared.usecases.predict import uuid7
from tests.support.system import CSV, SPEC
from tests.unit.cli.conftest import Shell
from tests.unit.cli.test_versions import carried, copy_all
from tests.unit.tabular.world import MODEL, RUN, World, csv_bytes, rows

SCORED = "20260106T090000-00000001"
LABELS = "20260107T080000-0000000f"
AGAIN = "20260107T090000-00000002"
RECORD = 17


@pytest.fixture(scope="module")
def world() -> World:
    """A champion from a file; a scored file; labels of it; a retraining on them that serves."""
    world = World()
    world.ask(csv_bytes(rows(400)))
    world.train()
    world.promote(RUN)
    world.clock.advance(timedelta(days=1))
    _score(world, rows(600, seed=1))
    world.clock.advance(timedelta(days=1))
    objects = [_label(world, rows(600, seed=1))]
    incident = {"kind": "PerformanceDropped", "window_start": "2026-01-06T00:00:00Z"}
    incident |= {"window_end": "2026-01-07T00:00:00Z", "report": "reports/m/batch/w/report.html"}
    documents.create(world.lake, paths.incident(MODEL, "incident-1"), incident)
    world.ask_again(RUN, objects, AGAIN)
    world.train(AGAIN)
    world.promote(AGAIN)
    return world


def _input(world: World, intent: str, run_id: str, name: str) -> InputRef:
    info = world.lake.write(paths.input_copy(MODEL, intent, run_id, name), run_id.encode())
    return InputRef.of(info, f"gs://inbox/m/{intent}/{name}#17")


def _score(world: World, data: list[list[str]]) -> None:
    world._save(SCORED, "score", inputs=(_input(world, "score", SCORED, "today.csv"),))
    runs.save_launch(MODEL, SCORED, RUN, lake=world.lake, clock=world.clock)
    world.scored(SCORED, data)
    summary = {
        "run_id": SCORED,
        "version": RUN,
        "rows": len(data),
        "errors": 0,
        "started": timestamp(world.clock.now()),
        "finished": timestamp(world.clock.now()),
        "object": paths.predictions(MODEL, SCORED, "predictions.csv"),
    }
    documents.create(world.lake, paths.predictions(MODEL, SCORED, "summary.json"), summary)


def _label(world: World, data: list[list[str]]) -> str:
    world._save(LABELS, "label", inputs=(_input(world, "labels", LABELS, "truth.csv"),))
    said = [(f"{SCORED}-{n}", row[3], SCORED, 0) for n, row in enumerate(data, start=1)]
    said.append((f"{SCORED}-{RECORD}", "corrected", SCORED, 1))
    name = world.labelled(LABELS, said)
    summary = LabelSummary(name, len(said), len(said), 0, 0, 0, (SCORED,), ())
    documents.create(world.lake, paths.run_stage(MODEL, LABELS, "labels.json"), asdict(summary))
    return name


@pytest.fixture
def traced(world: World, shell: Shell) -> Shell:
    """A command line that looks at that lake."""
    copy_all(world.lake, shell.system.lake)
    return shell


def trace(shell: Shell, *words: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(carried(shell("trace", *words, "--json")))
    return found


@pytest.mark.parametrize("name", [AGAIN, AGAIN[:-3], AGAIN[-8:], "1.0.1", "m/1.0.1"])
def test_a_version_leads_to_the_objects_that_came_in(traced: Shell, name: str) -> None:
    """By whatever name: labels and their upload, then the version whose rows it continues with its
    file, each by generation; spec, data, decision inputs, and when it served."""
    newest, oldest = trace(traced, name)["versions"]
    assert [newest["version"], oldest["version"]] == [AGAIN, RUN]
    (labels,) = newest["labels_used"]
    assert labels["object"].startswith(f"gs://lake/labels/m/dt=2026-01-07/{LABELS}.jsonl#")
    assert labels["inputs"][0]["source"] == "gs://inbox/m/labels/truth.csv#17"
    (scored,) = labels["about"]
    assert scored["run_id"] == SCORED
    assert scored["inputs"][0]["source"] == "gs://inbox/m/score/today.csv#17"
    (item,) = oldest["run"]["inputs"]
    assert item["source"] == "gs://inbox/m/train/a.csv#1"
    assert item["copy"].startswith(f"gs://lake/inputs/m/train/{RUN}/a.csv#")
    assert item["md5"]
    assert newest["run"]["retrain"]["kind"] == "PerformanceDropped"
    assert newest["continues"] == RUN
    assert newest["spec"]["generation"] == 1
    assert newest["dataset"]["sha256"] != oldest["dataset"]["sha256"]
    assert newest["comparison"]["against"] == RUN
    assert newest["code_version"] is None
    assert oldest["served"][0]["until"] == newest["served"][0]["from"]
    assert newest["served"][0]["until"] is None


def test_a_version_is_told_as_a_story(traced: Shell) -> None:
    """From the top down: what it is, what it learned, what it continues, down to the first file."""
    text = carried(traced("trace", "1.0.1"))
    places = [
        text.index(part)
        for part in (
            f"Version 1.0.1 ({AGAIN}) of m",
            "patch since 1.0.0",
            "PerformanceDropped incident-1, window 2026-01-06 00:00:00Z",
            "gs://inbox/m/labels/truth.csv#17",
            f"predictions of scoring run {SCORED}",
            "gs://inbox/m/score/today.csv#17",
            "code        not recorded",
            "compared    with " + RUN,
            "It continues the rows of",
            f"version 1.0.0 ({RUN}) of m",
            "gs://inbox/m/train/a.csv#1",
        )
    ]
    assert places == sorted(places)


def test_the_code_version_is_told_where_it_was_recorded(traced: Shell) -> None:
    """Versions of installations that stamp their code say which it was."""
    name = paths.version(MODEL, AGAIN, "version.json")
    body = documents.require(traced.system.lake, name)
    traced.system.lake.write(name, documents.dumps({**body, "code_version": "abc123"}))
    assert trace(traced, AGAIN)["versions"][0]["code_version"] == "abc123"
    assert "code        abc123" in carried(traced("trace", AGAIN))


def test_a_batch_prediction_leads_to_its_record(traced: Shell) -> None:
    """The scored file's row, the object and record that it came from, the version that answered,
    and what really happened: the last word last, and who learned from it."""
    found = trace(traced, f"{SCORED}-{RECORD}")
    answer = found["prediction"]
    assert (answer["channel"], answer["record"], answer["version"]) == ("batch", RECORD, RUN)
    assert answer["asked"]["age"] == rows(600, seed=1)[RECORD - 1][0]
    assert (answer["score"], answer["label"]) == ("0.5", "no")
    assert found["run"]["inputs"][0]["source"] == "gs://inbox/m/score/today.csv#17"
    assert [item["label"] for item in answer["happened"]] == [
        rows(600, seed=1)[RECORD - 1][3],
        "corrected",
    ]
    assert answer["happened"][-1]["record"] == 601
    assert answer["happened"][-1]["learned_by"] == [AGAIN]
    assert [version["version"] for version in found["versions"]] == [RUN]
    text = carried(traced("trace", f"{SCORED}-{RECORD}"))
    assert f"record {RECORD} of gs://inbox/m/score/today.csv#17" in text
    assert "really      corrected" in text
    assert f"learned by {AGAIN}" in text


def test_a_record_that_the_file_does_not_have_is_said(traced: Shell) -> None:
    """Not searched for elsewhere."""
    result = traced("trace", f"{SCORED}-601")
    assert result.exit_code == 1
    assert "scored 600 rows; there is no record 601" in result.output


def test_a_scored_file_that_is_gone_still_leads_to_its_version(traced: Shell) -> None:
    """Retention deletes predictions; who answered, and from which input, stays known."""
    traced.system.lake.delete(paths.predictions(MODEL, SCORED, "predictions.csv"))
    found = trace(traced, f"{SCORED}-{RECORD}")
    assert found["prediction"]["score"] is None
    assert found["versions"][0]["version"] == RUN
    assert "(gone)" in carried(traced("trace", f"{SCORED}-{RECORD}"))


def _log(shell: Shell, prediction_id: str, day: str, **more: Any) -> None:
    line: dict[str, Any] = {"model": MODEL, "version": RUN, "time": f"{day}T10:00:00Z"}
    line |= {"prediction_id": prediction_id, "instance": {"age": 40}, "score": 0.25, "label": "no"}
    line |= more
    raw = json.dumps(line).encode() + b"\n"
    shell.system.lake.write(f"inference-log/dt={day}/{paths.digest(prediction_id, 8)}", raw)


def test_an_online_prediction_is_found_in_the_log(traced: Shell) -> None:
    """An id of ours tells its day; the line says what was asked and answered."""
    prediction_id = uuid7()
    _log(traced, prediction_id, f"{datetime.now(UTC):%Y-%m-%d}")
    found = trace(traced, prediction_id)
    answer = found["prediction"]
    assert (answer["channel"], answer["score"], answer["asked"]) == ("online", 0.25, {"age": 40})
    assert found["run"] is None
    assert found["versions"][0]["version"] == RUN
    text = carried(traced("trace", prediction_id))
    assert "nobody has said yet" in text
    assert "age=40" in text


def test_a_prediction_of_a_canary_tells_what_both_versions_said(traced: Shell) -> None:
    """How it was dealt, why it did not count, and both answers; another one has no such line."""
    both = {
        "champion": {"score": 0.75, "label": "yes"},
        "challenger": {"score": 0.25, "label": "no"},
    }
    mark = {"id": "c1", "arm": "challenger", "left_out": "challenger_slow", **both}
    prediction_id, plain = uuid7(), uuid7()
    _log(traced, prediction_id, f"{datetime.now(UTC):%Y-%m-%d}", canary=mark)
    _log(traced, plain, f"{datetime.now(UTC):%Y-%m-%d}")
    assert trace(traced, prediction_id)["prediction"]["canary"] == mark
    text = carried(traced("trace", prediction_id))
    assert "c1, challenger, left out: challenger_slow" in text
    assert "champion said yes (score 0.75), challenger said no (score 0.25)" in text
    assert "canary" not in carried(traced("trace", plain))


def test_an_id_that_a_caller_made_up_is_looked_for_on_the_newest_days(traced: Shell) -> None:
    """What was searched is said; the day can be named, and its neighbours are searched too."""
    for number in range(1, 11):
        _log(traced, f"order {number}", f"2026-02-{number:02d}")
    assert trace(traced, "order 5")["prediction"]["prediction_id"] == "order 5"
    result = traced("trace", "order 2")
    assert result.exit_code == 1
    assert "2026-02-04 to 2026-02-10 (the newest 7; --day DATE looks" in result.output
    assert trace(traced, "order 2", "--day", "2026-02-03")["searched"] == [
        f"2026-02-0{day}" for day in (4, 3, 2)
    ]
    nothing = traced("trace", "order 2", "--day", "2025-02-03")
    assert "there is no inference log of those days" in nothing.output
    assert "no model 'x'" in traced("trace", "order 2", "--model", "x").output


def test_runs_lead_to_the_version_they_used(traced: Shell) -> None:
    """A scoring run to the version that answered; labels to the versions that learned from them;
    a comparison to what was compared, and from the version back to it."""
    assert trace(traced, SCORED)["versions"][0]["version"] == RUN
    labels = trace(traced, LABELS)["run"]
    assert labels["learned_by"] == [AGAIN]
    assert f"learned by  {AGAIN}" in carried(traced("trace", LABELS))
    lake, clock = traced.system.lake, traced.system.clock
    key = runs.comparison_key(MODEL, AGAIN, RUN, 1)
    claims.take(paths.claim(key), key, lake=lake, clock=clock, seconds=90)
    (again,) = trace(traced, AGAIN)["versions"][0]["comparison"]["runs"]
    request = runs.RunRequest(
        model=MODEL,
        run_id=again,
        kind="compare",
        requested_at=timestamp(clock.now()),
        requested_by="promote",
        spec_generation=1,
        version=AGAIN,
        against=RUN,
    )
    runs.save_request(request, lake=lake)
    found = trace(traced, again)
    assert found["versions"][0]["version"] == AGAIN
    assert f"{AGAIN} with {RUN}" in carried(traced("trace", again))


def test_who_approved_is_part_of_the_story(shell: Shell) -> None:
    """Question, answer and reason; a spec's source, too. A run that made nothing says so."""
    shell.system.drop("_specs/m.yaml", SPEC.replace("approval: auto", "approval: first"))
    shell.system.drop("m/train/a.csv", CSV)
    shell.work()
    (version,) = [run for run in shell.system.run_ids() if "train" in _kind(shell, run)]
    shell.system.decide(model="m", action="approve", version=version, reason="seen the card")
    found = trace(shell, version)["versions"][0]
    assert found["decision"]["by"] == "ada"
    assert found["decision"]["asked"]["answer"]["reason"] == "seen the card"
    assert found["spec"]["source"].startswith("gs://inbox/_specs/m.yaml#")
    text = carried(shell("trace", version))
    assert "approve by ada" in text
    assert "put there by ada" in text
    assert text.index("question") < text.index("answer") < text.index("served")
    spec = next(run for run in shell.system.run_ids() if run != version)
    assert "gs://inbox/_specs/m.yaml#" in carried(shell("trace", spec))


def test_runs_that_made_no_version_say_why(shell: Shell) -> None:
    """A file that came before leads to the version of the first; a refused one ends with the
    reason; a spec names the versions that were trained under it."""
    system = shell.system
    system.drop("_specs/m.yaml", SPEC)
    first = system.drop("m/train/a.csv", CSV)
    shell.work()
    version = str(system.claim(first)["run_id"])
    again, bad = system.drop("m/train/b.csv", CSV), system.drop("m/train/c.csv", b"\0\1")
    shell.work()
    found = trace(shell, system.claim(again)["run_id"])
    assert found["run"]["inputs"] == []
    assert found["run"]["source"] == again
    assert found["versions"][0]["version"] == version
    text = carried(shell("trace", system.claim(bad)["run_id"]))
    assert bad in text
    assert text.index("rejected: the file has NUL bytes") < text.index("none came of it")
    name = paths.version("m", version, "version.json")
    body = documents.require(system.lake, name)
    system.lake.write(name, documents.dumps({**body, "spec_generation": 1}))
    (spec,) = [
        run
        for run in system.run_ids()
        if "spec" in str(runs.history("m", run, lake=system.lake)[0])
    ]
    assert f"trained     {version}" in carried(shell("trace", spec))


def _kind(shell: Shell, run_id: str) -> str:
    history = runs.history("m", run_id, lake=shell.system.lake)
    return str([event["facts"].get("kind") for event in history])


def test_what_nobody_knows_is_said(traced: Shell) -> None:
    """An ambiguous beginning lists what it fits; nothing at all says what was looked through."""
    several = traced("trace", "2026")
    assert several.exit_code == 1
    assert "runs: m/2026" in several.output
    nothing = traced("trace", "9.9.9")
    assert nothing.exit_code == 1
    assert "there is no version, run or prediction '9.9.9'" in nothing.output
