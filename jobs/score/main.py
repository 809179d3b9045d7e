"""Door of the `score` job: one task scores one file with the champion launch resolved."""

import os
import sys

from shared import boundary, runs
from shared.boundary import Task
from shared.usecases.score import score_file
from shared.wiring import Wiring

wiring = Wiring(clients="google")


def use_case(task: Task) -> None:
    if task.index > 0:  # a file is one task's work
        return
    score_file(
        runs.read_request(task.model, task.run_id, lake=wiring.lake),
        lake=wiring.lake,
        publisher=wiring.publisher,
        clock=wiring.clock,
        threads=os.cpu_count() or 1,
    )


if __name__ == "__main__":
    sys.exit(boundary.job("score", use_case, wiring))
