"""The routes around somebody else's application."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from asgi_lifespan import LifespanManager

from asgi_events import EventsMiddleware, Executions, agent, tool
from asgi_events.actors import Actor
from asgi_events.http.viewing import ExecutionResponse
from asgi_events.testing import Client, Connection
from tests import TIMEOUT
from tests.payloads import data, kinds

STREAM = {"accept": "text/event-stream"}

Wrap = Callable[..., EventsMiddleware]


@tool
async def count(to: int = 0) -> int:
    return to


class Gate:
    """An actor that says it has begun, and ends when it is let go."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.open = asyncio.Event()

        @agent
        async def work() -> None:
            self.begun.set()
            await self.open.wait()

        self.actor: Actor[..., Any] = work


class App:
    """An application that keeps what it was called with, and does as it is told."""

    def __init__(self) -> None:
        self.scopes: list[Any] = []
        self.receives: list[Any] = []
        self.sends: list[Any] = []
        self.received: list[Any] = []
        self.sending: list[Any] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.scopes.append(scope)
        self.receives.append(receive)
        self.sends.append(send)
        for message in self.sending:
            self.received.append(await receive())
            await send(message)


@pytest.fixture
async def wrap() -> AsyncIterator[Wrap]:
    """Makes an ``EventsMiddleware`` and drains it when the test is over."""
    made: list[EventsMiddleware] = []

    def wrap(app: Any, **options: Any) -> EventsMiddleware:
        if "executions" not in options:
            options.setdefault("actors", [count])
        made.append(EventsMiddleware(app, **options))
        return made[-1]

    yield wrap
    for middleware in made:
        await middleware.executions.drain(0)


class Line:
    """The two ends of a connection, as plain callables."""

    def __init__(self, *messages: Any) -> None:
        self.inbox = list(messages)
        self.sent: list[Any] = []

    async def receive(self) -> Any:
        return self.inbox.pop(0)

    async def send(self, message: Any) -> None:
        self.sent.append(message)


# What is not ours


@pytest.mark.parametrize(
    "path", ["/", "/count", "/eventsx", "/event", "/x/events", "/executions/x"]
)
async def test_leaves_other_paths_to_the_application(wrap: Wrap, path: str) -> None:
    app = App()
    app.sending = [
        {"type": "http.response.start", "status": 200, "headers": []},
        {"type": "http.response.body", "body": b"theirs"},
    ]
    middleware = wrap(app)
    line = Line({"type": "http.request", "body": b"1"}, {"type": "http.disconnect"})
    inbox = list(line.inbox)
    scope = {
        "type": "http",
        "method": "POST",
        "path": path,
        "headers": [],
        "state": {},
    }
    given = dict(scope)
    receive, send = line.receive, line.send
    await middleware(scope, receive, send)
    assert app.scopes == [given | {"asgi_events": middleware.executions}]
    assert scope == given  # is the server's own, and not written to
    assert (app.receives, app.sends) == ([receive], [send])
    assert [*map(id, app.received)] == [*map(id, inbox)]
    assert [*map(id, line.sent)] == [*map(id, app.sending)]


async def test_leaves_websockets_to_the_application(wrap: Wrap) -> None:
    app = App()
    app.sending = [{"type": "websocket.accept"}, {"type": "websocket.close"}]
    middleware = wrap(app)
    line = Line({"type": "websocket.connect"}, {"type": "websocket.receive"})
    inbox = list(line.inbox)
    receive, send = line.receive, line.send
    scope = {"type": "websocket", "path": "/events/executions/x", "headers": []}
    await middleware(scope, receive, send)
    assert app.scopes == [scope | {"asgi_events": middleware.executions}]
    assert (app.receives, app.sends) == ([receive], [send])
    assert [*map(id, app.received)] == [*map(id, inbox)]
    assert [*map(id, line.sent)] == [*map(id, app.sending)]


