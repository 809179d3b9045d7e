"""The package: deterministic bytes, checked hashes, the same answers after loading."""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path

import numpy as np
import pytest
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType
from sklearn.ensemble import RandomForestClassifier

from shared.errors import PackageInvalid
from shared.serving.encoder import Encoder
from shared.serving.loaded_model import LoadedModel, load
from shared.serving.package import Package, isotonic, tree_engine, write
from tests.support.sources import package_of, scores, transactions
from tests.unit.serving.models import (
    FEATURES,
    SCHEMA,
    binary_package,
    regression_package,
    training_columns,
)

RECORDS: list[object] = [
    {"age": 39, "gain": 0, "city": "Köln", "grade": 1},
    {"age": None, "gain": math.nan, "city": "unseen", "grade": 2.0},
    {"age": "61", "gain": 1e15, "city": "", "grade": "3"},
]


def forest_package() -> Package:
    columns = training_columns()
    encoder = Encoder.fit(columns, FEATURES, "tree", min_frequency=1)
    x = encoder.transform(columns).astype(np.float32)
    forest = RandomForestClassifier(5, random_state=0).fit(x, ["a", "b", "c", "a", "b", "c"])
    onnx = to_onnx(
        forest,
        initial_types=[("x", FloatTensorType([None, x.shape[1]]))],
        options={"zipmap": False},
        target_opset={"": 18, "ai.onnx.ml": 3},
    )
    return Package(
        model="letters",
        version="v1",
        task="multiclass",
        schema=SCHEMA,
        encoder=encoder,
        engine=tree_engine(onnx.SerializeToString(), "probability"),
        created="2026-01-01T00:00:00Z",
        labels=("a", "b", "c"),
    )


@pytest.mark.parametrize("make", [binary_package, regression_package, forest_package])
def test_loaded_answers_are_the_written_ones(make: object, tmp_path: Path) -> None:
    """Loading what was written gives the same bits, for one row and for many."""
    package = make()  # type: ignore[operator]
    hashes = write(package, tmp_path)
    model = load(lambda name: (tmp_path / name).read_bytes(), hashes)
    before = LoadedModel(package).predict_records(RECORDS)
    after = model.predict_records(RECORDS)
    assert after.score.tobytes() == before.score.tobytes()
    assert after.label == before.label
    for row, record in enumerate(RECORDS):
        alone = model.predict_records([record])
        assert np.allclose(alone.score, after.score[row], rtol=1e-12)
        assert alone.label == (after.label and [after.label[row]])


def test_same_content_same_bytes(tmp_path: Path) -> None:
    """A training that runs again writes files with the same hashes."""
    assert write(binary_package(), tmp_path / "a") == write(binary_package(), tmp_path / "b")


def test_hashes_are_of_the_files(tmp_path: Path) -> None:
    """What `write` returns is SHA-256 of what lies there."""
    hashes = write(forest_package(), tmp_path)
    assert sorted(hashes) == ["package.json", "trees.onnx"]
    for name, expected in hashes.items():
        assert hashlib.sha256((tmp_path / name).read_bytes()).hexdigest() == expected


@pytest.mark.parametrize("name", ["package.json", "trees.onnx"])
def test_a_tampered_file_is_refused_before_parsing(name: str, tmp_path: Path) -> None:
    """A single changed byte, in any file, is enough."""
    hashes = write(forest_package(), tmp_path)
    data = bytearray((tmp_path / name).read_bytes())
    data[len(data) // 2] ^= 1
    (tmp_path / name).write_bytes(bytes(data))
    with pytest.raises(PackageInvalid, match=f"{name} has SHA-256"):
        load(lambda file: (tmp_path / file).read_bytes(), hashes)


def rehashed(body: object) -> tuple[bytes, dict[str, str]]:
    data = json.dumps(body).encode()
    return data, {"package.json": hashlib.sha256(data).hexdigest()}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"format": 2}, "package format 2"),
        ({"engine": {"kind": "neural"}}, "engine kind 'neural'"),
        ({"engine": {"kind": "trees", "file": "trees.onnx", "output": "value"}}, "does not read"),
        ({"encoder": {}}, "does not read"),
        ({"threshold": None}, "needs labels"),
        ({"threshold": "0.5"}, "does not read"),
        ({"example": "age"}, "does not read"),
        ({"engine": {"kind": "linear", "coef": [1.0], "intercept": 0, "link": "logit"}}, "columns"),
    ],
)
def test_parts_that_do_not_fit_are_refused(
    change: dict[str, object], reason: str, tmp_path: Path
) -> None:
    """With right hashes too: what cannot answer does not load."""
    write(binary_package(), tmp_path)
    body = json.loads((tmp_path / "package.json").read_bytes())
    data, hashes = rehashed({**body, **change})
    with pytest.raises(PackageInvalid, match=reason):
        load(lambda name: data, hashes)


def test_threshold_and_calibrator_decide_labels() -> None:
    """The label follows the calibrated score; the threshold itself is positive."""
    package = binary_package()
    raw = LoadedModel(package).predict_records(RECORDS).score
    flat = isotonic([0.0, 1.0], [0.5, 0.5])
    calibrated = Package(
        **{
            **{name: getattr(package, name) for name in Package.__dataclass_fields__},
            "calibrator": flat,
        }
    )
    answers = LoadedModel(calibrated).predict_records(RECORDS)
    assert answers.score.tolist() == [0.5] * 3
    assert answers.label == [">50K"] * 3
    assert len(set(raw.tolist())) == 3


def test_regression_answers_in_the_files_unit() -> None:
    """Values are scaled back and kept within their ends; there are no labels."""
    answers = LoadedModel(regression_package()).predict_records(RECORDS)
    assert answers.label is None
    assert (answers.score >= 0).all()
    assert answers.score.max() > 100


def test_the_example_record_can_be_asked() -> None:
    """What people are shown as an example gets an answer."""
    model = LoadedModel(binary_package())
    assert model.predict_records([model.package.example_record()]).score.shape == (1,)


def test_sources_travel_with_the_package(tmp_path: Path) -> None:
    """What joined sources add comes back as it was written, order included."""
    sources = (transactions(defaults={"visits": 0}, max_age="7d"), scores())
    hashes = write(package_of(*sources), tmp_path)
    assert load(lambda name: (tmp_path / name).read_bytes(), hashes).package.sources == sources


def test_models_of_one_file_have_no_sources(tmp_path: Path) -> None:
    """Their packages are what they were before there were sources, and those still load."""
    hashes = write(binary_package(), tmp_path)
    assert "sources" not in json.loads((tmp_path / "package.json").read_bytes())
    assert load(lambda name: (tmp_path / name).read_bytes(), hashes).package.sources == ()
