"""Rules of a spec that go beyond one key: refused in words that say what to write."""

from __future__ import annotations

from typing import Any

import pytest

from shared.errors import BadSpec
from shared.spec.load import complaints, dump_value, load_spec
from shared.spec.model import RegisteredSpec

Body = dict[str, Any]
COLUMNS: Body = {"a": {"type": "number"}, "b": {}, "seen": {"type": "time"}, "y": {}}
CUSTOMERS: Body = {"key": "id"}
VISITS: Body = {
    "key": "id",
    "time": "at",
    "as_of": "2026-01-01",
    "aggregates": {"visits": "count", "spent": "sum(amount)", "days": "recency"},
}


def spec(**parts: Any) -> str:
    return dump_value({"task": "binary", "target": "y", **parts})


def joined(
    columns: Body | None = None,
    primary: Body | None = None,
    serving: Body | None = None,
    **visits: Any,
) -> str:
    """Customers with their visits, some keys of the latter changed (None leaves one out)."""
    changed = {key: value for key, value in {**VISITS, **visits}.items() if value is not None}
    sources = {"customers": {**CUSTOMERS, **(primary or {})}, "visits": changed}
    more = {"columns": columns, "serving": serving}
    return spec(sources=sources, **{key: value for key, value in more.items() if value})


def test_a_model_of_several_sources_knows_its_columns() -> None:
    """Derived columns are features, the key is none unless it is listed, and stands in files."""
    found = load_spec(joined({**COLUMNS, "spent": {"type": "number"}}), "m.yaml")
    assert (found.primary, found.main_source) == ("customers", found.sources["customers"])
    assert found.feature_names() == ["a", "b", "spent", "visits", "days"]
    assert found.file_columns(with_target=False) == ["id", "a", "b", "seen"]
    listed = load_spec(joined({**COLUMNS, "id": {}}), "m.yaml")
    assert "id" in listed.feature_names()
    assert listed.file_columns(with_target=True) == [*COLUMNS, "id"]


def test_keys_and_joined_columns_can_be_redacted() -> None:
    """The log keeps them as well; without columns the spec cannot know the names."""
    names = ["id", "spent", "seen"]
    assert load_spec(joined(COLUMNS, serving={"redact": names}), "m.yaml").serving.redact == (
        *names,
    )
    assert load_spec(spec(serving={"redact": ["any"]}), "m.yaml").serving.redact == ("any",)


