"""A bucket that counts what is asked of it, by method and name."""

from __future__ import annotations

from collections import Counter
from typing import Any

METHODS = (
    *("stat", "read", "read_if_changed", "download", "open_reader", "write", "upload"),
    *("copy", "compose", "delete", "list", "folders"),
)


class Counted:
    """`calls` are (method, object or prefix) with how often; everything else is the bucket's."""

    def __init__(self, bucket: Any) -> None:
        self._bucket = bucket
        self.calls: Counter[tuple[str, str]] = Counter()

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._bucket, name)
        if name not in METHODS:
            return found

        def counted(*args: Any, **more: Any) -> Any:
            about = args[0] if args else more.get("name", more.get("prefix", ""))
            self.calls[name, str(about)] += 1
            return found(*args, **more)

        return counted

    def of(self, method: str, prefix: str = "") -> int:
        """How many calls of a method were about names that begin so."""
        return sum(
            count
            for (name, about), count in self.calls.items()
            if name == method and about.startswith(prefix)
        )
