"""What differs between two specs, what of it a person approves, and what follows from it."""

from __future__ import annotations

import pytest

from shared.spec.consequences import consequences
from shared.spec.differences import differences, in_one_line
from shared.spec.load import load_spec
from shared.spec.model import Spec
from shared.spec.protected import asks_in, protected

BASE = """
task: binary
target: y
columns:
  a: {type: number}
  b: {}
  y: {}
"""
SOURCES = """
task: binary
target: y
sources:
  people: {key: id}
  visits: {key: id, aggregates: {n: count, total: sum(x)}}
"""


def spec(text: str = BASE) -> Spec:
    return load_spec(text, "m.yaml")


def changed(before: str, after: str, base: str = BASE) -> tuple[Spec, Spec]:
    assert before in base
    return spec(base), spec(base.replace(before, after))


@pytest.mark.parametrize(
    ("before", "after", "texts"),
    [
        ("  b: {}", "  b: {}", []),
        ("  b: {}", "  b: {exclude: true}", ["columns.b.exclude: false -> true"]),
        ("  b: {}\n", "", ["columns.b removed"]),
        ("  b: {}", "  b: {}\n  c: {type: number}", ["columns.c added {type: number}"]),
        ("  b: {}", "  b: {}\n  c: {}", ["columns.c added"]),
        ("  b: {}\n  y: {}", "  y: {}\n  b: {}", ["columns: order [a, b, y] -> [a, y, b]"]),
        (
            "task",
            "title: T\npromotion: {approval_expires: 1d}\ntask",
            ["promotion.approval_expires: 14d -> 1d", "title: '' -> T"],
        ),
        ("task", "rules: {r: a > 1}\ntask", ["rules.r added a > 1"]),
        (
            "b: {}",
            'b: {expect: {values: ["1", yes]}}',
            ["columns.b.expect.values: null -> ['1', 'yes']"],
        ),
        (
            "target: y",
            'target: {column: y, positive: ">50K"}',
            ["target.positive: null -> '>50K'"],
        ),
    ],
)
def test_each_key_is_told_with_its_old_and_new_value(
    before: str, after: str, texts: list[str]
) -> None:
    """One line per key, values as YAML has them, columns added and removed as such."""
    assert [str(item) for item in differences(*changed(before, after))] == texts


def test_entries_of_maps_come_and_go() -> None:
    """Aggregates of a source, by name."""
    found = differences(*changed("total: sum(x)", "mean: mean(x)", SOURCES))
    assert in_one_line(found) == (
        "sources.visits.aggregates.total removed; sources.visits.aggregates.mean added mean(x)"
    )


def test_a_long_list_is_cut() -> None:
    """A line in a chat stays a line."""
    wide = BASE + "".join(f"  c{i}: {{}}\n" for i in range(9))
    assert in_one_line(differences(spec(), spec(wide))).endswith("columns.c5 added; and 3 more")


@pytest.mark.parametrize(
    ("after", "keys"),
    [
        ("size: m", []),
        ("training: {trials: 9}", []),
        ("monitoring: {min_rows: 900}", []),
        ("training: {false_positive_ceiling: null}", ["training.false_positive_ceiling"]),
        ("promotion: {rule: not_worse}", ["promotion.rule"]),
        ("retrain: {on_drift: train}", ["retrain.on_drift"]),
        ("serving: {log: off}", ["serving.log"]),
        ("checks: {leakage: off}", ["checks.leakage"]),
        ("max_bad_rows: 0.5", ["max_bad_rows"]),
    ],
)
def test_policy_is_protected_and_nothing_else(after: str, keys: list[str]) -> None:
    """Who may serve, who may train, what errors may hide."""
    found = differences(spec(), spec(f"{BASE}title: T\n{after}\n"))
    assert len(found) == 2
    assert [item.key for item in protected(found)] == keys


def test_a_permission_to_leak_is_protected_wherever_it_appears() -> None:
    """On a column that is there, and on one that comes with it."""
    there = differences(*changed("b: {}", "b: {allow_leak: known before}"))
    new = differences(*changed("b: {}", "b: {}\n  c: {allow_leak: known before}"))
    assert [item.key for item in protected([*there, *new])] == ["columns.b.allow_leak", "columns.c"]


