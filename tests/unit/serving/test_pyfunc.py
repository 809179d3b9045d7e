"""The code that travels with a logged version is all that it needs."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from shared.adapters.mlflow_pyfunc import CODE
from shared.serving.loaded_model import LoadedModel
from shared.serving.package import Package, write
from tests.support.sources import package_of, transactions
from tests.unit.serving.models import binary_package

SHARED = Path(__file__).parents[3] / "shared"
ROWS = [{"at": "2025-12-31T12:00", "amount": 3, "shop": "A"}]
COLUMNS = transactions().values(ROWS, transactions().fixed_as_of)
PROGRAM = """
import json, sys
sys.path.insert(0, sys.argv[1])
from shared.adapters.mlflow_pyfunc import _load_pyfunc
model = _load_pyfunc(sys.argv[2])
print(model.predict(json.loads(sys.argv[3]), {"output": "full"})["score"].tolist())
"""


@pytest.mark.parametrize(
    ("package", "sent", "meant"),
    [
        (binary_package(), {"age": 3}, {"age": 3}),
        (package_of(transactions()), {"age": 3, "transactions": ROWS}, {"age": 3, **COLUMNS}),
        (package_of(transactions()), {"age": 3, **COLUMNS}, {"age": 3, **COLUMNS}),
    ],
)
def test_the_listed_files_answer_alone(
    package: Package, sent: dict[str, object], meant: dict[str, object], tmp_path: Path
) -> None:
    """In a process that has only these files, a version gives the predictor's answers."""
    write(package, tmp_path / "package")
    for name in CODE:
        target = tmp_path / "code" / "shared" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(SHARED / name, target)
    folders = [str(tmp_path / "code"), str(tmp_path / "package")]
    found = subprocess.run(
        [sys.executable, "-I", "-c", PROGRAM, *folders, json.dumps([sent])],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
    )
    expected = LoadedModel(package).predict_records([meant]).score.tolist()
    assert json.loads(found.stdout) == expected
