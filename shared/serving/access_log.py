"""One line of JSON per prediction request, as Cloud Logging reads it.

    {"severity", "message", "model", "version", "protocol", "rows", "status", "milliseconds", ...}

With the request's trace, so that Cloud Logging shows the line below the platform's own of that
request: `X-Cloud-Trace-Context: TRACE/SPAN;o=1` or W3C `traceparent: 00-TRACE-SPAN-01`. Written by
hand: it is on every request's way. Where tracing is on, the same facts become a span.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

from shared.ports import Answered, Spans

_CLOUD = re.compile(r"([0-9a-fA-F]{32})(?:/\d{1,20})?(?:;o=\d)?")
_W3C = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}(?:-.*)?")
_quoted = json.encoder.encode_basestring_ascii


def to_stdout(line: str) -> None:
    """An answer does not depend on anybody reading this."""
    try:
        sys.stdout.write(line)
        sys.stdout.flush()
    except (OSError, ValueError):
        pass


class AccessLog:
    """Writes lines. `project` is asked once, at the first request that has a trace, and so is
    `spans`, at the first request or earlier."""

    def __init__(
        self,
        project: Callable[[], str],
        write: Callable[[str], None],
        spans: Callable[[], Spans | None],
    ) -> None:
        self._project_of, self._write, self._spans_of = project, write, spans

    def add(self, environ: Mapping[str, Any], answered: Answered) -> None:
        """Write the line of a request, and its span where tracing is on."""
        status, protocol = answered.status, answered.protocol
        # What is behind a 503 was told when it happened, or is no fault of ours.
        severity = "ERROR" if status == 500 else "WARNING" if status >= 400 else "INFO"
        # The name comes from the address where no such model is served.
        name = _quoted(answered.model)
        trace = self._trace(environ)
        self._write(
            f'{{"severity":"{severity}","message":"{protocol} {status}","model":{name},'
            f'"version":"{answered.version}","protocol":"{protocol}","rows":{answered.rows},'
            f'"status":{status},"milliseconds":{answered.seconds * 1000:.3f}{trace}}}\n'
        )
        if self.spans is not None:
            self.spans.add(environ, answered)

    @cached_property
    def spans(self) -> Spans | None:
        """None where tracing is off."""
        return self._spans_of()

    def close(self) -> None:
        if self.spans is not None:
            self.spans.close()

    def _trace(self, environ: Mapping[str, Any]) -> str:
        """The fields of the trace; none without one, and for headers that are of another form."""
        cloud = environ.get("HTTP_X_CLOUD_TRACE_CONTEXT")
        if cloud is not None:
            found = _CLOUD.fullmatch(cloud)
            return f'{self._before}{found[1].lower()}"' if found else ""
        w3c = environ.get("HTTP_TRACEPARENT")
        found = _W3C.fullmatch(w3c) if w3c is not None else None
        if found is None:
            return ""
        return f'{self._before}{found[1]}","logging.googleapis.com/spanId":"{found[2]}"'

    @cached_property
    def _before(self) -> str:
        project = self._project_of()
        path = f"projects/{project}/traces/" if project else ""
        return f',"logging.googleapis.com/trace":"{path}'