TARGETS = [
    (spec(task="regression", target={"column": "y", "positive": "1"}), "target.positive is for"),
    (spec(target={"column": "y", "scale": 2}), "target.scale is for task: regression"),
    (spec(target={"column": "y", "low": 0}), "target.low is for task: regression"),
    (spec(task="regression", target={"column": "y", "low": 2, "high": 1}), "target: low 2 is not"),
    (spec(task="regression", target={"column": "y", "high": 1e300}), "high 1e+300 is beyond 1e+30"),
    (spec(target="z", columns={"yy": {}, "zz": {}}), "did you mean zz?"),
    (
        spec(
            target={"column": "y", "positive": ">50k"},
            columns={"a": {}, "y": {"require": {"values": ["<=50K", ">50K"]}}},
        ),
        "target.positive '>50k' is not among columns.y.require.values; did you mean >50K?",
    ),
    (spec(columns={"a": {}, "y": {"require": {"unique": True}}}), "require.unique is not for the"),
    (spec(columns={"a": {"exclude": True}, "y": {}}), "nothing to learn from"),
    (spec(columns={"a": {"type": "time"}, "y": {}}), "nothing to learn from"),
    (spec(serving={"redact": ["y"]}), "redact 'y' is the target, which no prediction"),
    (spec(columns=COLUMNS, serving={"redact": ["sen"]}), "'sen' is no column; did you mean seen?"),
    (joined(COLUMNS, serving={"redact": ["idd"]}), "redact 'idd' is no column"),
]
SERVINGS = [
    (spec(serving={"canary": {"steps": []}}), "serving.canary.steps: shares are between 0 and 1"),
    (spec(serving={"canary": {"steps": [0.2, 0.1]}}), "each larger than the one before"),
    (spec(serving={"canary": {"steps": [0.1, 1.5]}}), "shares are between 0 and 1"),
    (spec(serving={"canary": {"steps": [1.0]}}), "shares are between 0 and 1"),
    (spec(serving={"canary": {"stpes": [0.1]}}), "stpes is no key we know; did you mean steps?"),
    (spec(serving={"canary": {"max_duration": "0s"}}), "canary.max_duration is 0"),
    (
        spec(serving={"canary": {}, "log": "off"}),
        "serving.canary is judged from the prediction log",
    ),
    (
        spec(serving={"shadow": {}, "log": "off"}),
        "serving.shadow is judged from the prediction log",
    ),
    (
        spec(serving={"canary": {}, "log_sample": 0.001}),
        "of which log_sample 0.001 keeps too little; write 0.01 or more",
    ),
    (spec(serving={"canary": {"key": "y"}}), "canary.key 'y' is the target"),
    (
        spec(columns=COLUMNS, serving={"canary": {"key": "sen"}}),
        "canary.key 'sen' is no column; did you mean seen?",
    ),
    (joined(COLUMNS, serving={"canary": {"key": "customer"}}), "known here: a, b, seen"),
    (spec(serving={"canary": {"key": "b"}, "redact": ["b"]}), "canary.key 'b' is redacted"),
]
COLUMN_RULES = [
    (spec(columns={"a": {"expect": {"min": 2, "max": 1}}, "y": {}}), "a.expect: min 2 is above"),
    (spec(columns={"a": {"expect": {"values": []}}, "y": {}}), "expect.values is empty"),
    (spec(columns={"b": {"require": {"max": 1}}, "y": {}}), "require.max is for numbers, b is a"),
    (
        spec(columns={"a": {}, "t": {"type": "time", "expect": {"values": ["x"]}}, "y": {}}),
        "t.expect.values is for categories, t is a time",
    ),
    (spec(columns={"a": {"require": {"max_age": "7d"}}, "y": {}}), "write type: time if"),
    (spec(columns={"a": {"require": {"regex": "("}}, "y": {}}), "'(' is no regular expression"),
    (
        spec(columns={"a": {"require": {"unique": "often"}}, "y": {}}),
        "require.unique: Input should",
    ),
    (spec(columns={"a": {"allow_leak": "  "}, "y": {}}), "a.allow_leak is empty; say why"),
    (spec(columns={"a": {"type": "nummber"}, "y": {}}), "did you mean number?"),
    (spec(columns={"a": {"require": {"uniq": True}}, "y": {}}), "did you mean unique?"),
    (spec(columns={"a": {"expect": {"unique": True}}, "y": {}}), "unique is no key we know"),
    (spec(columns={"a": {"expect": {"min": 1e999}}, "y": {}}), "expect.min"),
]
RULES = [
    (spec(columns=COLUMNS, rules={"r": "a >"}), "rules.r cannot be read: "),
    (spec(columns=COLUMNS, rules={"r": "aa > 1"}), "rules.r uses 'aa', which is no column"),
    (spec(columns=COLUMNS, rules={"r": "a > 'x'"}), "rules.r does not fit: compares a number with"),
    (spec(columns=COLUMNS, rules={"r": "seen > 'soon'"}), "rules.r does not fit: 'soon' must be a"),
    (spec(columns=COLUMNS, rules={"r": "b = 'NA'"}), "is missing"),
    (
        spec(columns=COLUMNS, rules={"r": 5}),
        "rules.r: Input should be a valid string; 5 is no text",
    ),
]


def searched(ranges: dict[str, Any]) -> str:
    return spec(training={"search": ranges})


