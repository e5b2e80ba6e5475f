"""What an actor takes, as JSON: the schema, the arguments, and what is refused."""

import functools
from typing import Annotated, Any

import pytest
from pydantic import BaseModel, Field

from asgi_events import ExecutionState, Message, tool
from asgi_events.actors.inputs import ActorInput
from asgi_events.exceptions import InvalidInput


class Topic(BaseModel):
    topic: str
    depth: int = 1


def of(function: Any) -> ActorInput:
    return ActorInput(tool(name="it")(function))


def takes_a_model(topic: Topic) -> None: ...


def takes_nothing() -> None: ...


def takes_some(
    query: str, limit: Annotated[int, Field(ge=1, description="At most")] = 10
) -> None: ...


def takes_a_model_and_more(topic: Topic, loud: bool = False) -> None: ...


def takes_perhaps_a_model(topic: Topic | None = None) -> None: ...


def takes_keywords(*, query: str) -> None: ...


def takes_anything(value) -> None: ...  # type: ignore[no-untyped-def]  # the point


async def takes_asynchronously(query: str) -> None: ...


class TakesAsAnObject:
    async def __call__(self, query: str) -> None: ...


TAKES_THE_REST = functools.partial(takes_some, limit=3)


@pytest.mark.parametrize(
    ("function", "body", "arguments"),
    [
        pytest.param(
            takes_a_model,
            b'{"topic":"t"}',
            {"topic": Topic(topic="t")},
            id="a model is the whole body",
        ),
        pytest.param(takes_nothing, b"{}", {}, id="nothing"),
        pytest.param(
            takes_some, b'{"query":"q"}', {"query": "q", "limit": 10}, id="default"
        ),
        pytest.param(
            takes_some,
            b'{"limit":3,"query":"q"}',
            {"query": "q", "limit": 3},
            id="all",
        ),
        pytest.param(
            takes_a_model_and_more,
            b'{"topic":{"topic":"t","depth":2},"loud":true}',
            {"topic": Topic(topic="t", depth=2), "loud": True},
            id="a model and more",
        ),
        pytest.param(
            takes_perhaps_a_model, b"{}", {"topic": None}, id="perhaps a model"
        ),
        pytest.param(
            takes_perhaps_a_model,
            b'{"topic":{"topic":"t"}}',
            {"topic": Topic(topic="t")},
            id="perhaps it was one",
        ),
        pytest.param(takes_keywords, b'{"query":"q"}', {"query": "q"}, id="keywords"),
        pytest.param(takes_anything, b'{"value":[1]}', {"value": [1]}, id="anything"),
        pytest.param(
            takes_asynchronously, b'{"query":"q"}', {"query": "q"}, id="async"
        ),
        pytest.param(TakesAsAnObject(), b'{"query":"q"}', {"query": "q"}, id="object"),
        pytest.param(
            TAKES_THE_REST, b'{"query":"q"}', {"query": "q", "limit": 3}, id="partial"
        ),
    ],
)
def test_reads_arguments_from_json(
    function: Any, body: bytes, arguments: dict[str, Any]
) -> None:
    assert of(function).from_json(body) == arguments


@pytest.mark.parametrize(
    ("function", "value", "arguments"),
    [
        pytest.param(takes_nothing, None, {}, id="None for nothing"),
        pytest.param(
            takes_a_model,
            Topic(topic="t"),
            {"topic": Topic(topic="t")},
            id="a model",
        ),
        pytest.param(
            takes_a_model, {"topic": "t"}, {"topic": Topic(topic="t")}, id="a dict"
        ),
        pytest.param(
            takes_a_model_and_more,
            {"topic": Topic(topic="t")},
            {"topic": Topic(topic="t"), "loud": False},
            id="a model in a dict",
        ),
        pytest.param(takes_perhaps_a_model, None, {"topic": None}, id="default"),
    ],
)
def test_takes_arguments_from_python(
    function: Any, value: Any, arguments: dict[str, Any]
) -> None:
    assert of(function).from_python(value) == arguments


def test_gives_the_very_model_to_the_actor() -> None:
    topic = Topic(topic="t")
    assert of(takes_a_model).from_python(topic)["topic"] is topic


def test_falls_back_to_the_default_of_a_model() -> None:
    default = Topic(topic="news", depth=3)

    def takes_a_default(topic: Topic = default) -> None: ...

    assert of(takes_a_default).from_python(None) == {"topic": default}


