"""The HTTP routes: every row of the table, resume, authorisation, limits, lifespan."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Any

import pytest
from asgi_lifespan import LifespanManager
from pydantic import BaseModel

from asgi_events import EventsApp, agent, current_state, tool
from asgi_events.actors import Actor
from asgi_events.exceptions import Forbidden, Unauthorized, Unavailable
from asgi_events.executions import Execution
from asgi_events.http.authorize import Action
from asgi_events.stores import Grant
from asgi_events.stores.memory import MemoryStore
from tests.asgi import PLACE, TIMEOUT, Connection, call, data, kinds

pytestmark = pytest.mark.usefixtures("fixed_time")

Make = Callable[..., EventsApp]

STREAM = {"accept": "text/event-stream"}
JSON = {"content-type": "application/json"}
START = STREAM | JSON

STREAM_HEADERS = {
    "content-type": "text/event-stream; charset=utf-8",
    "cache-control": "no-cache, no-transform",
    "x-accel-buffering": "no",
    "x-content-type-options": "nosniff",
}
PREAMBLE = b": stream-start\nretry: 3000\n"
END = b'event: end\ndata: {"status":"completed"}\n\n'

SECRET = "the password is hunter2"


@tool
async def count(to: int) -> int:
    """Count.

    And more that nobody needs to know.
    """
    for number in range(to):
        await current_state().progress(number, to)
    return to


class Topic(BaseModel):
    topic: str


@agent
async def research(topic: Topic) -> str:
    return topic.topic


@agent
async def idle() -> None:
    pass


@tool
async def fail() -> None:
    raise RuntimeError(SECRET)


class Gate:
    """An actor that says it has begun, and ends when it is let go."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.open = asyncio.Event()
        self.ended: list[str] = []

        @agent
        async def work() -> None:
            self.begun.set()
            try:
                await self.open.wait()
            except asyncio.CancelledError:
                self.ended.append("cancelled")
                raise
            self.ended.append("returned")

        self.actor: Actor[..., Any] = work


class SlowStore(MemoryStore):
    """Can hold ``open`` up."""

    def __init__(self) -> None:
        super().__init__()
        self.opens = 0
        self.opening = asyncio.Event()
        self.openable = asyncio.Event()

    async def open(
        self,
        key: str,
        *,
        writer: str,
        lease: float,
        ttl: float,
        meta: Mapping[str, str],
    ) -> Grant:
        self.opens += ":" not in key  # the log of the key itself does not count
        self.opening.set()
        await self.openable.wait()
        return await super().open(key, writer=writer, lease=lease, ttl=ttl, meta=meta)


@pytest.fixture
async def make() -> AsyncIterator[Make]:
    """Makes an ``EventsApp`` and drains it when the test is over."""
    made: list[EventsApp] = []

    def make(*actors: Actor[..., Any], **options: Any) -> EventsApp:
        made.append(EventsApp(*actors, **options))
        return made[-1]

    yield make
    for app in made:
        await app.executions.drain(0)


async def soon(waiting: Awaitable[Any]) -> Any:
    return await asyncio.wait_for(waiting, TIMEOUT)


def started(app: EventsApp) -> list[Execution]:
    return list(app.executions)


async def counted(app: EventsApp, to: int = 7) -> tuple[Execution, list[bytes]]:
    """An execution that is over, and its frames as its first viewer was sent them."""
    stream = await call(app, "POST", "/count", headers=STREAM, json={"to": to})
    execution = started(app)[-1]
    body = stream.body.removeprefix(PREAMBLE).removesuffix(END)
    return execution, [block + b"\n\n" for block in body.split(b"\n\n")[:-1]]


def about(execution: Execution, **changes: Any) -> dict[str, Any]:
    """What the routes say of an execution, by way of its own attributes."""
    link = f"/executions/{execution.id}"
    # What the terminal event says, which is the same in every process.
    ended = execution.ended and "2026-01-02T03:04:05Z"
    return {
        "id": execution.id,
        "actor": execution.actor,
        "status": str(execution.status),
        "created": execution.created.isoformat().replace("+00:00", "Z"),
        "ended": ended,
        "result": None,
        "error": None,
        "progress": None,
        "last": execution.log.committed,
        "viewers": 0,
        "links": {"self": link, "events": f"{link}/events", "cancel": link},
    } | changes


def counted_to(current: float, total: float) -> dict[str, Any]:
    """What ``count`` has said of its progress."""
    said = {"current": current, "total": total, "message": None}
    return {"address": "count"} | said


async def error_of(execution: Execution) -> str | None:
    """What its terminal event says went wrong."""
    event = await execution.terminal_event()
    return None if event is None else event.message


def problem(status: int, title: str, detail: str, **more: Any) -> dict[str, Any]:
    return {
        "type": "about:blank",
        "title": title,
        "status": status,
        "detail": detail,
    } | more


def is_whole(c: Connection) -> bool:
    """Whether the last message says, or does not deny, that nothing follows."""
    return not c.messages[-1].get("more_body", False)


def content_headers(c: Connection) -> tuple[str, str]:
    return c.headers["content-type"], c.headers["cache-control"]


# The table of DESIGN section 7, row by row


