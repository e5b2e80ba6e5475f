"""``EventSourceResponse``: options and wrong arguments."""

import asyncio
import inspect
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from fastapi import FastAPI

from asgi_events import EventSourceResponse
from asgi_events.log.source import FrameSource
from asgi_events.testing import Client, Connection
from tests.http.response.sources import CLEANED_UP, Content, Source, idle, settle

pytestmark = pytest.mark.usefixtures("fixed_time")


# Options


@pytest.mark.parametrize(
    "option", ["heartbeat_interval", "send_timeout", "max_duration"]
)
@pytest.mark.parametrize(
    ("value", "error"),
    [
        (0, ValueError),
        (-1.0, ValueError),
        (float("inf"), ValueError),
        (float("nan"), ValueError),
        ("15", TypeError),
        (True, TypeError),
    ],
)
def test_refuses_seconds_that_are_none(
    option: str, value: Any, error: type[Exception]
) -> None:
    options: dict[str, Any] = {option: value}

    with pytest.raises(error, match=f"{option} must be a number of seconds.*, got"):
        EventSourceResponse(Content(), **options)


@pytest.mark.parametrize("content", [None, "text", b"bytes", ["list"], object()])
def test_refuses_content_that_is_no_async_iterable(content: Any) -> None:
    with pytest.raises(
        TypeError,
        match=f"must be an async iterable of events, got {type(content).__name__}",
    ):
        EventSourceResponse(content)


@pytest.mark.parametrize(
    "name",
    ["Connection", "keep-alive", "Transfer-Encoding", "UPGRADE", "te"],
)
def test_refuses_headers_that_belong_to_the_connection(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name!r} belongs to the connection"):
        EventSourceResponse(Content(), headers={name: "x"})


BAD_VALUES = ["a\r", "a\n", "a\0", "a\x7f", "a\r\nset-cookie: a=b", "日本"]

BAD_NAMES = ["", "a b", "a:b", "x-té", "x\r\ny", "x\0", "Content-Length"]


@pytest.mark.parametrize("value", BAD_VALUES)
def test_refuses_values_that_no_header_can_have(value: str) -> None:
    with pytest.raises(ValueError, match="The header 'x-test'"):
        EventSourceResponse(Content(), headers={"x-test": value})


@pytest.mark.parametrize("name", BAD_NAMES)
def test_refuses_names_that_no_header_of_a_stream_can_have(name: str) -> None:
    with pytest.raises(ValueError, match="header's name|has no length"):
        EventSourceResponse(Content(), headers={name: "a"})


def test_refuses_headers_that_are_no_text() -> None:
    with pytest.raises(TypeError, match="a str and a str, got 'x-count': 1"):
        EventSourceResponse(Content(), headers={"x-count": 1})  # type: ignore[dict-item]


def test_is_an_asgi_application_to_those_who_inspect_it() -> None:
    assert inspect.iscoroutinefunction(EventSourceResponse.__call__)
    assert list(inspect.get_annotations(EventSourceResponse.__call__)) == [
        "scope",
        "receive",
        "send",
        "return",
    ]


# Many, at random


async def test_leaves_nothing_behind_however_its_clients_leave() -> None:
    contents: list[Content] = []
    for number in range(200):
        content = Content(*map(str, range(number % 7)))
        contents.append(content)
        async with Connection(EventSourceResponse(content)) as c:
            for _ in range(number % 11):
                await asyncio.sleep(0)
            if number % 3 == 0:
                c.stall()
            content.put("x")
            for _ in range(number % 5):
                await asyncio.sleep(0)
            c.disconnect()
            await c.end()

    await settle()
    lives = [content.life for content in contents]
    assert all(life in ([], CLEANED_UP) for life in lives)
    assert CLEANED_UP in lives


def test_is_told_apart_from_an_iterable_by_its_methods() -> None:
    source = Source(idle)

    assert isinstance(source, FrameSource)
    assert EventSourceResponse(source).source is source


async def test_is_sent_once() -> None:
    response = EventSourceResponse(Content("a", None))
    await Client(response).get("/")
    with pytest.raises(RuntimeError, match="has been sent.*make a new one for each"):
        await Client(response).get("/")


async def _items() -> AsyncIterator[str]:
    yield "a"


async def _answer() -> str:
    return "a"


@pytest.mark.parametrize(
    ("content", "cure"),
    [
        (lambda: _items, "got function: call it"),
        (lambda: _answer(), "got coroutine: await it"),
        (lambda: iter(["a"]), "got list_iterator: yield its items in an async gen"),
    ],
    ids=["function", "coroutine", "iterator"],
)
def test_says_what_to_do_with_content_that_is_nearly_right(
    content: Callable[[], Any], cure: str
) -> None:
    with pytest.raises(TypeError, match=cure):
        EventSourceResponse(content())


async def test_says_in_fastapi_what_to_return_instead() -> None:
    api = FastAPI()

    @api.get("/", response_model=None)
    async def stream() -> Any:
        return EventSourceResponse(Content("a"))

    with pytest.raises(ValueError, match=r"return ASGIResponse\(…\) from asgi_events"):
        await Client(api).get("/")
