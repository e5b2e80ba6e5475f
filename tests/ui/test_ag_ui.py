"""The routes of AG-UI."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from asgi_events import EventsApp, Executions, agent, current_state, tool
from asgi_events.events import ConversationEvent
from asgi_events.exceptions import Forbidden, UnknownActor
from asgi_events.testing import Client, Connection
from asgi_events.ui import AGUIApp, RunAgentInput, VercelAIApp
from tests import TIMEOUT
from tests.ui.chats import Gate, chat, echo
from tests.ui.conftest import Run
from tests.wire.ag_ui_events import parsed
from tests.wire.ag_ui_rules import Rules

Make = Callable[..., AGUIApp]
Members = dict[str, Any]

USER = {"id": "u1", "role": "user", "content": "Hi"}


def asked(run: str = "r1", *, thread: str = "t1", **more: Any) -> Members:
    """A request as ``HttpAgent`` of 1.0 sends it."""
    return {
        "threadId": thread,
        "runId": run,
        "protocolVersion": "1.0",
        "messages": [USER],
        "tools": [],
        "context": [],
        "forwardedProps": {},
        "state": {},
    } | more


def read(made: Connection) -> list[Members]:
    """The events of a stream, which has a beginning and an end."""
    assert made.status == 200, made.body
    told = [each for _, each in parsed(made.body)]
    rules = Rules()
    for each in told:
        rules.take(each)
    rules.finish()
    return told


def types(made: Connection) -> list[str]:
    return [each["type"] for each in read(made)]


def said(made: Connection) -> str:
    """The text of a stream."""
    return "".join(
        each["delta"] for each in read(made) if each["type"] == "TEXT_MESSAGE_CONTENT"
    )


@pytest.fixture
def make(run: Run) -> Make:
    """Makes an app of one actor."""

    def make(actor: Any = echo, *, options: Any = None, **more: Any) -> AGUIApp:
        return AGUIApp(run(actor, **(options or {})), actor, **more)

    return make


async def test_starts_a_run_and_streams_it(make: Make) -> None:
    app = make()

    c = await Client(app).post("/ag-ui", json=asked())

    (execution,) = app.executions
    assert c.headers["content-type"] == "text/event-stream; charset=utf-8"
    told = read(c)
    for each in told:
        del each["timestamp"]
    message = {"messageId": f"{execution.id}/echo"}
    run = {"threadId": "t1", "runId": "r1"}
    assert told == [
        {"type": "RUN_STARTED", **run, "protocolVersion": "1.0"},
        {"type": "MESSAGES_SNAPSHOT", "messages": [USER]},
        {"type": "TEXT_MESSAGE_START", **message, "role": "assistant"},
        {"type": "TEXT_MESSAGE_CONTENT", **message, "delta": "You said Hi"},
        {"type": "TEXT_MESSAGE_END", **message},
        {
            "type": "RUN_FINISHED",
            **run,
            "outcome": {"type": "success"},
            "result": "Hi",
        },
    ]
    assert (execution.thread, execution.owner) == ("t1", None)
    first = await anext(execution.events())
    assert isinstance(first, ConversationEvent)
    assert (first.thread, first.run, first.messages) == ("t1", "r1", [USER])


async def test_attaches_the_same_run_with_whatever_messages(make: Make) -> None:
    gate = Gate()
    app = make(gate.actor)
    client = Client(app)

    async with client.connect("POST", "/ag-ui", json=asked()) as first:
        await first.until(b"One")
    other = {"id": "x", "role": "assistant", "content": "On"}
    again = asked(messages=[USER, other])
    async with client.connect("POST", "/ag-ui", json=again) as second:
        await second.until(b"One")
        gate.opened.set()
        await second.end()
    third = await client.post("/ag-ui", json=asked())

    assert said(second) == said(third) == "One, two"
    assert second.body.split(b"\n", 1)[1] == third.body.split(b"\n", 1)[1]
    assert len(list(app.executions)) == 1


async def test_starts_a_run_once_for_two_posts_at_once(make: Make) -> None:
    both = asyncio.Barrier(2)

    async def when_both_are_there(request: RunAgentInput) -> Members:
        await both.wait()
        return {"text": request.text}

    app = make(input=when_both_are_there)
    bodies = [asked(), asked(messages=[USER | {"content": "Ho"}])]

    posts = [Client(app).post("/ag-ui", json=body) for body in bodies]
    first, second = await asyncio.gather(*posts)

    assert said(first) == said(second)
    assert len(list(app.executions)) == 1


async def test_continues_after_the_last_id_and_starts_nothing(make: Make) -> None:
    app = make()
    client = Client(app)
    whole = await client.post("/ag-ui", json=asked())
    blocks = whole.body.partition(b"\n")[2].split(b"\n\n")[:-1]

    for n, block in enumerate(blocks[:-1], 1):
        id = block.partition(b"\n")[0].removeprefix(b"id: ").decode()
        rest = await client.post("/ag-ui", json=asked(), headers={"last-event-id": id})
        got = await client.get(
            "/ag-ui?offset=-1&runId=r1", headers={"last-event-id": id}
        )
        assert rest.body == got.body
        assert rest.body.partition(b"\n")[2].split(b"\n\n")[:-1] == blocks[n:]
    assert len(list(app.executions)) == 1


async def test_tells_of_a_run_that_is_gone_in_an_event(make: Make) -> None:
    app = make()

    c = await Client(app).post(
        "/ag-ui", json=asked(), headers={"last-event-id": f"{'0' * 32}:3"}
    )

    assert c.status == 200
    assert c.headers["content-type"] == "text/event-stream"
    ((id, told),) = parsed(c.body)
    assert id is None
    assert told == {
        "type": "RUN_ERROR",
        "message": "Run 'r1' is over, and its events are not kept any more.",
        "code": "gone",
    }
    assert list(app.executions) == []


async def test_starts_no_run_again_that_is_gone(make: Make) -> None:
    app = make(options={"retention": 0.001, "max_viewers": 1})
    await Client(app).post("/ag-ui", json=asked())
    async with asyncio.timeout(TIMEOUT):
        while list(app.executions):  # noqa: ASYNC110
            await asyncio.sleep(0.001)

    for _ in range(2):
        c = await Client(app).post("/ag-ui", json=asked())
        assert [each["code"] for _, each in parsed(c.body)] == ["gone"]


async def test_refuses_an_id_that_is_none_of_ours(make: Make) -> None:
    headers = {"last-event-id": "7"}
    c = await Client(make()).post("/ag-ui", json=asked(), headers=headers)
    assert c.status == 400


async def test_rewinds_a_client_that_has_reasoning_of_the_run(make: Make) -> None:
    @agent
    async def thinker(text: str) -> None:
        await current_state().reasoning("hm")

    app = make(thinker)
    await Client(app).post("/ag-ui", json=asked())
    (execution,) = app.executions
    seen = {"id": f"{execution.id}/thinker@reasoning", "role": "reasoning"}
    other = {"id": "other/thinker@reasoning", "role": "reasoning", "content": ""}

    again = asked(messages=[USER, seen | {"content": "h"}])
    rewound = await Client(app).post("/ag-ui", json=again)
    older = await Client(app).post("/ag-ui", json=again | {"protocolVersion": None})
    plain = await Client(app).post("/ag-ui", json=asked(messages=[USER, other]))

    assert types(rewound)[:5] == [
        "RUN_STARTED",
        "MESSAGES_SNAPSHOT",
        "MESSAGES_SNAPSHOT",
        "MESSAGES_SNAPSHOT",
        "REASONING_START",
    ]
    assert types(older) == types(rewound)
    assert types(plain)[1:3] == ["MESSAGES_SNAPSHOT", "REASONING_START"]


async def test_refuses_a_second_run_of_a_thread_while_one_runs(make: Make) -> None:
    gate = Gate()
    app = make(gate.actor)
    client = Client(app)

    async with client.connect("POST", "/ag-ui", json=asked()) as first:
        await first.until(b"One")
        second = await client.post("/ag-ui", json=asked("r2"))
        async with client.connect(
            "POST", "/ag-ui", json=asked("r3", thread="t2")
        ) as third:
            await third.until(b"One")

    running, _ = app.executions
    assert second.status == 409
    assert (await second.json())["execution"] == running.id


async def test_streams_a_run_that_replaces_or_waits_for_another_one(make: Make) -> None:
    for when_busy in ("replace", "queue"):
        gate = Gate(when_busy)
        client = Client(app := make(gate.actor))
        async with client.connect("POST", "/ag-ui", json=asked()) as first:
            await first.until(b"One")
            async with client.connect("POST", "/ag-ui", json=asked("r2")) as second:
                if when_busy == "queue":
                    await second.until(b"RUN_STARTED")
                    assert b"One" not in second.body
                    gate.opened.set()
                await second.until(b"One")
                gate.opened.set()
                await first.end()
                await second.end()
        connected = await client.post("/ag-ui/connect", json=asked("r3"))

        first_run, second_run = app.executions
        ends = {"replace": ("cancelled", "completed")}.get(when_busy)
        assert (first_run.status, second_run.status) == (ends or ("completed",) * 2)
        assert said(second) == said(connected) == "One, two"
        assert types(second)[-1] == "RUN_FINISHED"


async def test_attaches_to_an_execution_that_was_started_natively(make: Make) -> None:
    app = make()
    execution = await app.executions.start("echo", {"text": "Hi"})
    await execution.wait()

    posted = await Client(app).post("/ag-ui", json=asked(execution.id))
    got = await Client(app).get(f"/ag-ui?runId={execution.id}")

    assert said(posted) == said(got) == "You said Hi"
    assert read(posted)[0]["threadId"] == execution.id
    assert len(list(app.executions)) == 1


async def test_is_watched_natively_too(make: Make) -> None:
    app = make()
    await Client(app).post("/ag-ui", json=asked())
    (execution,) = app.executions

    events = EventsApp(executions=app.executions)
    c = await Client(events).get(f"/executions/{execution.id}/events")

    kinds = [event.get("event_type") for _, event in parsed(c.body)]
    assert (kinds[0], kinds[-2]) == ("conversation", "complete")


async def test_shows_a_chat_of_the_ai_sdk_and_lets_it_show_a_run(make: Make) -> None:
    app = make()
    ai_sdk = Client(VercelAIApp(app.executions, echo))
    await ai_sdk.post("/api/chat", json=chat("Hi", id="t1"))
    (execution,) = app.executions

    joined = await Client(app).get(f"/ag-ui?runId={execution.id}")
    connected = await Client(app).post("/ag-ui/connect", json=asked("r9"))
    await Client(app).post("/ag-ui", json=asked("r2", thread="t2"))
    resumed = await ai_sdk.get("/api/chat/t2/stream")

    assert joined.body == connected.body
    begin, snapshot = read(joined)[:2]
    assert (begin["threadId"], begin["runId"]) == ("t1", execution.id)
    assert snapshot["messages"] == [USER | {"id": "m1"}]
    assert said(joined) == "You said Hi"
    assert b'"delta":"You said Hi"' in resumed.body


async def test_joins_a_run_and_knows_no_other(make: Make) -> None:
    app = make()
    posted = await Client(app).post("/ag-ui", json=asked("run 1/2"))
    client = Client(app)

    joined = await client.get("/ag-ui?offset=-1&runId=run%201%2F2")

    assert joined.body == posted.body
    assert (await client.get("/ag-ui?runId=r2")).status == 404
    assert (await client.get("/ag-ui?runId=run%201%2F2&offset=3")).status == 400
    assert (await client.get("/ag-ui")).status == 400


async def test_connects_to_the_newest_run_of_a_thread(make: Make) -> None:
    app = make()
    client = Client(app)
    for n in (1, 2):
        await client.post("/ag-ui", json=asked(f"r{n}"))

    connected = await client.post("/ag-ui/connect", json=asked("r9"))
    unknown = await client.post("/ag-ui/connect", json=asked("r9", thread="t2"))

    assert read(connected)[0]["runId"] == "r2"
    assert (unknown.status, unknown.body) == (200, b"")
    assert unknown.headers["content-type"] == "text/event-stream"
    assert len(list(app.executions)) == 2


async def test_stops_a_run_when_it_is_told_to(make: Make) -> None:
    gate = Gate()
    app = make(gate.actor)
    client = Client(app)

    async with client.connect("POST", "/ag-ui", json=asked("a/b")) as first:
        await first.until(b"One")
        path, raw = "/ag-ui/a/b/stop", b"/ag-ui/a%2Fb/stop"
        stopped = await Client(app, raw_path=raw).post(path)
        assert gate.stopped.is_set()
        await first.end()
    again = await Client(app, raw_path=raw).post(path)

    (execution,) = app.executions
    about = {"runId": "a/b", "execution": execution.id, "status": "cancelled"}
    assert (stopped.status, await stopped.json()) == (200, about)
    assert (again.status, await again.json()) == (200, about)
    assert read(first)[-1]["outcome"] == {"type": "cancelled"}
    assert (await client.post("/ag-ui/r2/stop")).status == 404


@pytest.mark.parametrize(
    ("headers", "version", "end"),
    [
        ({}, "1.0", "RUN_FINISHED"),
        ({}, None, "RUN_ERROR"),
        ({"x-run-id": "r1"}, None, "RUN_FINISHED"),
    ],
)
async def test_ends_a_stopped_run_as_its_client_knows_it(
    make: Make, headers: dict[str, str], version: str | None, end: str
) -> None:
    app = make(Gate().actor)
    client = Client(app)
    body = asked()
    if version is None:
        del body["protocolVersion"]

    async with client.connect("POST", "/ag-ui", json=body, headers=headers) as c:
        await c.until(b"One")
        await client.post("/ag-ui/r1/stop")
        await c.end()

    assert types(c)[-1] == end


@tool
async def look(place: str) -> dict[str, str]:
    if place == "dark":
        raise ValueError("no light")
    return {"place": place}


async def test_tells_tanstack_ai_what_a_thread_has(make: Make) -> None:
    done = asyncio.Event()

    @agent
    async def guide(text: str) -> None:
        state = current_state()
        await state.reasoning("Let me see")
        await state.text("I look.")
        await state.snapshot({"n": 1})
        await state.snapshot({"n": 2})
        await state.run(look, "here")
        await state.run(look, "dark")
        await state.text("Seen.")
        await done.wait()

    app = make(guide, options={"error_message": str})
    client = Client(app)
    images = [{"type": "image", "source": {"type": "url", "value": "/a.png"}}]
    history = [
        {"id": "s", "role": "system", "content": "Be kind"},
        USER | {"content": [{"type": "text", "text": "Hi"}, *images]},
    ]
    nothing = await client.get("/ag-ui?threadId=t1")
    async with client.connect("POST", "/ag-ui", json=asked(messages=history)) as c:
        await c.until(b"Seen.")
        running = await (await client.get("/ag-ui?threadId=t1")).json()
        done.set()
        await c.end()
    ended = await (await client.get("/ag-ui?threadId=t1")).json()

    none: Members = {"messages": [], "activeRun": None, "interrupts": None}
    assert await nothing.json() == none
    assert running["activeRun"] == {"runId": "r1"}
    assert ended == running | {"activeRun": None}
    (execution,) = app.executions
    call = {"type": "tool-call", "name": "look", "arguments": "{}"}
    first, second = f"{execution.id}/guide/look", f"{execution.id}/guide/look#2"
    shown = {"type": "tool-result", "state": "complete", "content": ""}
    broken = {"type": "tool-result", "state": "error", "content": "no light"}
    assert ended == {
        "activeRun": None,
        "interrupts": None,
        "state": {"n": 2},
        "messages": [
            {
                "id": "s",
                "role": "system",
                "parts": [{"type": "text", "content": "Be kind"}],
            },
            {
                "id": "u1",
                "role": "user",
                "parts": [{"type": "text", "content": "Hi"}, *images],
            },
            {
                "id": f"{execution.id}/guide",
                "role": "assistant",
                "parts": [
                    {
                        "type": "thinking",
                        "content": "Let me see",
                        "stepId": f"{execution.id}/guide@reasoning",
                    },
                    {"type": "text", "content": "I look."},
                ],
            },
            {
                "id": first,
                "role": "assistant",
                "parts": [
                    call | {"id": first, "state": "complete", "output": ""},
                    shown | {"toolCallId": first},
                ],
            },
            {
                "id": second,
                "role": "assistant",
                "parts": [
                    call
                    | {
                        "id": second,
                        "state": "error",
                        "output": {"error": "no light"},
                    },
                    broken | {"toolCallId": second, "error": "no light"},
                ],
            },
            {
                "id": f"{execution.id}/guide@2",
                "role": "assistant",
                "parts": [{"type": "text", "content": "Seen."}],
            },
        ],
    }


async def test_shows_and_stops_what_another_process_runs(
    make: Make, tmp_path: Path
) -> None:
    gate = Gate()
    store = f"sqlite:///{tmp_path}/events.db"
    here = make(gate.actor, options={"store": store})
    there = Client(make(gate.actor, options={"store": store}))

    async with Client(here).connect("POST", "/ag-ui", json=asked()) as first:
        await first.until(b"One")
        about = await (await there.get("/ag-ui?threadId=t1")).json()
        busy = await there.post("/ag-ui", json=asked("r2"))
        async with there.connect("POST", "/ag-ui", json=asked()) as second:
            await second.until(b"One")
            stopped = await there.post("/ag-ui/r1/stop")
            for c in (first, second):
                await c.end()
    after = await (await there.get("/ag-ui?threadId=t1")).json()

    assert about["activeRun"] == {"runId": "r1"}
    assert about["messages"][-1]["parts"] == [{"type": "text", "content": "One"}]
    assert after == about | {"activeRun": None}
    assert (stopped.status, (await stopped.json())["status"]) == (200, "cancelled")
    assert busy.status == 409
    assert read(first) == read(second)


# What it refuses


def without(name: str) -> Members:
    body = asked()
    del body[name]
    return body


CALL = {"id": "c", "function": {"name": "f", "arguments": "{}"}}
RESULT = {"id": "m", "role": "tool", "content": "", "toolCallId": "c"}


@pytest.mark.parametrize(
    ("body", "loc"),
    [
        (without("threadId"), ["threadId"]),
        (without("runId"), ["runId"]),
        (without("messages"), ["messages"]),
        (asked(threadId=" "), ["threadId"]),
        (asked(runId=""), ["runId"]),
        (asked(runId="r" * 256), ["runId"]),
        (asked(messages={}), ["messages"]),
        (asked(messages=[USER | {"role": "bot"}]), ["messages", 0]),
        (asked(messages=[USER | {"id": 1}]), ["messages", 0, "user", "id"]),
        (
            asked(messages=[{"id": "a", "role": "system"}]),
            ["messages", 0, "developer", "content"],
        ),
        (asked(messages=[USER, RESULT]), ["messages", 1, "toolCallId"]),
        (asked(tools=[{}]), ["tools", 0, "name"]),
        (asked(context=[{"value": "v"}]), ["context", 0, "description"]),
        (asked(resume=[{}]), ["resume", 0, "interruptId"]),
        (asked(protocolVersion=1), ["protocolVersion"]),
        (asked(parentRunId=1), ["parentRunId"]),
    ],
)
async def test_says_which_member_is_wrong(
    make: Make, body: Members, loc: list[Any]
) -> None:
    app = make()
    for path in ("/ag-ui", "/ag-ui/connect"):
        c = await Client(app).post(path, json=body)
        assert c.status == 422
        found = [error["loc"] for error in (await c.json())["errors"]]
        assert [str(part) for part in found[0]][-1] == str(loc[-1])
        assert found[0][: len(loc) - 1][:2] == loc[:-1][:2]
    assert list(app.executions) == []


async def test_takes_a_result_whose_call_is_there(make: Make) -> None:
    called = {"id": "a", "role": "assistant", "toolCalls": [CALL]}
    body = asked(messages=[USER, called, RESULT])
    assert (await Client(make()).post("/ag-ui", json=body)).status == 200


async def test_refuses_a_body_that_is_too_large_or_no_json(make: Make) -> None:
    app = make(max_body=100)
    assert (await Client(app).post("/ag-ui", json=asked())).status == 413
    json = {"content-type": "application/json"}
    c = await Client(app).post("/ag-ui", body=b"{", headers=json)
    assert c.status == 400


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("PUT", "/ag-ui", 405),
        ("GET", "/ag-ui/connect", 405),
        ("GET", "/ag-ui/r1/stop", 405),
        ("GET", "/ag-ui/r1", 404),
        ("POST", "/ag-ui/stop", 404),
        ("POST", "/other", 404),
    ],
)
async def test_has_no_other_routes(
    make: Make, method: str, path: str, status: int
) -> None:
    async with Client(make()).connect(method, path) as c:
        await c.end()
    assert c.status == status


def by_header(scope: Any, action: str, execution: Any) -> str | None:
    """Return who says that they are it."""
    headers = dict(scope["headers"])
    name = headers.get(b"x-user", b"").decode() or None
    if name == "reader" and action == "start":
        raise Forbidden("You may only read.")
    return name


async def test_keeps_owners_apart(make: Make) -> None:
    app = make(authorize=by_header)
    ann, bob = Client(app, headers={"x-user": "ann"}), {"x-user": "bob"}
    mine = await ann.post("/ag-ui", json=asked())
    (execution,) = app.executions
    id = parsed(mine.body)[1][0]
    client = Client(app, headers=bob)

    yours = await client.post("/ag-ui", json=asked())
    gone = await client.post("/ag-ui", json=asked(), headers={"last-event-id": id})

    assert len(list(app.executions)) == 2
    assert parsed(yours.body)[1][0] != id
    assert [each["code"] for _, each in parsed(gone.body)] == ["gone"]
    for path in (f"/ag-ui?runId={execution.id}", "/ag-ui?runId=r9"):
        assert (await client.get(path)).status == 404
    assert (await client.post(f"/ag-ui/{execution.id}/stop")).status == 404
    thread = await (await client.get("/ag-ui?threadId=t1")).json()
    assert thread["messages"][-1]["id"] != f"{execution.id}/echo"
    assert (await Client(app).post("/ag-ui", json=asked())).status == 401
    reader = Client(app, headers={"x-user": "reader"})
    assert (await reader.post("/ag-ui", json=asked())).status == 403


async def test_shows_no_thread_that_the_caller_may_not_read(make: Make) -> None:
    def authorize(scope: Any, action: str, execution: Any) -> str:
        return "ann" if execution is None else "somebody else"

    app = make(authorize=authorize)
    await app.executions.start("echo", {"text": "Hi"}, owner="ann", thread="t1")

    about = await (await Client(app).get("/ag-ui?threadId=t1")).json()

    assert about["messages"] == []


async def test_shows_no_execution_of_another_actor(make: Make) -> None:
    @agent
    async def other(text: str) -> None: ...

    executions = Executions(echo, other)
    try:
        ours = await executions.start("echo", {"text": "a"}, thread="t1")
        await ours.wait()
        client = Client(AGUIApp(executions, other))
        assert (await client.get(f"/ag-ui?runId={ours.id}")).status == 404
        assert (await client.post("/ag-ui/connect", json=asked())).body == b""
        headers = {"last-event-id": f"{ours.id}:1"}
        c = await client.post("/ag-ui", json=asked(), headers=headers)
        assert parsed(c.body)[0][1]["code"] == "gone"
    finally:
        await executions.drain(0)


async def test_needs_an_actor_that_is_there() -> None:
    with pytest.raises(UnknownActor):
        AGUIApp(Executions(echo), "other")
    AGUIApp(Executions(echo), "echo")


async def test_gives_an_actor_what_it_takes(make: Make) -> None:
    got: list[Any] = []

    @agent
    async def whole(request: RunAgentInput) -> None:
        got.append(request)

    @agent
    async def messages(messages: list[dict[str, Any]]) -> None:
        got.append(messages)

    @agent
    async def plain(text: str) -> None:
        got.append(text)

    body = asked(state={"n": 1}, forwardedProps={"model": "m"}, more=2)
    for actor in (whole, messages, plain):
        await Client(make(actor)).post("/ag-ui", json=body)
    await Client(make(plain, input=lambda r: {"text": r.run_id})).post(
        "/ag-ui", json=body
    )

    request, *others = got
    assert (request.thread_id, request.state) == ("t1", {"n": 1})
    assert request.forwarded_props == {"model": "m"}
    assert request.model_extra == {"more": 2}
    assert others == [[USER], "Hi", "r1"]


async def test_takes_no_place_for_a_run_that_it_does_not_start(make: Make) -> None:
    gate = Gate()
    app = make(gate.actor, options={"max_viewers": 1})
    client = Client(app)

    async with client.connect("POST", "/ag-ui", json=asked()) as first:
        await first.until(b"One")
        busy = await client.post("/ag-ui", json=asked("r2", thread="t2"))
    again = await client.post("/ag-ui", json=asked("r2"))
    async with client.connect("POST", "/ag-ui", json=asked()) as second:
        await second.until(b"One")
        gate.opened.set()
        await second.end()

    assert (busy.status, again.status) == (429, 409)
    assert said(second) == "One, two"


async def test_says_which_events_are_not_kept(make: Make) -> None:
    gate, told = Gate(), asyncio.Event()

    @agent
    async def long(text: str) -> None:
        for number in range(100):
            await current_state().text(f"{number} ")
        told.set()
        await gate.opened.wait()

    app = make(long, options={"max_events": 10})
    client = Client(app)
    async with client.connect("POST", "/ag-ui", json=asked()) as first:
        await told.wait()
        (execution,) = app.executions
        old = {"last-event-id": f"{execution.id}:2.1"}
        async with (
            client.connect("POST", "/ag-ui", json=asked()) as second,
            client.connect("POST", "/ag-ui", json=asked(), headers=old) as third,
        ):
            for c in (second, third):
                await c.until(b"99 ")
            gate.opened.set()
            for c in (first, second, third):
                await c.end()

    for c in (second, third):
        begin, reset, start = read(c)[:3]
        assert (begin["runId"], begin["threadId"]) == (execution.id, "t1")
        assert reset["value"].pop("first") > 1
        assert (reset["name"], reset["value"]) == ("reset", {"reason": "trimmed"})
        assert start["type"] == "TEXT_MESSAGE_START"
        assert said(c).endswith("98 99 ")


async def test_breaks_the_connection_that_lasts_too_long(make: Make) -> None:
    app = make(Gate().actor, options={"max_stream_duration": 0.05})

    async with Client(app).connect("POST", "/ag-ui", json=asked()) as c:
        await asyncio.wait([c.task])

    assert not c.ended
    assert parsed(c.body)[-1][1]["delta"] == "One"
