"""Door of the `train` job: train, retrain or compare, as the run's request says."""

import os
import sys

from shared import boundary
from shared.boundary import Task
from shared.usecases.train import train_model
from shared.wiring import Wiring

wiring = Wiring(clients="google")


def use_case(task: Task) -> None:
    if task.index > 0:  # a training is one task's work
        return
    train_model(
        task,
        lake=wiring.lake,
        publisher=wiring.publisher,
        clock=wiring.clock,
        tracker=wiring.tracker,
        registries=wiring.registries,
        workers=os.cpu_count() or 1,
        code_version=wiring.config.code_version,
    )


if __name__ == "__main__":
    # Read when OpenMP loads, which is later: threads that spin while they wait for each other
    # make a fit on a busy machine six times as long.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    sys.exit(boundary.job("train", use_case, wiring))
