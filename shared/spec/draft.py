"""Draft a model spec from a sample: what a person would write down after looking at a file.

Only `expect` is drafted (counted and monitored), never `require` (refuses): a sample shows what
was, not what must be. The draft works as it is; every guess that a person may want to change is a
note. Knows no files and no buckets and needs only the standard library.
"""

from __future__ import annotations

import difflib
import math
import shlex
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from shared.errors import BadSpec
from shared.serving.cells import CellRules
from shared.spec.drafting import hints
from shared.spec.drafting.columns import column_of
from shared.spec.drafting.looking import STANDARD_MISSING, Look, look, more_markers, rows_have
from shared.spec.drafting.notes import (
    date_parts,
    feature_notes,
    names_of,
    printable,
    pronoun,
    quoted,
    reasons,
)
from shared.spec.drafting.target import Goal, goal_of
from shared.spec.load import dump_spec
from shared.spec.model import Column, Expect, Source, Spec, Training
from shared.spec.sample import Sample, decimal_of

MANY_CELLS = 2_000_000
SHORT_SEARCH = timedelta(minutes=5)
IN_TIME = "known when a prediction is asked for"
ROOM = 1.5  # max_bad_rows is drafted this many times what the sample shows


@dataclass(frozen=True, slots=True)
class Wishes:
    """What a person said before the draft. `not_available`: known only afterwards. `available`:
    all other columns are known in time, whatever they look like. `allow_leak`: these are, though
    they nearly settle the target. `split_by`: a time column."""

    not_available: tuple[str, ...] = ()
    available: bool = False
    allow_leak: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    split_by: str | None = None


@dataclass(frozen=True, slots=True)
class Draft:
    """`doubtful` are features that may be known only afterwards; `times` are columns by which
    the rows could be split."""

    spec: Spec
    notes: tuple[str, ...]
    doubtful: tuple[str, ...] = ()
    times: tuple[str, ...] = ()


def draft(sample: Sample, target: str, wishes: Wishes | None = None) -> Draft:
    """A spec for files like this one, with sentences about what was guessed. Raises BadSpec for a
    target that cannot be learned or a file without any column to learn from."""
    wishes = wishes or Wishes()
    _check_names(sample, [target, *wishes.not_available, *wishes.allow_leak])
    rules, notes = _rules(sample, wishes.missing)
    goal = goal_of(target, sample.classes, rules)
    looks = {
        name: look(name, cells, rules)
        for name, cells in zip(sample.names, sample.columns, strict=True)
    }
    columns, why = _columns(looks, goal)
    notes += goal.notes + _left_out(why)
    columns, doubtful, more = _available(columns, looks, goal, wishes)
    notes += more + feature_notes(columns, looks, target)
    times = hints.splitting_times(columns, looks)
    training, more = _split(times, wishes.split_by, why)
    more += date_parts([name for name, column in columns.items() if _is_known_time(column)])
    training, said = _in_minutes(training, sample)
    more += said
    bad, said = _bad_rows(sample, looks, columns, goal)
    extra = tuple(mark for mark in rules.missing if mark not in STANDARD_MISSING)
    missing = (*Source().missing, *extra)
    source = _source(sample.source).model_copy(
        update={"missing": missing, "decimal": rules.decimal}
    )
    if not any(c.feature for name, c in columns.items() if name != target):
        raise BadSpec(_nothing_left(target, why, wishes))
    spec = Spec(task=goal.task, target=goal.target, source=source, columns=columns)
    spec = spec.model_copy(update={"training": training} | ({"max_bad_rows": bad} if bad else {}))
    return Draft(spec, (*notes, *more, *said), tuple(doubtful), tuple(times))


def spec_text(spec: Spec, notes: Iterable[str], file_name: str) -> str:
    """The draft as YAML: notes as comments, then the spec with a line for each column."""
    head = [f"# Drafted from {file_name}. `expect` is monitored; nothing here refuses a row."]
    head += [f"# - {note}" for note in notes]
    return "\n".join(map(printable, head)) + "\n" + dump_spec(spec)


