"""A trace as a story that reads from the top down. Pure: a document in, lines out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from shared.beside.second_version import KINDS
from shared.cli.console import TIME, safe
from shared.spec.numbering import Change

_WIDE = 11
_CELLS = 6
UNRECORDED = "not recorded"
TWO = ("champion", "challenger")
# What is behind a kind of run, in the words of its first line.
_RUNS = {
    "score": "Scoring run",
    "label": "Labels run",
    "compare": "Comparison run",
    "train": "Training run",
}


def tell(found: Mapping[str, Any]) -> Iterator[str]:
    """The prediction, its run, its version, and every version whose rows that one continues."""
    answer, run, versions = found["prediction"], found["run"], found["versions"]
    if answer:
        yield from _answer(answer, run, versions[0])
        yield ""
    if run:
        yield from _run(run, found["model"])
        if versions:
            yield ""
        elif "trained_under" not in run:
            yield _without(run)
    for place, version in enumerate(versions):
        yield from _version(version, first=not place)
        if version["continues"]:
            yield ""
            yield "It continues the rows of"


# --- a prediction --------------------------------------------------------------------------------


def _answer(
    answer: Mapping[str, Any], run: Mapping[str, Any] | None, version: Mapping[str, Any]
) -> Iterator[str]:
    yield f"Prediction {answer['prediction_id']} of {answer['model']}"
    yield _line("answered", f"{_said(answer)}, {when(answer['time'])}")
    yield _line("by", f"version {_name(version)}")
    yield _line("asked", _cells(answer["asked"]))
    if run:
        inputs = [item["source"] for item in run["inputs"]]
        where = inputs[0] if len(inputs) == 1 else f"the rows of {', '.join(inputs)}"
        yield _line("", f"record {answer['record']} of {where}")
        yield _line("stands in", answer["object"])
    for kind in KINDS:
        if answer[kind]:
            yield _line(kind, _dealt(answer[kind]))
    happened = answer["happened"]
    if not happened:
        yield _line("really", "nobody has said yet")
    for label in reversed(happened):
        learned = label["learned_by"]
        later = f"; learned by {', '.join(learned)}" if learned else ""
        last = label is happened[-1]
        yield _line(
            "really" if last else "before",
            f"{label['label']}, {when(label['label_time'])} (run {label['run_id']}{later})",
        )
        yield from _inputs(label["inputs"], record=label["record"])


def _dealt(mark: Mapping[str, Any]) -> str:
    """Who answered beside a second version, and what both said where both were asked."""
    out = f", left out: {mark['left_out']}" if mark["left_out"] else ""
    both = [f"{name} said {_said(mark[name])}" for name in TWO if name in mark]
    return f"{mark['id']}, {mark['arm']}{out}{'; ' if both else ''}{', '.join(both)}"


def _said(answer: Mapping[str, Any]) -> str:
    if answer.get("error"):
        return f"nothing: {answer['error']}"
    score = answer["score"]
    shown = f"{score:.6g}" if isinstance(score, float) else score
    if answer["label"] is not None:
        return f"{answer['label']} (score {shown})"
    return str(shown) if shown is not None else "what it said is no longer there"


def _cells(cells: Mapping[str, Any]) -> str:
    shown = [f"{name}={value}" for name, value in cells.items()]
    more = f" and {len(shown) - _CELLS} more (all of them: --json)" if len(shown) > _CELLS else ""
    return (", ".join(shown[:_CELLS]) + more) or "what was asked is not kept"


# --- a run ---------------------------------------------------------------------------------------


def _run(run: Mapping[str, Any], model: str) -> Iterator[str]:
    yield f"{_RUNS.get(str(run['kind']), 'Run')} {run['run_id']} of {model}: {_state(run)}"
    yield from _asked(run)
    if run["kind"] == "compare":
        against = run["against"] or "no champion"
        yield _line("compared", f"{run['version']} with {against}")
    if run["sentence"]:
        yield _line("ended", run["sentence"])
    if "trained_under" in run:
        yield _line("trained", ", ".join(run["trained_under"]) or "no version yet")
    if "labels" in run:
        yield _line("recorded", run["labels"] or "nothing")
        yield _line("learned by", ", ".join(run["learned_by"]) or "no version yet")


def _without(run: Mapping[str, Any]) -> str:
    """Why the story ends with a run."""
    if run["kind"] in ("score", "compare") and not run["ended"]:
        return _line("version", "none has answered yet")
    return _line("version", "none came of it")


def _state(run: Mapping[str, Any]) -> str:
    ended = f", {when(run['ended'])}" if run["ended"] else ""
    again = f" (in {run['attempts']} attempts)" if run["attempts"] > 1 else ""
    return f"{str(run['state']).replace('_', ' ')}{ended}{again}"


def _asked(run: Mapping[str, Any]) -> Iterator[str]:
    """What started a run and what it was given."""
    if run["requested_at"]:
        yield _line("asked", f"{when(run['requested_at'])} by {run['requested_by']}")
    cause = run["retrain"]
    if cause:
        window = ""
        if cause["window_start"]:
            window = f", window {when(cause['window_start'])} to {when(cause['window_end'])}"
        yield _line("because", f"{cause['kind'] or 'incident'} {cause['incident_id']}{window}")
        if cause["report"]:
            yield _line("report", cause["report"])
    if run["replays"]:
        yield _line("replays", f"run {run['replays']}, with corrected rows")
    for other in run["replayed_by"]:
        yield _line("replayed by", f"run {other}")
    yield from _inputs(run["inputs"])
    if not run["inputs"] and run["source"] and not cause:
        yield _line("input", run["source"])


def _inputs(inputs: Sequence[Mapping[str, Any]], record: int | None = None) -> Iterator[str]:
    at = f"record {record} of " if record is not None else ""
    for item in inputs:
        role = f" ({item['role']})" if item["role"] else ""
        check = f"md5 {item['md5']}" if item["md5"] else f"crc32c {item['crc32c']}"
        yield _line("input", f"{at}{item['source']}{role}")
        yield _line("", f"{item['size_bytes']:,} bytes, {check}; kept as {item['copy']}")


# --- a version -----------------------------------------------------------------------------------


def _version(found: Mapping[str, Any], *, first: bool) -> Iterator[str]:
    run = found["run"]
    yield f"{'Version' if first else 'version'} {_name(found)} of {found['model']}: {_state(run)}"
    if not found["stored"]:
        yield _line("stored", "no: its training did not finish, or it was deleted")
    if found["change"]:
        change = Change(found["change"]["level"], tuple(found["change"]["because"]))
        since = found["predecessor_semantic_version"] or found["predecessor"]
        yield _line("number", f"{change.level} since {since}: {change}")
    yield from _asked(run)
    yield from _labels(found["labels_used"])
    yield from _made(found)
    yield from _decided(found)


def _name(found: Mapping[str, Any]) -> str:
    number = found["semantic_version"]
    return f"{number} ({found['version']})" if number else str(found["version"])


def _labels(files: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for file in files:
        yield _line("labels", f"{file['object']}, recorded by run {file['run_id']}")
        yield from _inputs(file["inputs"])
        for scored in file["about"]:
            yield _line("of", f"predictions of scoring run {scored['run_id']}")
            yield from _inputs(scored["inputs"])
        hours = file["online_hours"]
        if hours:
            yield _line("of", f"online predictions of {hours[0]} to {hours[-1]} (UTC hours)")


def _made(found: Mapping[str, Any]) -> Iterator[str]:
    spec, data = found["spec"], found["dataset"]
    if spec:
        decided = spec["decision"]
        by = f"; {decided['action']} by {decided['by']}" if decided else ""
        yield _line("spec", f"generation {spec['generation']}, {spec['source']}{by}")
    yield _line("code", found["code_version"] or UNRECORDED)
    if data:
        sides = [f"{data[side]:,} {side}" for side in ("fit", "holdout", "reserved") if data[side]]
        bad = f"; {data['quarantined']:,} in quarantine" if data["quarantined"] else ""
        yield _line("dataset", data["object"])
        yield _line("", f"{data['rows']:,} rows ({', '.join(sides)}){bad}; sha256 {data['sha256']}")
    if found["package_sha256"]:
        yield _line("package", f"{found['candidate']}, sha256 {found['package_sha256']}")
    if found["tracking_run_id"]:
        yield _line("MLflow", f"run {found['tracking_run_id']}")


def _decided(found: Mapping[str, Any]) -> Iterator[str]:
    comparison, decision = found["comparison"], found["decision"]
    if comparison:
        yield _line(
            "compared", f"with {comparison['against'] or 'nobody'}: {comparison['sentence']}"
        )
        for run_id in comparison["runs"]:
            yield _line("", f"compared again by run {run_id}")
    if decision and decision["asked"]:
        asked, answer = decision["asked"], decision["asked"]["answer"]
        yield _line("question", f"{when(asked['at'])}: {asked['sentence']}")
        if answer:
            reason = f": {answer['reason']}" if answer["reason"] else ""
            yield _line(
                "answer", f"{answer['action']} by {answer['by']}, {when(answer['at'])}{reason}"
            )
    if decision and decision["action"]:
        action = decision["action"].replace("_", " ")
        yield _line("decision", f"{action} by {decision['by']}, {when(decision['at'])}")
        yield _line("", decision["sentence"])
    elif not decision or not decision["asked"]:
        yield _line("decision", "none yet")
    for canary in found["canaries"]:
        yield from _canary(canary)
    for turn in found["served"]:
        until = f"to {when(turn['until'])}" if turn["until"] else "to this day"
        yield _line("served", f"{when(turn['from'])} {until}, put there by {turn['by']}")
    if not found["served"]:
        yield _line("served", "never")


def _canary(found: Mapping[str, Any]) -> Iterator[str]:
    yield _line("canary", f"{found['id']}, begun {when(found['began'])} by {found['by']}")
    for item in found["judged"]:
        yield _line("", f"{when(item['at'])} {item['sentence']}")


def _line(name: str, text: object) -> str:
    return f"  {name:<{_WIDE}} {safe(str(text))}"


def when(text: str | None) -> str:
    """A stored time as people read it."""
    match = TIME.fullmatch(text or "")
    return f"{match[1]} {match[2]}Z" if match else str(text or "-")