async def test_lists_actors_their_input_and_links(make: Make) -> None:
    app = make(count, research)
    c = await call(app, "GET", "/")
    body = await c.json()
    assert c.status == 200
    assert c.headers == {
        "content-type": "application/json",
        "cache-control": "no-store",
        "x-content-type-options": "nosniff",
        "content-length": str(len(c.body)),
    }
    assert body == {
        "actors": [
            {
                "name": "count",
                "kind": "tool",
                "description": "Count.",
                "input": {
                    "additionalProperties": False,
                    "properties": {"to": {"title": "To", "type": "integer"}},
                    "required": ["to"],
                    "title": "count",
                    "type": "object",
                },
                "links": {"start": "/count"},
            },
            {
                "name": "research",
                "kind": "agent",
                "description": "",
                "input": {
                    "properties": {"topic": {"title": "Topic", "type": "string"}},
                    "required": ["topic"],
                    "title": "Topic",
                    "type": "object",
                },
                "links": {"start": "/research"},
            },
        ]
    }


@pytest.mark.parametrize(
    "accept", [None, "*/*", "application/json", "text/event-stream;q=0"]
)
async def test_starts_and_answers_202_with_links(
    make: Make, accept: str | None
) -> None:
    gate = Gate()
    app = make(gate.actor)
    c = await call(
        app, "POST", "/work", headers={} if accept is None else {"accept": accept}
    )
    (execution,) = started(app)
    assert c.status == 202
    assert c.headers == {
        "content-type": "application/json",
        "cache-control": "no-store",
        "x-content-type-options": "nosniff",
        "location": f"/executions/{execution.id}",
        "content-length": str(len(c.body)),
    }
    assert await c.json() == about(execution, last=0, status="started", ended=None)


async def test_starts_and_streams_when_the_client_accepts_a_stream(make: Make) -> None:
    app = make(count)
    c = await call(app, "POST", "/count", headers=STREAM, json={"to": 7})
    (execution,) = started(app)
    page = await app.executions.store.read(execution.id, 0, 1 << 20)
    assert page is not None
    frames = page.frames
    assert c.status == 200
    assert c.headers == STREAM_HEADERS | {"location": f"/executions/{execution.id}"}
    assert c.body == PREAMBLE + b"".join(frames) + END
    assert c.ended
    assert len(frames) == 10
    assert frames[-1] == (
        b'data: {"event_type":"complete","message":"Execution completed '
        b'successfully",%b,"result":7}\nid: %b:10\n\n' % (PLACE, execution.id.encode())
    )


async def test_tells_the_status_of_an_execution_that_runs_and_is_over(
    make: Make,
) -> None:
    gate = Gate()
    app = make(gate.actor)
    execution = await app.executions.start("work")
    async with Connection(app, "GET", f"/executions/{execution.id}/events") as viewer:
        await viewer.until(b"started")
        running = await call(app, "GET", f"/executions/{execution.id}")
        while_running = about(execution, viewers=1)
        gate.open.set()
        await viewer.events()
    over = await call(app, "GET", f"/executions/{execution.id}")
    assert [c.status for c in (running, over)] == [200, 200]
    assert "location" not in running.headers
    assert content_headers(over) == ("application/json", "no-store")
    assert await running.json() == while_running
    assert while_running["status"] == "started" and while_running["last"] == 1
    assert await over.json() == about(execution)
    assert about(execution)["status"] == "completed"
    assert about(execution)["last"] == 3


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/executions/{}", STREAM),
        ("/executions/{}", {"accept": "application/json, Text/Event-Stream ; q=0.1"}),
        ("/executions/{}/events", STREAM),
        ("/executions/{}/events", {}),
        ("/executions/{}/events", {"accept": "application/json"}),
    ],
    ids=["itself", "itself among others", "events", "events, no accept", "events, any"],
)
async def test_streams_an_execution_from_its_start(
    make: Make, path: str, headers: dict[str, str]
) -> None:
    app = make(count)
    execution, frames = await counted(app)
    c = await call(app, "GET", path.format(execution.id), headers=headers)
    assert (c.status, c.headers) == (200, STREAM_HEADERS)
    assert c.body == PREAMBLE + b"".join(frames) + END


async def test_cancels_with_202_and_again_and_then_says_200(make: Make) -> None:
    gate = Gate()
    holding = asyncio.Event()

    @agent
    async def hold() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            gate.begun.set()
            await holding.wait()

    app = make(hold)
    execution = await app.executions.start(hold)
    path = f"/executions/{execution.id}"
    async with Connection(app, "GET", f"{path}/events") as viewer:
        await viewer.until(b"started")
        first = await call(app, "DELETE", path)
        await soon(gate.begun.wait())
        second = await call(app, "DELETE", path)
        holding.set()
        events = await viewer.events()
    third = await call(app, "DELETE", path)
    fourth = await call(app, "DELETE", path)
    assert [c.status for c in (first, second, third, fourth)] == [202, 202, 200, 200]
    assert first.headers["location"] == path
    assert await first.json() == about(
        execution, status="started", ended=None, last=1, viewers=1
    )
    assert await second.json() == await first.json()
    assert (
        await third.json()
        == await fourth.json()
        == about(execution, error="Execution cancelled")
    )
    assert execution.status == "cancelled"
    assert data(events)[-1] == {
        "event_type": "cancelled",
        "message": "Execution cancelled",
    }