async def test_passes_the_lifespan_on_unchanged(wrap: Wrap) -> None:
    app = App()
    app.sending = [
        {"type": "lifespan.startup.complete"},
        {"type": "lifespan.shutdown.complete"},
    ]
    middleware = wrap(app)
    line = Line({"type": "lifespan.startup"}, {"type": "lifespan.shutdown"})
    inbox = list(line.inbox)
    scope = {"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}
    await middleware(scope, line.receive, line.send)
    assert app.scopes[0] is scope
    assert [*map(id, app.received)] == [*map(id, inbox)]
    assert [*map(id, line.sent)] == [*map(id, app.sending)]


async def test_raises_what_the_application_raises(wrap: Wrap) -> None:
    async def broken(scope: Any, receive: Any, send: Any) -> None:
        raise LookupError(scope["type"])

    middleware = wrap(broken)
    line = Line()
    for scope in ({"type": "http", "path": "/"}, {"type": "websocket", "path": "/"}):
        with pytest.raises(LookupError, match=scope["type"]):
            await middleware(scope, line.receive, line.send)


# What is ours


@pytest.mark.parametrize("path", ["/events", "/events/"])
async def test_serves_its_prefix(wrap: Wrap, path: str) -> None:
    app = App()
    c = await Client(wrap(app)).get(path)
    assert c.status == 200
    assert [a["links"] for a in (await c.json())["actors"]] == [
        {"start": "/events/count"}
    ]
    assert app.scopes == []


@pytest.mark.parametrize("prefix", ["/jobs", "/jobs/", "/api/v1/jobs"])
async def test_links_below_its_prefix(wrap: Wrap, prefix: str) -> None:
    middleware = wrap(App(), prefix=prefix)
    base = prefix.rstrip("/")
    start = await Client(middleware).post(f"{base}/count", json={"to": 1})
    (execution,) = list(middleware.executions)
    status = await Client(middleware).get(start.headers["location"])
    stream = await Client(middleware).get((await status.json())["links"]["events"])
    assert start.headers["location"] == f"{base}/executions/{execution.id}"
    assert kinds(await stream.events()) == ["tool_call", "tool_call", "complete"]


async def test_serves_its_prefix_below_a_root_path(wrap: Wrap) -> None:
    app = App()
    middleware = wrap(app)
    c = await Client(middleware).post(
        "/site/events/count", json={"to": 1}, root_path="/site"
    )
    (execution,) = list(middleware.executions)
    assert c.headers["location"] == f"/site/events/executions/{execution.id}"
    assert app.scopes == []


@pytest.mark.parametrize(
    "odd",
    [
        {"root_path": None},
        {"path": "/events/\ud800", "raw_path": None},
        {"path": "/events/count", "raw_path": b"/\xff/\\/events/count"},
        {"headers": [(b"host", b"\xff")]},
    ],
    ids=["root_path", "surrogate", "raw_path", "host"],
)
async def test_answers_a_scope_that_no_server_sends(wrap: Wrap, odd: Any) -> None:
    async with Connection(wrap(App()), "POST", "/events/count") as c:
        c.scope.update(odd)
        await c.end()
    assert c.status in (202, 404)


async def test_answers_an_unknown_path_below_its_prefix_itself(wrap: Wrap) -> None:
    app = App()
    c = await Client(wrap(app)).get("/events/nope")
    assert (c.status, app.scopes) == (404, [])


async def test_asks_authorize_and_bounds_the_body(wrap: Wrap) -> None:
    def whoever(scope: Any, *_: Any) -> str | None:
        return dict(scope["headers"]).get(b"user", b"").decode() or None

    middleware = wrap(App(), authorize=whoever, max_body=10)
    nobody = await Client(middleware).post("/events/count", json={"to": 1})
    headers = {"user": "ada"}
    ada = await Client(middleware).post("/events/count", headers=headers, json={})
    long = await Client(middleware).post(
        "/events/count", headers=headers, json={"to": 10_000}
    )
    assert [c.status for c in (nobody, ada, long)] == [401, 202, 413]
    assert [e.owner for e in middleware.executions] == ["ada"]


async def test_lets_a_view_start_find_cancel_and_stream(wrap: Wrap) -> None:
    gate = Gate()

    async def view(scope: Any, receive: Any, send: Any) -> None:
        executions: Executions = scope["asgi_events"]
        if scope["path"] == "/start":
            execution = await executions.start("work")
            await ExecutionResponse(execution)(scope, receive, send)
        else:
            execution = await executions.get(scope["path"].removeprefix("/stop/"))
            await execution.cancel("Execution cancelled: by a view")
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b""})

    middleware = wrap(view, actors=[gate.actor])
    async with (
        Connection(middleware, "GET", "/start") as viewer,
    ):
        await viewer.until(b"started")
        (execution,) = list(middleware.executions)
        path = f"/events/executions/{execution.id}"
        async with Connection(middleware, "GET", f"{path}/events") as other:
            await other.until(b"started")
            await Client(middleware).get(f"/stop/{execution.id}")
            told = [data(await c.events())[-1] for c in (viewer, other)]
    assert (
        told
        == [{"event_type": "cancelled", "message": "Execution cancelled: by a view"}]
        * 2
    )


