"""The HTTP routes: limits, errors, retention, lifespan."""

import asyncio
import re
from typing import Any

import pytest
from asgi_lifespan import LifespanManager

from asgi_events import EventsApp, tool
from asgi_events.exceptions import ThreadBusy, Unauthorized, Unavailable
from asgi_events.executions import Execution
from asgi_events.http.problems import problem_of
from asgi_events.http.viewing import ExecutionResponse
from asgi_events.stores import Grant
from asgi_events.stores.memory import MemoryStore
from asgi_events.testing import Client, Connection, virtual_time
from tests import TIMEOUT
from tests.http.app.routes import (
    SECRET,
    START,
    STREAM,
    Gate,
    Make,
    SlowStore,
    about,
    count,
    problem,
    soon,
    started,
    unknown,
    whoever,
)
from tests.payloads import data, kinds

pytestmark = pytest.mark.usefixtures("fixed_time")


@tool
async def fail() -> None:
    raise RuntimeError(SECRET)


async def error_of(execution: Execution) -> str | None:
    """What its terminal event says went wrong."""
    event = await execution.terminal_event()
    return None if event is None else event.message


# Limits


async def test_answers_429_at_max_executions_until_one_ends(make: Make) -> None:
    gate = Gate()
    app = make(gate.actor, count, max_executions=1)
    first = await Client(app).post("/work")
    second = await Client(app).post("/count", json={"to": 1})
    stream = await Client(app).post("/count", headers=STREAM, json={"to": 1})
    gate.open.set()
    await soon(started(app)[0].wait())
    third = await Client(app).post("/count", json={"to": 1})
    assert [c.status for c in (first, second, stream, third)] == [202, 429, 429, 202]
    assert await second.json() == problem(
        429,
        "Too Many Requests",
        "max_executions=1 is reached; try again when one has ended.",
    )
    assert second.headers == {
        "content-type": "application/problem+json",
        "cache-control": "no-store",
        "x-content-type-options": "nosniff",
        "retry-after": "1",
        "content-length": str(len(second.body)),
    }


async def test_starts_for_one_owner_at_once_whatever_another_has_taken(
    make: Make,
) -> None:
    gate = Gate()
    app = make(
        gate.actor, authorize=whoever, max_executions=10, max_executions_per_owner=3
    )
    eve = [await Client(app).post("/work", headers={"user": "eve"}) for _ in range(20)]
    alice = await Client(app).post("/work", headers={"user": "alice"})
    assert [c.status for c in eve] == [202] * 3 + [429] * 17
    assert (await eve[3].json())["detail"] == (
        "max_executions_per_owner=3 is reached; try again when one has ended."
    )
    assert alice.status == 202


async def test_answers_429_at_max_viewers_per_owner_to_a_post_for_a_stream(
    make: Make,
) -> None:
    gate = Gate()
    app = make(gate.actor, authorize=whoever, max_viewers_per_owner=1)
    eve, alice = ({**STREAM, "user": user} for user in ("eve", "alice"))
    async with Connection(app, "POST", "/work", headers=eve) as first:
        await first.event()
        second = await Client(app).post("/work", headers=eve)
        async with Connection(app, "POST", "/work", headers=alice) as other:
            await other.event()
            assert other.status == 200
    async with Connection(app, "POST", "/work", headers=eve) as third:
        await third.event()
        assert third.status == 200
    assert second.status == 429
    assert len(started(app)) == 3


async def test_answers_429_at_max_viewers_until_one_leaves(make: Make) -> None:
    gate = Gate()
    app = make(gate.actor, count, max_viewers=1)
    execution = await app.executions.start("work")
    path = f"/executions/{execution.id}/events"
    async with Connection(app, "GET", path) as viewer:
        await viewer.until(b"started")
        get = await Client(app).get(path)
        post = await Client(app).post("/count", headers=STREAM, json={"to": 1})
        unwatched = await Client(app).get(f"/executions/{execution.id}")
        before = started(app)
    gate.open.set()
    after = await Client(app).get(path)
    assert [c.status for c in (get, post, unwatched, after)] == [429, 429, 200, 200]
    assert await get.json() == problem(
        429,
        "Too Many Requests",
        "max_viewers=1 is reached; try again when one has ended.",
    )
    assert get.headers["retry-after"] == post.headers["retry-after"] == "1"
    assert before == [execution]


async def test_starts_nothing_when_another_takes_the_last_seat_meanwhile(
    make: Make,
) -> None:
    store = SlowStore()
    app = make(count, max_viewers=1, store=store)
    request = ("POST", "/count")
    async with (
        Connection(app, *request, headers=START, body=b'{"to":1}') as one,
        Connection(app, *request, headers=START, body=b'{"to":1}') as two,
    ):
        await soon(store.opening.wait())
        for _ in range(10):
            await asyncio.sleep(0)
        store.openable.set()
        await one.end()
        await two.end()
    assert sorted([one.status, two.status]) == [200, 429]
    assert len([key async for key in store.keys()]) == 1