@pytest.mark.parametrize(
    ("path", "headers", "of"),
    [
        ("/", {}, 200),
        ("/executions/{}", {}, 200),
        ("/executions/{}", STREAM, 200),
        ("/executions/{}/events", {}, 200),
        ("/executions/{}/events", {"last-event-id": "{}:10"}, 204),
        ("/executions/nope", {}, 404),
        ("/count", {}, 405),
    ],
    ids=["list", "status", "stream", "events", "end", "unknown", "not for this"],
)
async def test_answers_head_with_the_headers_of_get_and_no_body(
    make: Make, path: str, headers: dict[str, str], of: int
) -> None:
    app = make(count)
    execution, _ = await counted(app)
    path = path.format(execution.id)
    headers = {name: value.format(execution.id) for name, value in headers.items()}
    get = await call(app, "GET", path, headers=headers)
    head = await call(app, "HEAD", path, headers=headers)
    assert (head.status, get.status) == (of, of)
    names = head.headers.keys()
    assert names == get.headers.keys()
    if of != 405:  # whose detail names the method
        assert head.headers == get.headers
    assert head.body == b""
    assert is_whole(head)


async def test_does_not_watch_for_a_head_request(make: Make) -> None:
    gate = Gate()
    app = make(gate.actor, max_viewers=1)
    execution = await app.executions.start("work")
    path = f"/executions/{execution.id}/events"
    async with Connection(app, "GET", path) as viewer:
        await viewer.until(b"started")
        head = await call(app, "HEAD", path)
    assert (head.status, head.headers, head.body) == (200, STREAM_HEADERS, b"")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/count/", 202),
        ("GET", "/executions/{}/", 200),
        ("GET", "/executions/{}/events/", 200),
        ("DELETE", "/executions/{}/", 200),
    ],
)
async def test_tolerates_a_trailing_slash(
    make: Make, method: str, path: str, status: int
) -> None:
    app = make(count)
    execution, _ = await counted(app)
    path = path.format(execution.id)
    c = await call(app, method, path, json={"to": 1} if method == "POST" else None)
    assert c.status == status
    if method == "POST":
        assert c.headers["location"] == f"/executions/{started(app)[-1].id}"


# Resume


@pytest.mark.parametrize("place", ["header", "query", "header before query"])
async def test_resumes_from_every_position_with_exactly_the_rest(
    make: Make, place: str
) -> None:
    app = make(count)
    execution, frames = await counted(app)
    answers = []
    for position in range(10):
        path = f"/executions/{execution.id}/events"
        headers = {}
        if place != "query":
            headers = {"last-event-id": f"{execution.id}:{position}"}
        if place == "query":
            path += f"?last_event_id={execution.id}:{position}"
        if place == "header before query":
            path += f"?last_event_id={execution.id}:10"
        c = await call(app, "GET", path, headers=headers)
        answers.append((c.status, c.body))
    assert len(frames) == 10
    assert answers == [
        (200, PREAMBLE + b"".join(frames[position:]) + END) for position in range(10)
    ]


async def test_takes_the_query_when_the_header_is_empty(make: Make) -> None:
    app = make(count)
    execution, frames = await counted(app)
    c = await call(
        app,
        "GET",
        f"/executions/{execution.id}/events?last_event_id={execution.id}%3A8",
        headers={"last-event-id": ""},
    )
    assert c.body == PREAMBLE + b"".join(frames[8:]) + END


async def test_goes_on_live_where_a_viewer_left(make: Make) -> None:
    go = asyncio.Event()

    @agent
    async def talk() -> None:
        await current_state().log("one")
        await go.wait()
        await current_state().log("two")

    app = make(talk)
    async with Connection(app, "POST", "/talk", headers=STREAM) as first:
        before = [await first.event(), await first.event()]
    path = first.headers["location"] + "/events"
    headers = {"last-event-id": before[-1].id or ""}
    async with Connection(app, "GET", path, headers=headers) as second:
        await second.start()
        go.set()
        *after, end = await second.events()
    id = started(app)[0].id
    assert [e.id for e in before + after] == [f"{id}:{n}" for n in range(1, 6)]
    assert [e["message"] for e in data(before + after) if "level" in e] == [
        "one",
        "two",
    ]
    assert end.event == "end"


@pytest.mark.parametrize(
    "path",
    [
        "/executions/{}",
        "/executions/{}/events",
        "/executions/{}/events?last_event_id={}:10",
    ],
)
async def test_answers_204_to_who_has_seen_the_end(make: Make, path: str) -> None:
    app = make(count)
    execution, _ = await counted(app)
    headers = STREAM
    if "?" not in path:
        headers = STREAM | {"last-event-id": f"{execution.id}:10"}
    path = path.replace("{}", execution.id)
    c = await call(app, "GET", path, headers=headers)
    assert c.status == 204
    assert c.headers == {"cache-control": "no-store"}
    assert c.body == b""
    assert is_whole(c)


