"""Door of the `label` job: a labels file becomes labels of predictions."""

from shared import boundary
from shared.usecases.label import record_labels
from shared.wiring import Wiring

wiring = Wiring(clients="google")


def main() -> int:
    return boundary.job(
        "label",
        lambda task: record_labels(
            task, lake=wiring.lake, publisher=wiring.publisher, clock=wiring.clock
        ),
        wiring,
    )


if __name__ == "__main__":
    raise SystemExit(main())
