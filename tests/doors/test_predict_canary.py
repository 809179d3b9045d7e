"""The predictor while a canary runs: whose answers callers get, and that they always get one."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.beside.second_version import KINDS, Kind, SecondVersion
from shared.serving.assigning import key_text, takes, unit_of
from shared.serving.features import Bounds
from shared.serving.shortcut import Shortcut
from shared.serving.trust import FAR, FLOOR_CPU_SECONDS, FLOOR_SECONDS, IN_A_ROW
from tests.support.beside import ILLS, Ill, fall_ill, put, raises, write
from tests.support.predictor import RECORD, World
from tests.unit.serving.models import SCHEMA, binary_package, regression_package, serve, store

STEPS = (0.05, 0.25, 0.5, 1.0)
V2 = binary_package("v2", shift=3.0)


@pytest.fixture
def world() -> World:
    return new_world()


def new_world() -> World:
    found = World()
    serve(binary_package(), found.lake.bucket, log="sync")
    return found


def towns(count: int) -> list[dict[str, Any]]:
    return [
        {**RECORD, "city": f"town {row}", "prediction_id": f"p{row}", "age": 20 + row % 50}
        for row in range(count)
    ]


def versions(world: World, records: Any) -> list[str]:
    status, answer = world.ask(records)
    assert status == 200, answer
    return [row["model_version"] for row in answer["predictions"]]


def expected(second: SecondVersion, keys: list[Any]) -> list[str]:
    units = [unit_of(second.id, key_text(key)) for key in keys]
    return ["v2" if takes(unit, second.share) else "v1" for unit in units]


def metric(world: World, text: str) -> bool:
    return text in world.client.get("/metrics").get_data(as_text=True).splitlines()


# --- dealing -------------------------------------------------------------------------------------


def test_raising_the_weight_only_adds_keys(world: World) -> None:
    """Step by step, in instances that saw all steps and in one that starts at the last: who had the
    challenger keeps it, others join, and everybody has it at weight 1."""
    records = towns(60)
    canary = put(world, V2, share=STEPS[0], steps=STEPS)
    before: set[int] = set()
    for step, share in enumerate(STEPS):
        if step:
            canary = canary.at_step(step, "2026-01-05T10:00:00Z")
            write(world, "adult", canary)
        got = versions(world, records)
        assert got == expected(canary, [record["city"] for record in records])
        late = World()
        late.lake = world.lake
        assert versions(late, records) == got
        have = {row for row, version in enumerate(got) if version == "v2"}
        assert have >= before
        before = have
        marks = [line["canary"] for line in world.log_lines()[-60:]]
        assert {mark["share"] for mark in marks} == {share}
    assert before == set(range(60))


def test_a_step_and_a_promotion_load_nothing_again(world: World) -> None:
    """Another weight keeps the loaded challenger, and one that becomes the champion is there
    already: storage may be away for all but the manifest."""
    canary = put(world, V2, share=0.05, steps=STEPS)
    versions(world, RECORD)
    world.lake.reads_down = True
    write(world, "adult", canary.at_step(3, "2026-01-05T10:00:00Z"))
    assert versions(world, RECORD) == ["v2"]
    serve(V2, world.lake.bucket, log="sync")
    world.seconds.now += 2
    assert versions(world, RECORD) == ["v2"]
    assert "canary" not in world.log_lines()[-1]


@pytest.mark.parametrize(
    ("key", "told"),
    [("city", "canary by key"), ("prediction_id", "canary by prediction_id, at random")],
)
def test_callers_hear_how_they_are_dealt(world: World, key: str, told: str) -> None:
    """A header says whether a key decides or chance; about the model it says the same, and that
    this instance asks the challenger."""
    put(world, V2, key=key, share=0.25, steps=STEPS, step=1)
    for path, body in (("/predict", RECORD), ("/invocations", {"inputs": [RECORD]})):
        response = world.client.post(path, json=body)
        assert response.headers["X-Millrace-Dealt"] == told
    about = world.client.get("/models/adult").get_json()
    assert about["canary"] == {
        "id": "c1",
        "version": "v2",
        "share": 0.25,
        "key": key,
        "sticky": key == "city",
        "until": None,
        "steps": list(STEPS),
        "step": 1,
        "asked_here": True,
    }
    write(world, "adult", None)
    assert "X-Millrace-Dealt" not in world.client.post("/predict", json=RECORD).headers
    assert "canary" not in world.client.get("/models/adult").get_json()


def test_without_a_key_each_prediction_is_dealt_by_its_id(world: World) -> None:
    """A fair share of ids of ours; a caller who repeats his own id gets the same version."""
    canary = put(world, V2, key="prediction_id", share=0.5)
    got = versions(world, [RECORD] * 400)
    assert 140 < got.count("v2") < 260
    records = towns(40)
    again = expected(canary, [record["prediction_id"] for record in records])
    assert versions(world, records) == versions(world, records) == again


def test_times_are_told_of_the_version_that_answered(world: World) -> None:
    """The histogram of requests and the access log have the challenger where it answered all of a
    request, else the champion."""
    canary = put(world, V2)
    keys = [f"town {number}" for number in range(20)]
    one = {version: keys[expected(canary, keys).index(version)] for version in ("v1", "v2")}
    for _ in range(2):
        world.ask({**RECORD, "city": one["v2"]})
    world.ask([{**RECORD, "city": city} for city in one.values()])
    count = 'millrace_request_seconds_count{model="adult",version='
    assert metric(world, f'{count}"v1"}} 1')
    assert metric(world, f'{count}"v2"}} 2')


# --- what the log says ---------------------------------------------------------------------------


def test_a_row_of_the_challenger_has_both_answers_in_its_line(world: World) -> None:
    """Its own and the champion's to the same row, which is what the two are judged by; a row of
    the champion has the one. The line's version and score are those that the caller got."""
    put(world, V2)
    alone = {version: new_world() for version in ("v1", "v2")}
    serve(V2, alone["v2"].lake.bucket)
    said = {name: other.ask(towns(30))[1]["predictions"] for name, other in alone.items()}
    _, answer = world.ask(towns(30))
    arms = set()
    for row, (line, given_) in enumerate(
        zip(world.log_lines(), answer["predictions"], strict=True)
    ):
        mark = line["canary"]
        arms.add(mark["arm"])
        assert (line["version"], line["score"]) == (given_["model_version"], given_["score"])
        assert mark["left_out"] is None
        if mark["arm"] == "champion":
            assert "challenger" not in mark
            continue
        for name, version in (("champion", "v1"), ("challenger", "v2")):
            mine = {key: said[version][row][key] for key in ("score", "label")}
            assert mark[name] == mine
        assert mark["challenger"]["score"] == line["score"]
    assert arms == {"champion", "challenger"}
    rows = sum(line["version"] == "v2" for line in world.log_lines())
    about = 'model="adult",version="v2",kind="canary"'
    assert metric(world, f"millrace_compared_rows_total{{{about}}} {rows}")
    different = sum(
        line["canary"]["champion"]["label"] != line["canary"]["challenger"]["label"]
        for line in world.log_lines()
        if line["version"] == "v2"
    )
    assert metric(world, f"millrace_disagreed_rows_total{{{about}}} {different}")
    seconds = 'millrace_second_version_seconds_count{model="adult",version="v2"} 1'
    assert metric(world, seconds)