async def test_streams_to_who_has_seen_all_there_is_so_far(make: Make) -> None:
    gate = Gate()
    app = make(gate.actor)
    execution = await app.executions.start("work")
    async with Connection(app, "GET", f"/executions/{execution.id}/events") as viewer:
        first = await viewer.event()
    async with Connection(
        app,
        "GET",
        f"/executions/{execution.id}/events",
        headers={"last-event-id": first.id or ""},
    ) as viewer:
        await viewer.start()
        gate.open.set()
        events = await viewer.events()
    assert first.id == f"{execution.id}:1"
    assert viewer.status == 200
    assert [e.id for e in events] == [f"{execution.id}:2", f"{execution.id}:3", None]


async def test_answers_a_post_at_the_end_with_the_named_event_only(make: Make) -> None:
    app = make(count)
    execution, _ = await counted(app)
    headers = START | {"last-event-id": f"{execution.id}:10"}
    c = await call(app, "POST", "/count", headers=headers, body=b'{"to":7}')
    assert c.status == 200
    assert c.body == PREAMBLE + END
    assert c.headers == STREAM_HEADERS | {"location": f"/executions/{execution.id}"}
    assert started(app) == [execution]


@pytest.mark.parametrize("place", ["header", "query"])
async def test_attaches_a_post_that_comes_again_and_starts_nothing(
    make: Make, place: str
) -> None:
    app = make(count)
    execution, frames = await counted(app)
    headers, path = START, "/count"
    if place == "header":
        headers = START | {"last-event-id": f"{execution.id}:4"}
    else:
        path += f"?last_event_id={execution.id}:4"
    # A body that never comes: what it says does not matter any more.
    async with Connection(app, "POST", path, headers=headers, body=[]) as c:
        await c.until(END)
    assert c.status == 200
    assert c.body == PREAMBLE + b"".join(frames[4:]) + END
    assert c.headers["location"] == f"/executions/{execution.id}"
    assert started(app) == [execution]


async def test_answers_a_post_that_comes_again_for_json_with_its_links(
    make: Make,
) -> None:
    app = make(count)
    execution, _ = await counted(app)
    headers = {"last-event-id": f"{execution.id}:4"}
    c = await call(app, "POST", "/count", headers=headers, json={"to": 7})
    assert c.status == 202
    assert c.headers["location"] == f"/executions/{execution.id}"
    assert await c.json() == about(execution, progress=counted_to(6.0, 7.0), result=7)
    assert started(app) == [execution]


def whoever(scope: Any, action: str, execution: Execution | None) -> str | None:
    """An ``authorize`` hook that believes what the header ``user`` says."""
    return dict(scope["headers"]).get(b"user", b"").decode() or None


@pytest.mark.parametrize("whose", ["another actor", "another owner", "nobody"])
async def test_starts_nothing_for_a_post_with_the_id_of(make: Make, whose: str) -> None:
    app = make(count, idle, authorize=whoever)
    foreign = await app.executions.start(
        idle if whose == "another actor" else count,
        None if whose == "another actor" else {"to": 1},
        owner="bob" if whose == "another owner" else "ada",
    )
    await soon(foreign.wait())
    id = "0" * 32 if whose == "nobody" else foreign.id
    headers = START | {"user": "ada", "last-event-id": f"{id}:1"}
    c = await call(app, "POST", "/count", headers=headers, body=b'{"to":7}')
    assert c.status == 404
    assert await c.json() == problem(404, "Not Found", unknown(id))
    assert started(app) == [foreign]


def unknown(id: str) -> str:
    return (
        f"No execution {id!r}: it never was, its retention is over, it belongs to "
        "another owner, or it is held in the memory of another process, or of one "
        "that has gone: processes that share executions need a store=."
    )


# Idempotency


@pytest.mark.parametrize("running", [True, False], ids=["running", "over"])
async def test_finds_the_same_execution_by_its_idempotency_key(
    make: Make, running: bool
) -> None:
    gate = Gate()
    app = make(gate.actor)
    headers = {"idempotency-key": "k"}
    first = await call(app, "POST", "/work", headers=headers)
    (execution,) = started(app)
    if not running:
        gate.open.set()
        await soon(execution.wait())
    second = await call(app, "POST", "/work", headers=headers)
    async with Connection(app, "POST", "/work", headers=STREAM | headers) as stream:
        await stream.until(b'"started"')
        gate.open.set()
        events = await stream.events()
    assert [first.status, second.status, stream.status] == [202, 202, 200]
    links = {c.headers["location"] for c in (first, second, stream)}
    assert links == {f"/executions/{execution.id}"}
    assert [e.id for e in events[:-1]] == [f"{execution.id}:{n}" for n in (1, 2, 3)]
    assert started(app) == [execution]


async def test_starts_once_for_two_of_one_key_at_the_same_time(make: Make) -> None:
    store = SlowStore()
    app = make(count, store=store)
    headers = START | {"idempotency-key": "k"}
    async with (
        Connection(app, "POST", "/count", headers=headers, body=b'{"to":7}') as one,
        Connection(app, "POST", "/count", headers=headers, body=b'{"to":7}') as two,
    ):
        await soon(store.opening.wait())
        store.openable.set()
        await one.end()
        await two.end()
    (execution,) = started(app)
    assert one.body == two.body
    assert one.headers == two.headers
    assert kinds(await one.events())[-1] == "complete"
    assert store.opens == 1


