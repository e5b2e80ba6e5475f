"""The OpenAPI document, as the routes and ``EventsApp.openapi`` return it."""

import copy
import json
import logging
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

import pytest
from fastapi import FastAPI
from jsonschema import Draft202012Validator
from litestar import Litestar, asgi, get
from openapi_spec_validator import OpenAPIV31SpecValidator, OpenAPIV32SpecValidator
from pydantic import BaseModel, ConfigDict, Field
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

from asgi_events import (
    EventsApp,
    EventsMiddleware,
    ExecutionResult,
    agent,
    call,
    current_state,
    tool,
)
from asgi_events.events import Event
from asgi_events.exceptions import Forbidden
from asgi_events.testing import Client
from tests.actors.test_forms import FORMS
from tests.actors.test_mcp_forms import FIELDS
from tests.http.app.routes import START, Make, count, idle, problem

HERE = Path(__file__).parent
GOLDEN = HERE.parent / "hello.openapi.json"
SCHEMAS = "#/components/schemas/"

OURS = [
    "ExecutionEvent",
    "LogEvent",
    "TextDelta",
    "ReasoningDelta",
    "ProgressEvent",
    "StateEvent",
    "ConversationEvent",
    "CustomEvent",
    "InputRequestEvent",
    "InputAnswerEvent",
    "ErrorEvent",
    "CancelledEvent",
    "LostEvent",
]

BASE = {  # of a ``complete`` event
    "description": "The execution returned.",
    "properties": {
        "event_type": {"type": "string", "const": "complete"},
        "message": {"type": "string"},
        "address": {"type": "string"},
        "timestamp": {"type": "string", "format": "date-time"},
        "cache_stats": {},
    },
    "required": ["event_type", "message", "address", "timestamp"],
    "type": "object",
}


class Place(BaseModel):
    name: str
    height: float | None = None
    tags: list[str] = []


class Chart(BaseModel):
    event_type: Literal["chart"] = "chart"
    points: list[float] = []


class Alarm(Event):
    event_type: str = "alarm"  # type: ignore[assignment]  # an event of the application
    level: int = 1
    reason: str | None = None


def schemas(app: EventsApp) -> dict[str, Any]:
    found: dict[str, Any] = app.openapi()["components"]["schemas"]
    return found


def reference(name: str) -> dict[str, str]:
    return {"$ref": f"{SCHEMAS}{name}"}


def complete(result: Any = None, *, required: bool = True) -> dict[str, Any]:
    """The schema of ``complete`` with a result; None for one that is never there."""
    if result is None:
        return BASE
    return BASE | {
        "properties": BASE["properties"] | {"result": result},
        "required": [*BASE["required"], *["result"] * required],
    }


def union(complete: str, **more: str) -> dict[str, Any]:
    """The union of all events of a stream."""
    kinds = ["log", "text_delta", "reasoning_delta", "progress", "state"]
    kinds += ["conversation", "custom", "input_request", "input_answer"]
    kinds += ["error", "cancelled", "lost"]
    calls = dict.fromkeys(["agent_call", "tool_call", "llm_call"], "ExecutionEvent")
    named = calls | dict(zip(kinds, OURS[1:], strict=True))
    named |= {"complete": complete} | more
    return {
        "oneOf": [reference(name) for name in [*OURS, complete, *more.values()]],
        "discriminator": {
            "propertyName": "event_type",
            "mapping": {kind: f"{SCHEMAS}{name}" for kind, name in named.items()},
        },
    }


def returning(type: Any, name: str = "work") -> Any:
    """An actor that is annotated to return a type."""

    async def work() -> Any: ...

    work.__annotations__["return"] = type
    return agent(name=name)(work)


def without_items(document: Any) -> Any:
    if isinstance(document, dict):
        return {k: without_items(v) for k, v in document.items() if k != "itemSchema"}
    if isinstance(document, list):
        return [without_items(item) for item in document]
    return document


def without_nulls(document: Any) -> Any:
    """The document without members that are null, which Litestar leaves out."""
    if isinstance(document, dict):
        return {k: without_nulls(v) for k, v in document.items() if v is not None}
    if isinstance(document, list):
        return [without_nulls(item) for item in document]
    return document