def test_a_canary_of_a_regression_has_scores_without_labels() -> None:
    """Nothing disagrees there but scores."""
    world = World()
    serve(regression_package(), world.lake.bucket, log="sync")
    put(world, regression_package("v2"), key="prediction_id", share=1.0)
    world.ask(RECORD, "/models/houses/predict")
    mark = world.log_lines()[-1]["canary"]
    assert mark["champion"] == mark["challenger"]
    assert mark["challenger"]["label"] is None
    about = 'model="houses",version="v2",kind="canary"'
    assert metric(world, f"millrace_disagreed_rows_total{{{about}}} 0")


def test_a_key_that_may_not_be_kept_is_not_kept_as_a_hash(world: World) -> None:
    """Few values are soon told from their hashes: the units of a redacted key are one instance's
    own, still one for each value. It is dealt by all the same."""
    serve(binary_package(), world.lake.bucket, log="sync", redact=["city"])
    canary = put(world, V2)
    records = [{**record, "city": f"town {row % 5}"} for row, record in enumerate(towns(20))]
    assert versions(world, records) == expected(canary, [record["city"] for record in records])
    units = [line["canary"]["unit"] for line in world.log_lines()]
    assert len(set(units)) == len({(row % 5, unit) for row, unit in enumerate(units)}) == 5
    assert not {f"{unit_of(canary.id, record['city']):016x}" for record in records} & {*units}
    assert {line["instance"].get("city") for line in world.log_lines()} == {None}