@pytest.mark.parametrize("how", ["disconnects", "is cancelled by its server"])
async def test_starts_once_also_when_the_first_client(make: Make, how: str) -> None:
    store = SlowStore()
    app = make(count, store=store)
    headers = START | {"idempotency-key": "k"}
    request = ("POST", "/count")
    async with Connection(app, *request, headers=headers, body=b'{"to":7}') as two:
        first = Connection(app, *request, headers=headers, body=b'{"to":7}')
        async with first:
            await soon(store.opening.wait())
            if how == "disconnects":
                first.disconnect()
            else:
                first.task.cancel()
                await asyncio.wait({first.task})
                first.task = asyncio.ensure_future(asyncio.sleep(0))
            store.openable.set()
        await two.end()
    (execution,) = started(app)
    assert execution.status == "completed"
    assert kinds(await two.events())[-1] == "complete"
    assert store.opens == 1


async def test_refuses_another_body_for_the_same_key(make: Make) -> None:
    app = make(count)
    headers = {"idempotency-key": "k"}
    await call(app, "POST", "/count", headers=headers, json={"to": 1})
    c = await call(app, "POST", "/count", headers=headers, json={"to": 2})
    assert c.status == 422
    assert c.headers["content-type"] == "application/problem+json"
    assert await c.json() == problem(
        422,
        HTTPStatus(422).phrase,  # Python 3.13 calls it by its newer name
        "Idempotency-Key 'k' was used for another request; "
        "a new request needs a new key.",
    )
    assert len(started(app)) == 1


async def test_keeps_the_keys_of_owners_apart(make: Make) -> None:
    app = make(count, authorize=whoever)
    links = set()
    for user in ("ada", "bob"):
        headers = {"idempotency-key": "k", "user": user}
        c = await call(app, "POST", "/count", headers=headers, json={"to": 1})
        links.add(c.headers["location"])
    assert len(links) == 2
    assert [e.owner for e in started(app)] == ["ada", "bob"]


async def test_starts_anew_with_the_key_of_a_start_that_found_no_seat(
    make: Make,
) -> None:
    gate = Gate()
    app = make(gate.actor, count, max_executions=1)
    await app.executions.start("work")
    headers = {"idempotency-key": "k"}
    refused = await call(app, "POST", "/count", headers=headers, json={"to": 1})
    gate.open.set()
    await soon(started(app)[0].wait())
    again = await call(app, "POST", "/count", headers=headers, json={"to": 1})
    assert [refused.status, again.status] == [429, 202]


# Authorisation


REQUESTS = [
    ("GET", "/", "list", {}),
    ("POST", "/count", "start", {}),
    ("POST", "/count", "start", START),
    ("POST", "/nope", "start", {}),
    ("GET", "/executions/{}", "read", {}),
    ("GET", "/executions/{}", "read", STREAM),
    ("GET", "/executions/{}/events", "read", {}),
    ("HEAD", "/executions/{}/events", "read", {}),
    ("DELETE", "/executions/{}", "cancel", {}),
]
IDS = [
    "list",
    "start",
    "start stream",
    "start unknown",
    "read",
    "read stream",
    "read events",
    "head events",
    "cancel",
]


@pytest.mark.parametrize(("method", "path", "action", "headers"), REQUESTS, ids=IDS)
@pytest.mark.parametrize("kind", ["sync", "async"])
async def test_asks_authorize_with_the_action_and_its_execution(
    make: Make, method: str, path: str, action: str, headers: Any, kind: str
) -> None:
    asked: list[tuple[Any, Action, Execution | None]] = []

    def allow(scope: Any, action: Action, execution: Execution | None) -> str:
        asked.append((scope, action, execution))
        return "ada"

    async def allow_async(*args: Any) -> str:
        await asyncio.sleep(0)
        return allow(*args)

    app = make(count, authorize=allow if kind == "sync" else allow_async)
    execution = await app.executions.start(count, {"to": 1}, owner="ada")
    await soon(execution.wait())
    body = b'{"to":1}' if method == "POST" else b""
    c = await call(
        app, method, path.format(execution.id), headers=headers | JSON, body=body
    )
    about = execution if action in ("read", "cancel") else None
    expected: list[Any] = [(c.scope, action, about)]
    if headers is START:  # whether leaving the stream is to cancel it
        expected.append((c.scope, "cancel", started(app)[-1]))
    assert asked == expected
    assert c.status == (404 if path == "/nope" else c.status)
    assert c.status in (200, 202, 404)


async def test_asks_twice_for_a_post_that_comes_again(make: Make) -> None:
    asked: list[tuple[Action, Execution | None]] = []

    def allow(scope: Any, action: Action, execution: Execution | None) -> str:
        asked.append((action, execution))
        return "ada"

    app = make(count, authorize=allow)
    execution = await app.executions.start(count, {"to": 1}, owner="ada")
    await soon(execution.wait())
    headers = START | {"last-event-id": f"{execution.id}:1"}
    await call(app, "POST", "/count", headers=headers, body=b"{}")
    assert asked == [("start", None), ("read", execution)]


