"""The HTTP routes: questions, and who may answer them."""

from __future__ import annotations

import inspect
import json
from typing import Any

import pytest

from asgi_events import EventsApp
from asgi_events.exceptions import Forbidden, Unavailable
from asgi_events.executions import Execution
from asgi_events.executions.question_log import QuestionLog
from asgi_events.stores.memory import MemoryStore
from asgi_events.testing import Client
from tests.executions.asking import approve, asked, book, confirm
from tests.executions.faulty_store import FaultyStore
from tests.http.app.routes import JSON, Make, problem, soon, whoever

ACCEPT = {"action": "accept", "content": True}
DECLINE = {"action": "decline"}
WINDOW = {"action": "accept", "content": {"seat": "1A"}}


async def begun(app: EventsApp, actor: Any = book, **given: Any) -> Execution:
    count = 2 if actor is approve else 1
    execution = await app.executions.start(actor, given, owner="ann")
    await asked(execution, count)
    return execution


def of(user: str) -> dict[str, str]:
    return {"user": user} if user else {}


async def post(
    app: EventsApp, execution: Execution, body: Any, n: Any = 1, **headers: str
) -> tuple[int, Any]:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    path = f"/executions/{execution.id}/inputs/{n}"
    c = await Client(app).post(path, headers=JSON | of("ann") | headers, body=raw)
    return c.status, await c.json()


# What is asked


async def test_says_what_is_asked(make: Make) -> None:
    app = make(book, authorize=whoever)
    execution = await begun(app, timeout=60.0, to="bob")
    (request,) = await execution.waiting()
    client = Client(app, headers=of("ann"))
    about = await (await client.get(f"/executions/{execution.id}")).json()
    c = await client.get(f"/executions/{execution.id}/inputs/1")
    head = await client.head(f"/executions/{execution.id}/inputs/1")

    assert request.expires is not None
    waiting = {
        "n": 1,
        "address": "book",
        "message": "Book?",
        "response_schema": {
            "type": "object",
            "title": "Choice",
            "required": ["seat"],
            "properties": {
                "seat": {"title": "Seat", "type": "string"},
                "bags": {"title": "Bags", "type": "integer", "default": 1},
            },
        },
        "expires": request.expires.isoformat().replace("+00:00", "Z"),
        "to": "bob",
    }
    assert about["waiting"] == [waiting]
    assert (c.status, await c.json()) == (200, waiting | {"answer": None})
    assert (head.status, head.body) == (200, b"")
    assert head.headers["content-length"] == c.headers["content-length"]


async def test_takes_the_first_answer_and_says_which_one_stands(make: Make) -> None:
    app = make(book, authorize=whoever)
    execution = await begun(app, to="bob")
    first = await post(app, execution, WINDOW, user="bob")
    again = await post(app, execution, WINDOW)
    other = await post(app, execution, {"action": "accept", "content": {"seat": "2"}})
    declined = await post(app, execution, DECLINE)
    await soon(execution.wait())
    late = await post(app, execution, WINDOW)
    about = await Client(app).get(f"/executions/{execution.id}", headers=of("ann"))

    answer = first[1]["answer"]
    assert (first[0], again[0], late[0]) == (201, 200, 200)
    assert first[1] == again[1] == late[1]
    assert answer == answer | {"action": "accept", "by": "bob"}
    assert sorted(answer) == ["action", "by", "timestamp"]
    detail = f"Question 1 of execution {execution.id!r} was accepted by 'bob' already."
    conflict = problem(409, "Conflict", detail, action="accept", by="bob")
    assert other == declined == (409, conflict)
    assert (await about.json())["waiting"] == []
    assert (await execution.result()).startswith("Choice(seat='1A'")


async def test_takes_a_decline_as_an_answer(make: Make) -> None:
    app = make(book, authorize=whoever)
    execution = await begun(app)
    declined = [await post(app, execution, DECLINE) for _ in range(2)]
    accepted = await post(app, execution, WINDOW)

    assert [status for status, _ in declined] == [201, 200]
    assert declined[0][1]["answer"]["action"] == "decline"
    assert (accepted[0], accepted[1]["action"]) == (409, "decline")
    assert await soon(execution.result()) == "declined by ann"


async def test_says_that_nobody_waits_any_more(make: Make) -> None:
    app = make(book, authorize=whoever)
    expired = await begun(app, timeout=0.01)
    await soon(expired.wait())
    cancelled = await begun(app)
    await cancelled.cancel()
    await soon(cancelled.wait())

    assert await post(app, expired, WINDOW) == (
        410,
        problem(
            410,
            "Gone",
            f"Question 1 of execution {expired.id!r} has expired.",
            action="expired",
        ),
    )
    status, said = await post(app, cancelled, DECLINE)
    assert (status, said["action"]) == (410, "cancelled")