def test_one_asks_outside_ones_own_machine() -> None:
    """Local installations and the demo are somebody's own."""
    assert [asks_in(name) for name in ("local", "demo", "cloud", "production")] == [
        *(False, False),
        *(True, True),
    ]


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ("task: binary", "task: multiclass", ["task: the champion answers another", "is asked"]),
        (
            "b: {}",
            "b: {exclude: true}",
            ["features: -b. The champion needs b", "a person is asked"],
        ),
        ("  b: {}\n", "", ["-b", "files: those that still have b are refused"]),
        (
            "  b: {}",
            "  b: {}\n  c: {}",
            ["features: +c. The next version learns", "without c are refused"],
        ),
        ("b: {}", "b: {type: number}", ["types: b are read differently"]),
        (
            "task",
            "source: {delimiter: ;}\ntask",
            ["the next files are read with delimiter: auto ->"],
        ),
        ("b: {}", "b: {require: {present: true}}", ["require of b: the next files' rows"]),
        ("b: {}", "b: {expect: {values: [x]}}", ["expect of b: counted from the next"]),
        ("task", "training: {holdout: 0.3}\ntask", ["training.holdout: the next training holds"]),
        ("task", "training: {seed: 3}\ntask", ["which stays; the next search starts elsewhere"]),
        (
            "task",
            "training: {split: grouped, group_column: b}\ntask",
            ["another question (random rows -> whole groups of b)", "a person is asked"],
        ),
        (
            "task",
            "derive: {d: a + 1}\ntask",
            ["derive: +d. The next version learns from them; the champion goes on"],
        ),
        ("task", "training: {trials: 3}\ntask", ["training: the next training goes by it"]),
        ("task", "promotion: {rule: not_worse}\ntask", ["promotion: the next decision goes by it"]),
        ("task", "size: l\ntask", ["size: the next run gets"]),
        (
            "task",
            "serving: {redact: [b]}\ntask",
            ["kept without b, which training needs", "serving: comes with the next promotion"],
        ),
    ],
)
def test_a_change_is_told_with_its_consequences(before: str, after: str, words: list[str]) -> None:
    """What happens and when; runs that were asked for keep their generation."""
    old, new = changed(before, after)
    told = consequences(old, new, differences(old, new))
    for word in words:
        assert word in "\n".join(told)
    assert told[-1].startswith("It takes effect for the next file")


DAY = BASE.replace("  y: {}", "  day: {type: time, exclude: true}\n  y: {}")
DERIVED = DAY + "derive: {month: month(day)}\n"


def told(old: str, new: str, champion: str | None) -> str:
    found = differences(spec(old), spec(new))
    serves = spec(champion) if champion is not None else None
    return "\n".join(consequences(spec(old), spec(new), found, champion=serves))


def test_what_the_next_version_needs_is_asked_of_no_file_before_it_serves() -> None:
    """Of score files as of predictions; without a champion the spec in force decides at once."""
    text = told(BASE, DERIVED, BASE)
    assert "derive: +month. The next version learns from them; the champion goes on" in text
    assert "and both are compared as usual" in text
    assert "score files and predictions: the champion goes on without day. Once a" in text
    assert "training files without day are refused from the next one on" in text
    assert "score files: those without day are refused from the next" in told(BASE, DERIVED, None)


@pytest.mark.parametrize("without", [BASE, DAY])
def test_what_is_derived_no_more_is_not_learned_from(without: str) -> None:
    """The champion goes on needing it, so files must have it, and a person is asked."""
    text = told(DERIVED, without, DERIVED)
    assert "derive: -month. The next version does without them; the champion goes on" in text
    assert "The champion needs day, so it cannot be compared" in text
    assert "score files: day must be in each as long as the champion serves" in text
    assert ("training files that still have day are refused" in text) == (without == BASE)


def test_a_spec_that_goes_back_asks_nothing_of_a_champion_that_never_followed() -> None:
    """What counts is what the version that serves was trained by, not what is in force."""
    text = told(DERIVED, BASE, BASE)
    assert "derive: -month. The next version does without them" in text
    assert "both are compared as usual" in text
    assert "score files" not in text
    assert "files: those that still have day are refused" in text
    gone = told(BASE.replace("  b: {}", "  b: {}\n  c: {}"), BASE, BASE)
    assert "features: -c. The champion never needed c" in gone


def test_what_is_derived_otherwise_is_told_apart() -> None:
    """New or changed ones teach, the others are left out."""
    more = DAY + "derive: {month: month(day), twice: a * 2}\n"
    text = told(more, DAY + "derive: {month: day(day), half: a / 2}\n", more)
    assert "derive: +half ~month -twice. The next version learns from these, without twice" in text


def test_a_first_spec_says_who_decides_about_its_first_version() -> None:
    """Nothing to compare with, but there is something to know."""
    first = consequences(None, spec(), [])
    assert "files that wait for its spec are released" in first[0]
    assert "A person is asked" in first[1]
    auto = consequences(None, spec(BASE + "promotion: {approval: auto}"), [])
    assert "without asking anybody" in auto[1]


def test_no_difference_has_no_consequence() -> None:
    """Nothing is told for nothing."""
    assert consequences(spec(), spec(), []) == []


def test_other_ways_of_joining_are_told() -> None:
    """Sources name what differs; derived features count as features."""
    old, new = changed("total: sum(x)", "total: mean(x)", SOURCES)
    (told, _) = consequences(old, new, differences(old, new))
    assert told == (
        "sources: the next batches are read, and those to train joined, with "
        "visits.aggregates.total: sum(x) -> mean(x). The champion goes on joining as it learned."
    )