def check(document: dict[str, Any]) -> None:
    """The document is valid, and has no reference to nothing.

    The validator of 3.2 does not look into an ``itemSchema``.
    """
    validators = {"3.1.0": OpenAPIV31SpecValidator, "3.2.0": OpenAPIV32SpecValidator}
    validator = validators[document["openapi"]]
    assert [str(error) for error in validator(document).iter_errors()] == []
    for schema in item_schemas(document):
        Draft202012Validator.check_schema(schema)
    for found in references(document):
        part: Any = document
        for name in found.removeprefix("#/").split("/"):
            part = part[name]


def item_schemas(document: Any) -> list[Any]:
    if isinstance(document, dict):
        own = [document["itemSchema"]] if "itemSchema" in document else []
        return own + [s for item in document.values() for s in item_schemas(item)]
    if isinstance(document, list):
        return [schema for item in document for schema in item_schemas(item)]
    return []


def references(document: Any) -> list[str]:
    if isinstance(document, dict):
        own = [document["$ref"]] if isinstance(document.get("$ref"), str) else []
        own += document.get("discriminator", {}).get("mapping", {}).values()
        return own + [r for item in document.values() for r in references(item)]
    if isinstance(document, list):
        return [r for item in document for r in references(item)]
    return []


def validator(app: EventsApp, name: str) -> Draft202012Validator:
    """Says whether JSON is what a component describes."""
    return validator_at(app, f"{SCHEMAS}{name}")


def validator_at(app: EventsApp, pointer: str) -> Draft202012Validator:
    """Says whether JSON is what a part of the document describes."""
    resource = Resource(contents=app.openapi(), specification=DRAFT202012)
    return Draft202012Validator(
        {"$ref": f"urn:document{pointer}"},
        registry=Registry().with_resource("urn:document", resource),
    )


def blocks(path: str) -> str:
    """Where the schema of the blocks of a stream is."""
    method = "get" if path.endswith("/events") else "post"
    parts = [
        *("paths", path, method, "responses", "200"),
        *("content", "text/event-stream", "itemSchema"),
    ]
    return "#/" + "/".join(part.replace("/", "~1") for part in parts)


@pytest.fixture
def hello(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(HERE.parents[2] / "examples"))
    monkeypatch.delitem(sys.modules, "hello", raising=False)
    import hello

    return hello


def test_describes_every_form_that_a_question_has(make: Make) -> None:
    describes = validator(make(), "InputForm")
    no_forms: list[Any] = [
        {},
        {"type": "null"},
        {"type": "object"},
        {"type": "array"},
        {"type": "string", "format": "time"},
        {"type": "object", "properties": {"a": {"type": "object", "properties": {}}}},
    ]

    forms = [form for _, form in FORMS] + [field for field, *_ in FIELDS.values()]

    assert [form for form in forms if not describes.is_valid(form)] == []
    assert [form for form in no_forms if describes.is_valid(form)] == []


async def test_describes_the_actors_of_an_example(make: Make, hello: Any) -> None:
    c = await Client(make(hello.research)).get("/openapi.json")
    document = await c.json()

    assert (c.status, c.headers["content-type"]) == (200, "application/json")
    assert document == json.loads(GOLDEN.read_text())
    check(document)


@pytest.mark.parametrize("version", ["3.1", "3.1.0"])
async def test_has_no_item_schema_in_3_1(make: Make, hello: Any, version: str) -> None:
    c = await Client(make(hello.research)).get(f"/openapi.json?version={version}")
    document = await c.json()

    golden = json.loads(GOLDEN.read_text())
    assert document == without_items(golden) | {"openapi": "3.1.0"}
    check(document)


@pytest.mark.parametrize("version", ["3.2", "3.2.0"])
async def test_is_of_3_2_by_default(make: Make, version: str) -> None:
    client = Client(make(count))
    named = await (await client.get(f"/openapi.json?version={version}")).json()

    assert named == await (await client.get("/openapi.json")).json()
    assert named["openapi"] == "3.2.0"