DERIVED = [
    (spec(columns=COLUMNS, derive={"d": "a *"}), "derive.d cannot be read: expected a column"),
    (spec(columns=COLUMNS, derive={"d": "a > 1"}), "derive.d cannot be read: this is a comparison"),
    (spec(columns=COLUMNS, derive={"d": "1 + 2"}), "derive.d cannot be read: this uses no column"),
    (spec(columns=COLUMNS, derive={"d": "exp(a)"}), "there is no function 'exp'"),
    (spec(columns=COLUMNS, derive={"d": "max(a)"}), "max takes 2 values, not 1"),
    (spec(columns=COLUMNS, derive={"d": "aa + 1"}), "derive.d uses 'aa', which is no column; did"),
    (spec(columns=COLUMNS, derive={"d": "b * 2"}), "derive.d does not fit: * needs numbers, not a"),
    (spec(columns=COLUMNS, derive={"d": "b"}), "derive.d does not fit: is a text; a model learns"),
    (spec(columns=COLUMNS, derive={"d": "seen + 1"}), "derive.d does not fit: gives a time"),
    (spec(columns=COLUMNS, derive={"d": "month(a)"}), "month needs a time, not a number"),
    (spec(columns=COLUMNS, derive={"d": "sqrt(seen)"}), "sqrt needs a number, not a time"),
    (spec(columns=COLUMNS, derive={"a": "a + 1"}), "derive.a is a column already; give what is"),
    (spec(derive={"d": "y * 2"}), "derive.d uses 'y', which is the target"),
    (
        spec(columns=COLUMNS, derive={"d": "a + 1", "e": "d * 2"}),
        "derive.e uses 'd', which is derived itself; write its expression out, in parentheses: (a",
    ),
    (spec(columns=COLUMNS, derive={"d": "d + a"}), "derive.d uses 'd', which is derived itself"),
    (
        spec(
            columns={**COLUMNS, "later": {"type": "number", "available_at_prediction": False}},
            derive={"d": "later / a"},
        ),
        "derive.d uses 'later', which is not available at prediction",
    ),
    (joined().replace("{task", "{derive: {visits: a + 1}, task"), "derive.visits is a column"),
    (spec(columns=COLUMNS, derive={"d": 5}), "derive.d: Input should be a valid string; 5 is no"),
]
TRAININGS = [
    (spec(training={"time_limit": "0s"}), "training.time_limit is 0; write a stretch of time"),
    (spec(monitoring={"window": 0}), "monitoring.window is 0; write a stretch"),
    (spec(promotion={"approval_expires": "36501d"}), "approval_expires is longer than 36500d"),
    (spec(retrain={"cooldown": "999999999d"}), "retrain.cooldown is longer than 36500d"),
    (joined(wait_hours=1e300), "wait_hours: Input should be less than or equal to 8760"),
    (spec(training={"split": "time"}), "time_column go together; write both"),
    (spec(training={"split": "grouped"}), "split: grouped and group_column go together"),
    (spec(training={"group_column": "b"}), "split: grouped and group_column go together"),
    (
        spec(columns=COLUMNS, training={"split": "grouped", "group_column": "bb"}),
        "training.group_column 'bb' is not among columns; did you mean b?",
    ),
    (spec(training={"split": "grouped", "group_column": "y"}), "is the target; name what rows"),
    (spec(training={"candidates": []}), "training.candidates is empty"),
    (spec(training={"candidates": ["linear", "linear"]}), "names one candidate twice"),
    (
        spec(columns=COLUMNS, training={"split": "time", "time_column": "sen"}),
        "training.time_column 'sen' is not among columns; did you mean seen?",
    ),
    (
        spec(columns=COLUMNS, training={"split": "time", "time_column": "a"}),
        "'a' is a number; write columns: {a: {type: time}}",
    ),
    (spec(training={"split": "time", "time_column": "y"}), "is the target; name the column"),
    (searched({"xgboost": {"depth": [1, 2]}}), "xgboost.depth is nothing that is searched; did"),
    (searched({"xgboost": {"max_depth": [5, 3]}}), "max_depth is [5, 3]; write the smaller end"),
    (searched({"xgboost": {"subsample": [0.5, 2]}}), "the library takes 0.05 to 1"),
    (searched({"xgboost": {"max_depth": [1.5, 3]}}), "both ends are whole numbers"),
    (
        spec(training={"candidates": ["linear"], "search": {"xgboost": {"max_depth": [2, 3]}}}),
        "training.search.xgboost is not among candidates",
    ),
    (spec(task="regression", training={"class_weight": "balanced"}), "is for binary tasks"),
]
WATCHED = [
    ({"number": "chi_square"}, "monitoring.statistics.number"),
    ({"category": "ks"}, "monitoring.statistics.category"),
    ({"columns": {"a": "chi_square"}}, "columns.a is chi_square, but a is a number; write one of"),
    ({"columns": {"b": "ks"}}, "but b is a category; write one of psi, js, chi_square"),
    ({"columns": {"d": "chi_square"}}, "but d is a number"),
    ({"columns": {"aa": "ks"}}, "'aa' is no column; did you mean a?"),
    ({"columns": {"seen": "psi"}}, "'seen' is no feature, so it is not watched"),
    ({"columns": {"y": "js"}}, "'y' is the target, which is judged by the statistic of its type"),
    ({"thresholds": {"psi": 0.2}}, "is monitoring.drift_threshold; write it there"),
    ({"thresholds": {"ks": 0}}, "thresholds.ks"),
]
SOURCES = [
    (spec(sources={"a": CUSTOMERS}), "sources names one source; for a single file"),
    (spec(sources={"a": VISITS, "b": VISITS}), "sources has no primary"),
    (spec(sources={"a": CUSTOMERS, "b": CUSTOMERS}), "has 2 primaries (a, b)"),
    (spec(sources={"A b": CUSTOMERS, "b": VISITS}), "'A b' is no name for a source"),
    (spec(sources={"a": CUSTOMERS, "../b": VISITS}), "'../b' is no name for a source"),
    (spec(sources={"a": CUSTOMERS, "b/c": VISITS}), "'b/c' is no name for a source"),
    (spec(sources={"a": CUSTOMERS, "b.c": VISITS}), "'b.c' is no name for a source"),
    (spec(sources={"a": CUSTOMERS, "": VISITS}), "'' is no name for a source"),
    (spec(sources={"a": CUSTOMERS, "b\n": VISITS}), "'b\\n' is no name for a source"),
    (spec(sources={"a": CUSTOMERS, "b" * 64: VISITS}), "is no name for a source"),
    (
        spec(sources={"a": CUSTOMERS, "corrected": VISITS}),
        "is kept for the files of rows that were",
    ),
    (spec(sources={"corrected": CUSTOMERS, "b": VISITS}), "sources.corrected has a name that is"),
    (spec(sources={"a": CUSTOMERS, "instances": VISITS}), "is kept for the records of a"),
    (spec(sources={"a": CUSTOMERS, "prediction_id": VISITS}), "such as prediction_id_rows"),
    (spec(sources={"b": CUSTOMERS, "c": VISITS}, columns=COLUMNS), "sources.b has the name of a"),
    (spec(sources={"c": CUSTOMERS, "b": VISITS}, columns=COLUMNS), "of the primary; use another"),
    (spec(sources={"c": CUSTOMERS, "id": VISITS}), "sources.id has the name of a column"),
    (spec(sources={"c": CUSTOMERS, "y": VISITS}), "sources.y has the name of a column"),
    (spec(sources={"c": CUSTOMERS, "v": {**VISITS, "as_of": "v"}}), "sources.v has the name of a"),
    (joined().replace("{task", "{source: {delimiter: ;}, task"), "source is for a model of one"),
    (joined(aggregates={"n": "count(x)"}), "sources.visits.aggregates.n cannot be read: count"),
    (joined(aggregates={"n": "avg(x)"}), "'avg(x)' is no aggregate; write count"),
    (joined(aggregates={"n": "last(x)"}, time=None, as_of=None), "last needs `time: COLUMN`"),
    (
        joined(aggregates={"n": "count over 7d"}, as_of=None),
        "n cannot be read: a window ends at a moment; declare `time: COLUMN` and `as_of`",
    ),
    (joined(aggregates={"n": "sum(x) over 1y"}), "'1y' is no duration; write 30s, 5m, 24h or 7d"),
    (joined(as_of=None), "days cannot be read: recency counts the days up to"),
    (joined(aggregates={"id": "count"}), "aggregates.id is the key"),
    (joined(aggregates={"y": "count"}), "target.column 'y' is added by a source"),
    (joined(as_of="31.01.2026"), "'31.01.2026' is no date; write it as 2026-01-31"),
    (joined(COLUMNS, as_of="sen"), "visits.as_of 'sen' is not among columns; did you mean seen?"),
    (joined(COLUMNS, as_of="a"), "visits.as_of 'a' is a number"),
    (joined(time=None), "as_of needs `time`"),
    (joined(defaults={"visit": 0}), "defaults.visit is no column that visits adds; did you mean"),
    (joined(defaults={"visits": "0"}), "defaults.visits is '0', but visits is a number"),
    (joined(defaults={"visits": [0]}), "defaults.visits: Input should be a valid"),
    (joined(columns=None, primary={"on_timeout": "without"}), "customers.on_timeout says how"),
    (joined(primary={"max_age": "7d"}), "customers.max_age is for joined sources"),
    (joined(primary={"key": "y"}), "customers.key 'y' is the target"),
    (joined(COLUMNS, primary={"time": "a"}), "customers.time 'a' is a number"),
    (joined(COLUMNS, primary={"header": False}), "customers.header is false, so columns must"),
    (
        joined({**COLUMNS, "visits": {}}),
        "columns.visits.type is category, but visits adds a number",
    ),
    (joined(header=False), "visits.header is false, so columns must list this file's"),
    (joined(columns=None).replace("key: id, time", "columns: [ID, at], key: id, time"), "'id' is"),
    (joined(sql="SELECT 1"), "aggregates and sql exclude each other"),
    (joined(aggregates=None, sql="SELECT id FROM visits"), "sql and sql_columns go together"),
    (
        joined(aggregates=None, sql="DROP TABLE visits", sql_columns={"n": "number"}),
        "visits.sql is no SELECT",
    ),
    (
        joined(
            COLUMNS,
            aggregates=None,
            as_of="seen",
            sql="SELECT id FROM visits",
            sql_columns={"n": "number"},
        ),
        "visits.as_of 'seen' is no date such as 2026-01-31; SQL sees the rows up to one moment",
    ),
    (joined(wait_hour=1), "did you mean wait_hours?"),
    (
        spec(sources={"a": CUSTOMERS, "b": VISITS, "c": VISITS}),
        "sources.c.aggregates.visits is added by b as well",
    ),
]


