"""The demo's data: found, downloaded and checked, or made up (and then said so), and cut into the
files that a user would drop."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from random import Random

import urllib3

from shared.cli.demo.synthetic import synthetic_rows
from shared.cli.demo.use_cases import Row, UseCase

SEED = 7
SCORE_ROWS = 2_500
SHIFTED_ROWS = 3_600
CONNECT_SECONDS, READ_SECONDS = 4.0, 15.0
MAX_BYTES = 32 * 1024 * 1024


@dataclass(frozen=True)
class Found:
    """Rows of cells in file order, and a sentence on where they come from."""

    rows: list[Row]
    origin: str
    synthetic: bool


@dataclass(frozen=True)
class Cut:
    """The files of the demo. `truths` are the targets of the shifted rows, in their order;
    `question` is one record of the score file and its true answer."""

    train: Path
    score: Path
    shifted: Path
    truths: list[str]
    question: dict[str, str]
    answer: str
    train_rows: int


# --- finding -------------------------------------------------------------------------------------


def find(use_case: UseCase, *, folder: Path | None, cache: Path) -> Found:
    """Look in `folder` (MILLRACE_DATA), then in `cache`, then download, then make it up."""
    for place in (folder, cache):
        data = _read(place / use_case.file_name) if place else None
        if data is not None and _is_right(data, use_case):
            return Found(_parse(data, use_case), f"original file {use_case.file_name}", False)
        if data is not None and place is folder:
            # A person put it there and should know why it is not taken.
            problem = f"{use_case.file_name} in MILLRACE_DATA is another file (SHA-256 differs)"
            return _stand_in(use_case, problem)
    try:
        data = _download(use_case.url)
    except (urllib3.exceptions.HTTPError, OSError) as error:
        return _stand_in(use_case, f"no download ({type(error).__name__})")
    if not _is_right(data, use_case):
        return _stand_in(use_case, f"{use_case.url} gave another file (SHA-256 differs)")
    cache.mkdir(parents=True, exist_ok=True)
    (cache / use_case.file_name).write_bytes(data)
    return Found(_parse(data, use_case), f"downloaded from {use_case.url}", False)


def _stand_in(use_case: UseCase, why: str) -> Found:
    return Found(
        synthetic_rows(use_case),
        f"SYNTHETIC STAND-IN, same columns, made-up people and places: {why}",
        True,
    )


def _read(file: Path) -> bytes | None:
    packed = file.with_name(file.name + ".gz")
    if file.is_file():
        return file.read_bytes()
    return gzip.decompress(packed.read_bytes()) if packed.is_file() else None


def _is_right(data: bytes, use_case: UseCase) -> bool:
    return hashlib.sha256(data).hexdigest() == use_case.sha256


def _download(url: str) -> bytes:
    """Raises urllib3's HTTPError, OSError."""
    timeout = urllib3.Timeout(connect=CONNECT_SECONDS, read=READ_SECONDS)
    reply = urllib3.request("GET", url, timeout=timeout, retries=False, preload_content=False)
    if reply.status != 200:
        raise OSError(f"{url} answered {reply.status}")
    return reply.read(MAX_BYTES)


def _parse(data: bytes, use_case: UseCase) -> list[Row]:
    rows = csv.reader(io.StringIO(data.decode()), skipinitialspace=True)
    cells = [row for row in rows if row]
    return cells[1:] if use_case.header else cells


# --- cutting -------------------------------------------------------------------------------------


def cut(use_case: UseCase, rows: list[Row], folder: Path) -> Cut:
    """Disjoint files, the same ones for the same rows: a skewed and changed period, an ordinary
    one, and the rest to train on."""
    random = Random(SEED)  # noqa: S311 - a reproducible cut, not a secret
    records = [dict(zip(use_case.columns, row, strict=True)) for row in rows]
    # Weighted sampling without replacement: Efraimidis & Spirakis 2006.
    keys = [random.random() ** (1 / use_case.skew(record)) for record in records]
    order = sorted(range(len(records)), key=keys.__getitem__, reverse=True)
    late, rest = order[:SHIFTED_ROWS], order[SHIFTED_ROWS:]
    random.shuffle(late)
    random.shuffle(rest)
    shifted = [records[i] for i in late]
    score = [records[i] for i in rest[:SCORE_ROWS]]
    train = [records[i] for i in rest[SCORE_ROWS:]]
    folder.mkdir(parents=True, exist_ok=True)
    return Cut(
        train=_write(folder / "train.csv", use_case, train, with_target=True),
        score=_write(folder / "score.csv", use_case, score, with_target=False),
        shifted=_write(
            folder / "shifted.csv", use_case, map(use_case.change, shifted), with_target=False
        ),
        truths=[record[use_case.target] for record in shifted],
        question={key: cell for key, cell in score[0].items() if key != use_case.target},
        answer=score[0][use_case.target],
        train_rows=len(train),
    )


def _write(
    path: Path, use_case: UseCase, records: Iterable[Mapping[str, str]], *, with_target: bool
) -> Path:
    """As the original is written: header or none, the same separator."""
    names = [name for name in use_case.columns if with_target or name != use_case.target]
    lines = [use_case.separator.join(names)] if use_case.header else []
    lines += [use_case.separator.join(record[name] for name in names) for record in records]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def write_labels(path: Path, run_id: str, truths: list[str]) -> Path:
    """What became true of a scoring run's rows, keyed by prediction id."""
    lines = [f"{run_id}-{record},{truth}" for record, truth in enumerate(truths, start=1)]
    path.write_text("prediction_id,label\n" + "\n".join(lines) + "\n", encoding="utf-8")
    return path