@pytest.mark.parametrize("version", ["3", "3.0", "2.0", "4.0.0", "latest"])
async def test_refuses_another_version(make: Make, version: str) -> None:
    app = make(count)
    c = await Client(app).get(f"/openapi.json?version={version}")
    said = f"version is 3.1 or 3.2 of OpenAPI, got {version!r}."

    assert c.status == 400
    assert await c.json() == problem(400, "Bad Request", said)
    with pytest.raises(ValueError) as raised:
        app.openapi(version=version)
    assert str(raised.value) == said


async def test_is_for_those_who_may_list(make: Make) -> None:
    asked: list[Any] = []

    def authorize(scope: Any, action: str, execution: Any) -> str | None:
        asked.append((action, execution))
        raise Forbidden

    c = await Client(make(count, authorize=authorize)).get("/openapi.json?version=9")

    assert c.status == 403
    assert asked == [("list", None)]


async def test_answers_head_and_refuses_other_methods(make: Make) -> None:
    client = Client(make(count))
    head = await client.request("HEAD", "/openapi.json")
    put = await client.request("PUT", "/openapi.json")

    assert (head.status, head.body) == (200, b"")
    assert (put.status, put.headers["allow"]) == (405, "GET, HEAD")


async def test_leaves_an_actor_of_its_name_alone(make: Make) -> None:
    @agent(name="openapi.json")
    async def named() -> None: ...

    app = make(named)
    started = await Client(app).post("/openapi.json", json={})
    document = await (await Client(app).get("/openapi.json")).json()

    assert started.status == 202
    assert sorted(document["paths"]["/openapi.json"]) == ["get", "post"]
    check(document)


PATHS = [
    "/",
    "/openapi.json",
    "/count",
    "/executions",
    "/feed",
    "/executions/{id}",
    "/executions/{id}/events",
    "/executions/{id}/inputs/{n}",
]


async def test_names_the_paths_as_the_client_knows_them(make: Make) -> None:
    client = Client(make(count, prefix="/v1"), root_path="/api")
    c = await client.get("/v1/openapi.json")

    assert list((await c.json())["paths"]) == [f"/api/v1{path}" for path in PATHS]


@pytest.mark.parametrize(
    ("prefix", "base"), [(None, "/v1"), ("", ""), ("/a", "/a"), ("/a/b/", "/a/b")]
)
def test_has_paths_below_any_prefix(make: Make, prefix: str | None, base: str) -> None:
    paths = make(count, prefix="/v1").openapi(prefix)["paths"]

    assert list(paths) == [f"{base}{path}" for path in PATHS]


def test_is_also_that_of_a_middleware() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None: ...

    middleware = EventsMiddleware(app, actors=[count])

    assert list(middleware.events.openapi()["paths"]) == [
        f"/events{path}" for path in PATHS
    ]


# Results


@dataclass
class Pair:
    left: int
    right: int = 2


@pytest.mark.parametrize(
    ("type", "said", "status"),
    [
        (
            str,
            complete({"type": "string"}),
            {"anyOf": [{"type": "string"}, {"type": "null"}]},
        ),
        (
            list[int] | None,
            complete({"type": "array", "items": {"type": "integer"}}, required=False),
            {
                "anyOf": [
                    {"type": "array", "items": {"type": "integer"}},
                    {"type": "null"},
                ]
            },
        ),
        (
            int | str | None,
            complete(
                {"anyOf": [{"type": "integer"}, {"type": "string"}]}, required=False
            ),
            {"anyOf": [{"type": "integer"}, {"type": "string"}, {"type": "null"}]},
        ),
        (None, complete(), {"type": "null"}),
        (Any, complete({}, required=False), {}),
        (Callable[[], int], complete({}, required=False), {}),
        (object(), complete({}, required=False), {}),
        ("Unknown", complete({}, required=False), {}),
        (
            ExecutionResult[int],
            complete({"type": "integer"}, required=False),
            {"anyOf": [{"type": "integer"}, {"type": "null"}]},
        ),
        (
            Place,
            complete(reference("Place")),
            {"anyOf": [reference("Place"), {"type": "null"}]},
        ),
        (
            Pair,
            complete(reference("Pair")),
            {"anyOf": [reference("Pair"), {"type": "null"}]},
        ),
    ],
)
def test_knows_the_type_of_a_result(
    make: Make, type: Any, said: Any, status: Any
) -> None:
    app = make(returning(type))
    found = schemas(app)

    assert found["WorkCompleteEvent"] == said
    assert found["CompleteEvent"] == said
    assert found["WorkExecution"]["properties"]["result"] == status
    check(app.openapi())


