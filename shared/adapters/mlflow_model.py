"""A folder with a serving package becomes a model that MLflow loads.

    package/                     what serving loads, as it is in the lake
    code/shared/                 the files that open it (`mlflow_pyfunc.CODE`)
    MLmodel                      signature, example, flavor; JSON, which YAML contains
    input_example.json           one row of the training data, in MLflow's split form
    serving_input_example.json   the same as a request body
    requirements.txt             what the loaded code imports, pinned, nothing else

Written by hand: `mlflow.pyfunc.save_model` would load the model and copy an environment that we
know better. Every column of the signature is optional and of type `any`, because that is what the
predictor takes: MLflow refuses whole numbers for `double` and numbers for `string`, and would drop
columns that it does not know. What a column is stands in the metadata (`columns`).
"""

from __future__ import annotations

import json
import platform
import shutil
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed
from pathlib import Path
from typing import Any

from shared.adapters.mlflow_pyfunc import CODE, PARAMS
from shared.serving.engine import TREES_FILE
from shared.serving.package import PACKAGE_FILE, Package

# Only whoever loads through MLflow needs pandas; where it is not installed, what was tried works.
_PANDAS = "pandas>=2.2,<4"


def make_model(folder: Path, run_id: str) -> None:
    """Turn a folder with `package/` into a pyfunc model. The same package makes the same files."""
    files = {path.name: path.read_bytes() for path in (folder / "package").iterdir()}
    package = Package.from_json(json.loads(files[PACKAGE_FILE]), files)
    _copy_code(folder / "code")
    python = platform.python_version()
    needs = _requirements(trees=TREES_FILE in files)
    (folder / "requirements.txt").write_text("\n".join(needs) + "\n")
    environment = {"python": python, "dependencies": ["-r requirements.txt"]}
    _write(folder / "python_env.yaml", environment)
    example = package.example_record()
    names = package.schema.names
    split = {"columns": names, "data": [[example.get(name) for name in names]]}
    _write(folder / "input_example.json", split)
    _write(folder / "serving_input_example.json", {"dataframe_split": split})
    flavor = {
        "loader_module": "shared.adapters.mlflow_pyfunc",
        "data": "package",
        "code": "code",
        "env": {"virtualenv": "python_env.yaml"},
        "python_version": python,
    }
    model = {
        "run_id": run_id,
        "utc_time_created": package.created.rstrip("Z").replace("T", " "),
        "mlflow_version": _installed("mlflow-skinny"),
        "flavors": {"python_function": flavor},
        "signature": _signature(package),
        "saved_input_example_info": {
            "artifact_path": "input_example.json",
            "serving_input_path": "serving_input_example.json",
            "type": "dataframe",
            "pandas_orient": "split",
        },
        "metadata": {
            "millrace.model": package.model,
            "millrace.run_id": package.version,
            "columns": columns_of(package),
        },
    }
    _write(folder / "MLmodel", model)


def columns_of(package: Package) -> dict[str, str]:
    """What a caller may send, with its type: inputs, and the rows that sources are made from."""
    found: dict[str, str] = {feature.name: feature.kind for feature in package.schema.inputs}
    for source in package.sources:
        found.setdefault(source.name, "rows")
        # Whose rows those are, and the moment up to which they count.
        for name in filter(None, (source.key, source.as_of_column)):
            found.setdefault(name, "text")
    return found


def _signature(package: Package) -> dict[str, Any]:
    inputs = [{"type": "any", "name": name, "required": False} for name in columns_of(package)]
    # What an answer is without params: a value, or a label.
    kind = "double" if package.task == "regression" else "string"
    outputs = [{"type": kind, "required": True}]
    return {
        "inputs": json.dumps(inputs),
        "outputs": json.dumps(outputs),
        "params": json.dumps(PARAMS),
    }


def _requirements(*, trees: bool) -> list[str]:
    pandas = _installed("pandas")
    return [
        f"mlflow=={_installed('mlflow-skinny')}",
        f"numpy=={_installed('numpy')}",
        f"pandas=={pandas}" if pandas else _PANDAS,
        *([f"onnxruntime=={_installed('onnxruntime')}"] if trees else []),
    ]


def _copy_code(to: Path) -> None:
    shared = Path(__file__).parents[1]
    for name in CODE:
        target = to / "shared" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(shared / name, target)


def _installed(name: str) -> str:
    try:
        return installed(name)
    except PackageNotFoundError:
        return ""


def _write(path: Path, body: object) -> None:
    path.write_text(json.dumps(body, indent=1) + "\n")