def test_records_that_only_the_champion_takes_stay_with_it(world: World) -> None:
    """Only those dealt to the challenger are looked at by its rules, and counted."""
    features = tuple(
        replace(item, require=Bounds(min=0.0, max=40.0)) if item.name == "age" else item
        for item in SCHEMA.features
    )
    strict = replace(binary_package("v2"), schema=replace(SCHEMA, features=features))
    canary = put(world, strict)
    records = towns(60)
    dealt = expected(canary, [record["city"] for record in records])
    got = versions(world, records)
    for row, line in enumerate(world.log_lines()):
        refused = dealt[row] == "v2" and records[row]["age"] > 40
        assert got[row] == ("v1" if refused else dealt[row])
        assert line["canary"]["left_out"] == ("challenger_refuses" if refused else None)


# --- the champion's answer is always there -------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("ill", ILLS)
def test_whatever_the_challenger_does_the_champion_answers(kind: Kind, ill: str) -> None:
    """It raises, answers with what is no number, or for more or fewer rows than it was asked: every
    row has the champion's answer, bit for bit, and the log says that it failed."""
    world, plain = new_world(), new_world()
    put(world, V2, kind, share=1.0)
    fall_ill(world, ILLS[ill])
    records = towns(7)
    _, answer = world.ask(records)
    assert answer == plain.ask(records)[1]
    for line, without in zip(world.log_lines(), plain.log_lines(), strict=True):
        mark = line.pop(kind)
        assert mark["left_out"] == "challenger_failed"
        assert line == without


@settings(max_examples=60, deadline=None)
@given(
    kind=st.sampled_from(KINDS),
    share=st.floats(0, 1),
    behaviour=st.lists(st.sampled_from([*ILLS, "well", "slow"]), min_size=1, max_size=8),
    sizes=st.lists(st.integers(1, 6), min_size=8, max_size=8),
)
def test_no_history_of_failures_reaches_a_caller(
    kind: Kind, share: float, behaviour: list[str], sizes: list[int]
) -> None:
    """In any order of good, bad and slow calls: each request is answered, a row by the champion
    with the champion's score or by the challenger with its own, and by the challenger only when it
    was well; a shadow never answers; what lost the trust of the instance is not called again."""
    world = new_world()
    put(world, V2, kind, share=share)
    world.ask(RECORD)
    right = {
        version: {row["prediction_id"]: row["score"] for row in answers}
        for version, answers in expected_answers().items()
    }
    acts = {**ILLS, "well": lambda scores: scores, "slow": slow(world)}
    ill = fall_ill(world, lambda scores: scores)
    beside = world.app.extensions["millrace"].models.get("adult").beside
    for how, size in zip(behaviour, sizes, strict=False):
        ill._act, trusted, calls = acts[how], not beside.trust.lost, ill.calls
        status, answer = world.ask(towns(size))
        assert status == 200
        for row in answer["predictions"]:
            version = row["model_version"]
            assert row["score"] == right[version][row["prediction_id"]]
            assert version == "v1" or (how == "well" and kind != "shadow" and trusted)
        assert trusted or ill.calls == calls


_EXPECTED: dict[str, list[dict[str, Any]]] = {}


def expected_answers() -> dict[str, list[dict[str, Any]]]:
    """What each version alone says of six towns."""
    if not _EXPECTED:
        for package in (binary_package(), V2):
            world = World()
            serve(package, world.lake.bucket)
            _EXPECTED[package.version] = world.ask(towns(6))[1]["predictions"]
    return _EXPECTED