async def test_answers_503_to_starts_and_goodbye_to_viewers_while_it_drains(
    make: Make,
) -> None:
    gate = Gate()

    class LastingStore(MemoryStore):
        durable = True

    app = make(gate.actor, count, store=LastingStore())
    execution = await app.executions.start("work")
    path = f"/executions/{execution.id}"
    async with Connection(app, "GET", f"{path}/events") as viewer:
        await viewer.until(b"started")
        draining = asyncio.create_task(app.executions.drain(TIMEOUT))
        await viewer.end()
    post = await Client(app).post("/count", headers=STREAM, json={"to": 1})
    late = await Client(app).get(f"{path}/events")
    again = await Client(app).post(
        "/work", headers=STREAM | {"last-event-id": f"{execution.id}:1"}
    )
    status = await Client(app).get(path)
    gate.open.set()
    await soon(draining)
    assert post.status == 503
    assert post.headers["retry-after"] == "5"
    assert await post.json() == problem(
        503,
        "Service Unavailable",
        "This process is shutting down; another one will serve you.",
    )
    for c in (viewer, late, again):
        assert c.status == 200
        assert c.ended
        assert re.search(
            rb'event: goodbye\nretry: [0-9]{4}\ndata: \{"reason":"draining"\}\n\n\Z',
            c.body,
        )
        assert b"event: end" not in c.body
    assert status.status == 200
    assert gate.ended == ["returned"]


async def test_answers_503_when_the_store_can_not_open_a_log(
    make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    class Down(MemoryStore):
        async def open(self, key: str, **options: Any) -> Grant:
            raise Unavailable(f"redis://:{SECRET}@host is down")

    app = make(count, store=Down())
    c = await Client(app).post("/count", json={"to": 1})
    assert c.status == 503
    assert c.headers["retry-after"] == "5"
    assert await c.json() == problem(
        503, "Service Unavailable", "The store does not answer."
    )
    assert SECRET in caplog.text


# Errors of actors, on the wire


async def test_sends_no_traceback_of_a_failed_actor(make: Make) -> None:
    app = make(fail)
    stream = await Client(app).post("/fail", headers=STREAM)
    (execution,) = started(app)
    status = await Client(app).get(f"/executions/{execution.id}")
    replay = await Client(app).get(f"/executions/{execution.id}/events")
    assert kinds(await stream.events())[-1] == "error"
    assert replay.body == stream.body
    assert stream.body.endswith(b'event: end\ndata: {"status":"failed"}\n\n')
    assert await status.json() == about(
        execution, status="failed", error=await error_of(execution)
    )
    for c in (stream, status, replay):
        assert b"Traceback" not in c.body
        assert SECRET.encode() not in c.body


async def test_sends_the_traceback_with_debug(make: Make) -> None:
    app = make(fail, debug=True)
    c = await Client(app).post("/fail", headers=STREAM)
    assert f"RuntimeError: {SECRET}" in data(await c.events())[-1]["message"]


# Threads


async def test_answers_409_with_what_runs_in_a_busy_thread() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await problem_of(ThreadBusy("c1", "4ad0"))(scope, receive, send)

    c = await Client(app).get("/")

    assert (c.status, "retry-after" in c.headers) == (409, False)
    assert await c.json() == problem(
        409,
        "Conflict",
        "Thread 'c1' is busy with execution '4ad0'; nothing was started. "
        "Wait for its end or cancel it, then start again.",
        execution="4ad0",
    )


# Retention


async def test_answers_404_when_the_retention_is_over(make: Make) -> None:
    app = make(count, retention=5.0)
    headers = {"idempotency-key": "k"}
    with virtual_time():
        first = await Client(app).post("/count", headers=headers, json={"to": 1})
        path = first.headers["location"]
        (execution,) = started(app)
        await soon(execution.wait())
        before = await Client(app).get(path)
        async with asyncio.timeout(TIMEOUT):
            while started(app):  # noqa: ASYNC110
                await asyncio.sleep(0.1)
        gone = [
            await Client(app).get(path),
            await Client(app).get(f"{path}/events"),
            await Client(app).delete(path),
        ]
        again = await Client(app).post("/count", headers=headers, json={"to": 1})
    assert before.status == 200
    assert [c.status for c in gone] == [404, 404, 404]
    assert await gone[0].json() == problem(404, "Not Found", unknown(execution.id))
    assert await again.json() == problem(
        410,
        "Gone",
        f"Idempotency-Key 'k' has started execution '{execution.id}', which is over "
        "and no longer kept; nothing was started. A new request needs a new key.",
        execution=execution.id,
    )
    assert (again.status, started(app)) == (410, [])


# Lifespan


@pytest.mark.parametrize("version", ["1.1", "2"])
async def test_shows_what_has_ended_after_it_was_drained(
    make: Make, version: str
) -> None:
    """HTTP/2 holds no sender back, so the last message is one that may be given up."""
    executions = make(count).executions
    execution = await executions.start("count", {"to": 1})
    await execution.wait()
    await executions.drain(0)

    async with Connection(ExecutionResponse(execution), http_version=version) as c:
        await c.end()

    assert b"completed" in c.body
    assert b"event: end" in c.body


async def test_serves_under_a_lifespan_and_drains_at_its_end() -> None:
    gate = Gate()
    app = EventsApp(gate.actor, count, drain_grace=0.01)
    async with LifespanManager(app):
        await Client(app).post("/work")
        await soon(gate.begun.wait())
        c = await Client(app).post("/count", headers=STREAM, json={"to": 2})
    after = await Client(app).post("/count", json={"to": 1})
    assert kinds(await c.events())[-1] == "complete"
    assert gate.ended == ["cancelled"]
    assert after.status == 503


async def test_waits_the_drain_grace_for_executions_at_shutdown() -> None:
    gate = Gate()
    app = EventsApp(gate.actor, drain_grace=TIMEOUT)
    async with LifespanManager(app):
        async with Connection(app, "POST", "/work", headers=STREAM) as viewer:
            await viewer.until(b"started")
        (execution,) = started(app)
        asyncio.get_running_loop().call_later(0.03, gate.open.set)
    assert execution.status == "completed"


async def test_serves_again_at_the_next_startup() -> None:
    app = EventsApp(count)
    lives = []
    for _ in range(2):
        async with LifespanManager(app):
            c = await Client(app).post("/count", headers=STREAM, json={"to": 2})
            lives.append((c.status, kinds(await c.events())))
    assert (
        lives[0]
        == lives[1]
        == (
            200,
            ["tool_call", "progress", "progress", "tool_call", "complete"],
        )
    )


async def test_serves_again_at_a_startup_on_another_event_loop() -> None:
    app = EventsApp(count)

    async def life() -> tuple[int, list[str], int]:
        async with LifespanManager(app):
            headers = STREAM | {"idempotency-key": "the same"}
            c = await Client(app).post("/count", headers=headers, json={"to": 2})
            path = c.headers["location"]
            return (
                c.status,
                kinds(await c.events()),
                (await Client(app).get(path)).status,
            )

    lives = [await asyncio.to_thread(asyncio.run, life()) for _ in range(2)]
    kinds_of_both = ["tool_call", "progress", "progress", "tool_call", "complete"]
    assert lives == [(200, kinds_of_both, 200)] * 2


async def test_answers_the_messages_of_the_lifespan_in_their_order() -> None:
    app = EventsApp(count)
    inbox = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]
    sent: list[Any] = []

    async def receive() -> Any:
        return inbox.pop(0)

    async def send(message: Any) -> None:
        sent.append(message)

    await app({"type": "lifespan", "asgi": {"version": "3.0"}}, receive, send)
    assert sent == [
        {"type": "lifespan.startup.complete"},
        {"type": "lifespan.shutdown.complete"},
    ]


