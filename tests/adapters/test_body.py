"""``ASGIBody``: another ASGI application's answer, and each way it does not come."""

import asyncio
from typing import Any

import pytest

from asgi_events.adapters.body import ASGIBody
from asgi_events.types import Receive, Scope, Send
from tests import TIMEOUT

SCOPE = {"type": "http", "method": "GET"}
START = {"type": "http.response.start", "status": 201, "headers": [(b"x-a", b"b")]}


def chunk(body: bytes, *, more: bool = True) -> dict[str, Any]:
    return {"type": "http.response.body", "body": body, "more_body": more}


async def test_is_the_status_the_headers_and_the_body() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(START)
        for body in (b"a", b"", b"b"):
            await send(chunk(body))
        await send(chunk(b"c", more=False))

    body = await ASGIBody.of(app, SCOPE)
    chunks = [part async for part in body]

    assert (body.status, body.headers) == (201, {"x-a": "b"})
    assert chunks == [b"a", b"b", b"c"]


async def test_raises_when_the_application_answers_nothing() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None: ...

    with pytest.raises(RuntimeError, match="unanswered"):
        await asyncio.wait_for(ASGIBody.of(app, SCOPE), TIMEOUT)


async def test_raises_when_the_application_is_cancelled_before_its_start() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        raise asyncio.CancelledError

    with pytest.raises(RuntimeError, match="unanswered"):
        await asyncio.wait_for(ASGIBody.of(app, SCOPE), TIMEOUT)


async def test_raises_what_the_application_raises_before_its_start() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        raise LookupError("not here")

    with pytest.raises(LookupError, match="not here"):
        await asyncio.wait_for(ASGIBody.of(app, SCOPE), TIMEOUT)


async def test_leaves_no_task_when_who_waits_for_it_is_cancelled() -> None:
    life: list[str] = []
    waiting = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        life.append("called")
        waiting.set()
        try:
            await asyncio.Event().wait()
        finally:
            await send(START)  # too late, and no harm
            life.append("cleaned up")

    asking = asyncio.create_task(ASGIBody.of(app, SCOPE))
    await asyncio.wait_for(waiting.wait(), TIMEOUT)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(asking, TIMEOUT)

    assert life == ["called", "cleaned up"]


async def test_leaves_no_task_when_nobody_reads_the_last_of_it() -> None:
    ended = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(START)
        await send(chunk(b"a", more=False))
        ended.set()

    body = await ASGIBody.of(app, SCOPE)
    await asyncio.wait_for(ended.wait(), TIMEOUT)
    # The fixture that looks for tasks sees that none waits for a reader.
    assert body.status == 201


async def test_is_the_clients_disconnect_when_it_is_closed() -> None:
    received: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(START)
        received.append((await receive())["type"])

    body = await ASGIBody.of(app, SCOPE)
    await body.aclose()

    assert received == ["http.disconnect"]
    assert [part async for part in body] == []


async def test_raises_at_its_end_what_the_application_raises_after_its_start() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(START)
        await send(chunk(b"a"))
        raise LookupError("too late")

    body = await ASGIBody.of(app, SCOPE)

    assert await anext(body) == b"a"
    with pytest.raises(LookupError, match="too late"):
        await anext(body)


async def test_raises_at_its_end_when_the_application_has_not_completed_it() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(START)
        await send(chunk(b"a"))

    body = await ASGIBody.of(app, SCOPE)

    assert await anext(body) == b"a"
    with pytest.raises(ConnectionAbortedError, match="broke off its body"):
        await anext(body)


async def test_leaves_when_who_reads_it_is_cancelled() -> None:
    left = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(START)
        while (await receive())["type"] != "http.disconnect":
            pass
        left.set()

    body = await ASGIBody.of(app, SCOPE)
    reading = asyncio.ensure_future(anext(body))
    await asyncio.sleep(0)
    reading.cancel()

    with pytest.raises(asyncio.CancelledError):
        await reading
    await asyncio.wait_for(left.wait(), TIMEOUT)
    await body.aclose()


def test_may_be_closed_when_its_event_loop_has_ended() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(START)
        await send(chunk(b"", more=False))

    body = asyncio.run(ASGIBody.of(app, SCOPE))

    body.close()
