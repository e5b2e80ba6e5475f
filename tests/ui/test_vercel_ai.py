"""The routes of the AI SDK."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote

import pytest
from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.routing import Mount

from asgi_events import Executions, Message, agent, current_state
from asgi_events.events import ConversationEvent
from asgi_events.exceptions import Forbidden, UnknownActor
from asgi_events.testing import Client, Connection, virtual_time
from asgi_events.types import ASGIApp
from asgi_events.ui import ChatRequest, UIMessage, VercelAIApp
from tests.ui.chats import Gate, chat, echo, message
from tests.ui.conftest import Run
from tests.wire.ui_message_stream import DONE, accept, chunks

STREAM = "/api/chat/c1/stream"
STOP = "/api/chat/c1/stop"

Make = Callable[..., VercelAIApp]


@pytest.fixture
def make(run: Run) -> Make:
    """Makes an app of one actor."""

    def make(actor: Any = echo, *, options: Any = None, **more: Any) -> VercelAIApp:
        return VercelAIApp(run(actor, **(options or {})), actor, **more)

    return make


async def get(app: ASGIApp, path: str) -> Connection:
    """The answer to a request to a path with ``%``."""
    async with Client(app).connect("GET", "/") as c:
        c.scope.update(path=unquote(path), raw_path=path.encode())
        await c.end()
    return c


def said(body: bytes) -> str:
    """The text of a stream, without comments."""
    return "".join(chunk["delta"] for chunk in read(body) if "text-delta" in str(chunk))


def read(body: bytes) -> list[Any]:
    """The chunks of a stream, without comments."""
    lines = [line for line in body.split(b"\n") if not line.startswith(b":")]
    return chunks(b"\n".join(lines))


async def test_starts_an_execution_and_streams_its_message(make: Make) -> None:
    app = make()

    c = await Client(app).post("/api/chat", json=chat("Hi"))

    (execution,) = app.executions
    assert c.status == 200
    assert c.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert c.headers["x-vercel-ai-ui-message-stream"] == "v1"
    made = read(c.body)
    assert made[0] == {"type": "start", "messageId": execution.id}
    assert said(c.body) == "You said Hi"
    about = {"execution": execution.id, "status": "completed", "result": "Hi"}
    assert made[-2:] == [
        {"type": "finish", "finishReason": "stop", "messageMetadata": about},
        DONE,
    ]
    assert (execution.thread, execution.owner) == ("c1", None)


async def test_publishes_the_conversation_first(make: Make) -> None:
    app = make()
    messages = [
        message("You are kind", id="m1", role="system"),
        message("Hi", id="m2"),
        {
            "id": "m3",
            "role": "assistant",
            "parts": [
                {"type": "step-start"},
                {"type": "text", "text": "Hel", "state": "done"},
                {"type": "dynamic-tool", "toolCallId": "t1"},
                {"type": "text", "text": "lo"},
            ],
        },
    ]

    await Client(app).post("/api/chat", json=chat(messages=messages))

    (execution,) = app.executions
    first = await anext(execution.events())
    assert isinstance(first, ConversationEvent)
    assert (first.thread, first.run) == ("c1", execution.id)
    assert first.messages == [
        {"id": "m1", "role": "system", "content": "You are kind"},
        {"id": "m2", "role": "user", "content": "Hi"},
        {"id": "m3", "role": "assistant", "content": "Hello"},
    ]


async def test_replays_a_running_execution_from_its_start(make: Make) -> None:
    gate = Gate()
    app = make(gate.actor)
    client = Client(app)

    async with client.connect("POST", "/api/chat", json=chat()) as first:
        await first.until(b"One")
    async with client.connect("GET", STREAM) as second:
        await second.until(b"One")
        gate.opened.set()
        await second.end()

    assert said(second.body) == "One, two"
    accept(b"\n".join(x for x in second.body.split(b"\n") if not x.startswith(b":")))


@pytest.mark.parametrize("header", ["last-event-id", "x"])
async def test_ignores_a_last_event_id(make: Make, header: str) -> None:
    gate = Gate()
    app = make(gate.actor)
    client = Client(app)
    async with client.connect("POST", "/api/chat", json=chat()) as first:
        await first.until(b"One")
    (execution,) = app.executions

    async with client.connect(
        "GET",
        f"{STREAM}?last_event_id={execution.id}:3",
        headers={header: f"{execution.id}:3"},
    ) as second:
        await second.until(b"One")
        gate.opened.set()
        await second.end()

    assert said(second.body) == "One, two"


@pytest.mark.parametrize(
    "path", [STREAM, "/api/chat/c2/stream", "/api/chat/%00/stream"]
)
async def test_answers_204_where_nothing_runs(make: Make, path: str) -> None:
    app = make(linger=0)
    if path == STREAM:
        await Client(app).post("/api/chat", json=chat())

    c = await get(app, path)

    assert (c.status, c.body) == (204, b"")


async def test_still_streams_what_has_just_ended(make: Make) -> None:
    app = make()
    first = await Client(app).post("/api/chat", json=chat())

    second = await Client(app).get(STREAM)

    assert second.status == 200
    assert read(second.body) == read(first.body)


async def test_lingers_for_as_long_as_it_is_told(make: Make) -> None:
    app = make(linger=30)
    await Client(app).post("/api/chat", json=chat())
    (execution,) = app.executions
    ended = execution.ended
    assert ended is not None

    statuses = []
    for before in (29, 31):
        execution.ended = ended.fromtimestamp(ended.timestamp() - before, ended.tzinfo)
        statuses.append((await Client(app).get(STREAM)).status)

    assert statuses == [200, 204]


async def test_finds_a_chat_of_any_name(make: Make) -> None:
    app = make()
    ids = ["a b", "a/b", "/a//b/", "é\u4e00", "100%", "stream", "%2F", "?", ".."]
    for id in ids:
        await Client(app).post("/api/chat", json=chat(id=id))

    asked = [
        "a%20b",
        "a%2Fb",
        "%2Fa%2F%2Fb%2F",
        "%C3%A9%E4%B8%80",
        "100%25",
        "stream",
        "%252F",
        "%3F",
        "..",
    ]
    found = [await get(app, f"/api/chat/{id}/stream") for id in asked]
    executions = list(app.executions)

    assert [read(c.body)[0]["messageId"] for c in found] == [e.id for e in executions]
    assert [e.thread for e in executions] == ids


async def test_finds_a_chat_without_raw_path(make: Make) -> None:
    app = make()
    await Client(app).post("/api/chat", json=chat(id="a/b"))

    c = await Client(app, raw_path=None).get("/api/chat/a/b/stream")

    assert c.status == 200


@pytest.mark.parametrize(
    ("at", "prefix", "path"),
    [
        ("/", "/api/chat", "/api/chat"),
        ("/api", "/chat", "/api/chat"),
        ("/api/chat", "/api/chat", "/api/chat/"),  # Starlette redirects to it
        ("/api/chat", "", "/api/chat/"),
    ],
)
async def test_can_be_mounted(make: Make, at: str, prefix: str, path: str) -> None:
    app = make(prefix=prefix)
    site = Starlette(routes=[Mount(at, app=app)])

    first = await Client(site).post(path, json=chat(id="a/b"))
    second = await get(site, "/api/chat/a%2Fb/stream")
    stopped = await Client(site).post("/api/chat/c2/stop")

    assert (first.status, second.status, stopped.status) == (200, 200, 204)
    assert read(first.body) == read(second.body)


async def test_refuses_a_second_post_while_one_runs(make: Make) -> None:
    gate = Gate()
    app = make(gate.actor)
    client = Client(app)

    async with client.connect("POST", "/api/chat", json=chat()) as first:
        await first.until(b"One")
        second = await client.post("/api/chat", json=chat("again"))
        other = client.connect("POST", "/api/chat", json=chat(id="c2"))
        async with other as third:
            await third.until(b"One")

    running, _ = app.executions
    assert second.status == 409
    assert (await second.json())["execution"] == running.id
    assert third.status == 200


async def test_streams_a_post_that_waits_when_its_turn_has_come(make: Make) -> None:
    gate = Gate("queue")
    app = make(gate.actor)
    client = Client(app)

    async with client.connect("POST", "/api/chat", json=chat()) as first:
        await first.until(b"One")
        async with client.connect("POST", "/api/chat", json=chat("2")) as second:
            await second.until(b": stream-start")
            waiting = b"One" not in second.body
            gate.opened.set()
            await first.end()
            await second.end()

    assert waiting
    assert said(first.body) == said(second.body) == "One, two"
    accept(b"\n".join(x for x in second.body.split(b"\n") if not x.startswith(b":")))


async def test_stops_what_runs_where_another_one_waits(make: Make) -> None:
    gate = Gate("queue")
    app = make(gate.actor)
    client = Client(app)

    async with client.connect("POST", "/api/chat", json=chat()) as first:
        await first.until(b"One")
        async with client.connect("POST", "/api/chat", json=chat("2")) as second:
            await second.until(b": stream-start")
            runs, waits = app.executions
            stopped = await client.post(STOP, json={"executionId": runs.id})
            await second.until(b"One")
            other = await client.post(
                STOP.replace("c1", "c2"), json={"executionId": waits.id}
            )
            gate.opened.set()
            await second.end()
        await first.end()

    assert (stopped.status, other.status) == (200, 204)
    assert await stopped.json() == {"id": runs.id, "status": "cancelled"}
    assert said(second.body) == "One, two"


async def test_streams_a_post_that_replaces_what_runs(make: Make) -> None:
    gate = Gate("replace")
    app = make(gate.actor)
    client = Client(app)

    async with client.connect("POST", "/api/chat", json=chat()) as first:
        await first.until(b"One")
        async with client.connect("POST", "/api/chat", json=chat("2")) as second:
            await second.until(b"One")
            await first.end()
            gate.opened.set()
            await second.end()
    replay = await client.get(STREAM)

    _, newest = app.executions
    reason = f"Execution cancelled: replaced by {newest.id}"
    assert read(first.body)[-2] == {"type": "abort", "reason": reason}
    assert said(second.body) == said(replay.body) == "One, two"
    accept(b"\n".join(x for x in second.body.split(b"\n") if not x.startswith(b":")))


async def test_starts_again_when_one_has_ended(make: Make) -> None:
    app = make()
    client = Client(app)

    first = await client.post("/api/chat", json=chat("1"))
    second = await client.post(
        "/api/chat", json=chat("2", trigger="regenerate-message", messageId="m2")
    )
    third = await client.get(STREAM)

    assert [said(c.body) for c in (first, second, third)] == [
        "You said 1",
        "You said 2",
        "You said 2",
    ]


async def test_stops_what_runs_and_says_how_it_ended(make: Make) -> None:
    gate = Gate()
    app = make(gate.actor)
    client = Client(app)

    async with client.connect("POST", "/api/chat", json=chat()) as first:
        await first.until(b"One")
        stopped = await client.post(STOP)
        assert gate.stopped.is_set()
        await first.end()
    again = await client.post(STOP)

    (execution,) = app.executions
    about = {"id": execution.id, "status": "cancelled"}
    assert (stopped.status, await stopped.json()) == (200, about)
    assert (again.status, await again.json()) == (200, about)
    assert read(first.body)[-2] == {"type": "abort", "reason": "Execution cancelled"}


async def test_stops_nothing_where_nothing_ran(make: Make) -> None:
    c = await Client(make()).post(STOP)

    assert (c.status, c.body) == (204, b"")


@pytest.mark.parametrize("named", [True, False])
async def test_stops_the_execution_that_is_named_and_no_newer_one(
    make: Make, named: bool
) -> None:
    gate = Gate()
    app = make(gate.actor)
    client = Client(app)

    async with client.connect("POST", "/api/chat", json=chat()) as first:
        await first.until(b"One")
        (execution,) = app.executions
        id = execution.id if named else "older"
        stopped = await client.post(STOP, json={"executionId": id, "more": 1})
        assert gate.stopped.is_set() is named
        status = execution.status

    assert stopped.status == (200 if named else 204)
    assert status == ("cancelled" if named else "started")


async def test_waits_for_a_stopped_actor_no_longer_than_cancel_timeout(
    make: Make,
) -> None:
    let_go = asyncio.Event()

    @agent
    async def stubborn(text: str) -> None:
        await current_state().text("One")
        try:
            await asyncio.Event().wait()
        finally:
            await let_go.wait()

    app = make(stubborn, options={"cancel_timeout": 0.05})
    async with Client(app).connect("POST", "/api/chat", json=chat()) as first:
        await first.until(b"One")
        stopped = await Client(app).post(STOP)
        let_go.set()

    assert (stopped.status, (await stopped.json())["status"]) == (200, "cancelled")


# The input of the actor


class Asked(BaseModel):
    city: str


async def given(make: Make, annotation: Any, **options: Any) -> Any:
    """What an actor with one parameter of an annotation gets of a chat."""
    got: list[Any] = []

    async def actor(messages):  # type: ignore[no-untyped-def]
        got.append(messages)

    actor.__annotations__["messages"] = annotation
    app = make(agent(actor), **options)
    body = chat("Bonn", messageId="m1", model="small")
    c = await Client(app).post("/api/chat", json=body)
    assert c.status == 200
    return got[0]


async def test_gives_an_actor_the_newest_text(make: Make) -> None:
    seen: list[Any] = []

    @agent
    async def plain(text: str) -> None:
        seen.append(text)

    @agent
    async def told(message: Message) -> None:
        seen.append(message)

    for actor in (plain, told):
        await Client(make(actor)).post("/api/chat", json=chat("Bonn"))

    assert seen == ["Bonn", Message(content="Bonn")]


async def test_gives_an_actor_all_messages(make: Make) -> None:
    assert await given(make, list[dict[str, Any]]) == [message("Bonn")]
    assert await given(make, list[UIMessage]) == [UIMessage(**message("Bonn"))]


async def test_gives_an_actor_the_whole_request(make: Make) -> None:
    request = await given(make, ChatRequest)

    assert (request.id, request.message_id, request.text) == ("c1", "m1", "Bonn")
    assert request.trigger == "submit-message"
    assert request.body == {"model": "small"}


async def test_gives_an_actor_what_input_makes(make: Make) -> None:
    async def city(request: ChatRequest) -> Asked:
        return Asked(city=request.text)

    assert await given(make, Asked, input=city) == Asked(city="Bonn")
    sync = {"city": "Bonn"}
    assert await given(make, Asked, input=lambda _: sync) == Asked(city="Bonn")


async def test_answers_422_to_what_the_actor_cannot_take(make: Make) -> None:
    @agent
    async def numbers(messages: list[int]) -> None: ...

    app = make(numbers)

    c = await Client(app).post("/api/chat", json=chat())

    assert c.status == 422
    assert (await c.json())["errors"][0]["loc"] == ["messages", 0]
    assert list(app.executions) == []


async def test_needs_to_know_what_an_actor_gets(make: Make) -> None:
    @agent
    async def unclear(a: int, b: int) -> None: ...

    with pytest.raises(TypeError, match="give input="):
        make(unclear)


async def test_needs_an_actor_that_is_there() -> None:
    with pytest.raises(UnknownActor):
        VercelAIApp(Executions(echo), "other")
    VercelAIApp(Executions(echo), "echo")


@pytest.mark.parametrize(
    ("option", "value", "error"),
    [
        ("prefix", "api", ValueError),
        ("prefix", 1, TypeError),
        ("authorize", 1, TypeError),
        ("input", 1, TypeError),
        ("allowed_origins", "https://a.example", TypeError),
        ("max_body", 0, ValueError),
        ("body_timeout", 0, ValueError),
        ("linger", -1, ValueError),
        ("linger", None, TypeError),
    ],
)
def test_refuses_a_bad_option(option: str, value: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match=option):
        VercelAIApp(Executions(echo), echo, **{option: value})


def test_refuses_what_are_no_executions() -> None:
    with pytest.raises(TypeError, match="executions"):
        VercelAIApp(echo, echo)  # type: ignore[arg-type]  # which the test is about


# Bad requests


@pytest.mark.parametrize(
    ("change", "loc"),
    [
        ({"id": ""}, ["id"]),
        ({"id": " "}, ["id"]),
        ({"id": "a\nb"}, ["id"]),
        ({"id": "x" * 256}, ["id"]),
        ({"id": 1}, ["id"]),
        ({"id": None}, ["id"]),
        ({"messages": None}, ["messages"]),
        ({"messages": []}, ["messages"]),
        ({"messages": {}}, ["messages"]),
        ({"messages": ["Hi"]}, ["messages", 0]),
        ({"messages": [{"role": "user", "parts": []}]}, ["messages", 0, "id"]),
        ({"messages": [{"id": "m", "parts": []}]}, ["messages", 0, "role"]),
        (
            {"messages": [{"id": "m", "role": "tool", "parts": []}]},
            ["messages", 0, "role"],
        ),
        ({"messages": [{"id": "m", "role": "user"}]}, ["messages", 0, "parts"]),
        (
            {"messages": [{"id": "m", "role": "user", "parts": [{}]}]},
            ["messages", 0, "parts", 0, "type"],
        ),
        (
            {
                "messages": [
                    {"id": "m", "role": "user", "parts": [{"type": "text", "text": 1}]}
                ]
            },
            ["messages", 0, "parts", 0, "text"],
        ),
        ({"trigger": "resume-stream"}, ["trigger"]),
        ({"messageId": 1}, ["messageId"]),
    ],
)
async def test_answers_422_with_the_place_of_a_bad_member(
    make: Make, change: dict[str, Any], loc: list[Any]
) -> None:
    app = make()

    c = await Client(app).post("/api/chat", json=chat() | change)

    assert c.status == 422
    assert c.headers["content-type"] == "application/problem+json"
    assert [error["loc"] for error in (await c.json())["errors"]] == [loc]
    assert list(app.executions) == []


async def test_takes_a_body_with_the_least_members(make: Make) -> None:
    body = {"id": "c1", "messages": [message("Hi")]}

    c = await Client(make()).post("/api/chat", json=body)

    assert said(c.body) == "You said Hi"


@pytest.mark.parametrize(
    ("path", "options", "status", "detail"),
    [
        ("/api/chat", {"body": b"{"}, 415, "The body must be JSON"),
        (
            "/api/chat",
            {"body": b"{", "headers": {"content-type": "application/json"}},
            400,
            "The body is not JSON",
        ),
        ("/api/chat", {"json": "x" * 600}, 413, "max_body"),
        ("/api/chat", {}, 422, "not valid"),
        ("/api/chat", {"json": []}, 422, "not valid"),
        (STOP, {"json": {"executionId": 1}}, 422, "not valid"),
        (STOP, {"json": "x" * 600}, 413, "max_body"),
    ],
)
async def test_tells_a_bad_body_from_a_good_one(
    make: Make, path: str, options: Any, status: int, detail: str
) -> None:
    app = make(max_body=500)

    c = await Client(app).post(path, **options)

    assert (c.status, c.headers["content-type"]) == (status, "application/problem+json")
    assert detail in (await c.json())["detail"]
    assert list(app.executions) == []


async def test_refuses_a_conversation_that_is_larger_than_an_event_may_be(
    make: Make,
) -> None:
    app = make(options={"max_event_bytes": 500})

    c = await Client(app).post("/api/chat", json=chat("x" * 600))

    assert c.status == 413
    assert "max_event_bytes=500" in (await c.json())["detail"]
    assert list(app.executions) == []


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("GET", "/api/chat", "POST"),
        ("HEAD", "/api/chat", "POST"),
        ("DELETE", "/api/chat", "POST"),
        ("POST", STREAM, "GET, HEAD"),
        ("DELETE", STREAM, "GET, HEAD"),
        ("GET", STOP, "POST"),
    ],
)
async def test_answers_405_to_another_method(
    make: Make, method: str, path: str, allow: str
) -> None:
    c = await Client(make()).request(method, path)

    assert (c.status, c.headers["allow"]) == (405, allow)


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/api",
        "/api/chats",
        "/api/chat/c1",
        "/api/chat/stream",
        "/api/chat/a/b/stream",
        "/api/chat/c1/stream/more",
        "/api/chat/c1/cancel",
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_answers_404_to_another_path(make: Make, method: str, path: str) -> None:
    app = make()

    c = await Client(app).request(method, path)

    assert (c.status, c.headers["content-type"]) == (404, "application/problem+json")
    assert list(app.executions) == []


async def test_answers_head_as_get_without_watching(make: Make) -> None:
    gate = Gate()
    app = make(gate.actor)
    client = Client(app)
    async with client.connect("POST", "/api/chat", json=chat()) as first:
        await first.until(b"One")
        (execution,) = app.executions

        c = await client.head(STREAM)

        assert (c.status, c.body, execution.viewers) == (200, b"", 1)
        assert c.headers["x-vercel-ai-ui-message-stream"] == "v1"


# Who may do what


class Hook:
    """Lets the caller be who ``x-user`` says, except for what ``refused`` has."""

    def __init__(self) -> None:
        self.refused: set[tuple[str, str]] = set()
        self.asked: list[tuple[str, bool, str | None]] = []

    def __call__(
        self, scope: Any, action: str, execution: Any, *, actor: str | None
    ) -> str | None:
        user = dict(scope["headers"]).get(b"x-user", b"").decode()
        self.asked.append((action, execution is not None, actor))
        if (user, action) in self.refused:
            raise Forbidden("Not you.")
        return user or None


def user(name: str) -> dict[str, str]:
    return {"x-user": name}


async def test_asks_authorize_for_each_action(make: Make) -> None:
    hook, gate = Hook(), Gate()
    app = make(gate.actor, authorize=hook)
    client = Client(app, headers=user("a"))

    async with client.connect("POST", "/api/chat", json=chat()) as first:
        await first.until(b"One")
    started, hook.asked = hook.asked, []
    async with client.connect("GET", STREAM) as second:
        await second.until(b"One")
    resumed, hook.asked = hook.asked, []
    await client.post(STOP)

    assert started == [("start", False, "waiting"), ("cancel", True, "waiting")]
    assert resumed == [
        ("read", False, None),
        ("read", True, "waiting"),
        ("cancel", True, "waiting"),
    ]
    assert hook.asked == [("cancel", False, None), ("cancel", True, "waiting")]


async def test_keeps_the_chats_of_owners_apart(make: Make) -> None:
    gate = Gate()
    app = make(gate.actor, authorize=Hook())
    mine, other = (Client(app, headers=user(name)) for name in "ab")

    async with mine.connect("POST", "/api/chat", json=chat()) as first:
        await first.until(b"One")
        read_by_other = await other.get(STREAM)
        stopped_by_other = await other.post(STOP)
        async with other.connect("POST", "/api/chat", json=chat()) as second:
            await second.until(b"One")
        statuses = [execution.status for execution in app.executions]

    assert (read_by_other.status, stopped_by_other.status) == (204, 204)
    assert not gate.stopped.is_set() or statuses[0] == "started"
    assert [e.owner for e in app.executions] == ["a", "b"]


@pytest.mark.parametrize(
    ("method", "path", "action"),
    [
        ("POST", "/api/chat", "start"),
        ("GET", STREAM, "read"),
        ("POST", STOP, "cancel"),
    ],
)
async def test_tells_a_caller_who_may_not(
    make: Make, method: str, path: str, action: str
) -> None:
    hook, gate = Hook(), Gate()
    app = make(gate.actor, authorize=hook)
    client = Client(app, headers=user("a"))
    async with client.connect("POST", "/api/chat", json=chat()) as first:
        await first.until(b"One")
        hook.refused = {("a", action)}

        refused = await client.request(method, path, body=b"no JSON")
        unknown = await Client(app).request(method, path, body=b"no JSON")

        assert not gate.stopped.is_set()
    assert (refused.status, unknown.status) == (403, 401)
    assert (await refused.json())["detail"] == "Not you."
    assert len(list(app.executions)) == 1


async def test_starts_nothing_for_a_page_of_another_origin(make: Make) -> None:
    app = make(allowed_origins=["https://good.example"])

    answers = [
        await Client(app, headers={"origin": origin, "host": "chat.example"}).post(
            "/api/chat", json=chat()
        )
        for origin in ("https://evil.example", "https://good.example")
    ]

    assert [c.status for c in answers] == [403, 200]


async def test_starts_nothing_without_a_place_for_its_viewer(make: Make) -> None:
    gate = Gate()
    app = make(gate.actor, options={"max_viewers": 1})
    client = Client(app)
    async with client.connect("POST", "/api/chat", json=chat()) as first:
        await first.until(b"One")

        more = await client.post("/api/chat", json=chat(id="c2"))
        again = await client.get(STREAM)

    assert (more.status, again.status) == (429, 429)
    assert len(list(app.executions)) == 1
    async with client.connect("GET", STREAM) as second:  # the place is free again
        await second.until(b"One")


async def test_gives_the_place_back_if_nothing_starts(make: Make) -> None:
    @agent
    async def numbers(messages: list[int]) -> None: ...

    app = make(numbers, options={"max_viewers": 1})

    for _ in range(3):
        refused = await Client(app).post("/api/chat", json=chat())
        assert refused.status == 422
    assert app.executions.viewing.capacity.taken == 0


# Ways a stream ends


async def test_says_that_an_actor_has_failed(make: Make) -> None:
    @agent
    async def failing(text: str) -> None:
        await current_state().text("One")
        raise ValueError("secret")

    app = make(failing, options={"error_message": lambda error: "It broke."})

    c = await Client(app).post("/api/chat", json=chat())

    assert read(c.body)[-2:] == [{"type": "error", "errorText": "It broke."}, DONE]


async def test_breaks_the_connection_that_lasts_too_long(make: Make) -> None:
    gate = Gate()
    app = make(gate.actor, options={"max_stream_duration": 0.05})

    async with Client(app).connect("POST", "/api/chat", json=chat()) as first:
        await first.end()

    assert not first.ended
    assert b"finish" not in first.body and b"DONE" not in first.body
    (execution,) = app.executions
    assert execution.status == "started"


async def test_says_which_events_are_not_kept(make: Make) -> None:
    gate, told = Gate(), asyncio.Event()

    @agent
    async def long(text: str) -> None:
        for number in range(100):
            await current_state().text(f"{number} ")
        told.set()
        await gate.opened.wait()

    app = make(long, options={"max_events": 10})
    await app.executions.start(long, {"text": "Hi"}, thread="c1")
    await told.wait()
    async with Client(app).connect("GET", STREAM) as c:
        await c.until(b"99 ")
        gate.opened.set()
        await c.end()

    made = read(c.body)
    assert made[2]["type"] == "data-reset"
    first_kept = made[2]["data"]["first"]
    assert made[2]["data"]["reason"] == "trimmed"
    assert first_kept > 1
    assert said(c.body).endswith("98 99 ")
    assert made[-1] == DONE


async def test_sends_comments_while_nothing_happens(make: Make) -> None:
    gate = Gate()
    app = make(gate.actor, options={"heartbeat_interval": 10.0})
    with virtual_time():
        async with Client(app).connect("POST", "/api/chat", json=chat()) as first:
            await first.until(b"One")
            await first.until(b": keep-alive\n")