async def test_asks_with_no_execution_when_there_is_none(make: Make) -> None:
    asked: list[tuple[Action, Execution | None]] = []

    def allow(scope: Any, action: Action, execution: Execution | None) -> str:
        asked.append((action, execution))
        return "ada"

    app = make(count, authorize=allow)
    await call(app, "GET", "/executions/nope")
    await call(app, "DELETE", "/executions/nope")
    assert asked == [("read", None), ("cancel", None)]


@pytest.mark.parametrize(
    ("says", "status", "title", "detail", "challenge"),
    [
        (None, 401, "Unauthorized", "Authentication is needed.", "Bearer"),
        (
            Unauthorized("Who?", challenge='Basic realm="x"'),
            401,
            "Unauthorized",
            "Who?",
            'Basic realm="x"',
        ),
        (Forbidden(), 403, "Forbidden", "You may not do this.", None),
        (Forbidden("Not you."), 403, "Forbidden", "Not you.", None),
    ],
    ids=["None", "Unauthorized", "Forbidden", "Forbidden, why"],
)
async def test_refuses_every_request_that_authorize_refuses(
    make: Make,
    says: Exception | None,
    status: int,
    title: str,
    detail: str,
    challenge: str | None,
) -> None:
    def refuse(*_: Any) -> None:
        if says is not None:
            raise says

    app = make(count, authorize=refuse)
    execution = await app.executions.start(count, {"to": 1}, owner="ada")
    await soon(execution.wait())
    answers = await bodiless(app, execution)
    whole = problem(status, title, detail)
    assert answers == [
        (name, status, challenge, None if name == "head events" else whole)
        for name in IDS
    ]
    assert started(app) == [execution]
    assert execution.status == "completed"


def team(scope: Any, action: Action, execution: Execution | None) -> str:
    """All are of one team; its guests may not cancel."""
    user = dict(scope["headers"]).get(b"user", b"").decode()
    if action == "cancel" and user == "guest":
        raise Forbidden
    return "team"


async def looked(app: Any, method: str, path: str, user: str) -> None:
    """Open a stream, see its first bytes, and leave."""
    async with Connection(app, method, path, headers=STREAM | {"user": user}) as c:
        await c.until(b": stream-start\n")


@pytest.mark.parametrize("path", ["/executions/{}", "/executions/{}/events"])
async def test_lets_who_may_not_cancel_look_without_cancelling(
    make: Make, path: str
) -> None:
    gate = Gate()
    app = make(gate.actor, authorize=team, cancel_after=0)
    execution = await app.executions.start("work", owner="team")
    await soon(gate.begun.wait())
    await looked(app, "GET", path.format(execution.id), "guest")
    after_guest = (execution.viewers, execution.status, list(gate.ended))
    await looked(app, "GET", path.format(execution.id), "ada")
    await soon(execution.wait())
    assert after_guest == (0, "started", [])
    assert execution.status == "cancelled"


async def test_lets_who_may_start_but_not_cancel_leave_the_stream(make: Make) -> None:
    gate = Gate()
    app = make(gate.actor, authorize=team, cancel_after=0)
    await looked(app, "POST", "/work", "guest")
    (execution,) = started(app)
    again = STREAM | {"user": "guest", "last-event-id": f"{execution.id}:1"}
    async with Connection(app, "POST", "/work", headers=again) as c:
        await c.until(b": stream-start\n")
    assert (execution.viewers, execution.status) == (0, "started")
    gate.open.set()
    await soon(execution.wait())


async def test_does_not_count_who_may_not_cancel_for_cancel_after(make: Make) -> None:
    gate = Gate()
    app = make(gate.actor, authorize=team, cancel_after=0)
    execution = await app.executions.start("work", owner="team")
    path = f"/executions/{execution.id}/events"
    async with Connection(app, "GET", path, headers={"user": "guest"}) as guest:
        await guest.until(b": stream-start\n")
        async with Connection(app, "GET", path, headers={"user": "ada"}) as ada:
            await ada.until(b": stream-start\n")
            await looked(app, "GET", path, "guest")
            assert execution.viewers == 2
        assert b'"cancelled"' in await guest.until(b"event: end")


async def test_counts_all_viewers_for_cancel_after_without_authorize(
    make: Make,
) -> None:
    gate = Gate()
    app = make(gate.actor, cancel_after=0)
    execution = await app.executions.start("work")
    await looked(app, "GET", f"/executions/{execution.id}", "guest")
    await soon(execution.wait())
    assert execution.status == "cancelled"


async def test_does_not_count_who_may_not_cancel_in_another_process(
    make: Make,
) -> None:
    class Attended(MemoryStore):
        def __init__(self) -> None:
            super().__init__()
            self.reads = 0
            self.looked = asyncio.Event()
            self.attended = asyncio.Event()

        async def read(self, key: str, after: int, max_bytes: int) -> Any:
            if max_bytes:  # by a follower
                self.looked.set()
            return await super().read(key, after, max_bytes)

        async def attend(self, key: str, seconds: float) -> None:
            self.attended.set()

    store = Attended()
    gate = Gate()
    here = make(gate.actor, store=store)
    there = make(gate.actor, store=store, authorize=team)
    execution = await here.executions.start("work", owner="team")
    path = f"/executions/{execution.id}/events"
    async with Connection(there, "GET", path, headers={"user": "guest"}) as guest:
        await guest.until(b": stream-start\n")
        await soon(store.looked.wait())
        for_guest = store.attended.is_set()
        async with Connection(there, "GET", path, headers={"user": "ada"}) as ada:
            await ada.until(b": stream-start\n")
            await soon(store.attended.wait())
    gate.open.set()
    await soon(execution.wait())
    assert not for_guest


