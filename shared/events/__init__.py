"""The messages that travel: past-tense facts, one frozen class each, and how they are written. A
module for each topic that has messages of ours: `requests`, `outcomes`, `alerts`, `ticks`.

Every body carries `type`, `time`, its fields and an `id` made of the identifying fields (`KEY`), so
that a message published twice after a crash is recognisably the same one. `infra/topology.yaml`
says who publishes and who receives what, `shared.decoding` reads them. Knows no transport.
"""

from shared.events.alerts import (
    AutomationNoted,
    DataQualityBroken,
    DataQualityRestored,
    DataRejected,
    DriftDetected,
    DriftResolved,
    MonitorAlert,
    PerformanceDropped,
    PerformanceRestored,
)
from shared.events.base import Event, RunEvent
from shared.events.outcomes import (
    ApprovalRequested,
    ComparisonCompleted,
    LabelsRecorded,
    ModelNotPromoted,
    ModelPromoted,
    RunFailed,
    RunRejected,
    ScoringCompleted,
    TrainingCompleted,
)
from shared.events.requests import (
    ComparisonRequested,
    LabellingRequested,
    PromotionRequested,
    ScoringRequested,
    TrainingRequested,
)
from shared.events.ticks import DigestDue, MonitorDue, SweepDue, WindowDue
from shared.events.wire import encode, parse_time, publish

__all__ = [
    "ApprovalRequested",
    "AutomationNoted",
    "ComparisonCompleted",
    "ComparisonRequested",
    "DataQualityBroken",
    "DataQualityRestored",
    "DataRejected",
    "DigestDue",
    "DriftDetected",
    "DriftResolved",
    "Event",
    "LabellingRequested",
    "LabelsRecorded",
    "ModelNotPromoted",
    "ModelPromoted",
    "MonitorAlert",
    "MonitorDue",
    "PerformanceDropped",
    "PerformanceRestored",
    "PromotionRequested",
    "RunEvent",
    "RunFailed",
    "RunRejected",
    "ScoringCompleted",
    "ScoringRequested",
    "SweepDue",
    "TrainingCompleted",
    "TrainingRequested",
    "WindowDue",
    "encode",
    "parse_time",
    "publish",
]