# --- parts of a draft ----------------------------------------------------------------------------


def _check_names(sample: Sample, wanted: Iterable[str]) -> None:
    for name in wanted:
        if name not in sample.names:
            close = difflib.get_close_matches(name, sample.names, n=1)
            hint = f"did you mean {close[0]!r}? " if close else ""
            known = ", ".join(sample.names)
            raise BadSpec(f"the file has no column {name!r}: {hint}its columns are {known:.500}")


def _rules(sample: Sample, wished: Sequence[str]) -> tuple[CellRules, list[str]]:
    """How cells are read: decimal mark and missing markers, with notes about both."""
    notes = [] if sample.source.header else [_no_header(sample)]
    decimal = decimal_of(sample.columns)
    if decimal == ",":
        notes.append("Numbers are written with a decimal comma.")
    usual = (*Source().missing, *(mark for mark in wished if mark not in STANDARD_MISSING))
    more = more_markers(sample.columns, CellRules(missing=usual, decimal=decimal))
    found = {mark: count for mark, count in sorted(more.items()) if mark not in usual}
    notes += [f"{mark!r} is read as a missing value ({n} cells)." for mark, n in found.items()]
    return CellRules(missing=(*usual, *found), decimal=decimal), notes


def _no_header(sample: Sample) -> str:
    return (
        f"The file has no header: its {len(sample.names)} columns are named {sample.names[0]} to "
        f"{sample.names[-1]}; rename them here as you like."
    )


def _source(settled: Source) -> Source:
    """What a draft says about how files are written: what a file's name and first bytes tell
    anyway is left to them, so that files of another kind may follow."""
    if settled.format != "csv":
        return Source(header=settled.header)
    return Source(
        delimiter=settled.delimiter,
        encoding="latin-1" if settled.encoding == "latin-1" else "auto",
        header=settled.header,
    )


def _nothing_left(target: str, why: dict[str, list[str]], wishes: Wishes) -> str:
    found = reasons(why)
    if wishes.not_available:
        found.append(f"{names_of(wishes.not_available)}: not available")
    if not found:
        return f"the file has no column but {target} (cells are separated by one of , ; | or tab)"
    return f"no column is left to predict {target} from ({'; '.join(found)})"


def _columns(looks: dict[str, Look], goal: Goal) -> tuple[dict[str, Column], dict[str, list[str]]]:
    """All columns, and those left out by reason."""
    columns: dict[str, Column] = {}
    why: defaultdict[str, list[str]] = defaultdict(list)
    for name, seen in looks.items():
        if name == goal.target.column:
            columns[name] = Column(type="number" if goal.task == "regression" else "category")
            continue
        columns[name], reason = column_of(seen)
        if reason:
            why[reason].append(name)
    return columns, why


def _left_out(why: dict[str, list[str]]) -> list[str]:
    return [f"Left out: {text}." for text in reasons(why)]


def _available(
    columns: dict[str, Column], looks: dict[str, Look], goal: Goal, wishes: Wishes
) -> tuple[dict[str, Column], list[str], list[str]]:
    """Columns with those marked that are known only afterwards, the doubtful ones, and notes."""
    late, allowed = set(wishes.not_available), set(wishes.allow_leak)
    features = [
        looks[name]
        for name, column in columns.items()
        if column.feature and name != goal.target.column and name not in late
    ]
    open_ones = [seen for seen in features if seen.name not in allowed]
    given, notes = _given_away(looks[goal.target.column], open_ones, goal)
    if wishes.available:
        allowed, notes = allowed | given, []
    else:
        late |= given
    columns = {
        name: _marked(column, late=name in late, allowed=name in allowed)
        for name, column in columns.items()
    }
    rest = [seen.name for seen in features if seen.name not in late]
    doubtful = [] if wishes.available else hints.smells_of_afterwards(rest)
    if doubtful:
        notes.append(
            f"Assumed to be known when a prediction is asked for: {names_of(doubtful)}. If not, "
            f"draft again with {' '.join(f'--not-available {shlex.quote(n)}' for n in doubtful)}."
        )
    elif not wishes.available and rest:
        notes.append(
            "All features are assumed to be known when a prediction is asked for; give others "
            "`available_at_prediction: false`."
        )
    return columns, doubtful, notes


