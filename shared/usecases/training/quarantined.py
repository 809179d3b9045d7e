"""Quarantine: bad rows with their reasons, as files that a person can mend and drop again.

    quarantine/<model>/<run>/rows.csv             rows of the (primary) file
                             rows-<source>.csv    rows of a joined source
                             summary.json         counts, examples, what quarantine did to the data

Written in parts while rows are read, so nothing is held in memory; nothing is written where every
row is good.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence

from shared import paths
from shared.documents import dumps
from shared.errors import TooManyBadRows
from shared.parts import Parts
from shared.tabular.reading.records import record_writer
from shared.tabular.validating.row_reasons import BadRow
from shared.tabular.validating.summarising import Summary
from shared.usecases.training.corrections import LEADING
from shared.usecases.training.stages import Training

CSV = "text/csv; charset=utf-8"


class Quarantine:
    """Writes the bad rows of one run. `names` are the columns of the (primary) file."""

    def __init__(self, run: Training, names: Sequence[str]) -> None:
        self._run, self._names = run, tuple(names)
        self._files: dict[str, Parts] = {}

    def add(self, bad: Iterable[BadRow]) -> None:
        lines: dict[str, list[BadRow]] = {}
        for row in bad:
            lines.setdefault(row.role, []).append(row)
        for role, rows in lines.items():
            self._write(role, rows)

    def close(self, summary: Summary, joined: Mapping[str, int] | None = None) -> None:
        """End the files and write the summary. `joined` are the rows of each joined source. Raises
        TooManyBadRows above the spec's share, of the rows to learn from or of a joined source."""
        for parts in self._files.values():
            parts.close()
        if not self._files:
            return
        run = self._run
        allowed = run.spec.max_bad_rows
        counts = {"": (summary.bad, summary.rows)}
        counts |= {role: (bad, (joined or {}).get(role, 0)) for role, bad in summary.others.items()}
        refused = next(
            (role for role, (bad, of) in counts.items() if _share(bad, of) > allowed), None
        )
        body = {
            **summary.to_json(),
            "max_bad_rows": allowed,
            "outcome": "accepted" if refused is None else "refused",
        }
        run.lake.write(
            paths.quarantine(run.model, run.version, "summary.json"),
            dumps(body),
            content_type="application/json",
        )
        if refused is not None:
            bad, of = counts[refused]
            raise TooManyBadRows(
                f"{bad} of {of} rows{' of ' if refused else ''}{refused} break the spec, allowed "
                f"are {allowed:.1%} (max_bad_rows). Most often: {summary.most_frequent()}. All of "
                f"them are in {self._name(refused)}"
            )

    def _write(self, role: str, rows: Sequence[BadRow]) -> None:
        parts = self._files.get(role)
        out = io.StringIO(newline="")
        writer = record_writer(out)
        if parts is None:
            name = self._name(role)
            folder = paths.quarantine(
                self._run.model, self._run.version, f"parts/{name.rpartition('/')[2]}/"
            )
            parts = self._files[role] = Parts(self._run.lake, name, folder, content_type=CSV)
            writer.writerow([*LEADING, *(rows[0].names or self._names)])
        for row in rows:
            reasons = "; ".join(row.reasons)
            writer.writerow([self._run.version, row.source, row.record, reasons, *row.cells])
        parts.write(out.getvalue().encode())

    def _name(self, role: str) -> str:
        file_name = f"rows-{role}.csv" if role else "rows.csv"
        return paths.quarantine(self._run.model, self._run.version, file_name)


def _share(bad: int, of: int) -> float:
    """Divided, so that 29 of 100 are 0.29; 0.29 * 100 is less than 29."""
    return bad / max(bad, of, 1)