async def test_says_that_a_question_has_ended_with_its_execution(make: Make) -> None:
    store = MemoryStore()
    app = make(book, authorize=whoever, store=store)
    execution = await begun(app)
    (request,) = await execution.waiting()
    await execution.cancel()
    await soon(execution.wait())
    log = QuestionLog(store, execution.id, lease=10, ttl=10)
    await log.ask(request.model_copy(update={"n": 2}))  # as of a process that has died
    path = f"/executions/{execution.id}/inputs/2"
    c = await Client(app).get(path, headers=of("ann"))

    assert execution.ended is not None
    assert (await c.json())["answer"] == {
        "action": "cancelled",
        "by": None,
        "timestamp": execution.ended.isoformat().replace("+00:00", "Z"),
    }


async def test_does_not_say_what_was_answered(make: Make) -> None:
    app = make(book, authorize=whoever)
    execution = await begun(app)
    await post(app, execution, {"action": "accept", "content": {"seat": "secret"}})
    path = f"/executions/{execution.id}/inputs/1"
    c = await Client(app).get(path, headers=of("ann"))
    assert (c.status, b"secret" in c.body) == (200, False)


async def test_answers_503_while_the_store_is_down(make: Make) -> None:
    store = FaultyStore()
    app = make(book, authorize=whoever, store=store)
    execution = await begun(app)
    store.after["append"].append(Unavailable("The reply is lost."))
    lost = await post(app, execution, WINDOW)
    again = await post(app, execution, WINDOW)
    assert (lost[0], again[0]) == (503, 200)


class Seen:
    """A store that says which calls were made for questions."""

    def __init__(self, store: MemoryStore) -> None:
        self.calls: list[str] = []
        self._store = store

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._store, name)
        if not inspect.iscoroutinefunction(found) or name == "watch":
            return found

        async def call(key: str, *args: Any, **options: Any) -> Any:
            if str(key).startswith("questions:"):
                self.calls.append(name)
            return await found(key, *args, **options)

        return call


async def test_reads_the_questions_once(make: Make) -> None:
    store = MemoryStore()
    seen = Seen(store)
    here = make(confirm, authorize=whoever, store=store)
    there = make(authorize=whoever, store=seen)
    execution = await begun(here, confirm)
    client = Client(there, headers=of("ann"))
    calls = {}
    for method, path in (("GET", ""), ("GET", "/inputs/1"), ("POST", "/inputs/1")):
        seen.calls.clear()
        body = json.dumps(ACCEPT).encode() if method == "POST" else b""
        path = f"/executions/{execution.id}{path}"
        c = await client.request(method, path, headers=JSON, body=body)
        assert c.status in (200, 201)
        calls[method, path[-2:]] = list(seen.calls)
    await soon(execution.wait())

    # After an append it reads what is new: whose answer was the first.
    assert list(calls.values()) == [
        ["read"],
        ["read"],
        ["read", "open", "append", "read"],
    ]


# Bad input

BAD: list[tuple[Any, int]] = [
    (b"", 422),
    (b"{", 400),
    (b"[]", 422),
    ({"action": "accept"}, 422),
    ({"action": "maybe"}, 422),
    ({"action": "expired"}, 422),
    ({"action": "cancelled"}, 422),
    ({"content": {"seat": "1A"}}, 422),
    (WINDOW | {"by": "bob"}, 422),
    (WINDOW | {"token": ""}, 422),
    (DECLINE | {"content": {"seat": "1A"}}, 422),
    ({"action": "accept", "content": {"seat": 1}}, 422),
    ({"action": "accept", "content": {"seat": "1A", "x": 1}}, 422),
    ({"action": "accept", "content": {"seat": "1A", "bags": 1.5}}, 422),
    (b'{"action":"accept","content":{"seat":"1A","bags":NaN}}', 422),
    (b'{"action":"accept","content":{"seat":"1A","bags":Infinity}}', 422),
    (b'{"action":"accept","content":{"seat":"1A","bags":1e999}}', 422),
    (b'{"action":"accept","content":{"seat":"\\ud800"}}', 400),
    (b'{"action":"accept","content":' + b"[" * 5000 + b"]" * 5000 + b"}", 400),
    ({"action": "accept", "content": {"seat": "x" * 65_536}}, 413),
    (b" " * 1_000_000, 413),
]