class AwayStore(MemoryStore):
    """Answers no read."""

    async def read(self, key: str, after: int, max_bytes: int) -> Any:
        raise Unavailable("away")


@pytest.mark.parametrize(
    ("method", "path", "action"),
    [
        ("GET", "/executions/x", "read"),
        ("GET", "/executions/x/events", "read"),
        ("DELETE", "/executions/x", "cancel"),
    ],
)
@pytest.mark.parametrize(("user", "status"), [("", 401), ("ada", 503)])
async def test_tells_a_stranger_nothing_of_a_store_that_is_away(
    make: Make, method: str, path: str, action: str, user: str, status: int
) -> None:
    asked: list[tuple[Any, ...]] = []

    def authorize(scope: Any, *about: Any) -> str | None:
        asked.append(about)
        return user or None

    app = make(count, authorize=authorize, store=AwayStore())
    c = await call(app, method, path)
    assert (c.status, asked) == (status, [(action, None)])


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS"])
async def test_tells_a_stranger_no_name_of_an_actor(make: Make, method: str) -> None:
    asked: list[tuple[Any, ...]] = []

    def refuse(scope: Any, *about: Any) -> None:
        asked.append(about)

    app = make(count, authorize=refuse)
    answers = [await call(app, method, path) for path in ("/count", "/nope")]
    assert [(c.status, c.headers, c.body) for c in answers[:1]] == [
        (c.status, c.headers, c.body) for c in answers[1:]
    ]
    assert answers[0].status == 401
    assert asked == [("list", None)] * 2


async def bodiless(app: EventsApp, execution: Execution) -> list[Any]:
    """The answers to ``REQUESTS`` whose body never comes: nothing may wait for it."""
    answers = []
    for name, (method, path, _, more) in zip(IDS, REQUESTS, strict=True):
        path = path.format(execution.id)
        async with Connection(app, method, path, headers=more | JSON, body=[]) as c:
            await c.end()
        assert c.headers["content-type"] == "application/problem+json"
        challenge = c.headers.get("www-authenticate")
        body = json.loads(c.body) if c.body else None
        answers.append((name, c.status, challenge, body))
    return answers


@pytest.mark.parametrize("running", [True, False], ids=["running", "over"])
@pytest.mark.parametrize("owner", ["bob", None], ids=["of bob", "of nobody"])
async def test_answers_for_a_foreign_execution_as_for_none(
    make: Make, running: bool, owner: str | None
) -> None:
    gate = Gate()
    app = make(gate.actor, authorize=whoever)
    foreign = await app.executions.start("work", owner=owner)
    if not running:
        gate.open.set()
        await soon(foreign.wait())
    more = {"user": "ada", "last-event-id": f"{foreign.id}:3"}
    for method, path, action, headers in REQUESTS:
        if action not in ("read", "cancel"):
            continue
        answers = []
        for id in (foreign.id, "0" * 32):
            c = await call(app, method, path.format(id), headers=headers | more)
            answers.append((c.status, c.headers, c.body.replace(id.encode(), b"ID")))
        assert answers[0] == answers[1]
        assert answers[0][0] == 404
    assert foreign.viewers == 0
    assert await foreign.cancel() is running  # was not cancelled, and is not over


async def test_shows_an_owners_execution_to_nobody_without_authorize(
    make: Make,
) -> None:
    app = make(idle)
    execution = await app.executions.start(idle, owner="ada")
    c = await call(app, "GET", f"/executions/{execution.id}")
    assert c.status == 404
    assert await c.json() == problem(404, "Not Found", unknown(execution.id))


async def test_serves_the_owner(make: Make) -> None:
    app = make(count, authorize=whoever)
    headers = {"user": "ada"}
    c = await call(app, "POST", "/count", headers=headers, json={"to": 1})
    (execution,) = started(app)
    await soon(execution.wait())
    read = await call(app, "GET", c.headers["location"], headers=headers)
    assert execution.owner == "ada"
    assert await read.json() == about(
        execution, progress=counted_to(0.0, 1.0), result=1
    )
    assert "owner" not in await read.json()


def raise_secret(*_: Any) -> str:
    raise LookupError(SECRET)


