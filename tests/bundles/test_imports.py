"""Who may import whom: dependencies point inward, and vendors stay in adapters."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from infra.bundle import REPOSITORY

VENDORS = ("google", "slack_sdk", "grpc", "mlflow", "opentelemetry")


def modules(*folders: str) -> list[Path]:
    return sorted(
        path
        for folder in folders
        for path in (REPOSITORY / folder).rglob("*.py")
        if "__pycache__" not in path.parts
    )


def imported(path: Path, *, types: bool = True) -> Iterator[str]:
    """Every module a file imports anywhere, lazily or not; `types`: for type hints only, too."""
    for node in _nodes(ast.parse(path.read_text(encoding="utf-8")), types):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _nodes(tree: ast.AST, types: bool) -> Iterator[ast.AST]:
    for node in ast.iter_child_nodes(tree):
        if types or not (isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"):
            yield node
            yield from _nodes(node, types)


def breaches(paths: list[Path], *forbidden: str) -> list[str]:
    return [
        f"{path.relative_to(REPOSITORY)} imports {name}"
        for path in paths
        for name in imported(path)
        if any(name == word or name.startswith(word + ".") for word in forbidden)
    ]


def inside(path: Path, *folders: str) -> bool:
    name = path.relative_to(REPOSITORY).as_posix()
    return name.startswith(tuple(f"{folder}/" for folder in folders))


def test_vendors_are_known_to_adapters_only() -> None:
    """No Google, Slack, gRPC or MLflow import outside shared/adapters."""
    outside = [path for path in modules("shared") if not inside(path, "shared/adapters")]
    assert breaches([*outside, *modules("functions", "jobs")], *VENDORS) == []


def test_adapters_are_known_to_wiring_only() -> None:
    """Which adapter stands behind a port is decided in one place."""
    others = [
        path
        for path in modules("shared", "functions", "jobs")
        if not inside(path, "shared/adapters") and path != REPOSITORY / "shared" / "wiring.py"
    ]
    assert breaches(others, "shared.adapters") == []


def test_the_core_knows_neither_infra_nor_doors_nor_the_command_line() -> None:
    """Only the command line may start a local stack; nothing imports the command line."""
    core = [path for path in modules("shared") if not inside(path, "shared/cli")]
    assert breaches(core, "infra", "functions", "jobs", "tests", "shared.cli") == []
    assert breaches(modules("functions", "jobs"), "infra", "tests", "shared.cli") == []
    assert breaches(modules("shared/cli"), "functions", "jobs", "tests") == []


def test_use_cases_know_no_wiring() -> None:
    """They get their ports as arguments."""
    assert breaches(modules("shared/usecases"), "shared.wiring", "shared.config") == []


def test_no_modules_import_each_other() -> None:
    """A module can be read, tested and moved without those that build on it: no circle, not even
    one that a lazy import hides. Type hints may name what is further out."""
    names = {_module(path): path for path in modules("shared")}
    imports = {}
    for name, path in names.items():
        found = names.keys() & set(imported(path, types=False)) - {name}
        # Who imports a package's module does not mean what the package gathers.
        imports[name] = {one for one in found if not any(x.startswith(one + ".") for x in found)}
    TopologicalSorter(imports).prepare()  # names a circle in its error


def _module(path: Path) -> str:
    parts = path.relative_to(REPOSITORY).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@pytest.mark.parametrize("folder", ["shared/tabular", "shared/serving", "shared/spec"])
def test_inner_rooms_know_no_use_cases(folder: str) -> None:
    """Dependencies point inward."""
    paths = [path for path in modules(folder) if path.name not in ("predictor.py", "__main__.py")]
    assert breaches(paths, "shared.usecases", "shared.wiring") == []


def test_exception_is_swallowed_where_it_is_said() -> None:
    """The outcome table in shared/boundary.py; elsewhere errors are named, or raised again. Beside
    it in the predictor, where something else can answer: a new manifest or version, behind which
    the last good one answers; the challenger of an experiment, which must cost nobody the
    champion's answer; log and alerts, which no prediction waits to see accepted; the short way,
    which hands what is unknown to Flask: logged, and answered with 500."""
    found = {
        path.relative_to(REPOSITORY).as_posix()
        for path in modules("shared", "functions", "jobs")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ExceptHandler) and _catches_all(node) and not _raises_again(node)
    }
    assert found <= {
        "shared/boundary.py",
        "shared/serving/direct.py",
        "shared/serving/listing.py",
        "shared/serving/manifest.py",
        "shared/serving/publishing.py",
        "shared/serving/shortcut.py",
        "shared/usecases/predict_split.py",
    }


def _catches_all(node: ast.ExceptHandler) -> bool:
    return node.type is None or (
        isinstance(node.type, ast.Name) and node.type.id in ("Exception", "BaseException")
    )


def _raises_again(node: ast.ExceptHandler) -> bool:
    last = node.body[-1]
    return isinstance(last, ast.Raise) and last.exc is None