def test_has_a_union_of_the_results_of_all_actors(make: Make) -> None:
    app = make(returning(int, "a"), returning(str | None, "b"), returning(int, "c"))
    found = schemas(app)

    assert found["CompleteEvent"] == complete(
        {"anyOf": [{"type": "integer"}, {"type": "string"}]}, required=False
    )
    assert found["Execution"] == {
        "oneOf": [reference(f"{name}Execution") for name in "ABC"],
        "discriminator": {
            "propertyName": "actor",
            "mapping": {name: f"{SCHEMAS}{name.upper()}Execution" for name in "abc"},
        },
    }


def test_may_have_no_result_where_viewers_see_redacted_events(make: Make) -> None:
    app = make(returning(int), redact=lambda event: event)

    assert schemas(app)["WorkCompleteEvent"] == complete(
        {"type": "integer"}, required=False
    )


def test_describes_executions_without_any_actor(make: Make) -> None:
    app = make()
    found = schemas(app)

    assert found["CompleteEvent"] == complete({}, required=False)
    assert found["Event"] == union("CompleteEvent")
    assert found["Execution"]["properties"]["actor"] == {"type": "string"}
    check(app.openapi())


# Inputs


def test_tells_what_is_given_from_what_is_sent(make: Make) -> None:
    @agent
    async def climb(place: Place) -> Place:
        return place

    app = make(climb)
    found = schemas(app)
    member = {
        "name": {"title": "Name", "type": "string"},
        "height": {
            "anyOf": [{"type": "number"}, {"type": "null"}],
            "default": None,
            "title": "Height",
        },
        "tags": {
            "default": [],
            "items": {"type": "string"},
            "title": "Tags",
            "type": "array",
        },
    }

    assert found["Place"] == {
        "properties": member,
        "required": ["name"],
        "title": "Place",
        "type": "object",
    }
    assert found["PlaceOutput"] == found["Place"] | {"required": ["name", "tags"]}
    assert app.openapi()["paths"]["/climb"]["post"]["requestBody"] == {
        "required": True,
        "content": {"application/json": {"schema": reference("Place")}},
    }
    assert found["ClimbCompleteEvent"] == complete(reference("PlaceOutput"))


def test_does_not_ask_for_a_body_that_may_be_empty(make: Make) -> None:
    paths = make(count, idle).openapi()["paths"]

    assert paths["/count"]["post"]["requestBody"]["required"] is True
    assert paths["/idle"]["post"]["requestBody"] == {
        "required": False,
        "content": {"application/json": {"schema": reference("idle")}},
    }


def test_names_members_as_they_are_read_and_written(make: Make) -> None:
    class Loud(BaseModel):
        model_config = ConfigDict(serialize_by_alias=True)
        size: int = Field(alias="SIZE")

    class Quiet(BaseModel):
        size: int = Field(alias="SIZE")
        loud: Loud

    @agent
    async def echo(given: Quiet) -> Quiet:
        return given

    app = make(echo)
    found = schemas(app)

    assert list(found["Quiet"]["properties"]) == ["SIZE", "loud"]
    assert list(found["QuietOutput"]["properties"]) == ["size", "loud"]
    assert list(found["Loud"]["properties"]) == ["SIZE"]
    assert found["QuietOutput"]["properties"]["loud"] == reference("Loud")


# Names


def test_gives_models_of_one_name_names_of_their_own(make: Make) -> None:
    class LogEvent(BaseModel):
        line: int

    def places() -> tuple[type[BaseModel], type[BaseModel]]:
        class Place(BaseModel):
            town: str

        class Trip(BaseModel):
            to: Place

        return Place, Trip

    Place, Trip = places()

    @agent
    async def travel(trip: Trip) -> LogEvent: ...  # type: ignore[valid-type]

    app = make(travel, returning(globals()["Place"], "climb"))
    found = schemas(app)

    assert found["LogEvent"]["properties"]["level"]["enum"][0] == "debug"
    assert found["LogEventOutput"]["properties"] == {
        "line": {"title": "Line", "type": "integer"}
    }
    assert found["TravelCompleteEvent"] == complete(reference("LogEventOutput"))
    assert list(found["Place"]["properties"]) == ["town"]
    assert found["Trip"]["properties"]["to"] == reference("Place")
    assert found["ClimbCompleteEvent"] == complete(reference("PlaceOutput"))
    assert "name" in found["PlaceOutput"]["properties"]
    check(app.openapi())


