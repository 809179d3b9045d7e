"""Why a row goes to quarantine: one code and one sentence per reason, for summaries and docs.

The reasons in a quarantine file are more exact ("age: must be at least 0 (it is '-1')"); the code
says which of these sentences they are an instance of. Standard library only.
"""

from __future__ import annotations

from dataclasses import dataclass

ROW_REASONS: dict[str, str] = {
    "width": "The row has more or fewer fields than there are columns.",
    "quote": "A quote is opened and never closed, so the rest of the file is in this row.",
    "not_an_object": "The line is not a JSON object.",
    "number": "A number column holds something that is not a finite number.",
    "time": "A time column holds something that is not a date or time.",
    "present": "A column that must be present is missing.",
    "range": "A value lies outside its required minimum or maximum.",
    "set": "A value is not one of those required.",
    "regex": "A text does not match its required pattern.",
    "unique": "A value that must be unique stood in an earlier row, and that row stays.",
    "max_age": "A time is older than required, counted from the file's arrival.",
    "rule": "The row breaks one of the spec's rules.",
    "target_missing": "The target is missing.",
    "target_label": "The target is not one of the model's labels.",
    "target_size": "The target is too large a number to learn from.",
    "no_time": "The time that the split goes by is missing.",
    "no_group": "The group that the split goes by is missing.",
    "key": "The key that joins the sources is missing.",
    "no_partner": "An inner join found no row of another source with this key.",
}


@dataclass(frozen=True, slots=True)
class BadRow:
    """A record that cannot be used; `record` counts from 1 within `source`. `cells` are as in the
    file, `codes` are keys of ROW_REASONS in the order of `reasons`. `role` and `names` (the columns
    of `cells`) are set for records of a joined source only: they get a quarantine file each."""

    source: str
    record: int
    cells: tuple[str, ...]
    reasons: tuple[str, ...]
    codes: tuple[str, ...] = ()
    role: str = ""
    names: tuple[str, ...] = ()
