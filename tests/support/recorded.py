"""A pytest plugin: what the functions, jobs and services touched in the tests of this run.

pytest -p tests.support.recorded --touched FILE ...
"""

from __future__ import annotations

import json
from collections.abc import Generator
from pathlib import Path

import pytest

from tests.support.recording import recording


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--touched", metavar="FILE", help="Write what was touched to this file.")


@pytest.hookimpl(wrapper=True)
def pytest_runtestloop(session: pytest.Session) -> Generator[None, object, object]:
    with recording() as found:
        done = yield
    Path(session.config.getoption("--touched")).write_text(json.dumps(sorted(found)))
    return done
