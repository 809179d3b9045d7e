"""Trainings of the shipped specs on real data, one a seed, and how their measures read."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from shared.spec.load import load_spec
from shared.spec.model import Spec
from shared.tabular import metrics
from shared.tabular.gains import interval
from shared.tabular.influence import Metric
from shared.tabular.metrics import Floats
from tests.bench.published import table
from tests.bench.trained import Trained, ordinary

ROOT = Path(__file__).resolve().parents[2]
Seeds = tuple[int, ...]
SPECS = ROOT / "infra" / "specs"
# By model: the role of each file, its name in the training and the names it may have in the folder.
FILES: dict[str, dict[str, tuple[str, tuple[str, ...]]]] = {
    "adult_income": {"": ("adult.csv", ("adult.data.gz", "adult.data"))},
    "california_housing": {"": ("housing.csv", ("housing.csv.gz", "housing.csv"))},
    "loan_default": {"": ("loans.csv", ("lending_club.csv.gz", "lending_club.csv"))},
    "customer_response": {
        "customers": ("customers.csv", ("retail/customers.csv", "customers.csv")),
        "transactions": (
            "transactions.jsonl",
            ("retail/transactions.json.gz", "transactions.json.gz"),
        ),
    },
}
SOURCES = """\
adult.data         UCI Machine Learning Repository, "Adult" (archive.ics.uci.edu/dataset/2/adult)
housing.csv        A. Geron's California housing (github.com/ageron/data, housing)
lending_club.csv   LendingClub's public loan statistics, as prepared for the textbook "Practical
                   Statistics for Data Scientists" (github.com/gedeck, loan_data)
customers.csv and transactions.json.gz   customers with a response and their transactions"""


class NoData(Exception):
    """A file is not in the folder."""


def files_of(model: str, folder: Path | None) -> dict[str, tuple[str, bytes]]:
    """Name and bytes by role. Raises NoData."""
    found = {}
    for role, (name, places) in FILES[model].items():
        path = (
            next((folder / p for p in places if (folder / p).is_file()), None) if folder else None
        )
        if path is None:
            raise NoData(f"{model}: {places[-1]} is not in {folder or 'any folder'}")
        data = path.read_bytes()
        found[role] = (name, gzip.decompress(data) if path.suffix == ".gz" else data)
    return found


def spec_of(model: str, seed: int, **training: object) -> Spec:
    """The shipped spec with another seed."""
    spec = load_spec((SPECS / f"{model}.yaml").read_text(encoding="utf-8"), f"{model}.yaml")
    changed = spec.training.model_copy(update={"seed": seed, **training})
    return spec.model_copy(update={"training": changed})


def trainings(model: str, folder: Path | None, seeds: Seeds) -> list[Trained]:
    """One for each seed."""
    files = files_of(model, folder)
    found = []
    for seed in seeds:
        found.append(ordinary(model, spec_of(model, seed), files))
        told(f"{model}, seed {seed}: {recipe(found[-1])}, {found[-1].seconds:.0f} s")
    return found


# --- words ---------------------------------------------------------------------------------------


def told(text: str) -> None:
    print(text, flush=True)


def recipe(made: Trained) -> str:
    if len(made.fitted["parts"]) == 1:
        return str(made.fitted["candidate"])
    return " + ".join(f"{p['weight']:.1f} {p['candidate']}" for p in made.fitted["parts"])


def with_interval(metric: Metric, target: Floats, answers: Floats, value: float) -> str:
    low, high = interval(metric, target, answers)
    return f"{value:.4f} ({low:.4f} to {high:.4f})"


def measured(metric: Metric, target: Floats, answers: Floats) -> str:
    """A metric with its two-sided 95 % interval."""
    values: Mapping[str, Callable[[], float]] = {
        "auroc": lambda: metrics.auroc(target, answers),
        "log_loss": lambda: metrics.primary_loss("binary", target, answers),
        "rmse": lambda: metrics.primary("regression", target, answers),
        "r2": lambda: metrics.regression(target, answers)["r2"],
        "ece": lambda: metrics.calibration_error(target, answers),
    }
    return with_interval(metric, target, answers, values[metric]())


def by_seed(seeds: Seeds, rows: Sequence[tuple[str, Sequence[str], str]]) -> str:
    head = ["", *(f"seed {seed}" for seed in seeds), "target"]
    return table(head, [[name, *cells, target] for name, cells, target in rows])


def common(made: Sequence[Trained]) -> list[tuple[str, Sequence[str], str]]:
    """What every case tells of its trainings."""
    lengths = [[len(side) for side in one.prepared.sides()] for one in made]
    return [
        ("served", [recipe(one) for one in made], ""),
        ("rows fitted / held out", [f"{fit:,} / {held:,}" for fit, held in lengths], ""),
        (
            "parity, reproducible",
            [
                f"{one.fitted['parity']['largest']:.0e}, "
                f"{'yes' if one.fitted['reproducible'] else 'no'}"
                for one in made
            ],
            "",
        ),
        ("seconds, two workers", [f"{one.seconds:.0f}" for one in made], ""),
    ]