def slow(world: World, times: float = 1.2, *, waits: bool = False) -> Any:
    """Takes so many times the cap of a champion that takes no time at all."""

    def act(scores: Any) -> Any:
        if waits:
            world.seconds.now += FLOOR_SECONDS * times
        else:
            world.cpu.now += FLOOR_CPU_SECONDS * times
        return scores

    return act


# --- losing trust --------------------------------------------------------------------------------


def test_an_instance_gives_up_a_challenger_that_keeps_failing(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    """After a few failures in a row it is not called again, however the manifest moves on; that is
    told once, counted, and to be seen where people ask. Another instance judges for itself."""
    canary = put(world, V2, share=0.25, steps=STEPS, step=1, key="prediction_id")
    write(world, "adult", replace(canary, share=1.0, step=3))
    ill = fall_ill(world, raises)
    for _ in range(IN_A_ROW + 4):
        assert versions(world, RECORD) == ["v1"]
    assert ill.calls == IN_A_ROW
    reasons = [line["canary"]["left_out"] for line in world.log_lines()]
    assert reasons == ["challenger_failed"] * IN_A_ROW + ["challenger_stopped"] * 4
    write(world, "adult", replace(canary, share=0.9999))
    assert versions(world, RECORD) == ["v1"]
    assert ill.calls == IN_A_ROW
    assert not world.client.get("/models/adult").get_json()["canary"]["asked_here"]
    about = 'model="adult",reason="challenger_stopped"'
    assert metric(world, f"millrace_left_out_total{{{about}}} 5")
    said = capsys.readouterr().out
    assert said.count("challenger v2 raised RuntimeError") == 1
    assert said.count("Canary c1: an instance no longer asks v2, v1 answers everything") == 1
    (note,) = [item for item in world.alerts() if item["subject"].startswith("canary c1")]
    assert (note["asks"], note["source"]) == ("know", "predict")
    assert "raised RuntimeError" in note["sentence"]
    other = World()
    other.lake = world.lake
    assert versions(other, RECORD) == ["v2"]


def test_what_is_redacted_is_in_no_message() -> None:
    """The text of an error may quote a cell."""
    world = World()
    serve(binary_package(), world.lake.bucket, log="sync", redact=["city"])
    put(world, V2, share=1.0, key="prediction_id")

    def quotes(_: Any) -> Any:
        raise ValueError(f"could not use {RECORD['city']!r}")

    fall_ill(world, quotes)
    for _ in range(IN_A_ROW):
        assert versions(world, RECORD) == ["v1"]
    (note,) = world.alerts()
    assert "raised ValueError." in note["sentence"]
    assert str(RECORD["city"]) not in json.dumps(note, ensure_ascii=False)


def test_another_canary_of_the_same_version_begins_anew(world: World) -> None:
    """Who starts one again has a reason to; its keys are dealt anew too."""
    put(world, V2, share=1.0)
    ill = fall_ill(world, raises)
    for _ in range(IN_A_ROW):
        world.ask(RECORD)
    ill._act = lambda scores: scores
    assert versions(world, RECORD) == ["v1"]
    put(world, V2, share=1.0, id="c2")
    assert versions(world, RECORD) == ["v2"]


def test_failures_that_are_not_in_a_row_cost_their_own_rows_only(world: World) -> None:
    """An answer in time forgives those before it."""
    put(world, V2, share=1.0)
    ill = fall_ill(world, raises)
    for _ in range(3):
        for _ in range(IN_A_ROW - 1):
            ill._act = raises
            assert versions(world, RECORD) == ["v1"]
        ill._act = lambda scores: scores
        assert versions(world, RECORD) == ["v2"]


@pytest.mark.parametrize("waits", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_a_slow_challenger_is_left_by_the_instance(
    world: World, kind: Kind, waits: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whether it works or waits too long: its late answer is not given, though the log has both;
    after a few in a row it is not asked again, after one that is far too late neither."""
    put(world, V2, kind, share=0.9999)
    ill = fall_ill(world, slow(world, waits=waits))
    for _ in range(IN_A_ROW + 1):
        assert versions(world, RECORD) == ["v1"]
    assert ill.calls == IN_A_ROW
    *late, last = [line[kind] for line in world.log_lines()]
    assert {mark["left_out"] for mark in late} == {"challenger_slow"}
    assert all("challenger" in mark for mark in late)
    assert (last["left_out"], "challenger" in last) == ("challenger_stopped", False)
    assert "its cap is 50 ms of CPU and 500 ms in all" in capsys.readouterr().out
    put(world, V2, kind, share=0.9999, id="c2")
    ill._act, ill.calls = slow(world, FAR * 1.1, waits=waits), 0
    for _ in range(3):
        assert versions(world, RECORD) == ["v1"]
    assert ill.calls == 1


def test_a_slow_champion_gives_its_challenger_time(world: World) -> None:
    """The cap is ten times what the champion took for the same request."""
    put(world, V2, share=1.0)
    champion = world.app.extensions["millrace"].models.get("adult").model
    champion._engine = Ill(champion._engine, slow(world))
    for times, version in ((9, "v2"), (13, "v1")):
        fall_ill(world, slow(world, times))
        assert versions(world, RECORD) == [version]


# --- many at once --------------------------------------------------------------------------------


def test_every_answer_is_whole_while_the_manifest_moves(world: World) -> None:
    """Threads ask while a canary starts, steps, fails and ends: no request fails, and each answer
    is one that its version gives."""
    canary = put(world, V2, share=0.05, steps=STEPS)
    records = towns(6)
    right = {
        version: [row["score"] for row in rows] for version, rows in expected_answers().items()
    }

    def ask(number: int) -> None:
        client = world.app.test_client()
        for _ in range(10):
            answer = client.post("/predict", json=records)
            assert answer.status_code == 200
            for row, said in enumerate(answer.get_json()["predictions"]):
                assert said["score"] == right[said["model_version"]][row]

    with ThreadPoolExecutor(6) as pool:
        asking = [pool.submit(ask, number) for number in range(6)]
        for step in (1, 2, 3):
            write(world, "adult", canary.at_step(step, "2026-01-05T10:00:00Z"))
        fall_ill(world, raises)
        write(world, "adult", None)
        for step in (1, 2):
            write(world, "adult", replace(canary, id=f"c{step}", share=STEPS[step]))
        for done in asking:
            done.result()


# --- the other ways in ---------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("path", ["/predict", "/invocations", "/v2/models/adult/infer"])
def test_the_short_way_and_flasks_answer_alike(kind: Kind, path: str) -> None:
    """Bytes and headers, with rows of both versions in one request."""
    records = towns(20)
    bodies: dict[str, Any] = {
        "/predict": records,
        "/invocations": {"inputs": records},
        "/v2/models/adult/infer": {
            "inputs": [
                {"name": name, "datatype": "BYTES", "shape": [20], "data": values}
                for name, values in (
                    (name, [str(record[name]) for record in records]) for name in records[0]
                )
            ]
        },
    }
    found = []
    for short in (True, False):
        world = new_world()
        put(world, V2, kind)
        way = world.app.wsgi_app
        assert isinstance(way, Shortcut)
        if not short:
            world.app.wsgi_app = way.flask  # type: ignore[method-assign]
        answer = world.client.post(path, json=bodies[path], headers={"X-Prediction-Id": "mine"})
        assert answer.status_code == 200
        found.append((answer.data, sorted(answer.headers)))
    assert found[0] == found[1]


def test_a_second_version_that_no_manifest_may_hold(world: World) -> None:
    """Garbage beside the champion does not read; the last good manifest answers on."""
    put(world, V2, share=1.0)
    assert versions(world, RECORD) == ["v2"]
    good = SecondVersion.from_json(
        {
            **put(world, V2, share=1.0).to_json(),
            "files": store(V2, world.lake.bucket),
        }
    )
    for wrong in ({"share": "0.5"}, {"share": 2}, {"key": None}, {"files": ["a"]}, {"until": "x"}):
        write(world, "adult", replace(good, **wrong))
        assert versions(world, RECORD) == ["v2"]
