"""The commands that the documentation shows are carried out as they stand: what it says follows
them is what comes."""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shared.serving.columns import Schema
from shared.serving.encoder import Encoder
from shared.serving.features import Feature
from shared.serving.package import linear_engine
from shared.serving.protocols.vertex import Contract
from tests.support.predictor import World
from tests.unit.serving.models import binary_package, serve

PAGE = Path(__file__).parents[2] / "infra" / "docs" / "predict.md"
VERSION = "20260105T090000-0a1b2c3d"
HOST = "localhost:8080"
ROUTE = "/v1/endpoints/1/deployedModels/2:predict"
BLOCK = re.compile(r"(?ms)^```sh\n(.*?)^```\n(?:```\w*\n(.*?)^```\n)?")
COMMANDS = [
    (block[1], block[2]) for block in BLOCK.finditer(PAGE.read_text("utf-8")) if "curl" in block[1]
]


@pytest.fixture
def world() -> World:
    """A predictor with a model of the columns that the page asks for."""
    features = (
        Feature("age", "number"),
        Feature("education", "category"),
        Feature("capital_gain", "number"),
    )
    schema = Schema(features)
    columns, problems = schema.from_cells(
        {
            "age": ["39", "52", "28"],
            "education": ["Bachelors", "HS-grad", "Bachelors"],
            "capital_gain": ["0", "2174", "7"],
        }
    )
    assert not problems
    encoder = Encoder.fit(columns, features, "linear", min_frequency=1)
    package = replace(
        binary_package(VERSION, model="adult_income"),
        schema=schema,
        encoder=encoder,
        engine=linear_engine(np.full(len(encoder.names), -0.5), -1.0, "logit"),
    )
    found = World(contract=Contract(predict=ROUTE))
    serve(package, found.lake.bucket, log="off")
    return found


def asked(command: str, world: World) -> tuple[int, Any]:
    """What the words of a curl command bring: status, and the body as JSON."""
    words = shlex.split(command[command.index("curl") :].replace("\\\n", " "))
    headers, body, path = dict[str, str](), b"", ""
    rest = iter(words[1:])
    for word in rest:
        match word:
            case "-H":
                name, _, value = next(rest).partition(": ")
                headers[name] = value
            case "-d":
                body = next(rest).encode()
            case "--data-binary":
                assert next(rest) == "@-"
                (text,) = re.findall(r"printf '(.*?)'", command)
                body = text.replace("\\n", "\n").encode()
            case "-i":
                pass
            case _:
                assert word.startswith(HOST), word
                path = word.removeprefix(HOST)
    response = world.client.post(path, data=body, headers=headers)
    return response.status_code, response.get_json()


def shape_of(value: Any) -> Any:
    """A value without what differs between models: numbers, labels, ids."""
    if isinstance(value, dict):
        return {name: shape_of(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [shape_of(inner) for inner in value]
    return type(value).__name__


def test_the_page_has_commands() -> None:
    assert len(COMMANDS) >= 7


@pytest.mark.parametrize(("command", "shown"), COMMANDS, ids=range(len(COMMANDS)))
def test_a_command_brings_what_is_shown(world: World, command: str, shown: str) -> None:
    """The same keys, as many rows, values of the same kinds; refusals word by word."""
    status, body = asked(command, world)
    expected = json.loads(shown.strip().splitlines()[-1])
    if "error" in expected:
        assert (status, body) == (422, expected)
        return
    assert status == 200, body
    assert shape_of(body) == shape_of(expected)