def test_describes_a_model_by_its_own_schema() -> None:
    assert of(takes_a_model).schema() == Topic.model_json_schema()


def test_describes_parameters_as_an_object() -> None:
    assert of(takes_some).schema() == {
        "title": "it",
        "type": "object",
        "properties": {
            "query": {"title": "Query", "type": "string"},
            "limit": {
                "title": "Limit",
                "type": "integer",
                "default": 10,
                "minimum": 1,
                "description": "At most",
            },
        },
        "required": ["query"],
        "additionalProperties": False,
    }


@pytest.mark.parametrize(
    ("function", "body", "errors"),
    [
        pytest.param(
            takes_some,
            b'{"limit":0}',
            [
                {"type": "missing", "loc": ("query",), "msg": "Field required"},
                {
                    "type": "greater_than_equal",
                    "loc": ("limit",),
                    "msg": "Input should be greater than or equal to 1",
                },
            ],
            id="fields",
        ),
        pytest.param(
            takes_some,
            b'{"query":"q","secret":"hush"}',
            [
                {
                    "type": "extra_forbidden",
                    "loc": ("secret",),
                    "msg": "Extra inputs are not permitted",
                }
            ],
            id="too much",
        ),
        pytest.param(
            takes_nothing,
            b'{"a":1}',
            [
                {
                    "type": "extra_forbidden",
                    "loc": ("a",),
                    "msg": "Extra inputs are not permitted",
                }
            ],
            id="instead of nothing",
        ),
        pytest.param(
            takes_a_model,
            b'{"topic":3}',
            [
                {
                    "type": "string_type",
                    "loc": ("topic",),
                    "msg": "Input should be a valid string",
                }
            ],
            id="model",
        ),
    ],
)
def test_lists_what_is_wrong_without_repeating_it(
    function: Any, body: bytes, errors: list[Any]
) -> None:
    with pytest.raises(InvalidInput) as caught:
        of(function).from_json(body)
    assert (caught.value.actor, caught.value.errors) == ("it", errors)
    assert "hush" not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'"x"',
        b"\xff\xfe",
        b'{"query":"\xff"}',
        b'{"query":"q"} x',
        b"[" * 100_000,
    ],
    ids=[
        "nothing",
        "half",
        "list",
        "null",
        "str",
        "UTF-16",
        "not UTF-8",
        "more",
        "deep",
    ],
)
@pytest.mark.parametrize("function", [takes_some, takes_a_model, takes_nothing])
def test_refuses_a_body_that_is_no_json_object(function: Any, body: bytes) -> None:
    with pytest.raises(InvalidInput, match="^The input of 'it' is not valid: "):
        of(function).from_json(body)


@pytest.mark.parametrize("value", [3, "x", [], Message(content="c")], ids=repr)
def test_refuses_a_value_that_is_something_else(value: Any) -> None:
    with pytest.raises(InvalidInput):
        of(takes_a_model).from_python(value)


def _positional(x: int, /) -> None: ...


def _any_positional(*x: int) -> None: ...


def _any_keyword(**x: int) -> None: ...


def _underscore(_x: int) -> None: ...


def _state(message: Message, context: str, state: ExecutionState) -> None: ...


@pytest.mark.parametrize(
    ("function", "parameter"),
    [
        pytest.param(_positional, "x: int", id="positional"),
        pytest.param(_any_positional, r"\*x: int", id="any positional"),
        pytest.param(_any_keyword, r"\*\*x: int", id="any keyword"),
        pytest.param(_underscore, "_x", id="underscore"),
        pytest.param(_state, "ExecutionState", id="no JSON form"),
    ],
)
def test_refuses_an_actor_that_json_can_not_start(
    function: Any, parameter: str
) -> None:
    with pytest.raises(TypeError, match=parameter):
        of(function)


def test_takes_parameters_named_as_pydantic_s_own_methods() -> None:
    def function(schema: str, copy: int, json: bool, model_name: str) -> None: ...

    arguments = {"schema": "s", "copy": 1, "json": True, "model_name": "m"}
    assert of(function).from_python(arguments) == arguments


def test_says_which_annotation_cannot_be_resolved() -> None:
    @tool
    async def measure(size: "Size") -> int:  # type: ignore[name-defined]  # noqa: F821
        return 1

    with pytest.raises(TypeError, match="name 'Size' is not defined. Import the name"):
        ActorInput(measure)
