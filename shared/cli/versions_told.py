"""A version, or two of them, in words and tables: documents in, text out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from shared.cli.console import cell, safe, say
from shared.spec.numbering import Change


def later(served: list[dict[str, Any]], decision: Mapping[str, Any]) -> str | None:
    """What people made of a version that the first decision did not let serve."""
    if not served or decision.get("action") in (None, "promoted"):
        return None
    spans = [
        f"{cell(turn['from'])} to {cell(turn['until']) if turn['until'] else 'this day'}"
        for turn in served
    ]
    return f"promoted by hand ({served[0]['by']}), served {', '.join(spans)}"


def about(found: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """What a person asks about a version, in order."""
    data, decision = found["data"], found["decision"]
    yield "version", _name(found)
    change = found["change"]
    yield "number", _change(change, found["predecessor_semantic_version"])
    yield "created", cell(found["created"])
    yield "recipe", f"{found['candidate']}, spec generation {found['spec_generation']}"
    yield "code", found["code_version"] or "not recorded"
    yield "data", _rows(data)
    if data["continues"]:
        yield "continues", f"the rows of {data['continues']}"
    yield "inputs", data["inputs"] or "none of its own"
    if data["labels_used"]:
        yield "labels", data["labels_used"]
    yield "size", _size(found)
    yield "content", _content(found)
    yield "judged", found["judged"]["sentence"] or "-"
    yield "decision", _decision(decision)


def _change(change: Mapping[str, Any] | None, predecessor: str | None) -> str:
    if not change:
        return "the first that has one"
    words = Change(change["level"], tuple(change["because"]))
    return f"{words.level} since {predecessor}: {words}"


def _name(found: Mapping[str, Any]) -> str:
    number = found["semantic_version"]
    return f"{number} ({found['version']})" if number else str(found["version"])


def _decision(decision: Mapping[str, Any]) -> str:
    if not decision["action"]:
        return "undecided"
    return f"{decision['action']} by {decision['by']}, {cell(decision['at'])}"


def _size(found: Mapping[str, Any]) -> str:
    return f"{found['size_bytes'] / 1024:,.0f} KiB"


def _content(found: Mapping[str, Any]) -> str:
    """What equal data, spec and seed give again, and whether that holds here."""
    sha256 = found["content_sha256"]
    cut = "; the time limit ended the search: not reproducible"
    return f"{sha256}{cut if found['reproducible'] is False else ''}" if sha256 else "not recorded"


def _rows(data: Mapping[str, Any]) -> str:
    if data["rows"] is None:
        return "-"
    parts = [f"{data['rows']:,} rows: {data['fit']:,} fit, {data['holdout']:,} holdout"]
    parts += [f"{data['reserved']:,} reserved"] if data["reserved"] else []
    parts += [f"{data['quarantined']:,} quarantined"] if data["quarantined"] else []
    return ", ".join(parts)


def measured_value(name: str, value: float | None) -> float | int | None:
    return int(value) if name == "n" and value is not None else value


def _columns(found: Mapping[str, Any]) -> tuple[str, str]:
    """What the two are called above their columns."""
    a, b = (found[side]["semantic_version"] or found[side]["version"] for side in ("a", "b"))
    return (a, b) if a != b else (f"{a} ", b)


def facts_rows(found: Mapping[str, Any]) -> list[dict[str, Any]]:
    (a, b), names = (found["a"], found["b"]), _columns(found)
    rows: list[tuple[str, Any, Any]] = [
        ("version", a["version"], b["version"]),
        ("created", a["created"], b["created"]),
        ("decision", _decision(a["decision"]), _decision(b["decision"])),
        ("candidate", a["candidate"], b["candidate"]),
        ("spec generation", a["spec_generation"], b["spec_generation"]),
        ("package", _size(a), _size(b)),
        ("content", (a["content_sha256"] or "")[:12], (b["content_sha256"] or "")[:12]),
        ("dataset", (a["data"]["sha256"] or "")[:12], (b["data"]["sha256"] or "")[:12]),
    ]
    rows += [
        (name, a["data"][name], b["data"][name])
        for name in ("rows", "fit", "holdout", "reserved", "quarantined")
    ]
    return [{"": name, names[0]: x, names[1]: y} for name, x, y in rows]


def metrics_rows(found: Mapping[str, Any]) -> list[dict[str, Any]]:
    names = _columns(found)
    rows = []
    for item in found["metrics"]:
        name = item["metric"]
        row = {"": name, **{names[i]: measured_value(name, item[k]) for i, k in enumerate("ab")}}
        if found["holdout"]["same_rows"]:
            row["difference"] = measured_value(name, item["difference"])
        rows.append(row)
    return rows


def say_rest(found: Mapping[str, Any]) -> None:
    a, b = found["a"], found["b"]
    say(f"\n{found['holdout']['sentence']}")
    judged = found["judged"]
    if judged:
        say(f"The gate compared {judged['version']} with {judged['against']}: {judged['sentence']}")
    else:
        say("The gate never compared these two.")
    _say_list("Spec", [item["text"] for item in found["spec"]], "no difference")
    recipe = [
        f"{item['name']}: {_value(item['a'])} -> {_value(item['b'])}" for item in found["recipe"]
    ]
    _say_list("Fitted", recipe, "the same recipe")
    for item in (a, b):
        sources = [*item["data"]["inputs"], *item["data"]["labels_used"]]
        if item["data"]["continues"]:
            sources = [f"the rows of {item['data']['continues']}", *sources]
        _say_list(f"Data of {_name(item)}", sources, "not known")


def _value(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else "-" if value is None else str(value)


def _say_list(title: str, lines: list[str], empty: str) -> None:
    say(f"\n{title}")
    for line in lines or [empty]:
        say(f"  {safe(line)}")
