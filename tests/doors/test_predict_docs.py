"""What the predictor says about itself can be relied on: the document, its examples, the page."""

from __future__ import annotations

import json
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from shared.serving.columns import Schema
from shared.serving.encoder import Encoder
from shared.serving.features import Bounds, Feature
from tests.support.predictor import RECORD, World
from tests.support.sources import MODEL
from tests.support.sources_world import ROWS, Sources
from tests.unit.serving.models import (
    binary_package,
    regression_package,
    serve,
    training_columns,
)
from tests.unit.tabular.fits import package_of, rows_of

JSON = "application/json"
NASTY = "<script>alert('1')</script>&\"'"


def nasty_package() -> Any:
    """A model whose column, category and name of a city are somebody's idea of fun."""
    columns = training_columns()
    features = tuple(
        Feature(NASTY, "category", require=Bounds(values=(NASTY,)))
        if feature.name == "city"
        else feature
        for feature in binary_package().schema.features
    )
    columns[NASTY] = columns.pop("city")
    encoder = Encoder.fit(columns, features, "linear", min_frequency=1)
    package = binary_package()
    return replace(package, schema=Schema(features), encoder=encoder, labels=("no", NASTY))


@pytest.fixture(scope="module")
def world() -> World:
    found = Sources(known=ROWS)
    serve(binary_package(), found.lake.bucket)
    serve(regression_package(), found.lake.bucket)
    return found


def document(world: World, path: str = "/openapi.json") -> dict[str, Any]:
    found: dict[str, Any] = world.client.get(path).get_json()
    return found


def validator(schema: Any, whole: dict[str, Any]) -> Draft202012Validator:
    """Of a schema inside of a document."""
    return Draft202012Validator({**whole, **schema})


def refs(body: Any) -> list[str]:
    if isinstance(body, dict):
        own = [body["$ref"]] if "$ref" in body else []
        return own + [found for value in body.values() for found in refs(value)]
    return [found for value in body for found in refs(value)] if isinstance(body, list) else []