def test_gives_what_refers_to_another_model_another_name(make: Make) -> None:
    class Trip(BaseModel):
        to: Place

    class Tour(BaseModel):
        trips: list[Trip]

    @agent
    async def travel(tour: Tour) -> Tour:
        return tour

    app = make(travel)
    found = schemas(app)

    assert found["Trip"]["properties"] == {"to": reference("Place")}
    assert found["TripOutput"]["properties"] == {"to": reference("PlaceOutput")}
    assert found["TourOutput"]["properties"]["trips"]["items"] == (
        reference("TripOutput")
    )
    assert found["TravelCompleteEvent"] == complete(reference("TourOutput"))
    check(app.openapi())


def test_gives_actors_of_like_names_names_of_their_own(make: Make) -> None:
    app = make(
        returning(int, "a-b"),
        returning(str, "a_b"),
        returning(bool, "a.b"),
        returning(int, "größe"),
        returning(str, "日本"),
        returning(int, "{x}"),
    )
    document = app.openapi()
    found = document["components"]["schemas"]
    ids = [
        operation["operationId"]
        for path in document["paths"].values()
        for operation in path.values()
    ]

    assert found["ABCompleteEvent"] == complete({"type": "integer"})
    assert found["ABCompleteEvent2"] == complete({"type": "string"})
    assert found["ABCompleteEvent3"] == complete({"type": "boolean"})
    assert found["ABEvent2"] == union("ABCompleteEvent2")
    assert list(document["paths"])[2:8] == [
        "/a-b",
        "/a_b",
        "/a.b",
        "/gr%C3%B6%C3%9Fe",
        "/%E6%97%A5%E6%9C%AC",
        "/%7Bx%7D",
    ]
    assert ids == [
        "list_actors",
        "get_openapi",
        "start_a_b",
        "start_a_b2",
        "start_a_b3",
        "start_gr__e",
        "start_actor",
        "start_x",
        "list_executions",
        "stream_feed",
        "get_execution",
        "cancel_execution",
        "stream_execution",
        "get_input",
        "answer_input",
    ]
    check(document)


# Events


def test_has_the_models_that_an_actor_publishes(make: Make) -> None:
    @agent(publishes=[Chart, Alarm])
    async def draw() -> None: ...

    app = make(draw, count)
    found = schemas(app)

    assert found["Chart"] == {
        "properties": {
            "event_type": {"type": "string", "const": "chart"},
            "points": {
                "default": [],
                "items": {"type": "number"},
                "title": "Points",
                "type": "array",
            },
        },
        "required": ["event_type", "points"],
        "title": "Chart",
        "type": "object",
    }
    assert found["Alarm"] == {
        "properties": {
            "event_type": {"type": "string", "const": "alarm"},
            "address": {"type": "string"},
            "timestamp": {"type": "string", "format": "date-time"},
            "level": {"type": "integer"},
            "reason": {"type": "string"},
        },
        "required": ["event_type", "address", "timestamp", "level"],
        "title": "Alarm",
        "type": "object",
    }
    assert found["DrawEvent"] == union(
        "DrawCompleteEvent", chart="Chart", alarm="Alarm"
    )
    assert found["CountEvent"] == union("CountCompleteEvent")
    assert found["Event"] == union("CompleteEvent", chart="Chart", alarm="Alarm")
    check(app.openapi())


def test_does_not_tell_events_of_one_name_apart(make: Make) -> None:
    class Plot(BaseModel):
        event_type: Literal["chart"] = "chart"

    @agent(publishes=[Chart])
    async def draw() -> None: ...

    @tool(publishes=[Plot])
    async def plot() -> None: ...

    found = schemas(make(draw, plot))

    assert found["DrawEvent"] == union("DrawCompleteEvent", chart="Chart")
    assert found["PlotEvent"] == union("PlotCompleteEvent", chart="Plot")
    assert found["Event"] == {
        "anyOf": [reference(name) for name in [*OURS, "CompleteEvent", "Chart", "Plot"]]
    }


