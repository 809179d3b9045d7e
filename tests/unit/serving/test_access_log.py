"""The line of each request: JSON whatever comes, with its trace."""

from __future__ import annotations

import json
from typing import Any

import pytest

from shared.ports import Answered
from shared.serving.access_log import AccessLog, to_stdout

TRACE = "105445aa7843bc8bf206b12000100000"


def line(headers: dict[str, str], project: str = "p", **more: Any) -> dict[str, Any]:
    written: list[str] = []
    facts: dict[str, Any] = {
        "model": "adult",
        "version": "v1",
        "protocol": "native",
        "rows": 2,
        "status": 200,
    }
    answered = Answered(**{**facts, "seconds": 0.0123, **more})
    AccessLog(lambda: project, written.append, lambda: None).add(headers, answered)
    (text,) = written
    assert text.endswith("}\n")
    assert text.count("\n") == 1
    found: dict[str, Any] = json.loads(text)
    return found


def test_a_line_says_what_was_asked_and_answered() -> None:
    """Model, version, protocol, rows, status and how long it took."""
    assert line({}) == {
        "severity": "INFO",
        "message": "native 200",
        "model": "adult",
        "version": "v1",
        "protocol": "native",
        "rows": 2,
        "status": 200,
        "milliseconds": 12.3,
    }


@pytest.mark.parametrize(
    ("status", "severity"), [(200, "INFO"), (422, "WARNING"), (503, "WARNING"), (500, "ERROR")]
)
def test_severity_goes_by_the_status(status: int, severity: str) -> None:
    """Cloud Logging filters by it."""
    assert line({}, status=status)["severity"] == severity


@pytest.mark.parametrize(
    ("headers", "span"),
    [
        ({"HTTP_X_CLOUD_TRACE_CONTEXT": f"{TRACE}/1;o=1"}, None),
        ({"HTTP_X_CLOUD_TRACE_CONTEXT": TRACE.upper()}, None),
        ({"HTTP_TRACEPARENT": f"00-{TRACE}-00f067aa0ba902b7-01"}, "00f067aa0ba902b7"),
    ],
)
def test_the_trace_is_named_as_cloud_logging_wants_it(
    headers: dict[str, str], span: str | None
) -> None:
    """With the project where there is one; else by itself."""
    found = line(headers)
    assert found["logging.googleapis.com/trace"] == f"projects/p/traces/{TRACE}"
    assert found.get("logging.googleapis.com/spanId") == span
    assert line(headers, project="")["logging.googleapis.com/trace"] == TRACE


@pytest.mark.parametrize("name", ["HTTP_X_CLOUD_TRACE_CONTEXT", "HTTP_TRACEPARENT"])
@pytest.mark.parametrize("value", ["", "x", f'{TRACE}","severity":"ERROR', "/" * 10_000, "1\n2"])
def test_other_headers_say_nothing(name: str, value: str) -> None:
    """What a caller sends is no way to write into our log."""
    assert not [key for key in line({name: value}) if "trace" in key]
    assert line({name: value})["severity"] == "INFO"


def test_a_name_from_an_address_is_quoted() -> None:
    """A model that is not there may have any name."""
    name = 'a","status":200}\n{"b\udcff'
    assert line({}, model=name, status=404)["model"] == name


def test_a_line_that_nobody_reads_fails_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A broken pipe on stdout is no reason to refuse an answer."""

    class Broken:
        def write(self, text: str) -> int:
            raise BrokenPipeError(text)

    monkeypatch.setattr("sys.stdout", Broken())
    to_stdout("line\n")
