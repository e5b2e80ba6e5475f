"""What is special in the adapter of each framework."""

from typing import Any

import pytest
from starlette.background import BackgroundTask

from asgi_events import EventSourceResponse
from asgi_events.adapters.django import asgi_response
from asgi_events.adapters.starlette import ASGIResponse
from asgi_events.testing import Client


async def hello() -> Any:
    yield "hello"


async def test_says_that_a_request_through_wsgi_cannot_be_streamed() -> None:
    response = EventSourceResponse(hello())
    request: Any = object()  # it has no scope, as that of a WSGIHandler has none

    with pytest.raises(TypeError, match="this request came through WSGI"):
        await asgi_response(request, response)


async def test_runs_background_tasks_of_starlette_when_the_stream_is_over() -> None:
    done: list[str] = []
    response = ASGIResponse(EventSourceResponse(hello()))
    response.background = BackgroundTask(done.append, "done")

    got = await Client(response).get("/")

    assert [event.data for event in await got.events()] == ["hello"]
    assert done == ["done"]