def test_says_which_events_are_not_right(make: Make) -> None:
    is_valid = validator(make(count), "CountEvent").is_valid
    said = {"address": "", "timestamp": "2026-01-02T03:04:05Z"}
    ended = said | {"event_type": "complete", "message": "Done"}
    progress = said | {"event_type": "progress", "current": 1.0}

    assert is_valid(progress)
    assert is_valid(progress | {"total": 2.0, "newer": 1})
    assert not is_valid(progress | {"total": None})
    assert not is_valid(progress | {"event_type": "news"})
    assert is_valid(ended | {"result": 3})
    assert not is_valid(ended | {"result": "three"})
    assert not is_valid(ended)


async def test_says_which_blocks_are_not_right(make: Make) -> None:
    app = make(count)
    said = {
        "progress": {"data": "{}", "id": "x:1", "retry": 1000},
        "reset": {"event": "reset", "data": '{"reason":"future","first":1}'},
        "goodbye": {"event": "goodbye", "data": "{}", "retry": 1},
        "end": {"event": "end", "data": "{}"},
    }

    for path in ("/count", "/executions/{id}/events"):
        is_valid = validator_at(app, quote(blocks(path), safe="#/~")).is_valid
        assert [name for name in said if not is_valid(said[name])] == []
        assert not is_valid({"event": "goodbye", "data": "{}"})
        assert not is_valid({"id": "x:1"})
        assert not is_valid({"data": "{}", "retry": "1000"})


@pytest.mark.parametrize("path", ["/draw", "/fail", "/climb", "/idle"])
async def test_is_right_for_what_actors_send(make: Make, path: str) -> None:
    @tool(show=("input", "output"))
    async def look() -> Place:
        return Place(name="Elbrus")

    @agent(publishes=[Chart, Alarm])
    async def draw() -> None:
        state = current_state()
        await state.publish(Chart(points=[1.0]))
        await state.publish(Alarm(level=2))
        await state.log("drawn")
        await state.text("so")
        await state.reasoning("hm")
        await state.progress(1)
        await state.progress(1, 2, "half")
        await state.snapshot({"a": None})
        await state.snapshot(None)
        await state.custom("own", [1])
        with call("llm", "gpt") as model:
            model.usage(input_tokens=1)

    @agent
    async def fail() -> int:
        raise ValueError("it is broken")

    @agent
    async def climb() -> Place:
        return await look()

    app = make(draw, fail, climb, idle)
    client = Client(app)
    stream = await client.post(path, headers=START, json={})
    about = await client.get(f"/executions/{next(iter(app.executions)).id}")

    name = path[1:].capitalize()
    *events, end = await stream.events()
    for part in (f"{name}Event", "Event"):
        for event in events:
            sent = json.loads(event.data or "")
            errors = validator(app, part).iter_errors(sent)
            assert [(sent, error.message) for error in errors] == []
    assert end.event == "end"
    validator(app, "End").validate(json.loads(end.data or ""))
    for part in (f"{name}Execution", "Execution"):
        validator(app, part).validate(await about.json())


async def test_is_right_for_lists_and_problems(make: Make) -> None:
    app = make(count)
    client = Client(app)

    listing = await client.get("/")
    validator(app, "ActorList").validate(await listing.json())
    for refused in (
        await client.get("/executions/none"),
        await client.post("/count", json={"to": "x"}),
    ):
        validator(app, "Problem").validate(await refused.json())


# In the document of a framework


