"""Which columns a file must have for a spec, and what to say of one that has others. Pure;
standard library only."""

from __future__ import annotations

import difflib
import unicodedata
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from shared.errors import HeaderMismatch
from shared.routes import Intent
from shared.serving.sources.aggregate_functions import parse
from shared.spec.model import JoinedSource, Source, Spec

_FEW = 12  # names that a message spells out
_LONG = 60  # characters of one that it shows


@dataclass(frozen=True, slots=True)
class Served:
    """The version that will score a file, and the generation of the spec it was trained by."""

    version: str
    number: str | None
    generation: int
    spec: Spec

    def __str__(self) -> str:
        name = self.number or self.version
        which = f"generation {self.generation} of the spec"
        return f"version {name}, which serves and was trained by {which}"


@dataclass(frozen=True, slots=True)
class Wanted:
    """`needed` columns must be there; `known` may be, and others are refused (`known` None: any
    may). The order is free. `by` names the version that needs them, if it is not the spec."""

    needed: tuple[str, ...]
    known: frozenset[str] | None
    by: str = ""

    @property
    def expected(self) -> frozenset[str]:
        return frozenset(self.needed) | (self.known or frozenset())


def wanted_columns(spec: Spec, intent: Intent, source: str = "") -> Wanted:
    """Columns of a training or score file, or of one of several sources. Derived columns are in
    no file; what predictions do not need may be absent from score files."""
    if intent == "label":
        return Wanted(("prediction_id",), frozenset(label_columns(spec)))
    joined = spec.sources.get(source)
    if joined is not None and not joined.primary:
        return Wanted(tuple(dict.fromkeys(_read_by(joined))), None)
    joins = _joins_of(spec)
    needed = [
        name for name in spec.file_columns(with_target=True) if _is_needed(spec, name, intent)
    ]
    if not spec.columns and intent == "train":
        needed = [spec.target.column]
    known = frozenset(spec.columns) | frozenset(joins) if spec.columns else None
    if known is not None and intent == "score":
        known |= spec.derived.keys()  # they may come ready-made
    return Wanted(tuple(dict.fromkeys([*needed, *joins])), known)


def scored_columns(spec: Spec, served: Served | None, source: str = "") -> Wanted:
    """Columns of a file that is to be scored by `served`: it needs its own, and may have those of
    the spec in force as well, for which the files are written by now."""
    if served is None:
        return wanted_columns(spec, "score", source)
    joined = spec.sources.get(source)
    if joined is not None and not joined.primary:
        theirs = served.spec.sources.get(source)
        needed = _read_by(theirs) if theirs is not None and not theirs.primary else []
        return Wanted(tuple(dict.fromkeys(needed)), None, str(served))
    mine, wanted = wanted_columns(spec, "score"), wanted_columns(served.spec, "score")
    known = None if mine.known is None or wanted.known is None else mine.known | wanted.known
    return Wanted(wanted.needed, known, str(served))


def scored_layouts(spec: Spec, served: Served | None) -> list[list[str]]:
    """Columns that a file without header may have, to choose from by width: as the spec in force
    names them, else as the one did that `served` learned by. Both widths may fit: the file's own
    says whether the target is in it."""
    layouts = _layouts(spec)
    if served is None:
        return layouts
    if not served.spec.main_source.header:
        layouts += _layouts(served.spec)
    needed = set(wanted_columns(served.spec, "score").needed)
    return [names for names in layouts if needed.issubset(names)] or layouts


def _layouts(spec: Spec) -> list[list[str]]:
    return [spec.file_columns(with_target=target) for target in (False, True)]


def label_columns(spec: Spec) -> tuple[str, ...]:
    """What a labels file may have beside what its owner likes."""
    labels = spec.labels
    by_key = (labels.key, labels.time) if labels.key is not None else ()
    names = ("prediction_id", "label", spec.target.column, "label_time", *by_key)
    return tuple(dict.fromkeys(names))


def missing_label_columns(header: Collection[str], spec: Spec) -> list[str]:
    """What a labels file lacks, in words."""
    labels, target = spec.labels, spec.target.column
    missing = []
    if "prediction_id" not in header:
        if labels.key is None:
            missing.append("prediction_id")
        elif labels.key not in header:
            missing.append(f"prediction_id (or {labels.key} and {labels.time})")
        elif labels.time not in header:
            missing.append(f"{labels.time} (which says of which prediction of a {labels.key})")
    if "label" not in header and target not in header:
        missing.append(f"label (or {target})")
    return missing


def label_source(spec: Spec) -> Source:
    """How labels are written: CSV with a header, often made of predictions.csv, so delimiter and
    encoding are looked for and not those of the model's own files."""
    auto = {"delimiter": "auto", "encoding": "auto", "header": True, "format": "csv"}
    return spec.main_source.model_copy(update=auto)