@pytest.mark.parametrize(
    "hook",
    [raise_secret, lambda *_: 5, lambda *_: True, lambda *_: "", lambda *_: " \t"],
    ids=["raises", "number", "bool", "empty", "blank"],
)
async def test_answers_500_and_logs_when_authorize_fails(
    make: Make, hook: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    app = make(count, authorize=hook)
    execution = await app.executions.start(count, {"to": 1})
    await soon(execution.wait())
    whole = problem(
        500,
        "Internal Server Error",
        "Something failed on the server; its log knows more.",
    )
    assert await bodiless(app, execution) == [
        (name, 500, None, None if name == "head events" else whole) for name in IDS
    ]
    messages = [record.getMessage() for record in caplog.records]
    assert messages == ["A request failed."] * len(REQUESTS)
    assert (SECRET if hook is raise_secret else "authorize must return") in caplog.text
    assert started(app) == [execution]


# Limits


async def test_answers_429_at_max_executions_until_one_ends(make: Make) -> None:
    gate = Gate()
    app = make(gate.actor, count, max_executions=1)
    first = await call(app, "POST", "/work")
    second = await call(app, "POST", "/count", json={"to": 1})
    stream = await call(app, "POST", "/count", headers=STREAM, json={"to": 1})
    gate.open.set()
    await soon(started(app)[0].wait())
    third = await call(app, "POST", "/count", json={"to": 1})
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
    eve = [await call(app, "POST", "/work", headers={"user": "eve"}) for _ in range(20)]
    alice = await call(app, "POST", "/work", headers={"user": "alice"})
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
        second = await call(app, "POST", "/work", headers=eve)
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
        get = await call(app, "GET", path)
        post = await call(app, "POST", "/count", headers=STREAM, json={"to": 1})
        unwatched = await call(app, "GET", f"/executions/{execution.id}")
        before = started(app)
    gate.open.set()
    after = await call(app, "GET", path)
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
    assert len(started(app)) == 1


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
    post = await call(app, "POST", "/count", headers=STREAM, json={"to": 1})
    late = await call(app, "GET", f"{path}/events")
    again = await call(
        app, "POST", "/work", headers=STREAM | {"last-event-id": f"{execution.id}:1"}
    )
    status = await call(app, "GET", path)
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
    c = await call(app, "POST", "/count", json={"to": 1})
    assert c.status == 503
    assert c.headers["retry-after"] == "5"
    assert await c.json() == problem(
        503, "Service Unavailable", "The store does not answer."
    )
    assert SECRET in caplog.text


# Errors of actors, on the wire


async def test_sends_no_traceback_of_a_failed_actor(make: Make) -> None:
    app = make(fail)
    stream = await call(app, "POST", "/fail", headers=STREAM)
    (execution,) = started(app)
    status = await call(app, "GET", f"/executions/{execution.id}")
    replay = await call(app, "GET", f"/executions/{execution.id}/events")
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
    c = await call(app, "POST", "/fail", headers=STREAM)
    assert f"RuntimeError: {SECRET}" in data(await c.events())[-1]["message"]


# Retention


async def test_answers_404_when_the_retention_is_over(make: Make) -> None:
    class Store(MemoryStore):
        deleted = asyncio.Event()

        async def delete(self, key: str) -> None:
            await super().delete(key)
            self.deleted.set()

    store = Store()
    app = make(count, retention=0.05, store=store)
    headers = {"idempotency-key": "k"}
    first = await call(app, "POST", "/count", headers=headers, json={"to": 1})
    path = first.headers["location"]
    (execution,) = started(app)
    await soon(execution.wait())
    before = await call(app, "GET", path)
    await soon(store.deleted.wait())
    assert await store.read(execution.id, 0, 1000) is None
    gone = [
        await call(app, "GET", path),
        await call(app, "GET", f"{path}/events"),
        await call(app, "DELETE", path),
    ]
    again = await call(app, "POST", "/count", headers=headers, json={"to": 1})
    assert before.status == 200
    assert [c.status for c in gone] == [404, 404, 404]
    assert await gone[0].json() == problem(404, "Not Found", unknown(execution.id))
    assert await again.json() == problem(
        410,
        "Gone",
        f"Idempotency-Key 'k' has started execution '{execution.id}', which is over "
        "and no longer kept; nothing was started. A new request needs a new key.",
    )
    assert (again.status, started(app)) == (410, [])


# Lifespan


async def test_serves_under_a_lifespan_and_drains_at_its_end() -> None:
    gate = Gate()
    app = EventsApp(gate.actor, count, drain_grace=0.01)
    async with LifespanManager(app):
        await call(app, "POST", "/work")
        await soon(gate.begun.wait())
        c = await call(app, "POST", "/count", headers=STREAM, json={"to": 2})
    after = await call(app, "POST", "/count", json={"to": 1})
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
            c = await call(app, "POST", "/count", headers=STREAM, json={"to": 2})
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
            c = await call(app, "POST", "/count", headers=headers, json={"to": 2})
            path = c.headers["location"]
            return (
                c.status,
                kinds(await c.events()),
                (await call(app, "GET", path)).status,
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
    started_there = await call(first, "POST", "/count", json={"to": 1})
    path = started_there.headers["location"]
    assert second.executions is first.executions
    assert (await call(second, "GET", path)).status == 200


@pytest.mark.parametrize("challenge", ["Bearer\r\nset-cookie: a=b", "Bearer\0", "日本"])
def test_refuses_a_challenge_that_no_header_can_have(challenge: str) -> None:
    with pytest.raises(ValueError, match="www-authenticate"):
        Unauthorized(challenge=challenge)
