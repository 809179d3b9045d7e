"""What a join did, in figures: who found whom, who found nobody, what stands there twice.

`report_of(join)` is kept as datasets/<model>/<run>/join.json; `rows_for_card` says it in words.
Nothing is dropped for what is reported here: copies of a row count as often as they stand there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from shared.serving.times import text_of

if TYPE_CHECKING:
    from shared.tabular.joins.joining import Join
    from shared.tabular.joins.sides import Side

EXAMPLES = 5
_SHOWN = 60
LOOK_AHEAD = (
    "the target has no date, so look-ahead is possible: what is known only after the target "
    "happened may be among the joined rows"
)


def report_of(join: Join, *, primary: str, dated_target: bool = False) -> dict[str, Any]:
    """The report of a computed join. `dated_target`: something says when the target happened."""
    sources = {side.source.name: _source(join, side) for side in join.sides}
    return {
        "primary": {"source": primary, **_primary(join)},
        "sources": sources,
        "warnings": [*_warnings(sources), *([] if dated_target else [LOOK_AHEAD])],
    }


def _primary(join: Join) -> dict[str, Any]:
    """Of the rows that have a key and, where it is needed, a moment."""
    rows, bad = _one(join, "SELECT count(*), count(code) FROM records")
    keys = dict.fromkeys(side.source.key for side in join.sides)
    by = ", ".join(
        dict.fromkeys(name for side in join.sides for name in (f"k{side.place}", *_cutoff_of(side)))
    )
    twice = (
        f"SELECT k0, count(*) AS n FROM records WHERE code IS NULL GROUP BY k0, {by} HAVING n > 1"
    )
    duplicates, more = _one(join, f"SELECT count(*), coalesce(sum(n - 1), 0) FROM ({twice})")
    return {
        "rows": rows,
        "unusable": bad,
        "keys": list(keys),
        "duplicate_keys": duplicates,
        "rows_more": int(more),
        "duplicate_examples": _examples(join, f"SELECT DISTINCT k0 AS k FROM ({twice})"),
    }


def _cutoff_of(side: Side) -> tuple[str, ...]:
    return (f"a{side.place}",) if side.source.as_of_column is not None else ()


def _source(join: Join, side: Side) -> dict[str, Any]:
    source, place = side.source, side.place
    about = {
        "key": source.key,
        "join": source.join,
        "time": source.time,
        "as_of": source.as_of,
        "columns": list(source.types),
    }
    if not side.there:
        return {**about, "there": False, "rows": 0, "quarantined": 0}
    keys, copies = _one(
        join,
        f"SELECT (SELECT count(*) FROM (SELECT k FROM rows_{place} GROUP BY k)), "
        f"(SELECT coalesce(sum(n - 1), 0) FROM "
        f"(SELECT count(*) AS n FROM rows_{place} GROUP BY h, k HAVING n > 1))",
    )
    usable, matched = _one(
        join,
        f"SELECT count(*), count(s{place}.k) FROM records r LEFT JOIN {side.found_by} "
        "WHERE r.code IS NULL",
    )
    orphans = (
        f"SELECT s.k, count(*) AS n FROM rows_{place} s ANTI JOIN records r ON s.k = r.k{place} "
        "GROUP BY s.k"
    )
    alone = (
        f"SELECT DISTINCT r.k{place} AS k FROM records r LEFT JOIN {side.found_by} "
        f"WHERE r.code IS NULL AND s{place}.k IS NULL"
    )
    orphan_keys, orphan_rows = _one(join, f"SELECT count(*), coalesce(sum(n), 0) FROM ({orphans})")
    (alone_keys,) = _one(join, f"SELECT count(*) FROM ({alone})")
    return {
        **about,
        "there": True,
        "rows": side.counts.rows,
        "quarantined": side.counts.bad,
        "keys": keys,
        "matched": matched,
        "match_rate": round(matched / usable, 6) if usable else 0.0,
        "without_rows": {"rows": usable - matched, "keys": alone_keys, **_few(join, alone)},
        "orphans": {"rows": int(orphan_rows), "keys": orphan_keys, **_few(join, orphans)},
        "exact_duplicates": int(copies),
        **_times(join, side),
    }


def _times(join: Join, side: Side) -> dict[str, Any]:
    """When the rows happened, and how many of them nobody may see."""
    if side.source.time is None:
        return {}
    place, cutoff = side.place, side.source.fixed_as_of
    first, last = _one(join, f"SELECT min(t), max(t) FROM rows_{place}")
    found: dict[str, Any] = {
        "first": None if first is None else text_of(first),
        "last": None if last is None else text_of(last),
    }
    if cutoff is not None:
        (later,) = _one(join, f"SELECT count(*) FROM rows_{place} WHERE t >= {cutoff!r}")
        found["rows_ignored"] = later
    elif side.source.as_of_column is not None:
        (later,) = _one(
            join,
            f"SELECT count(*) FROM rows_{place} s JOIN (SELECT k{place} AS k, max(a{place}) AS a "
            f"FROM records WHERE code IS NULL GROUP BY 1) r ON s.k = r.k WHERE s.t >= r.a",
        )
        found["rows_ignored"] = later
    return found


def _warnings(sources: Mapping[str, dict[str, Any]]) -> list[str]:
    found = []
    for name, facts in sources.items():
        if not facts["there"]:
            found.append(f"{name} did not come, so its columns are missing in every row")
        elif not facts["matched"]:
            found.append(f"no row found any of {name}: are its keys written another way?")
        elif facts["as_of"] is None:
            found.append(f"{name} has no as_of, so rows of any time are seen")
    return found


def _few(join: Join, query: str) -> dict[str, Any]:
    return {"examples": _examples(join, query)}


def _examples(join: Join, query: str) -> list[str]:
    found = join.database.execute(f"SELECT k FROM ({query}) ORDER BY k LIMIT {EXAMPLES}").fetchall()
    return [key[:_SHOWN] for (key,) in found]


def _one(join: Join, query: str) -> tuple[Any, ...]:
    row: tuple[Any, ...] = join.database.execute(query).fetchall()[0]
    return row


def joined_rows(report: Mapping[str, Any] | None) -> dict[str, int]:
    """The records of each joined source."""
    return {name: facts["rows"] for name, facts in report["sources"].items()} if report else {}


# --- words ---------------------------------------------------------------------------------------


def facts_of(report: Mapping[str, Any]) -> dict[str, Any]:
    """The few figures that a run's history shows."""
    return {
        name: {
            "rows": facts["rows"],
            "match_rate": facts.get("match_rate"),
            "orphans": facts.get("orphans", {}).get("keys"),
            "quarantined": facts["quarantined"],
        }
        for name, facts in report["sources"].items()
    }


