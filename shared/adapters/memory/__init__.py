"""A real, small implementation of storage, Pub/Sub and job state, on SQLite.

Unit tests hold a `MemoryCloud`; the local stack puts wire servers in front of an `Engine` on disk.
"""

from __future__ import annotations

from shared.adapters.memory.adapters import (
    MemoryBucket,
    MemoryJobs,
    MemoryPublisher,
    Published,
    subscription_path,
    topic_path,
)
from shared.adapters.memory.clock import FixedClock
from shared.adapters.memory.cloud import Delivered, Engine, MemoryCloud, Undrained
from shared.adapters.memory.doubles import MemoryMessenger, MemoryRegistry
from shared.adapters.memory.faults import FaultPlan, Faults
from shared.adapters.memory.objects import BucketConfig
from shared.adapters.memory.subscriptions import ExportConfig, SubscriptionConfig

__all__ = [
    "BucketConfig",
    "Delivered",
    "Engine",
    "ExportConfig",
    "FaultPlan",
    "Faults",
    "FixedClock",
    "MemoryBucket",
    "MemoryCloud",
    "MemoryJobs",
    "MemoryMessenger",
    "MemoryPublisher",
    "MemoryRegistry",
    "Published",
    "SubscriptionConfig",
    "Undrained",
    "subscription_path",
    "topic_path",
]
