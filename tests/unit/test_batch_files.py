"""Files of a batch that come late, twice, in the wrong place or not at all."""

from __future__ import annotations

import json
from typing import Any

import pytest

from shared import documents, paths, runs
from tests.support.batching import (
    BATCHES,
    FILES,
    HOUR,
    SOURCES,
    bodies_of,
    check_one_run,
    drop,
    name_of,
    new_system,
    requested,
)
from tests.support.promises import check_promises

# --- late, again, wrong --------------------------------------------------------------------------


def test_a_later_generation_after_closing_is_refused_loudly() -> None:
    """The run keeps the files it was closed with; whoever drops more is told."""
    system = new_system()
    sources = drop(system, *SOURCES)
    system.drain()
    run_id = check_one_run(system, sources)
    again = system.drop(name_of("orders"), b"k,price\n2,5\n")
    other = system.drop("m/train/2026-11/orders.tsv", b"k\tprice\n2\t5\n")
    system.drain()
    assert [system.state(item) for item in (again, other)] == ["rejected", "rejected"]
    alerts = system.published("DataRejected")
    assert {item["reason"] for item in alerts} == {"BatchClosed"}
    assert run_id in alerts[0]["message"]
    assert "batch already closed" in alerts[0]["message"]
    assert requested(system) == [run_id]
    check_promises(system, *sources, again, other)


def test_the_newest_file_of_a_source_is_taken() -> None:
    """A source that is corrected before the batch is complete goes in corrected, also when its
    events come in the wrong order; the older file says what became of it."""
    system = new_system()
    old = system.drop(name_of("orders"), b"k,price\n1,0\n")
    sources = drop(system, "orders", "customers", "visits")
    bodies = bodies_of(system, [old, *sources])
    for position in (1, 0, 2, 3):
        assert system.post("intake", bodies[position])[1] == 204
    system.drain()
    assert system.state(old) == "superseded"
    check_one_run(system, [sources[1], sources[0], sources[2]])


def test_a_refused_file_leaves_the_batch_waiting_for_a_better_one() -> None:
    """It neither completes the batch nor stands in the way of its own correction."""
    system = new_system()
    bad = system.drop(name_of("orders"), b"")
    first, last = drop(system, "customers", "visits")
    system.drain()
    assert system.state(bad) == "rejected"
    assert system.state(first) == "waiting_for_sources"
    (good,) = drop(system, "orders")
    system.drain()
    check_one_run(system, [first, good, last])


def test_what_happens_to_the_inbox_later_does_not_matter() -> None:
    """A file that was accepted is copied at once, however long the batch waits."""
    system = new_system()
    sources = drop(system, "customers", "orders")
    bodies = bodies_of(system, sources)
    for body in bodies:
        assert system.post("intake", body)[1] == 204
    system.cloud.storage.delete(
        "inbox", name_of("customers"), generation=int(sources[0].rpartition("#")[2])
    )
    for body in bodies:
        assert system.post("intake", body)[1] == 204
    sources += drop(system, "visits")
    system.drain()
    check_one_run(system, sources)


def test_a_file_that_is_gone_before_it_was_read_is_superseded() -> None:
    """Its batch goes on waiting for a file that can be read."""
    system = new_system()
    (source,) = drop(system, "customers")
    system.cloud.storage.delete(
        "inbox", name_of("customers"), generation=int(source.rpartition("#")[2])
    )
    system.drain()
    assert system.state(source) == "superseded"
    assert list(system.lake.list("batches")) == []


WRONG = {
    "unknown source": ("m/train/b/clients.csv", "UnknownSource", "customers, orders, visits"),
    "no batch": ("m/train/customers.csv", "UnknownSource", "m/train/<batch>/customers.csv"),
    "no batch, other name": ("m/train/x.csv", "UnknownSource", "m/train/<batch>/orders.csv"),
    "ending": ("m/train/b/customers.xlsx", "UnknownIntent", ".parquet"),
    "no ending": ("m/train/b/customers", "UnknownIntent", "<batch>/<source>.csv"),
    "too deep": ("m/train/b/c/customers.csv", "UnknownIntent", "folder below"),
    "labels": ("m/labels/b/customers.csv", "UnknownIntent", "folder below"),
    "dots": ("m/train/../customers.csv", "UnknownIntent", "no name for a batch"),
    "escape": ("m/train/a\x1b[2Jb/customers.csv", "UnknownIntent", "control characters"),
    "long": (f"m/train/{'b' * 500}/customers.csv", "UnknownIntent", "400"),
}