def _is_needed(spec: Spec, name: str, intent: Intent) -> bool:
    if name == spec.target.column:
        return intent == "train"
    column = spec.columns.get(name)
    if column is not None and name in spec.carried_names():
        return True
    if name in (spec.training.group_column, spec.training.time_column):
        return intent == "train" or (column is not None and column.feature)
    if column is None or column.exclude:  # a key that is not listed is needed for the join
        return False
    return intent == "train" or column.feature


def _joins_of(spec: Spec) -> list[str]:
    """What the primary must have for the other sources to be joined to it."""
    found: list[str] = []
    for source in spec.sources.values():
        found.append(source.key)
        if not source.primary and source.as_of in spec.columns:
            found.append(str(source.as_of))
    return list(dict.fromkeys(found))


def _read_by(source: JoinedSource) -> list[str]:
    """What a joined source reads of its file; what its SQL reads is known to the job only."""
    if source.sql is not None:
        return list(source.columns)
    inputs = [parse(text).column for text in source.aggregates.values()]
    return [source.key, *([source.time] if source.time else []), *filter(None, inputs)]


def check_columns(names: Sequence[str], wanted: Wanted, *, strict: bool, hint: str = "") -> None:
    """Raises HeaderMismatch with what is missing, unknown, renamed or twice there. `strict` refuses
    unknown columns; one without a name is never refused."""
    twice = [name for name, count in Counter(names).items() if count > 1]
    missing = [name for name in wanted.needed if name not in names]
    unknown = unknown_columns(names, wanted.known)
    extra = unknown if strict or missing else []
    if not (twice or missing or (extra and strict)):
        return
    renamed = _renamed(missing, extra)
    parts = [
        f"{what}: {_few(found)}"
        for what, found in (
            ("missing", [name for name in missing if name not in renamed.values()]),
            ("not in the spec", [repr(name) for name in extra if name not in renamed]),
            ("more than once", twice),
        )
        if found
    ]
    parts += [_likeness(extra[:_LONG], name[:_LONG]) for extra, name in [*renamed.items()][:_FEW]]
    whose, also = "the spec", ", or drop a changed spec first"
    if wanted.by and missing:
        whose, also = wanted.by, ""  # no spec changes what a version has learned
    raise HeaderMismatch(
        f"the header does not fit {whose} ({'; '.join(parts)}){hint}. Fix the file{also}"
    )


def check_width(
    row: Sequence[str], spec: Spec, layouts: Sequence[Sequence[str]], source: Source
) -> None:
    """Refuse the first row of a file without header that fits none of its `layouts`. Raises
    HeaderMismatch."""
    widths = {len(names) for names in layouts}
    if len(row) not in widths:
        raise HeaderMismatch(
            f"the first row has {len(row)} fields, the spec (source.header: false) names "
            f"{' or '.join(map(str, sorted(widths)))} columns; is the delimiter really "
            f"{source.delimiter!r}?"
        )
    names = {name.casefold() for name in spec.columns}
    if names.issuperset(cell.casefold() for cell in row) and len(set(row)) > 1:
        raise HeaderMismatch(
            "the first row holds column names, but the spec says source.header: false; remove the "
            "row, or change the spec"
        )


def unknown_columns(names: Sequence[str], known: Collection[str] | None) -> list[str]:
    """Columns that a spec does not know, but for those that had no name in the header."""
    return [
        name
        for place, name in enumerate(names, start=1)
        if known is not None and name not in known and name != f"column_{place}"
    ]


def _renamed(missing: Sequence[str], extra: Sequence[str]) -> dict[str, str]:
    """Unknown names, each with the missing one that it was probably meant to be."""
    left = {_plain(name): name for name in missing[:200]}
    found: dict[str, str] = {}
    for name in extra[:200]:
        plain = _plain(name)
        near = [plain] if plain in left else difflib.get_close_matches(plain, left, 1, 0.75)
        if near:
            found[name] = left.pop(near[0])
    return found


def _likeness(extra: str, name: str) -> str:
    if unicodedata.normalize("NFC", extra) == unicodedata.normalize("NFC", name):
        # Both look the same wherever they are shown.
        return f"{extra!a} is {name!a} in another Unicode form"
    return f"{extra!r} looks like {name!r}"


def _plain(name: str) -> str:
    """The name without case, blanks and punctuation."""
    composed = unicodedata.normalize("NFC", name).casefold()
    return "".join(char for char in composed if char.isalnum()) or name


def _few(names: Sequence[str]) -> str:
    few = [name if len(name) <= _LONG else f"{name[:_LONG]}..." for name in names[:_FEW]]
    more = f" and {len(names) - _FEW} more" if len(names) > _FEW else ""
    return ", ".join(few) + more