def test_becomes_part_of_the_document_of_fastapi(make: Make) -> None:
    api = FastAPI()
    events = make(returning(Place, "climb"), count)

    class Chart(BaseModel):
        kind: str

    @api.post("/charts", operation_id="list_actors")
    async def post_chart(chart: Chart) -> Place: ...

    @agent(publishes=[globals()["Chart"]])
    async def draw() -> None: ...

    events = make(draw, returning(Place, "climb"))
    theirs = copy.deepcopy(api.openapi())
    api.mount("/events", events)
    api.openapi_schema = events.openapi("/events", into=api.openapi())

    document = api.openapi()
    known = theirs["components"]["schemas"]
    found = document["components"]["schemas"]
    assert document["info"] == theirs["info"]
    assert document["openapi"] == theirs["openapi"]
    assert list(document["paths"]) == [
        "/charts",
        "/events/",
        "/events/openapi.json",
        "/events/draw",
        "/events/climb",
        "/events/executions",
        "/events/feed",
        "/events/executions/{id}",
        "/events/executions/{id}/events",
        "/events/executions/{id}/inputs/{n}",
    ]
    assert document["paths"]["/charts"] == theirs["paths"]["/charts"]
    assert document["paths"]["/events/"]["get"]["operationId"] == "list_actors2"
    assert {name: found[name] for name in known} == known
    assert found["DrawEvent"] == union("DrawCompleteEvent", chart="ChartOutput")
    check(document)


@pytest.fixture
def own_logging() -> Iterator[None]:
    """Litestar sets the level and the handlers of the root logger."""
    root = logging.getLogger()
    level, handlers = root.level, list(root.handlers)
    yield
    root.setLevel(level)
    root.handlers[:] = handlers


@pytest.mark.usefixtures("own_logging")
async def test_becomes_part_of_the_document_of_litestar(make: Make) -> None:
    @get("/places", operation_id="list_actors")
    async def get_places() -> Place: ...

    events = make(returning(Place, "climb"), count)
    mounted = asgi("/events", is_mount=True, copy_scope=True)(events)
    api = Litestar([get_places, mounted])
    theirs = api.openapi_schema.to_schema()
    vars(api.openapi_schema).update(events.openapi("/events", into=theirs))

    c = await Client(api).get("/schema/openapi.json")
    document = await c.json()
    found = document["components"]["schemas"]
    assert c.headers["content-type"] == "application/vnd.oai.openapi+json"
    assert document == without_nulls(events.openapi("/events", into=theirs))
    assert document["paths"]["/places"] == theirs["paths"]["/places"]
    assert document["paths"]["/events/"]["get"]["operationId"] == "list_actors2"
    assert found["Place"] == theirs["components"]["schemas"]["Place"]
    assert found["ClimbCompleteEvent"] == complete(reference("PlaceOutput"))
    check(document)


@pytest.mark.usefixtures("own_logging")
@pytest.mark.parametrize(
    ("framework", "path"),
    [("fastapi", "/openapi.json"), ("litestar", "/schema/openapi.json")],
)
async def test_becomes_part_of_a_document_by_the_line_in_the_docs(
    framework: str, path: str
) -> None:
    page = (HERE.parents[2] / "docs" / "openapi.md").read_text()
    codes = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    (code,) = (code for code in codes if f"from {framework}" in code)
    names: dict[str, Any] = {"__name__": "docs"}
    exec(compile(code, "docs/openapi.md", "exec"), names)

    document = await (await Client(names["api"]).get(path)).json()
    assert [path for path in document["paths"] if path.startswith("/events")] == [
        "/events/",
        "/events/openapi.json",
        "/events/research",
        "/events/executions",
        "/events/feed",
        "/events/executions/{id}",
        "/events/executions/{id}/events",
        "/events/executions/{id}/inputs/{n}",
    ]
    check(document)


def test_has_the_version_of_the_document_that_it_is_part_of(make: Make) -> None:
    app = make(count)
    old = {"openapi": "3.1.1", "info": {"title": "Ours", "version": "7"}, "paths": {}}
    document = app.openapi(into=old)

    assert document == without_items(app.openapi()) | {
        "openapi": "3.1.1",
        "info": {"title": "Ours", "version": "7"},
    }
    with pytest.raises(ValueError, match="got '3.0'"):
        app.openapi(into=old | {"openapi": "3.0.3"})


def test_describes_two_applications_in_one_document(make: Make) -> None:
    one, two = make(count), make(returning(str))
    first = one.openapi("/one")
    before = copy.deepcopy(first)
    both = two.openapi("/two", into=first)

    assert first == before
    found = both["components"]["schemas"]
    assert {name: found[name] for name in before["components"]["schemas"]} == (
        before["components"]["schemas"]
    )
    assert found["CompleteEvent2"] == complete({"type": "string"})
    assert found["Event2"] == union("CompleteEvent2")
    check(both)