def test_the_document_is_sound(world: World) -> None:
    """References lead somewhere, schemas are JSON Schema, operations have names of their own."""
    whole = document(world)
    assert whole["openapi"] == "3.1.0"
    known = {f"#/components/schemas/{name}" for name in whole["components"]["schemas"]}
    assert set(refs(whole)) <= known
    for schema in whole["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)
    operations = [op for path in whole["paths"].values() for op in path.values()]
    names = [operation["operationId"] for operation in operations]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("path", ["/openapi.json", f"/models/{MODEL}/openapi.json"])
def test_every_example_is_answered_as_promised(world: World, path: str) -> None:
    """Each documented body, sent as it stands, gets a 200 that fits its schema."""
    whole = document(world, path)
    asked = 0
    for route, operations in whole["paths"].items():
        for method, operation in operations.items():
            for content_type, content in (
                operation.get("requestBody", {}).get("content", {}).items()
            ):
                example = content["example"]
                data = example if isinstance(example, str) else json.dumps(example)
                if not isinstance(example, str):
                    validator(content["schema"], whole).validate(example)
                where = route.replace("{version}", "v1")
                response = world.client.post(where, data=data.encode(), content_type=content_type)
                assert response.status_code == 200, (route, response.get_data(as_text=True))
                answer = operation["responses"]["200"]["content"][JSON]["schema"]
                validator(answer, whole).validate(response.get_json())
                asked += 1
            if method == "get":
                where = route.replace("{version}", "v1")
                assert world.client.get(where).status_code == 200, where
    assert asked >= 4


def test_refusals_are_as_documented(world: World) -> None:
    """Each protocol's error has its schema."""
    whole = document(world)
    for route, operations in whole["paths"].items():
        if "post" in operations:
            response = world.client.post(route, data=b"[", content_type=JSON)
            about = operations["post"]["responses"][str(response.status_code)]
            validator(about["content"][JSON]["schema"], whole).validate(response.get_json())


def test_every_route_is_documented() -> None:
    """With one model also those that name none."""
    world = World()
    serve(binary_package(), world.lake.bucket)
    told = {
        (method.upper(), path)
        for path, operations in document(world)["paths"].items()
        for method in operations
    }
    own = {"/docs", "/openapi.json", "/models/adult/docs", "/models/adult/openapi.json"}
    for rule in world.app.url_map.iter_rules():
        path = rule.rule.replace("<model>", "adult")
        if "<version>" in path or path in own | {"/models/adult/info"}:
            continue
        assert told & {(method, path) for method in rule.methods or ()}, path


def test_schemas_say_what_is_refused(world: World) -> None:
    """What the schema of a record forbids is refused, what it allows is answered."""
    whole = document(world)
    record = validator(whole["components"]["schemas"]["adult.Record"], whole)
    for body in (RECORD, {**RECORD, "age": None}, {**RECORD, "age": "39", "extra": [1]}):
        assert record.is_valid(body)
        assert world.ask(body)[0] == 200
    for body in ({**RECORD, "age": -1}, {**RECORD, "age": True}, {**RECORD, "city": []}):
        assert not record.is_valid(body)
        assert world.ask(body)[0] == 422
    sources = whole["components"]["schemas"][f"{MODEL}.Record"]["properties"]
    assert sources["transactions"]["type"] == "array"
    assert "customer" in sources


def test_a_multiclass_model_is_documented_too() -> None:
    """Its probabilities by label."""
    from shared.spec.model import Candidate
    from shared.tabular import candidates, spaces
    from tests.unit.tabular.fits import FEATURES

    name: Candidate = "linear"
    rows = rows_of("multiclass")
    fitted = candidates.fit(name, spaces.FIRST[name], "multiclass", rows, features=FEATURES, seed=0)
    world = World()
    serve(package_of(fitted), world.lake.bucket)
    whole = document(world)
    schema = whole["components"]["schemas"]["m.Prediction"]
    assert set(schema["properties"]["probabilities"]["properties"]) == {"a", "b", "c"}
    _, answer = world.ask({"n": 1, "c": "a"}, "/predict")
    validator(schema, whole).validate(answer["predictions"][0])


class Tags(HTMLParser):
    """Tags of a page, and what they point at."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.targets: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.targets += [value or "" for name, value in attrs if name in ("href", "src")]


@pytest.mark.parametrize("path", ["/docs", "/models/adult/docs"])
def test_the_page_needs_nothing_and_runs_nothing(path: str) -> None:
    """Names out of files are text there, whatever they are; nothing is fetched from elsewhere."""
    world = World()
    serve(nasty_package(), world.lake.bucket)
    response = world.client.get(path, headers={"Host": "predict.example:8080"})
    text = response.get_data(as_text=True)
    page = Tags()
    page.feed(text)
    assert response.mimetype == "text/html"
    assert "script" not in page.tags
    assert page.targets == ["openapi.json"]
    assert "default-src 'none'" in response.headers["Content-Security-Policy"]
    assert "&lt;script&gt;" in text
    assert "curl http://predict.example:8080/models/adult/predict" in text


def test_an_empty_installation_has_a_page_and_a_document() -> None:
    """That say so."""
    world = World()
    assert "No model is served yet" in world.client.get("/docs").get_data(as_text=True)
    assert "/ready" in document(world)["paths"]
    assert world.client.get("/models/nope/docs").status_code == 404


def test_a_page_of_many_models_loads_few() -> None:
    """Those in memory and a few more are on it, and where the others are; each has its own page."""
    world = World()
    names = [f"m{number}" for number in range(8)]
    for name in names:
        serve(replace(binary_package(), model=name), world.lake.bucket)
    assert world.ask(RECORD, "/models/m7/predict")[0] == 200
    whole = document(world)
    page = world.client.get("/docs").get_data(as_text=True)
    assert world.client.get("/ready").get_json()["loaded"] == ["m7", "m0", "m1", "m2"]
    for name in names:
        shown = f"/models/{name}/predict" in whole["paths"]
        assert shown == (name in {"m7", "m0", "m1", "m2"})
        assert (f"/models/{name}/openapi.json" in whole["info"]["description"]) == (not shown)
        assert (f'href="models/{name}/docs"' in page) == (not shown)
    assert "/models/m5/predict" in document(world, "/models/m5/openapi.json")["paths"]


def test_whoever_has_only_the_address_finds_the_way(world: World) -> None:
    """The root names pages that are there, and an address without anything says where they are."""
    about = world.client.get("/").get_json()
    for path in about["see"]:
        assert world.client.get(path).status_code == 200
    response = world.client.get("/nowhere")
    assert response.status_code == 404
    error = response.get_json()["error"]
    assert error["code"] == "not_found"
    assert "/docs" in error["message"]
