"""``asgi_events.testing``: the client."""

import asyncio
from typing import Any

import pytest

from asgi_events import EventsApp, EventSourceResponse, ServerSentEvent, agent
from asgi_events.testing import Client, Connection


@agent
async def greet(name: str) -> str:
    return f"Hello {name}"


async def count(scope: Any, receive: Any, send: Any) -> None:
    async def numbers() -> Any:
        number = 0
        while True:
            number += 1
            yield ServerSentEvent(data=str(number), id=str(number))
            await asyncio.sleep(0)

    await EventSourceResponse(numbers())(scope, receive, send)


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """Answers with the method, the query, the headers and the body."""
    body = []
    while True:
        message = await receive()
        body.append(message["body"].decode())
        if not message["more_body"]:
            break
    lines = [scope["method"], scope["query_string"].decode(), *body]
    lines += [f"{name.decode()}={value.decode()}" for name, value in scope["headers"]]
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": "\n".join(lines).encode()})


async def test_reads_the_events_of_a_stream_while_it_runs() -> None:
    async with Client(count).stream("/") as stream:
        assert stream.status == 200
        assert stream.headers["content-type"].startswith("text/event-stream")
        assert await stream.event() == ServerSentEvent(data="1", id="1")
        assert [event.data for event in await stream.events(2)] == ["2", "3"]
        assert not stream.ended


async def test_iterates_over_the_events_up_to_the_end() -> None:
    async with Client(EventsApp(greet)) as client:
        async with client.stream(
            "/greet",
            "POST",
            json={"name": "Ada"},
            headers={"accept": "text/event-stream"},
        ) as stream:
            names = [event.event async for event in stream]
        assert names == [None, None, None, "end"]
        assert stream.ended


async def test_starts_reads_and_deletes_an_execution() -> None:
    async with Client(EventsApp(greet), headers={"x-all": "1"}) as client:
        started = await client.post("/greet", json={"name": "Ada"})
        assert started.status == 202
        path = started.headers["location"]
        assert (await client.head(path)).status == 200
        assert (await client.head(path)).body == b""
        assert (await client.delete(path)).status in (200, 202)
        status = await (await client.get(path)).json()
        assert status["links"]["events"] == f"{path}/events"


async def test_sends_what_it_is_given() -> None:
    client = Client(echo, headers={"x-a": "1"})
    answer = await client.request(
        "PUT", "/x?q=1", headers=[("X-B", "2"), ("X-B", "3")], body=[b"one", b"two"]
    )
    assert answer.body.split(b"\n") == (
        [b"PUT", b"q=1", b"one", b"two", b"x-a=1", b"x-b=2", b"x-b=3"]
    )


async def test_disconnects_at_an_event_and_loses_what_follows_it() -> None:
    returned = asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await count(scope, receive, send)
        returned.set()

    async with Client(app).stream("/", disconnect_after=3) as stream:
        assert [event.data async for event in stream] == ["1", "2", "3"]
        assert returned.is_set()


async def test_stops_reading_at_an_event_until_it_is_told_to_resume() -> None:
    sent: list[bytes] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        headers = [(b"content-type", b"text/event-stream")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        for number in (b"1", b"2", b"3"):
            body = b"data: " + number + b"\n\n"
            await send({"type": "http.response.body", "body": body, "more_body": True})
            sent.append(number)
        await send({"type": "http.response.body"})

    async with Client(app).stream("/", stall_after=2) as stream:
        assert len(await stream.events(2)) == 2
        for _ in range(10):
            await asyncio.sleep(0)
        assert sent == [b"1", b"2"]
        stream.resume()
        assert [event.data async for event in stream] == ["3"]
        assert sent == [b"1", b"2", b"3"]


async def test_raises_what_the_application_raises() -> None:
    async def fails(scope: Any, receive: Any, send: Any) -> None:
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        await Client(fails).get("/")


async def test_says_that_a_stream_has_no_end() -> None:
    with pytest.raises(TimeoutError, match="GET /.* has not returned within 0.01 s"):
        await Client(count).get("/", timeout=0.01)


async def test_has_no_status_before_the_response_starts() -> None:
    async def silent(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await receive()

    async with Connection(silent) as connection:
        with pytest.raises(RuntimeError, match="has no response yet"):
            _ = connection.status


@pytest.mark.parametrize("name", ["disconnect_after", "stall_after"])
def test_counts_events_from_one(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} must be at least 1, got 0"):
        Connection(echo, **{name: 0})


def test_takes_json_or_a_body() -> None:
    with pytest.raises(ValueError, match="not both"):
        Connection(echo, json={}, body=b"{}")


class TestLifespan:
    async def test_runs_around_the_block_and_hands_on_its_state(self) -> None:
        seen: list[str] = []

        async def app(scope: Any, receive: Any, send: Any) -> None:
            if scope["type"] == "http":
                seen.append(scope["state"]["pool"])
                await echo(scope, receive, send)
                return
            while True:
                message = await receive()
                seen.append(message["type"])
                scope["state"]["pool"] = "open"
                await send({"type": f"{message['type']}.complete"})
                if message["type"] == "lifespan.shutdown":
                    return

        async with Client(app) as client:
            await client.get("/")
        assert seen == ["lifespan.startup", "open", "lifespan.shutdown"]

    async def test_raises_what_a_startup_raises(self) -> None:
        async def app(scope: Any, receive: Any, send: Any) -> None:
            raise ValueError("no database")

        with pytest.raises(ValueError, match="no database"):
            async with Client(app):
                pass

    async def test_says_why_a_startup_failed(self) -> None:
        async def app(scope: Any, receive: Any, send: Any) -> None:
            await receive()
            await send({"type": "lifespan.startup.failed", "message": "no database"})

        with pytest.raises(RuntimeError, match="startup has failed: no database"):
            async with Client(app):
                pass

    async def test_says_that_the_application_has_none(self) -> None:
        async def app(scope: Any, receive: Any, send: Any) -> None:
            return

        with pytest.raises(RuntimeError, match="use the client without"):
            async with Client(app):
                pass


async def test_says_that_nothing_came_in_time() -> None:
    async def silent(scope: Any, receive: Any, send: Any) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass

    async with Connection(silent, timeout=0.01) as connection:
        with pytest.raises(TimeoutError, match="sent nothing within 0.01 s"):
            await connection.start()


async def test_says_that_a_startup_takes_too_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def slow(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr("asgi_events.testing.client.TIMEOUT", 0.01)

    with pytest.raises(TimeoutError, match="startup took over 0.01 s"):
        async with Client(slow):
            pass


async def test_refuses_two_calls_of_receive_at_once() -> None:
    async def twice(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await asyncio.gather(receive(), receive())

    with pytest.raises(AssertionError, match="two tasks call receive"):
        async with Connection(twice) as connection:
            await connection.start()