def rows_for_card(report: Mapping[str, Any] | None) -> list[tuple[str, str]]:
    """The join as lines of a table: what it is about, what to know."""
    if not report:
        return []
    return [
        *((f"joined: {name}", _sentence(facts)) for name, facts in report["sources"].items()),
        *_primary_words(report["primary"]),
        *(("join warning", warning) for warning in report["warnings"]),
    ]


def _sentence(facts: Mapping[str, Any]) -> str:
    if not facts["there"]:
        return "did not come"
    orphans, alone = facts["orphans"], facts["without_rows"]
    parts = [
        f"{facts['rows']:,} rows by {facts['key']}, found for {facts['match_rate']:.2%} of the rows"
    ]
    if orphans["keys"]:
        parts.append(
            f"{orphans['keys']:,} keys ({orphans['rows']:,} rows) belong to nobody, such as "
            f"{', '.join(orphans['examples'])}"
        )
    if alone["rows"]:
        parts.append(f"{alone['rows']:,} rows found none, such as {', '.join(alone['examples'])}")
    if facts["exact_duplicates"]:
        parts.append(f"{facts['exact_duplicates']:,} rows are exact copies (they count)")
    if facts["quarantined"]:
        parts.append(f"{facts['quarantined']:,} rows are in quarantine")
    if facts.get("first"):
        parts.append(f"from {facts['first']} to {facts['last']}")
    if facts["as_of"]:
        parts.append(f"as of {facts['as_of']}: {facts['rows_ignored']:,} later rows are not seen")
    return "; ".join(parts)


def _primary_words(facts: Mapping[str, Any]) -> list[tuple[str, str]]:
    if not facts["duplicate_keys"]:
        return []
    few = ", ".join(facts["duplicate_examples"])
    return [("duplicate keys", f"{facts['duplicate_keys']:,} stand there more than once: {few}")]
