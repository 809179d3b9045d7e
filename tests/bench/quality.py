"""How good the shipped specs are on real data: holdouts by fixed seeds that neither tuning nor
fitting ever touches, with intervals.

    MILLRACE_DATA=folder python tests/bench/quality.py             all four, about half an hour
    python tests/bench/quality.py adult_income --data folder       one
    python tests/bench/quality.py --write                          into infra/docs/quality.md, too

Every figure is of the served package, trained by the ordinary code (`train_model`, memory cloud);
only `training.seed` is changed, which moves the holdout. What is reported beside it (folds, blocks
of the map, a longer search) says how it is made.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tests.bench.quality_cases import CASES, SEEDS  # noqa: E402 - a script finds the repository first
from tests.bench.quality_runs import SOURCES, NoData, told  # noqa: E402

PAGE = ROOT / "infra" / "docs" / "quality.md"


def write(model: str, text: str) -> None:
    """Replace the case's part of the page."""
    page = PAGE.read_text(encoding="utf-8")
    start, end = f"<!-- {model} -->", f"<!-- /{model} -->"
    part = f"{start}\nMeasured {datetime.now(UTC):%B %Y}.\n\n{text}\n{end}"
    PAGE.write_text(
        re.sub(f"{start}.*?{end}", lambda _: part, page, flags=re.DOTALL), encoding="utf-8"
    )


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("models", nargs="*", default=[], help=", ".join(CASES))
    parser.add_argument("--data", type=Path, default=os.environ.get("MILLRACE_DATA") or None)
    parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS, help="0 1 42")
    parser.add_argument("--write", action="store_true", help="into infra/docs/quality.md as well")
    given = parser.parse_args()
    folder = Path(given.data) if given.data else None
    missing = []
    for model in given.models or CASES:
        try:
            text = CASES[model](folder, tuple(given.seeds))
        except NoData as error:
            missing.append(str(error))
            continue
        told(f"\n## {model}\n\n{text}\n")
        if given.write:
            write(model, text)
    for line in missing:
        told(f"skipped {line}")
    if missing:
        told(f"\nPut the files into a folder and name it in MILLRACE_DATA:\n{SOURCES}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
