"""The HTTP routes: a start continues a thread."""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import quote

import pytest

from asgi_events import EventsApp, agent
from asgi_events.actors import Actor
from asgi_events.executions.executions import Executions
from asgi_events.http.request import Request
from asgi_events.testing import Client, Connection
from tests.http.app.routes import START, STREAM, Make, problem, soon, started
from tests.payloads import data


def waiting(when_busy: Any) -> Actor[..., Any]:
    @agent(name="wait", when_busy=when_busy)
    async def wait() -> None:
        await asyncio.Event().wait()

    return wait


async def test_starts_in_a_thread_and_says_so(make: Make) -> None:
    client = Client(app := make(waiting("reject")))
    response = await client.post("/wait?thread=c1")
    (execution,) = started(app)
    about = await (await client.get(f"/executions/{execution.id}")).json()
    plain = await (await client.post("/wait")).json()

    assert response.status == 202
    assert execution.thread == "c1"
    assert ((await response.json())["thread"], about["thread"]) == ("c1", "c1")
    assert plain["thread"] is None


@pytest.mark.parametrize(
    "query, thread",
    [
        ("thread=Tee+f%C3%BCr%20zwei", "Tee für zwei"),
        ("thread=" + quote("茶"), "茶"),
        ("thread=茶", "茶"),  # as curl sends it
        ("x=1&thread=a%2Fb%3Ac%26d", "a/b:c&d"),
        ("thread=" + "x" * 255, "x" * 255),
        ("other=1", None),
        ("", None),
    ],
)
async def test_takes_any_name(make: Make, query: str, thread: str | None) -> None:
    app = make(waiting("reject"))
    response = await Client(app).post(f"/wait?{query}")

    assert response.status == 202
    assert [each.thread for each in started(app)] == [thread]


@pytest.mark.parametrize(
    "query",
    [
        "thread=",
        "thread=%20",
        "thread",
        "thread=a&thread=b",
        "thread=%0A",
        "thread=a%00",
        "thread=" + "x" * 256,
        "thread=" + "%F0%9F%92%A9" * 64 * 4,
    ],
)
async def test_refuses_a_name_that_no_thread_has(make: Make, query: str) -> None:
    app = make(waiting("queue"))
    response = await Client(app).post(f"/wait?{query}", headers=START)

    assert response.status == 400
    told = await response.json()
    assert told["detail"].startswith("thread must be one name of 1 to 255 printable")
    assert started(app) == []


@pytest.mark.parametrize("query", [b"thread=%ff", b"thread=\xff", b"thread=%C3"])
async def test_refuses_what_is_no_text(query: bytes) -> None:
    scope = {"method": "POST", "path": "/wait", "query_string": query, "headers": []}
    with pytest.raises(Exception, match="not UTF-8"):
        Request(scope).thread()


async def test_refuses_a_start_in_a_busy_thread_and_names_the_one_that_runs(
    make: Make,
) -> None:
    client = Client(app := make(waiting("reject")))
    await client.post("/wait?thread=t")
    refused = await client.post("/wait?thread=t", headers=START)
    other = await client.post("/wait?thread=u")
    first, _ = started(app)

    assert (refused.status, other.status) == (409, 202)
    assert await refused.json() == problem(
        409,
        "Conflict",
        f"Thread 't' is busy with execution {first.id!r}; nothing was started. Wait "
        "for its end or cancel it, then start again.",
        execution=first.id,
    )
    assert len(started(app)) == 2


async def test_starts_what_waits_at_once(make: Make) -> None:
    client = Client(app := make(waiting("queue"), max_queued=1))
    responses = [await client.post("/wait?thread=t") for _ in range(3)]
    _, second = started(app)
    about = await (await client.get(f"/executions/{second.id}")).json()
    cancelled = await client.delete(f"/executions/{second.id}")
    await soon(second.wait())

    assert [each.status for each in responses] == [202, 202, 429]
    assert responses[2].headers["retry-after"] == "1"
    assert (about["status"], about["last"]) == ("started", 0)
    assert (cancelled.status, second.status) == (202, "cancelled")


async def test_streams_what_replaces_and_ends_the_stream_of_what_it_replaced(
    make: Make,
) -> None:
    app = make(waiting("replace"))
    path = "/wait?thread=t"
    async with Connection(app, "POST", path, headers=START) as one:
        await one.until(b'"started"')
        async with Connection(app, "POST", path, headers=START) as two:
            first = data(await soon(one.events()))
            await two.until(b'"started"')
            _, second = started(app)
            await second.cancel()
            await soon(two.events())

    assert [event["event_type"] for event in first][-1] == "cancelled"
    assert first[-1]["message"] == f"Execution cancelled: replaced by {second.id}"


async def test_finds_the_same_start_again_in_a_busy_thread(make: Make) -> None:
    client = Client(app := make(waiting("reject")))
    path, headers = "/wait?thread=t", {"idempotency-key": "k"}
    first = await client.post(path, headers=headers)
    again = await client.post(path, headers=headers)
    elsewhere = await client.post("/wait?thread=u", headers=headers)

    assert (first.status, again.status, elsewhere.status) == (202, 202, 422)
    assert first.headers["location"] == again.headers["location"]
    assert len(started(app)) == 1


async def test_keeps_the_threads_of_owners_apart() -> None:
    executions = Executions(waiting("reject"))
    app = EventsApp(
        executions=executions, authorize=lambda scope, *_: owner_in(scope["headers"])
    )
    client = Client(app)
    answers = [
        await client.post("/wait?thread=t", headers={"x-user": user})
        for user in ("ada", "bob", "ada")
    ]

    assert [each.status for each in answers] == [202, 202, 409]
    await executions.drain(0)


def owner_in(headers: Any) -> str:
    return str(dict(headers)[b"x-user"].decode())


async def test_goes_on_with_a_stream_whatever_the_thread(make: Make) -> None:
    app = make(waiting("reject"))
    path = "/wait?thread=t"
    async with Connection(app, "POST", path, headers=START) as one:
        await one.until(b'"started"')
    (execution,) = started(app)
    again = STREAM | {"last-event-id": f"{execution.id}:0"}
    async with Connection(app, "POST", path, headers=again) as two:
        await two.until(b'"started"')

    assert started(app) == [execution]
