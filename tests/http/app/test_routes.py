"""The HTTP routes: every row of the table, and resuming."""

import asyncio

import pytest
from pydantic import BaseModel

from asgi_events import EventsApp, agent, current_state
from asgi_events.executions import Execution
from asgi_events.testing import Client, Connection
from tests.http.app.routes import (
    START,
    STREAM,
    Gate,
    Make,
    about,
    count,
    counted_to,
    idle,
    problem,
    soon,
    started,
    unknown,
    whoever,
)
from tests.payloads import PLACE, data

pytestmark = pytest.mark.usefixtures("fixed_time")


STREAM_HEADERS = {
    "content-type": "text/event-stream; charset=utf-8",
    "cache-control": "no-cache, no-transform",
    "x-accel-buffering": "no",
    "x-content-type-options": "nosniff",
}

PREAMBLE = b": stream-start\nretry: 3000\n"

END = b'event: end\ndata: {"status":"completed"}\n\n'


class Topic(BaseModel):
    topic: str


@agent
async def research(topic: Topic) -> str:
    return topic.topic


async def counted(app: EventsApp, to: int = 7) -> tuple[Execution, list[bytes]]:
    """An execution that is over, and its frames as its first viewer was sent them."""
    stream = await Client(app).post("/count", headers=STREAM, json={"to": to})
    execution = started(app)[-1]
    body = stream.body.removeprefix(PREAMBLE).removesuffix(END)
    return execution, [block + b"\n\n" for block in body.split(b"\n\n")[:-1]]


def is_whole(c: Connection) -> bool:
    """Whether the last message says, or does not deny, that nothing follows."""
    return not c.messages[-1].get("more_body", False)


def content_headers(c: Connection) -> tuple[str, str]:
    return c.headers["content-type"], c.headers["cache-control"]


# The table of DESIGN section 7, row by row


async def test_lists_actors_their_input_and_links(make: Make) -> None:
    app = make(count, research)
    c = await Client(app).get("/")
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
    c = await Client(app).post(
        "/work", headers={} if accept is None else {"accept": accept}
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
    c = await Client(app).post("/count", headers=STREAM, json={"to": 7})
    (execution,) = started(app)
    frames = execution.log.since(0)
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
        running = await Client(app).get(f"/executions/{execution.id}")
        while_running = about(execution, viewers=1)
        gate.open.set()
        await viewer.events()
    over = await Client(app).get(f"/executions/{execution.id}")
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
    c = await Client(app).get(path.format(execution.id), headers=headers)
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
        first = await Client(app).delete(path)
        await soon(gate.begun.wait())
        second = await Client(app).delete(path)
        holding.set()
        events = await viewer.events()
    third = await Client(app).delete(path)
    fourth = await Client(app).delete(path)
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
    get = await Client(app).get(path, headers=headers)
    head = await Client(app).head(path, headers=headers)
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
        head = await Client(app).head(path)
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
    c = await Client(app).request(
        method, path, json={"to": 1} if method == "POST" else None
    )
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
        c = await Client(app).get(path, headers=headers)
        answers.append((c.status, c.body))
    assert len(frames) == 10
    assert answers == [
        (200, PREAMBLE + b"".join(frames[position:]) + END) for position in range(10)
    ]


async def test_takes_the_query_when_the_header_is_empty(make: Make) -> None:
    app = make(count)
    execution, frames = await counted(app)
    c = await Client(app).get(
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
    c = await Client(app).get(path, headers=headers)
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
    c = await Client(app).post("/count", headers=headers, body=b'{"to":7}')
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
    c = await Client(app).post("/count", headers=headers, json={"to": 7})
    assert c.status == 202
    assert c.headers["location"] == f"/executions/{execution.id}"
    assert await c.json() == about(execution, progress=counted_to(6.0, 7.0), result=7)
    assert started(app) == [execution]


@pytest.mark.parametrize("whose", ["another actor", "another owner", "nobody"])
async def test_starts_nothing_for_a_post_with_the_id_of(make: Make, whose: str) -> None:
    app = make(count, idle, authorize=whoever)
    foreign = await app.executions.start(
        idle if whose == "another actor" else count,
        None if whose == "another actor" else {"to": 1},
        owner="bob" if whose == "another owner" else "ada",
    )
    await soon(foreign.wait())
    id = "0" * 22 if whose == "nobody" else foreign.id
    headers = START | {"user": "ada", "last-event-id": f"{id}:1"}
    c = await Client(app).post("/count", headers=headers, body=b'{"to":7}')
    assert c.status == 404
    assert await c.json() == problem(404, "Not Found", unknown(id))
    assert started(app) == [foreign]
