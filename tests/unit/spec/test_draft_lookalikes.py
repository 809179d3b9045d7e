"""Drafts of files that look like public data sets work as they are: nothing is lost when the files
are read with them, and what people would have written down is in them."""

from __future__ import annotations

from pathlib import Path

import pytest

from shared.cli.drafting import draft_file
from shared.files import guards
from shared.serving.columns import Schema
from shared.spec.draft import spec_text
from shared.spec.load import load_spec
from shared.spec.model import Spec
from shared.tabular.reading.sheets import open_sheet
from shared.tabular.targets import outcome_of
from tests.support.lookalikes import LOOKALIKES, Lookalike

ALL = pytest.mark.parametrize("looks", LOOKALIKES, ids=[item.name for item in LOOKALIKES])


def written(looks: Lookalike, folder: Path) -> Path:
    path = folder / looks.name
    path.write_bytes(looks.make(looks.rows))
    return path


def drafted(looks: Lookalike, folder: Path) -> Spec:
    """The spec as a person gets it: through its text."""
    found = draft_file(written(looks, folder), looks.target)
    return load_spec(spec_text(found.spec, found.notes, looks.name), "m.yaml")


@ALL
def test_a_draft_finds_what_is_there(looks: Lookalike, tmp_path: Path) -> None:
    """Dialect, task, types, and columns that are no features."""
    spec = drafted(looks, tmp_path)
    source = spec.source
    assert (spec.task, spec.target.positive) == (looks.task, looks.positive)
    assert source.delimiter in (looks.delimiter, "auto")
    assert source.encoding == "auto"  # the next file may be written in the other way
    assert (source.decimal, source.header) == (looks.decimal, looks.header)
    features = spec.feature_names()
    found = {name: spec.columns[name].type for name in (*looks.numbers, *looks.texts)}
    assert found == dict.fromkeys(looks.numbers, "number") | dict.fromkeys(looks.texts, "category")
    assert set(found) <= set(features)
    assert [n for n, c in spec.columns.items() if c.type == "time"] == list(looks.times)
    assert not set(looks.left_out) & set(features)
    assert len(features) == looks.features


@ALL
def test_no_row_is_lost_under_a_draft(looks: Lookalike, tmp_path: Path) -> None:
    """The door lets the file in, good and quarantined rows are all rows, and those quarantined are
    the ones that nothing can be learned from, fewer than the draft allows."""
    spec = drafted(looks, tmp_path)
    path = tmp_path / looks.name
    head = path.read_bytes()[: guards.HEAD_BYTES]
    guards.check_head(head, path.stat().st_size, spec, "train", name=looks.name)
    good, bad = sifted(path, spec)
    assert good + bad >= looks.rows
    assert bad <= min(looks.quarantined * (good + bad), spec.max_bad_rows * (good + bad))


def sifted(path: Path, spec: Spec) -> tuple[int, int]:
    """Rows of a file that a training with this spec could use, and the others."""
    schema = Schema.of(spec)
    names = None if spec.source.header else spec.file_columns(with_target=True)
    good = bad = 0
    with path.open("rb") as stream:
        sheet = open_sheet(stream, spec.source, name=path.name, names=names)
        for block in sheet.blocks:
            cells = {name: column.to_pylist() for name, column in block.cells.items()}
            target = cells[spec.target.column]
            _, problems = schema.from_cells({name: cells[name] for name in schema.names})
            unknown = outcome_of(spec, target, schema).parse(target).problems
            broken = {problem["row"] for problem in problems} | set(unknown)
            good += len(block) - len(broken)
            bad += len(broken) + len(block.ragged)
    return good, bad


@ALL
def test_a_draft_fits_one_screen(looks: Lookalike, tmp_path: Path) -> None:
    """A line for each column and a few notes, for files of fewer than 25 columns."""
    found = draft_file(written(looks, tmp_path), looks.target)
    if len(found.spec.columns) < 25:
        assert len(spec_text(found.spec, found.notes, looks.name).splitlines()) <= 40
