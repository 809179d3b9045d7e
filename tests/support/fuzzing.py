"""Schemathesis over `/openapi.json`: requests that fit the document and requests that break it.

Every answer has to be one that the document names: status, content type, form of the body, headers.
A request that breaks the document has to be refused; one that fits may be (rows are judged by the
model's schema, of which JSON Schema can say only a part), with a documented status.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import schemathesis
from flask import Flask
from hypothesis import HealthCheck, given, settings
from hypothesis import seed as seeded
from schemathesis import GenerationMode
from schemathesis.checks import CHECKS

from shared.ports import Bucket
from tests.support.sources import keep, known_of, package_of, serve_sources, transactions
from tests.support.sources_world import ROWS
from tests.unit.serving.models import binary_package, regression_package, serve
from tests.unit.serving.test_package import forest_package

MODES = (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)
_LEFT_OUT = {"positive_data_acceptance"}
Told = Callable[[str, Counter[int]], None]


def serve_kinds(lake: Bucket) -> None:
    """A model of each kind, one of joined sources, and one whose spec is strict."""
    serve(binary_package(), lake, log="sync")
    serve(regression_package(), lake, log="buffered")
    serve(forest_package(), lake)
    strict = binary_package(model="strict")
    serve(strict, lake, log="sync", unknown_fields="refuse", coerce="strict")
    source = transactions()
    serve_sources(package_of(keep(source, known_of(source, ROWS), lake)), lake)


def of_app(app: Flask, path: str = "/openapi.json") -> Any:
    """The document of an application in this process."""
    return schemathesis.openapi.from_wsgi(path, app)


def of_url(url: str) -> Any:
    return schemathesis.openapi.from_url(f"{url}/openapi.json")


def fuzz(document: Any, cases: int, *, seed: int, told: Told | None = None) -> Counter[int]:
    """Statuses of about so many requests, dealt to the operations that take a body; the others are
    asked once. Raises schemathesis' FailureGroup with a command that repeats it."""
    operations = [found.ok() for found in document.get_all_operations()]
    taking = [one for one in operations if one.method == "post"]
    each = -(-cases // (len(taking) * len(MODES)))
    statuses: Counter[int] = Counter()
    for operation in operations:
        for mode in MODES if operation in taking else MODES[:1]:
            found = _ask(operation, mode, each, seed)
            statuses += found
            if told is not None:
                told(f"{mode.name.lower()} {operation.label}", found)
    return statuses


def _ask(operation: Any, mode: GenerationMode, cases: int, seed: int) -> Counter[int]:
    statuses: Counter[int] = Counter()
    left_out = list(_checks(_LEFT_OUT))

    @settings(
        max_examples=cases,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def ask(case: Any) -> None:
        response = case.call()
        statuses[response.status_code] += 1
        case.validate_response(response, excluded_checks=left_out)

    seeded(seed)(ask)()
    return statuses


def _checks(names: set[str]) -> Iterator[Any]:
    return (check for check in CHECKS.get_all() if check.__name__ in names)
