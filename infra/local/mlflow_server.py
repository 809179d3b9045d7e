"""MLflow's tracking server in one process: what `mlflow server --workers 1` runs, without the
command's own process beside it, which costs another 250 MB and another import of everything.

    python -m infra.local.mlflow_server HOST PORT DATABASE_FILE ARTIFACT_FOLDER
"""

from __future__ import annotations

import os
import sys
from importlib import import_module
from pathlib import Path
from typing import Any


def main() -> None:
    host, port, file, artifacts = sys.argv[1:]
    server: Any = import_module("mlflow.server")
    handlers: Any = import_module("mlflow.server.handlers")
    make_database(Path(file))
    database = f"sqlite:///{file}"
    os.environ |= {
        server.BACKEND_STORE_URI_ENV_VAR: database,
        server.REGISTRY_STORE_URI_ENV_VAR: database,
        server.ARTIFACT_ROOT_ENV_VAR: "mlflow-artifacts:/",
        server.ARTIFACTS_DESTINATION_ENV_VAR: artifacts,
        server.SERVE_ARTIFACTS_ENV_VAR: "true",
        "_MLFLOW_SGI_NAME": "uvicorn",
    }
    handlers.initialize_backend_stores(database, database, "mlflow-artifacts:/")
    import uvicorn

    uvicorn.run(
        "mlflow.server.fastapi_app:app",
        host=host,
        port=int(port),
        log_level="warning",
        timeout_graceful_shutdown=1,  # clients keep idle connections open
    )


def make_database(file: Path) -> None:
    """A new database appears complete or not at all: its migrations are not one transaction, and
    MLflow refuses for ever to start on the half of them that a killed process left."""
    if file.exists():
        return
    draft = file.with_suffix(".draft")
    for left in file.parent.glob(f"{draft.name}*"):
        left.unlink()
    database: Any = import_module("mlflow.store.db.utils")
    engine = database.create_sqlalchemy_engine(f"sqlite:///{draft}")
    database._initialize_tables(engine)
    engine.dispose()
    draft.rename(file)


if __name__ == "__main__":
    main()