@pytest.mark.parametrize("case", list(WRONG))
def test_a_wrong_place_is_refused_with_the_right_one(case: str) -> None:
    """The message names what would have worked."""
    name, reason, words = WRONG[case]
    system = new_system()
    source = system.drop(name, FILES["customers"])
    system.drain()
    (alert,) = system.published("DataRejected")
    assert (alert["reason"], alert["source"]) == (reason, source)
    assert words in alert["message"]
    assert system.state(source) == "rejected"


@pytest.mark.parametrize("batch", ["2026 11", "Ünïcode é", "..b", "a.json", "b'; --", "x" * 400])
def test_any_other_name_of_a_batch_is_kept_as_it_is(batch: str) -> None:
    """Blanks, unicode, dots and quotes are names like others."""
    system = new_system()
    sources = drop(system, *SOURCES, batch=batch)
    system.drain()
    check_one_run(system, sources)
    assert documents.require(system.lake, paths.batch_closed("m", "train", batch))


# --- the same question ---------------------------------------------------------------------------


def test_the_same_files_in_another_batch_are_a_duplicate_unless_forced() -> None:
    """The same content of every source is the same question, whatever the batch is called."""
    system = new_system()
    sources = drop(system, *SOURCES)
    system.drain()
    run_id = check_one_run(system, sources)
    again = drop(system, *SOURCES, batch="again")
    system.drain()
    state = runs.state("m", system.claim(again[0])["run_id"], lake=system.lake)
    assert state.state == "joined"
    duplicate = runs.state("m", state.facts["run_id"], lake=system.lake)
    assert (duplicate.state, duplicate.facts["same_as"]) == ("duplicate", run_id)
    assert "--force" in duplicate.facts["why"]
    forced = drop(system, *SOURCES, batch="forced", **{"millrace-force": "true"})
    system.drain()
    assert len(requested(system)) == 2
    check_promises(system, *sources, *again, *forced)


def test_the_same_content_as_another_source_is_another_question() -> None:
    """Contents are compared by source."""
    system = new_system()
    drop(system, *SOURCES)
    swapped = {"customers": "customers", "orders": "visits", "visits": "orders"}
    for source, content in swapped.items():
        system.drop(name_of(source, "swapped"), FILES[content])
    system.drain()
    assert len(requested(system)) == 2


# --- waiting in vain -----------------------------------------------------------------------------


def test_people_hear_once_that_a_batch_waits() -> None:
    """Half of the wait is over: what is missing, how long it is waited for, what happens then."""
    system = new_system()
    sources = drop(system, "customers", "visits")
    system.drain()
    system.clock.advance(11 * HOUR)
    system.tick()
    assert system.published("AutomationNoted")[1:] == []
    system.clock.advance(HOUR)
    for _ in range(3):
        system.tick()
        system.clock.advance(300)
    (said,) = system.published("AutomationNoted")[1:]
    assert "still waiting for orders, 12 h left; then it is refused" in said["sentence"]
    assert {system.state(source) for source in sources} == {"waiting_for_sources"}
    drop(system, "orders")
    system.drain()
    assert len(requested(system)) == 1


