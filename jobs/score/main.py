"""Door of the `score` job: tasks score one file together with the champion launch resolved."""

import os
import sys

from shared import boundary, runs
from shared.boundary import Task
from shared.usecases import score
from shared.wiring import Wiring

wiring = Wiring(clients="google")


def use_case(task: Task) -> None:
    score.score_file(
        runs.read_work(task.model, task.run_id, lake=wiring.lake),
        lake=wiring.lake,
        publisher=wiring.publisher,
        clock=wiring.clock,
        task=score.Task(task.index, task.count),
        threads=os.cpu_count() or 1,
    )


if __name__ == "__main__":
    sys.exit(boundary.job("score", use_case, wiring))
