"""Leakage: the target under another name is found, strong columns and identifiers are not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import yaml
from numpy.typing import NDArray

from shared.serving.features import Feature
from shared.serving.package import Task
from shared.tabular.checks import leakage
from shared.tabular.checks.leakage import Alone
from shared.tabular.dataset import Examples

ROWS = 3000


def _texts(values: Any) -> NDArray[Any]:
    found = np.empty(len(values), object)
    found[:] = [str(value) for value in values]
    return found


def _alone(task: Task, target: NDArray[Any], **columns: NDArray[Any]) -> dict[str, Alone]:
    features = [
        Feature(name, "category" if column.dtype == object else "number")
        for name, column in columns.items()
    ]
    classes = 0 if task == "regression" else int(target.max()) + 1
    rows = Examples(dict(columns), target.astype(np.float64))
    found = leakage.alone(task, rows, features, classes=classes, seed=0)
    return {item.column: item for item in found}


def _names(task: Task, found: dict[str, Alone]) -> dict[str, str]:
    findings = leakage.leaks(task, "y", found.values(), "stop", written=True)
    return {finding.columns[0]: finding.name for finding in findings}


@pytest.fixture(scope="module")
def loans() -> dict[str, Any]:
    """A binary target of 19 %, and columns that know it in their ways."""
    random = np.random.default_rng(3)
    target = (random.random(ROWS) < 0.19).astype(np.int64)
    wrong = random.random(ROWS) < 0.005
    ended = np.where(random.random(ROWS) < 0.1, "Default", "Charged Off")
    return {
        "y": target,
        "status": _texts(np.where(target == 1, ended, "Fully Paid")),
        "nearly": _texts(np.where(wrong, 1 - target, target)),
        "recovered": np.where(target == 1, random.exponential(100, ROWS) + 0.01, 0.0),
        "ended_at": np.where(target == 1, random.normal(size=ROWS), np.nan),
        "note": _texts(np.where(target == 1, [f"n{n}" for n in range(ROWS)], "")),
        "expert": target * 2.33 + random.normal(size=ROWS),  # AUROC 0.95
        "grade": target * 0.6 + random.normal(size=ROWS),
        "loan_id": _texts([f"L{n}" for n in range(ROWS)]),
        "number": np.arange(ROWS, dtype=np.float64),
        "empty": np.full(ROWS, np.nan),
        "constant": _texts(["same"] * ROWS),
    }


def test_the_target_under_another_name_is_found(loans: dict[str, Any]) -> None:
    """As a category, a number, with some wrong cells, and by nothing but where it is missing."""
    target = loans["y"]
    found = _alone("binary", target, **{name: c for name, c in loans.items() if name != "y"})
    leaks = _names("binary", found)
    assert leaks == dict.fromkeys(["status", "recovered", "ended_at", "note", "nearly"], "leakage")
    assert found["ended_at"].by == found["note"].by == "missing"
    assert found["status"].by == "value"


def test_a_strong_column_and_identifiers_pass(loans: dict[str, Any]) -> None:
    """An honest AUROC of 0.95 is no leak; a value per row answers nothing out of fold."""
    names = ["expert", "grade", "loan_id", "number", "empty", "constant"]
    found = _alone("binary", loans["y"], **{name: loans[name] for name in names})
    assert 0.93 < found["expert"].quality < 0.97
    assert _names("binary", found) == {}
    assert all(abs(found[name].quality - 0.5) < 0.05 for name in names[2:])


def test_what_lies_between_is_a_warning_whatever_the_policy() -> None:
    """The smell of mushrooms (UCI) settles nearly all of them, and is known beforehand."""
    levels = ["n"] * 3528 + ["a"] * 400 + ["l"] * 400 + ["f"] * 3796
    poisonous = np.r_[np.zeros(3408), np.ones(120), np.zeros(800), np.ones(3796)]
    found = _alone("binary", poisonous, odor=_texts(levels))
    assert 0.98 < found["odor"].quality < leakage.LEAK["binary"]
    (finding,) = leakage.leaks("binary", "y", found.values(), "stop", written=True)
    assert (finding.name, finding.level) == ("strong_column", "warn")


def test_leaks_of_several_classes_are_found() -> None:
    """One against the rest, mean over classes."""
    random = np.random.default_rng(4)
    target = random.choice(3, ROWS, p=[0.6, 0.3, 0.1])
    found = _alone(
        "multiclass",
        target,
        again=_texts([f"k{value}" for value in target]),
        position=target * 10.0 + random.random(ROWS),
        hint=target + random.normal(size=ROWS),
        own=_texts(range(ROWS)),
    )
    assert _names("multiclass", found) == {"again": "leakage", "position": "leakage"}


def test_leaks_of_a_number_are_found() -> None:
    """In another unit, rounded, as a logarithm, even where few values are huge."""
    random = np.random.default_rng(5)
    price = np.exp(random.normal(10, 2, ROWS))
    found = _alone(
        "regression",
        price,
        with_tax=price * 1.19,
        cents=np.round(price * 100),
        logarithm=np.log(price),
        size=np.log(price) + random.normal(0, 1, ROWS),
        own=_texts(range(ROWS)),
        row=np.arange(ROWS, dtype=np.float64),
    )
    assert _names("regression", found) == dict.fromkeys(
        ["with_tax", "cents", "logarithm"], "leakage"
    )
    assert found["own"].quality < 0.01


def test_too_few_rows_accuse_nobody() -> None:
    """With 19 rows of a class chance alone comes too close."""
    target = np.repeat([0.0, 1.0], [200, 19])
    assert _alone("binary", target, copy=target) == {}
    assert _alone("regression", np.arange(40.0), copy=np.arange(40.0)) == {}


def test_numbers_of_any_size_are_measured() -> None:
    """1e300 neither overflows nor hides the others."""
    target = np.tile([0.0, 1.0], 100)
    column = np.where(target == 1, 1e300, 1.0)
    assert _alone("binary", target, huge=column)["huge"].quality == 1.0
    values = np.r_[np.arange(199.0), 1e29]
    assert np.isfinite(_alone("regression", values, other=values * 1e270)["other"].quality)


def test_the_message_has_the_lines_to_add(loans: dict[str, Any]) -> None:
    """Both answers, as YAML to copy; a spec without columns says where those come from."""
    found = _alone("binary", loans["y"], status=loans["status"])
    (finding,) = leakage.leaks("binary", "outcome", found.values(), "stop", written=True)
    assert finding.sentence == "`status` alone nearly settles `outcome` (AUROC 1.000)"
    exclude, allow = (yaml.safe_load(line) for line in finding.advice.split("`")[1::2])
    assert exclude == {"columns": {"status": {"exclude": True}}}
    assert list(allow["columns"]["status"]) == ["allow_leak"]
    (drafted,) = leakage.leaks("binary", "outcome", found.values(), "stop", written=False)
    assert "./millrace init" in drafted.advice


def test_of_a_wide_table_few_rows_are_asked_and_every_rare_class(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Hundreds of columns take seconds, and still say which of them is the target again."""
    monkeypatch.setattr(leakage, "CELLS", 12_000)
    monkeypatch.setattr(leakage, "LEAST_ROWS", 500)
    random = np.random.default_rng(0)
    target = np.zeros(6000)
    target[random.choice(6000, 60, replace=False)] = 1.0
    columns = {f"c{n}": random.normal(size=6000) for n in range(20)}
    columns["leak"] = np.where(target == 1, random.normal(size=6000) + 9, columns["c0"])
    few = leakage._few("binary", Examples(columns, target), len(columns))
    assert (len(few), few.target.sum()) == (285 + 60, 60)
    assert len(leakage._few("regression", Examples(columns, target), len(columns))) == 571
    found = _names("binary", _alone("binary", target, **columns))
    assert found == {"leak": "leakage"}
