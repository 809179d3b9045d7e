"""What a changed spec will do, and when, in sentences. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from shared.spec.differences import Difference
from shared.spec.model import Spec
from shared.spec.serving import canary_plan, redaction_costs

_PARTS = {
    "rules": "rules: the next files are checked with them; a row that breaks one goes to "
    "quarantine.",
    "checks": "checks: the next training looks with them.",
    "max_bad_rows": "max_bad_rows: judged from the next file on.",
    "promotion": "promotion: the next decision goes by it, also about a version that trains now; "
    "open questions stay open.",
    "serving": "serving: comes with the next promotion; the champion goes on as it is.",
    "scoring": "scoring: the next file to be scored comes back in that form.",
    "monitoring": "monitoring: windows are judged by it from now on; earlier verdicts stay.",
    "labels": "labels: the next labels file is read by it, and the next window judged.",
    "retrain": "retrain: the next alert is decided by it, and a refresh from now on.",
    "size": "size: the next run gets machines of that size.",
    "title": "title: stands on the next version's card.",
}
_UNTOLD = {"seed", "holdout", "split", "group_column", "time_column"}
_ASKED = "the next version is not comparable with it and a person is asked."


def consequences(
    old: Spec | None, new: Spec, found: Sequence[Difference], *, champion: Spec | None = None
) -> list[str]:
    """What weighs most comes first. `old` is the spec in force, None for a new model; `found` is
    what differs; `champion` is the generation that the version which serves was trained by, None
    where that is not known or none serves."""
    if old is None:
        return list(_first(new))
    if not found:
        return []
    learned = champion if champion is not None and champion.columns else old
    return [
        *_question(old, new),
        *_features(old, new, learned),
        *_derived(old, new, learned),
        *_scored(old, new, champion),
        *_files(old, new, champion),
        *_read(found),
        *_rows(found),
        *_training(old, new),
        *redaction_costs(new if new.serving.redact != old.serving.redact else None),
        *canary_plan(old, new),
        *(text for key, text in _PARTS.items() if any(item.path[0] == key for item in found)),
        "It takes effect for the next file; runs that were asked for keep their generation.",
    ]


def _first(new: Spec) -> Iterator[str]:
    yield (
        "The model becomes known: files that wait for its spec are released, and the next ones are "
        "taken in at once."
    )
    if new.promotion.approval == "auto":
        yield "Its first version serves without asking anybody (promotion.approval: auto)."
    else:
        yield "A person is asked before its first version serves."
    yield from redaction_costs(new)
    yield from canary_plan(None, new)


def _question(old: Spec, new: Spec) -> Iterator[str]:
    if old.task != new.task:
        yield f"task: the champion answers another question ({old.task}); {_ASKED}"
    elif old.target.column != new.target.column:
        yield f"target: the champion predicts {old.target.column}; {_ASKED}"
    elif old.target.positive != new.target.positive:
        yield f"target.positive: the champion serves another class's probability; {_ASKED}"
    if old.target.scale != new.target.scale:
        yield "target.scale: the next card's metrics are in another unit than those before."
    if (old.target.low, old.target.high) != (new.target.low, new.target.high):
        yield (
            "target.low, target.high: the next version's answers are kept within them; the "
            "champion's go on as they are."
        )


def _features(old: Spec, new: Spec, learned: Spec) -> Iterator[str]:
    if not old.columns or not new.columns:
        if old.columns != new.columns:
            how = "are those of the spec" if new.columns else "are inferred from its file"
            yield f"columns: in the next training they {how}."
        return
    before, after = old.feature_names(), new.feature_names()
    added = [f"+{name}" for name in after if name not in before]
    gone = [f"-{name}" for name in before if name not in after]
    if (asked := _incomparable(learned, new)) and (added or gone):
        yield f"features: {' '.join(added + gone)}. {asked}"
    elif gone:
        yield (
            f"features: {' '.join(added + gone)}. The champion never needed {_minus(gone)}, and "
            "the next version is compared with it as usual."
        )
    elif added:
        yield (
            f"features: {' '.join(added)}. The next version learns from them and is compared with "
            "the champion as usual."
        )
    types = {name: column.type for name, column in old.all_columns.items()}
    retyped = [n for n in after if n in before and types[n] != new.all_columns[n].type]
    if retyped:
        yield (
            f"types: {_names(retyped)} are read differently by the next version; the champion goes "
            "on as it learned."
        )


def _incomparable(learned: Spec, new: Spec) -> str:
    """Why a person is asked, nothing where both can answer for the new rows: of which only what
    the next version is asked with is kept, whatever else is in the file."""
    lost = [name for name in _inputs(learned) if name not in _inputs(new)]
    if not lost:
        return ""
    return (
        f"The champion needs {_names(lost)}, so it cannot be compared on the new columns: a person "
        "is asked about the next version."
    )


def _derived(old: Spec, new: Spec, learned: Spec) -> Iterator[str]:
    before, after = old.derive, new.derive
    if before == after:
        return
    gone = [f"-{name}" for name in before if name not in after]
    made = [
        *(f"+{name}" for name in after if name not in before),
        *(f"~{name}" for name in after if name in before and before[name] != after[name]),
    ]
    does = "learns from them" if made else "does without them"
    if made and gone:
        does = f"learns from these, without {_minus(gone)}"
    text = (
        f"derive: {' '.join(made + gone)}. The next version {does}; the champion goes on with its "
        "own"
    )
    asked = _incomparable(learned, new) if new.columns else ""
    if not asked:
        yield f"{text}, and both are compared as usual."
    elif set(old.feature_names()) == set(new.feature_names()):
        yield f"{text}. {asked}"
    else:
        yield f"{text}."  # that a person is asked is told with the features


def _scored(old: Spec, new: Spec, champion: Spec | None) -> Iterator[str]:
    """What files to be scored and predictions come with, now and later. It goes by the version
    that answers; where nothing is known of it, files go by the spec in force."""
    learned = champion or old
    if not learned.columns or not new.columns or _inputs(old) == _inputs(new):
        return
    added = {*new.derived, *learned.derived}  # by other files
    before, after = (
        [name for name in _inputs(spec) if name not in added] for spec in (learned, new)
    )
    more = _names(name for name in after if name not in before)
    less = _names(name for name in before if name not in after)
    if more and champion is None:
        yield f"score files: those without {more} are refused from the next one on."
    elif more:
        yield (
            f"score files and predictions: the champion goes on without {more}. Once a version "
            f"serves that was trained by this spec, score files without {more} are refused, and "
            "in predictions it counts as missing."
        )
    if less and champion is not None:
        yield (
            f"score files: {less} must be in each as long as the champion serves; a version that "
            "was trained by this spec does without."
        )


def _inputs(spec: Spec) -> list[str]:
    """What a version that learns by this spec is asked with."""
    return [*spec.feature_names(), *spec.carried_names()]


def _files(old: Spec, new: Spec, champion: Spec | None) -> Iterator[str]:
    before = _needed(old)
    needed = [name for name in _needed(new) if name not in before] if old.columns else []
    if needed:
        yield f"files: training files without {_names(needed)} are refused from the next one on."
    refused = [name for name in old.columns if name not in new.all_columns] if new.columns else []
    scored = [name for name in refused if champion is not None and name in champion.all_columns]
    for what, names in (
        ("those", [name for name in refused if name not in scored]),
        ("training files", scored),
    ):
        if names:
            yield (
                f"files: {what} that still have {_names(names)} are refused; to go on accepting "
                "them, keep the column with exclude: true."
            )


def _read(found: Sequence[Difference]) -> Iterator[str]:
    single = [item for item in found if item.path[0] == "source"]
    if single:
        yield f"source: the next files are read with {_settings(single)}."
    joined = [item for item in found if item.path[0] == "sources"]
    if joined:
        yield (
            f"sources: the next batches are read, and those to train joined, with "
            f"{_settings(joined)}. The champion goes on joining as it learned."
        )


def _rows(found: Sequence[Difference]) -> Iterator[str]:
    for part, text in (
        ("require", "the next files' rows are judged by it, and predictions after a promotion."),
        ("expect", "counted from the next training on; nothing is refused."),
    ):
        names = dict.fromkeys(item.path[1] for item in found if item.path[2:3] == (part,))
        if names:
            yield f"{part} of {_names(names)}: {text}"


def _training(old: Spec, new: Spec) -> Iterator[str]:
    before, after = old.training, new.training
    if before.seed != after.seed:
        yield (
            "training.seed: it decided the split at the first training, which stays; the next "
            "search starts elsewhere."
        )
    if before.holdout != after.holdout:
        yield (
            "training.holdout: the next training holds out that share; rows that the champion was "
            "fitted on are not compared on."
        )
    if _split(old) != _split(new):
        yield (
            f"training.split: what is asked of a version is another question ({_split(old)} -> "
            f"{_split(new)}). The next training holds out other rows; those that the champion was "
            "fitted on are not compared on, and where too few are left a person is asked."
        )
    if before.model_dump(exclude=_UNTOLD) != after.model_dump(exclude=_UNTOLD):
        yield "training: the next training goes by it."


def _split(spec: Spec) -> str:
    """How rows get their side, in a few words."""
    training = spec.training
    if training.split == "random":
        return "random rows"
    if training.split == "grouped":
        return f"whole groups of {training.group_column}"
    return f"the newest rows by {training.time_column}"


def _needed(spec: Spec) -> list[str]:
    """Columns without which a training file is refused."""
    names = spec.file_columns(with_target=True)
    used = spec.carried_names()
    return [
        name
        for name in names
        if name in used
        or name in (spec.training.group_column, spec.training.time_column)
        or name not in spec.columns
        or not spec.columns[name].exclude
    ]


def _settings(found: Sequence[Difference]) -> str:
    """What differs, without the key that all have in common."""
    return "; ".join(str(item).partition(".")[2] for item in found)


def _minus(marks: Iterable[str]) -> str:
    return _names(name.removeprefix("-") for name in marks)


def _names(names: Iterable[str]) -> str:
    found = list(names)
    more = f" and {len(found) - 8} more" if len(found) > 8 else ""
    return ", ".join(found[:8]) + more