def _marked(column: Column, *, late: bool, allowed: bool) -> Column:
    if late and not column.exclude:
        return column.model_copy(update={"available_at_prediction": False, "expect": Expect()})
    return column.model_copy(update={"allow_leak": IN_TIME}) if allowed else column


def _given_away(target: Look, features: Sequence[Look], goal: Goal) -> tuple[set[str], list[str]]:
    """Columns that are the target under another name, unless there is no other, and notes."""
    given: set[str] = set()
    notes = []
    for names, sentence in hints.giveaways(target, features, regression=goal.task == "regression"):
        if given.union(names).issuperset(seen.name for seen in features):
            notes.append(f"{sentence}, and nothing else is there to predict it from.")
            continue
        given.update(names)
        notes.append(
            f"{sentence}, so {pronoun(names)} marked as known only afterwards "
            f"(available_at_prediction: false); --assume-available keeps {names_of(names)}."
        )
    return given, notes


def _split(
    times: Sequence[str], wished: str | None, why: Mapping[str, list[str]]
) -> tuple[Training, list[str]]:
    """Rows are split by time only when somebody wants it: a time may be a date of birth. `why`
    columns are left out."""
    if wished is not None:
        if wished not in times:
            for reason, names in why.items():
                if wished in names:
                    raise BadSpec(f"rows cannot be split by {wished!r}: {reason}")
            known = ", ".join(times) or "none of this file's"
            raise BadSpec(
                f"rows cannot be split by {wished!r}: that takes a column of dates or times, "
                f"filled everywhere and with {hints.MIN_MOMENTS} different ones; {known} will do"
            )
        return Training(split="time", time_column=wished), []
    if not times:
        return Training(), []
    line = f"training: {{split: time, time_column: {quoted(times[0])}}}"
    return Training(), [
        f"{times[0]} is a time. To compare on the newest rows instead of random ones, add: {line}"
    ]


def _is_known_time(column: Column) -> bool:
    return column.type == "time" and column.available_at_prediction


def _in_minutes(training: Training, sample: Sample) -> tuple[Training, list[str]]:
    """A shorter search for large files, so that a first answer comes while somebody waits."""
    if sample.rows * len(sample.names) < MANY_CELLS:
        return training, []
    note = "The file is large: time_limit ends the search early; longer may find a better model."
    return training.model_copy(update={"time_limit": SHORT_SEARCH}), [note]


def _odd_rows(numeric: Iterable[Look]) -> int:
    """Rows of the sample in which one of these columns of numbers has none."""
    odd: set[int] = set()
    for seen in numeric:
        texts = set(seen.odd)
        odd.update(row for row, cell in enumerate(seen.cells) if cell in texts)
    return len(odd)


def _bad_rows(
    sample: Sample, looks: dict[str, Look], columns: dict[str, Column], goal: Goal
) -> tuple[float | None, list[str]]:
    """A larger max_bad_rows where the sample needs it, so that the draft works as it is."""
    notes = [] if sample.whole else [f"Only the first {sample.rows:,} rows were looked at."]
    if sample.ragged:
        notes.append(
            f"{rows_have(sample.ragged)} not {len(sample.names)} cells and will be quarantined."
        )
    odd = _odd_rows(look for n, look in looks.items() if columns[n].feature and look.numeric)
    bad = (sample.ragged + goal.unusable + odd / max(sample.share, 1e-9)) / max(1, sample.rows)
    usual = float(Spec.model_fields["max_bad_rows"].default)
    if bad <= 0.8 * usual:
        return None, notes
    allowed = min(1.0, math.ceil(20 * ROOM * bad) / 20)
    notes.append(f"max_bad_rows is {allowed:g}, for {bad:.1%} of the rows cannot be used.")
    return allowed, notes