def test_a_batch_without_a_needed_source_is_refused_after_its_wait() -> None:
    """Each source has its own wait since the first file; with the last of them over every file is
    refused with what was missing, and a file that comes after that hears of it."""
    system = new_system()
    (source,) = drop(system, "customers")
    system.drain()
    system.clock.advance(13 * HOUR)
    system.tick()
    assert system.state(source) == "waiting_for_sources"
    system.clock.advance(11 * HOUR)
    system.tick()
    assert system.state(source) == "rejected"
    (alert,) = system.published("DataRejected")
    assert alert["reason"] == "SourceMissing"
    assert "waited 24 h for orders, visits" in alert["message"]
    assert list(system.lake.list("batches-open/")) == []
    (late,) = drop(system, "orders")
    system.drain()
    assert system.state(late) == "rejected"
    assert "given up for want of orders, visits" in system.published("DataRejected")[1]["message"]
    check_promises(system, source, late)


def test_nothing_goes_on_without_the_primary() -> None:
    """Its rows are what the run is about, whatever its on_timeout says."""
    system = new_system(
        BATCHES.replace("customers: {key: k}", "customers: {key: k, on_timeout: without}")
    )
    sources = drop(system, "orders", "visits")
    system.drain()
    system.clock.advance(25 * HOUR)
    system.tick()
    assert {system.state(source) for source in sources} == {"rejected"}
    assert requested(system) == []


def test_a_spec_that_needs_less_closes_the_batch_at_the_next_sweep() -> None:
    """The spec in force at closing decides, and stands in the request."""
    system = new_system()
    sources = drop(system, "customers", "orders")
    system.drain()
    visits = BATCHES.splitlines()[6]
    system.drop("_specs/m.yaml", BATCHES.replace(visits + "\n", ""))
    system.drain()
    assert requested(system) == []
    system.tick()
    (run_id,) = requested(system)
    assert system.request(run_id).spec_generation == 2
    assert {system.state(source) for source in sources} == {"joined"}


def test_a_spec_without_sources_gives_open_batches_up() -> None:
    """Nobody will ever complete them; the files are refused, and files in folders as ever."""
    system = new_system()
    sources = drop(system, "customers", "orders")
    system.drain()
    system.drop("_specs/m.yaml", "task: binary\ntarget: y\n")
    system.drain()
    system.tick()
    sources += drop(system, "visits")
    system.drain()
    assert {system.state(source) for source in sources} == {"rejected"}
    assert {item["reason"] for item in system.published("DataRejected")} == {
        "BatchClosed",
        "UnknownIntent",
    }
    check_promises(system, *sources)


def test_closed_batches_cost_a_sweep_nothing() -> None:
    """Only open batches are listed and read."""
    system = new_system()
    for batch in ("a", "b", "c"):
        drop(system, *SOURCES, batch=batch, **{"millrace-force": "true"})
    system.drain()
    touched: list[str] = []
    wiring = system.doors["sweep"].wiring.__dict__
    lake = wiring["lake"]

    class Watched:
        def __getattr__(self, name: str) -> Any:
            found = getattr(lake, name)
            if not callable(found):
                return found

            def call(*args: Any, **kwargs: Any) -> Any:
                touched.append(f"{name} {args[0]}")
                return found(*args, **kwargs)

            return call

    wiring["lake"] = Watched()
    system.tick()
    assert [item for item in touched if "batches" in item] == ["list batches-open/"]


def test_people_get_the_command_that_would_work() -> None:
    """A refused file of an open batch is dropped into it again; one for a closed batch is not."""
    system = new_system()
    system.drop("m/train/b 1/orders.csv", b"")
    drop(system, *SOURCES)
    system.drain()
    system.drop(name_of("orders"), b"k,price\n2,5\n")
    system.drain()
    posted = [json.dumps(message) for message in system.cloud.messenger.posted]
    again = "./millrace drop orders.csv --model m --batch 'b 1' --as train"
    new = "./millrace drop FILE... --model m --batch NAME --as train"
    assert [again in post for post in posted if "refused" in post] == [True, False]
    assert [new in post for post in posted if "refused" in post] == [False, True]


def test_the_stage_joined_ends_no_run() -> None:
    """A training of several sources notes that they are joined; only an upload joins a batch."""
    events = [{"name": "joined", "at": "2026-01-05T09:00:00Z", "facts": {}}]
    assert not runs.fold(events).terminal
