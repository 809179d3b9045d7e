"""What a use case wants to be read in its delivery's log line, beside what the boundary says."""

from __future__ import annotations

from typing import Any


class Noted(dict[str, Any]):
    """Fields of the line: flat, few, and none that the boundary uses itself. Metrics are made
    of them (`infra/terraform/slo.tf`), so a name that is there stays."""