async def test_serves_the_executions_it_is_given(wrap: Wrap) -> None:
    executions = Executions(count)
    app = App()
    middleware = wrap(app, executions=executions)
    await Client(middleware).get("/")
    c = await Client(middleware).post("/events/count", json={"to": 1})
    assert middleware.executions is executions
    assert app.scopes[0]["asgi_events"] is executions
    assert c.headers["location"].endswith([*executions][0].id)


# Lifespan


class Living:
    """An application with a lifespan, which notes what it finds at each message."""

    def __init__(self) -> None:
        self.noted: list[Any] = []
        self.look: Callable[[], Any] = lambda: None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        assert scope["type"] == "lifespan"
        while True:
            message = await receive()
            self.noted.append((message["type"], self.look()))
            await send({"type": f"{message['type']}.complete"})
            if message["type"] == "lifespan.shutdown":
                return


async def test_drains_before_the_application_is_told_of_the_shutdown() -> None:
    gate, living = Gate(), Living()
    middleware = EventsMiddleware(living, actors=[gate.actor], drain_grace=0.01)
    async with LifespanManager(middleware):
        execution = await middleware.executions.start("work")
        await asyncio.wait_for(gate.begun.wait(), TIMEOUT)
        living.look = lambda: (str(execution.status), middleware.executions.draining)
    assert living.noted == [
        ("lifespan.startup", None),
        ("lifespan.shutdown", ("cancelled", True)),
    ]


async def test_waits_the_drain_grace_for_executions() -> None:
    gate, living = Gate(), Living()
    middleware = EventsMiddleware(living, actors=[gate.actor], drain_grace=TIMEOUT)
    async with LifespanManager(middleware):
        execution = await middleware.executions.start("work")
        asyncio.get_running_loop().call_later(0.03, gate.open.set)
    assert execution.status == "completed"


async def test_serves_again_at_the_next_startup() -> None:
    living = Living()
    middleware = EventsMiddleware(living, actors=[count])
    statuses = []
    for _ in range(2):
        async with LifespanManager(middleware):
            c = await Client(middleware).post("/events/count", json={"to": 1})
            statuses.append(c.status)
        late = await Client(middleware).post("/events/count", json={"to": 1})
        statuses.append(late.status)
    assert statuses == [202, 503, 202, 503]


@pytest.mark.parametrize("asks", [False, True], ids=["at once", "when asked"])
async def test_answers_the_lifespan_of_an_application_that_has_none(
    wrap: Wrap, asks: bool
) -> None:
    async def django(scope: Any, receive: Any, send: Any) -> None:
        if asks:
            await receive()
        raise ValueError(f"Django can not handle {scope['type']}")

    middleware = wrap(django)
    line = Line({"type": "lifespan.startup"}, {"type": "lifespan.shutdown"})
    await middleware({"type": "lifespan"}, line.receive, line.send)
    assert line.sent == [
        {"type": "lifespan.startup.complete"},
        {"type": "lifespan.shutdown.complete"},
    ]
    c = await Client(middleware).post("/events/count", json={"to": 1})
    assert c.status == 503  # it has been drained


async def test_serves_without_any_lifespan(wrap: Wrap) -> None:
    c = await Client(wrap(App())).post("/events/count", headers=STREAM, json={"to": 1})
    assert kinds(await c.events()) == ["tool_call", "tool_call", "complete"]


@pytest.mark.parametrize("prefix", ["", "/", "//"])
def test_leaves_something_to_the_application(prefix: str) -> None:
    with pytest.raises(ValueError, match='prefix must name a path, "/events" say'):
        EventsMiddleware(App(), actors=[count], prefix=prefix)


def test_wants_a_prefix_that_starts_with_a_slash() -> None:
    with pytest.raises(ValueError, match="prefix must start with \"/\", got 'events'"):
        EventsMiddleware(App(), actors=[count], prefix="events")