@pytest.mark.parametrize(
    ("body", "status"), BAD, ids=lambda each: (str(each)[:70], "long")[each is None]
)
async def test_refuses_a_body_that_is_no_answer(
    make: Make, body: Any, status: int
) -> None:
    app = make(book, authorize=whoever)
    execution = await begun(app)
    answered = await post(app, execution, body)
    waiting = await execution.waiting()

    assert answered[0] == status
    assert answered[1]["status"] == status
    assert len(waiting) == 1
    assert (await post(app, execution, WINDOW))[0] == 201


async def test_takes_an_answer_of_just_64_kib(make: Make) -> None:
    app = make(book, authorize=whoever)
    execution = await begun(app)
    frame = len(json.dumps(WINDOW)) - 2
    body = {"action": "accept", "content": {"seat": "x" * (65_536 - frame)}}
    assert len(json.dumps(body)) == 65_536
    assert (await post(app, execution, body))[0] == 201


@pytest.mark.parametrize(
    ("max_body", "most"),
    [(1024 * 1024, "65536 bytes at most."), (1024, "1024 bytes at most (max_body).")],
)
async def test_names_the_option_that_bounds_an_answer(
    make: Make, max_body: int, most: str
) -> None:
    app = make(book, authorize=whoever, max_body=max_body)
    execution = await begun(app)
    answered = await post(app, execution, b" " * 70_000)

    assert answered[0] == 413
    assert answered[1]["detail"] == f"The body may have {most}"


async def test_names_the_field_that_is_wrong(make: Make) -> None:
    app = make(book, authorize=whoever)
    execution = await begun(app)
    content = {"bags": "2"}
    status, said = await post(app, execution, {"action": "accept", "content": content})
    assert (status, said["errors"]) == (
        422,
        [
            {"type": "missing", "loc": ["seat"], "msg": "It is required."},
            {"type": "type", "loc": ["bags"], "msg": "It must be a whole number."},
        ],
    )


@pytest.mark.parametrize(
    "n", ["0", "2", "01", "-1", "1.0", "x", "%31%30", "%D9%A1", "9" * 6000], ids=str
)
async def test_knows_no_other_question(make: Make, n: str) -> None:
    app = make(book, authorize=whoever)
    execution = await begun(app)
    path = f"/executions/{execution.id}/inputs/{n}"
    client = Client(app, headers=of("ann") | JSON)
    got = await client.get(path)
    posted = await client.post(path, body=json.dumps(WINDOW).encode())
    assert (got.status, posted.status) == (404, 404)
    assert b"has asked no question" in got.body


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH"])
async def test_has_no_other_methods(make: Make, method: str) -> None:
    app = make(book, authorize=whoever)
    execution = await begun(app)
    path = f"/executions/{execution.id}/inputs/1"
    c = await Client(app).request(method, path, headers=of("ann"))
    assert (c.status, c.headers["allow"]) == (405, "GET, HEAD, POST")


async def test_takes_only_json(make: Make) -> None:
    app = make(book, authorize=whoever)
    execution = await begun(app)
    answered = await post(app, execution, WINDOW, **{"content-type": "text/plain"})
    assert answered[0] == 415


# Who may do what; the rest is in test_access


async def test_lets_nobody_of_no_name_answer_for_another_owner(make: Make) -> None:
    app = make(approve)  # without authorize, all callers are nobody
    execution = await begun(app, approve)
    for n in (1, 2, 3):
        assert (await post(app, execution, ACCEPT, n))[0] == 404
    assert len(await execution.waiting()) == 2


async def test_lets_everybody_answer_where_nobody_is_an_owner(make: Make) -> None:
    app = make(approve)
    execution = await app.executions.start(approve)
    await asked(execution, 2)
    for n in (1, 2):
        assert (await post(app, execution, ACCEPT, n))[0] == 201
    assert await soon(execution.result()) == [True, True]


async def test_asks_authorize_for_answer(make: Make) -> None:
    told: list[tuple[str, Execution | None]] = []

    def authorize(scope: Any, action: str, execution: Execution | None) -> str:
        told.append((action, execution))
        if dict(scope["headers"])[b"user"] == b"bob":
            raise Forbidden
        return "ann"

    app = make(book, authorize=authorize)
    execution = await begun(app)
    path = f"/executions/{execution.id}/inputs/1"
    statuses = [
        (await Client(app).get(path, headers=of("bob"))).status,
        (await post(app, execution, WINDOW, user="bob"))[0],
        (await post(app, execution, WINDOW))[0],
    ]
    assert statuses == [403, 403, 201]
    assert told == [("answer", execution)] * 3
