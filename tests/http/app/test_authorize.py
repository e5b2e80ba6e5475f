"""The HTTP routes: who may do what."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest

from asgi_events import EventsApp
from asgi_events.exceptions import Forbidden, Unauthorized
from asgi_events.executions import Execution
from asgi_events.http.authorize import Action
from asgi_events.stores.memory import MemoryStore
from asgi_events.testing import Client, Connection
from tests.http.app.routes import (
    JSON,
    SECRET,
    START,
    STREAM,
    AwayStore,
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

pytestmark = pytest.mark.usefixtures("fixed_time")


REQUESTS = [
    ("GET", "/", "list", {}),
    ("GET", "/executions", "list", {}),
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
    "list executions",
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
    c = await Client(app).request(
        method, path.format(execution.id), headers=headers | JSON, body=body
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
    await Client(app).post("/count", headers=headers, body=b"{}")
    assert asked == [("start", None), ("read", execution)]


async def test_asks_with_no_execution_when_there_is_none(make: Make) -> None:
    asked: list[tuple[Action, Execution | None]] = []

    def allow(scope: Any, action: Action, execution: Execution | None) -> str:
        asked.append((action, execution))
        return "ada"

    app = make(count, authorize=allow)
    await Client(app).get("/executions/nope")
    await Client(app).delete("/executions/nope")
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

        async def mark_watched(self, key: str, seconds: float) -> None:
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


@pytest.mark.parametrize(
    ("method", "path", "action"),
    [
        ("GET", "/executions", "list"),
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
    c = await Client(app).request(method, path)
    assert (c.status, asked) == (status, [(action, None)])


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS"])
async def test_tells_a_stranger_no_name_of_an_actor(make: Make, method: str) -> None:
    asked: list[tuple[Any, ...]] = []

    def refuse(scope: Any, *about: Any) -> None:
        asked.append(about)

    app = make(count, authorize=refuse)
    answers = [await Client(app).request(method, path) for path in ("/count", "/nope")]
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
        for id in (foreign.id, "0" * 22):
            c = await Client(app).request(
                method, path.format(id), headers=headers | more
            )
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
    c = await Client(app).get(f"/executions/{execution.id}")
    assert c.status == 404
    assert await c.json() == problem(404, "Not Found", unknown(execution.id))


async def test_serves_the_owner(make: Make) -> None:
    app = make(count, authorize=whoever)
    headers = {"user": "ada"}
    c = await Client(app).post("/count", headers=headers, json={"to": 1})
    (execution,) = started(app)
    await soon(execution.wait())
    read = await Client(app).get(c.headers["location"], headers=headers)
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