async def test_needs_no_lifespan_no_state_and_no_extensions(make: Make) -> None:
    app = make(count)
    async with Connection(
        app, "POST", "/count", headers=START, body=b'{"to":2}'
    ) as connection:
        for name in ("asgi", "raw_path", "root_path", "client", "server", "scheme"):
            del connection.scope[name]
        events = await connection.events()
    (execution,) = started(app)
    assert kinds(events)[-1] == "complete"
    assert connection.headers["location"] == f"/executions/{execution.id}"


async def test_closes_a_websocket(make: Make) -> None:
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        sent.append(message)

    await make(count)({"type": "websocket", "path": "/"}, receive, send)
    assert sent == [{"type": "websocket.close", "code": 1000}]


async def test_refuses_a_scope_that_it_does_not_know(make: Make) -> None:
    async def nothing(*_: Any) -> Any:
        raise AssertionError

    with pytest.raises(RuntimeError, match="'webtransport'"):
        await make(count)({"type": "webtransport"}, nothing, nothing)


async def test_serves_the_executions_it_is_given(make: Make) -> None:
    first = make(count)
    second = EventsApp(executions=first.executions)
    started_there = await Client(first).post("/count", json={"to": 1})
    path = started_there.headers["location"]
    assert second.executions is first.executions
    assert (await Client(second).get(path)).status == 200


@pytest.mark.parametrize("challenge", ["Bearer\r\nset-cookie: a=b", "Bearer\0", "日本"])
def test_refuses_a_challenge_that_no_header_can_have(challenge: str) -> None:
    with pytest.raises(ValueError, match="www-authenticate"):
        Unauthorized(challenge=challenge)