@pytest.mark.parametrize(
    ("text", "words"),
    [*TARGETS, *SERVINGS, *COLUMN_RULES, *RULES, *DERIVED, *TRAININGS, *SOURCES],
)
def test_a_broken_rule_is_a_sentence_that_helps(text: str, words: str) -> None:
    """It names the key and says what to write instead."""
    with pytest.raises(BadSpec) as caught:
        load_spec(text, "m.yaml")
    assert words in str(caught.value)
    assert "m.yaml, line " in str(caught.value)


DEEP = """\
task: binary
target: y
sources:
  customers: {key: id}
  visits:
    key: id
    aggregates:
      visits: count
      spent: total(amount)
columns:
  a.b:
    require:
      min: 3
  y: {}
rules:
  fine: a.b > 1
"""


def test_every_problem_has_its_own_line() -> None:
    """Also inside aggregates, require and rules, and for columns with a dot in their name."""
    with pytest.raises(BadSpec) as caught:
        load_spec(DEEP, "m.yaml")
    places = [line.split(": ")[0] for line in complaints(caught.value, "m.yaml")]
    assert places == ["m.yaml, line 9", "m.yaml, line 13", "m.yaml, line 16"]


def test_rules_made_later_do_not_make_a_stored_spec_unreadable() -> None:
    """What is in force stays readable; the next file is held to them."""
    good = load_spec(spec(columns=COLUMNS), "m.yaml").model_dump(mode="json")
    good["columns"]["b"]["expect"]["min"] = 1.0
    body = {"model": "m", "generation": 1, "spec": good, "registered": "", "source": ""}
    assert RegisteredSpec.of(body).spec.columns["b"].expect.min == 1


@pytest.mark.parametrize(("statistics", "sentence"), WATCHED)
def test_a_statistic_must_fit_its_column(statistics: Body, sentence: str) -> None:
    """Named with the key it is about and with what may stand there."""
    written = spec(columns=COLUMNS, derive={"d": "a + 1"}, monitoring={"statistics": statistics})
    with pytest.raises(BadSpec) as caught:
        load_spec(written, "m.yaml")
    assert sentence in str(caught.value)


def test_statistics_are_chosen_by_type_and_column() -> None:
    """What is not said stays PSI."""
    statistics = {"number": "wasserstein", "columns": {"d": "ks"}, "thresholds": {"ks": 0.2}}
    written = spec(columns=COLUMNS, derive={"d": "a + 1"}, monitoring={"statistics": statistics})
    found = load_spec(written, "m.yaml").monitoring.statistics
    assert (found.number, found.category) == ("wasserstein", "psi")
    assert (found.columns, found.thresholds) == ({"d": "ks"}, {"ks": 0.2})
