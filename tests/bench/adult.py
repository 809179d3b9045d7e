"""Adult-like rows for benchmarks, made here: the columns, levels and spellings of the Adult data,
with every hundredth row broken in one of four ways, unless none shall be."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from shared.spec.model import Spec

_WORK = ["Private", "Self-emp-not-inc", "Local-gov", "?", "State-gov", "Self-emp-inc"]
_SCHOOL = ["HS-grad", "Some-college", "Bachelors", "Masters", "Assoc-voc", "11th", "10th"]
_MARRIED = ["Married-civ-spouse", "Never-married", "Divorced", "Separated", "Widowed"]
_JOB = ["Prof-specialty", "Craft-repair", "Exec-managerial", "Adm-clerical", "Sales", "?"]
_FAMILY = ["Husband", "Not-in-family", "Own-child", "Unmarried", "Wife", "Other-relative"]
_RACE = ["White", "Black", "Asian-Pac-Islander", "Amer-Indian-Eskimo", "Other"]
_COUNTRY = ["United-States", "Mexico", "?", "Philippines", "Germany", "Canada"]
_BLOCK = 50_000

SPEC = Spec.model_validate(
    {
        "task": "binary",
        "target": {"column": "income", "positive": ">50K"},
        "source": {"missing": ["", "?"]},
        "max_bad_rows": 0.2,
        "checks": {"leakage": "warn"},
        "columns": {
            "age": {"type": "number", "require": {"min": 16, "max": 100}},
            "workclass": {},
            "fnlwgt": {"type": "number"},
            "education": {},
            "education_num": {"type": "number", "require": {"min": 1, "max": 16}},
            "marital_status": {},
            "occupation": {},
            "relationship": {},
            "race": {"require": {"regex": "[A-Za-z-]+"}},
            "sex": {"require": {"values": ["Female", "Male"], "present": True}},
            "capital_gain": {"type": "number", "require": {"min": 0}},
            "capital_loss": {"type": "number"},
            "hours_per_week": {"type": "number", "require": {"min": 1, "max": 99}},
            "native_country": {},
            "income": {"require": {"values": ["<=50K", ">50K"]}},
        },
        "rules": {"one_of_both": "capital_gain = 0 or capital_loss = 0"},
    }
)
NAMES = list(SPEC.columns)


def lines(rows: int, seed: int = 0, *, broken: bool = True) -> Iterator[bytes]:
    """A CSV file with header in pieces. The same seed gives the same file."""
    yield (",".join(NAMES) + "\n").encode()
    random = np.random.default_rng(seed)
    for start in range(0, rows, _BLOCK):
        yield _block(random, min(_BLOCK, rows - start), broken)


def _block(random: np.random.Generator, count: int, broken: bool) -> bytes:
    age, school = random.integers(17, 90, count), random.integers(0, 7, count)
    odds = (age - 45) / 20 + school / 3 - 2
    rich = random.random(count) < 1 / (1 + np.exp(-odds))
    gain = np.where(random.random(count) < 0.08, random.integers(100, 99_999, count), 0)
    loss = np.where((random.random(count) < 0.04) & (gain == 0), 1902, 0)
    columns: list[list[str]] = [
        age.astype(str).tolist(),
        random.choice(_WORK, count).tolist(),
        random.integers(12_285, 1_490_400, count).astype(str).tolist(),
        np.array(_SCHOOL)[school].tolist(),
        (school + 3).astype(str).tolist(),
        *(random.choice(levels, count).tolist() for levels in (_MARRIED, _JOB, _FAMILY, _RACE)),
        random.choice(["Male", "Female"], count).tolist(),
        gain.astype(str).tolist(),
        loss.astype(str).tolist(),
        random.integers(1, 99, count).astype(str).tolist(),
        random.choice(_COUNTRY, count, p=[0.9, 0.03, 0.02, 0.02, 0.02, 0.01]).tolist(),
        np.where(rich, ">50K", "<=50K").tolist(),
    ]
    for row in range(0, count if broken else 0, 100):
        kind = row // 100 % 4
        column, cell = ((0, "old"), (9, ""), (12, "120"), (14, "unknown"))[kind]
        columns[column][row] = cell
    return ("\n".join(map(",".join, zip(*columns, strict=True))) + "\n").encode()
