"""The HTTP routes: the list of the caller's executions."""

from __future__ import annotations

import base64
import re
from contextlib import aclosing
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from asgi_events import EventsApp, EventsMiddleware
from asgi_events.exceptions import Forbidden
from asgi_events.executions import ListedExecution
from asgi_events.stores.memory import MemoryStore
from asgi_events.stores.sqlite import SQLiteStore
from asgi_events.testing import Client, Connection
from tests.http.app.routes import (
    SECRET,
    AwayStore,
    Gate,
    Make,
    count,
    idle,
    problem,
    soon,
    whoever,
)


async def over(app: EventsApp, actor: Any = idle, **more: Any) -> str:
    """Start an execution that ends at once; return its id."""
    execution = await app.executions.start(actor, **{"owner": "ann"} | more)
    await soon(execution.wait())
    return execution.id


async def listed(app: Any, query: str = "", user: str = "ann") -> Connection:
    return await Client(app).get(f"/executions{query}", headers={"user": user})


def ids(page: dict[str, Any]) -> list[str]:
    return [each["id"] for each in page["executions"]]


def item(listed: ListedExecution, base: str = "") -> dict[str, Any]:
    link = f"{base}/executions/{listed.id}"
    moments = {
        name: moment and moment.isoformat().replace("+00:00", "Z")
        for name, moment in (("created", listed.created), ("ended", listed.ended))
    }
    return {
        "id": listed.id,
        "actor": listed.actor,
        "thread": listed.thread,
        "status": str(listed.status),
        "last": listed.last,
        **moments,
        "links": {"self": link, "events": f"{link}/events", "cancel": link},
    }


@pytest.mark.parametrize("store", [None, "memory", "sqlite"])
async def test_lists_what_belongs_to_the_caller(
    make: Make, store: str | None, tmp_path: Path
) -> None:
    gate = Gate()
    shared = SQLiteStore(tmp_path / "e.db") if store == "sqlite" else MemoryStore()
    options: dict[str, Any] = {} if store is None else {"store": shared}
    app = make(count, gate.actor, authorize=whoever, **options)
    await over(app, count, input={"to": 2}, thread="t")
    await over(app, count, input={"to": 2}, owner="bob")
    await over(app, count, input={"to": 2}, owner=None)
    running = await app.executions.start(gate.actor, owner="ann")
    async with aclosing(running.events()) as events:
        await soon(anext(events))  # so it is stored

    answer = await listed(app)
    head = await Client(app).head("/executions", headers={"user": "ann"})
    page = await app.executions.list(owner="ann")

    assert [each.status for each in page.items] == ["started", "completed"]
    assert page.items[0].id == running.id
    assert (answer.status, await answer.json()) == (
        200,
        {"executions": [item(each) for each in page.items], "next": None},
    )
    assert "link" not in answer.headers
    assert answer.headers["cache-control"] == "no-store"
    assert (head.status, head.body, head.headers) == (200, b"", answer.headers)
    gate.open.set()
    await soon(running.wait())
    await shared.aclose()


async def test_links_to_the_next_page(make: Make) -> None:
    app = make(idle, authorize=whoever)
    made = [await over(app, thread="a&b ü") for _ in range(5)]
    await over(app)

    query, pages = "?limit=2&thread=a%26b%20%C3%BC&actor=idle&status=completed", []
    while query:
        answer = await listed(app, query)
        page = await answer.json()
        pages.append(ids(page))
        link = answer.headers.get("link", "")
        found = re.fullmatch(r'</executions(\?[!-~]*)>; rel="next"', link)
        assert bool(found) == (page["next"] is not None) == ("link" in answer.headers)
        query = found[1] if found else ""
        assert not found or f"after={page['next']}" in query

    assert pages == [made[:2:-1], made[2:0:-1], made[:1]]


async def test_goes_on_with_the_next_of_the_body(make: Make) -> None:
    app = make(idle, authorize=whoever)
    made = [await over(app) for _ in range(3)]
    first = await (await listed(app, "?limit=2")).json()
    await over(app)

    second = await (await listed(app, f"?after={first['next']}")).json()

    assert (ids(first), ids(second)) == (made[:0:-1], made[:1])
    assert second["next"] is None


async def test_lists_fifty_unless_told_otherwise(make: Make) -> None:
    app = make(idle, authorize=whoever)
    for _ in range(51):
        await over(app)

    pages = [await (await listed(app, query)).json() for query in ("", "?limit=1000")]

    assert [len(page["executions"]) for page in pages] == [50, 51]
    assert [page["next"] is None for page in pages] == [False, True]


async def test_links_below_its_mount(make: Make) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None: ...

    middleware = EventsMiddleware(app, actors=[idle], authorize=whoever)
    for _ in range(2):
        await over(middleware.events)
    client = Client(middleware, root_path="/api", headers={"user": "ann"})
    answer = await client.get("/api/events/executions?limit=1")
    page = await answer.json()
    first, _ = (await middleware.events.executions.list(owner="ann")).items

    base = "/api/events"
    assert page["executions"] == [item(first, base)]
    link = f"{base}/executions?limit=1&after={page['next']}"
    assert answer.headers["link"] == f'<{link}>; rel="next"'
    assert ids(await (await client.get(link)).json()) != ids(page)
    await middleware.events.executions.drain(0)


async def test_shows_nothing_of_others_whatever_is_asked_for(make: Make) -> None:
    app = make(idle, authorize=whoever)
    for owner in ("ann", "bob", None):
        await over(app, owner=owner, thread="t")
    queries = ["", "?owner=bob", "?owner=", "?thread=t", "?actor=idle"]
    bobs = await (await listed(app, "?limit=1", user="bob")).json()

    for query in queries:
        page = await (await listed(app, query)).json()
        assert len(page["executions"]) == 1
        assert ids(page) != ids(bobs)
    assert ids(await (await listed(app, user="eve")).json()) == []


# Refusals


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("limit=0", "limit must be 1 to 1000, got 0."),
        ("limit=1001", "limit must be 1 to 1000, got 1001."),
        ("limit=1000000", "limit must be 1 to 1000, got 1000000."),
        ("limit=-1", "limit must be 1 to 1000, got '-1'."),
        ("limit=1.5", "limit must be 1 to 1000, got '1.5'."),
        ("limit=ten", "limit must be 1 to 1000, got 'ten'."),
        ("limit=%D9%A3", "limit must be 1 to 1000, got '٣'."),
        ("limit=1_0", "limit must be 1 to 1000, got '1_0'."),
        ("limit=+5", "limit must be 1 to 1000, got ' 5'."),
        (f"limit={'9' * 9999}", f"limit must be 1 to 1000, got '{'9' * 79}."),
        ("limit=5&limit=0", "limit must be 1 to 1000, got 0."),
        (
            "status=waiting",
            "status must be one of started, completed, failed, cancelled, lost, got "
            "'waiting'.",
        ),
        (
            "status=retrying",
            "status must be one of started, completed, failed, cancelled, lost, got "
            "'retrying'.",
        ),
        (
            "thread=%00",
            "thread must be None or 1 to 255 printable characters that are not all "
            "blank, got '\\x00'.",
        ),
        (
            "thread=%20",
            "thread must be None or 1 to 255 printable characters that are not all "
            "blank, got ' '.",
        ),
        (
            f"thread={'x' * 60_000}",
            "thread must be None or 1 to 255 printable characters that are not all "
            f"blank, got '{'x' * 79}.",
        ),
        (
            "thread=",
            "thread must be None or 1 to 255 printable characters that are not all "
            "blank, got ''.",
        ),
        (
            "status=",
            "status must be one of started, completed, failed, cancelled, lost, got "
            "''.",
        ),
        ("actor=", "actor must be the name of an actor, got ''."),
        ("limit=", "limit must be 1 to 1000, got ''."),
        (
            "after=",
            "after must be the cursor of a page before, as its `next` is, got ''.",
        ),
        ("actor=%0A", "actor must be the name of an actor, got '\\n'."),
        (f"actor={'x' * 256}", f"actor must be the name of an actor, got '{'x' * 79}."),
        (
            "after=x",
            "after must be the cursor of a page before, as its `next` is, got 'x'.",
        ),
        (
            "after=%F0%9F%92%A9",
            "after must be the cursor of a page before, as its `next` is, got '💩'.",
        ),
    ],
    ids=lambda value: value[:20],
)
async def test_answers_400_that_names_the_parameter(
    make: Make, query: str, says: str
) -> None:
    app = make(idle, authorize=whoever)
    await over(app)
    answer = await listed(app, f"?{query}")

    assert answer.headers["content-type"] == "application/problem+json"
    assert (answer.status, await answer.json()) == (
        400,
        problem(400, "Bad Request", says),
    )


@pytest.mark.parametrize(
    "text", [b"[]", b"{}", b"null", b"[1,2,3]", b'["a","b","c"]', b"[" * 5000, b"\xff"]
)
async def test_answers_400_to_a_made_up_cursor(make: Make, text: bytes) -> None:
    app = make(idle, authorize=whoever)
    cursor = base64.urlsafe_b64encode(text).decode()
    answer = await listed(app, f"?after={quote(cursor)}")

    assert answer.status == 400
    assert (await answer.json())["detail"].startswith("after ")


@pytest.mark.parametrize(
    ("query", "user"),
    [
        ("", "bob"),
        ("thread=t", "ann"),
        ("status=completed", "ann"),
        ("actor=idle", "ann"),
    ],
)
async def test_answers_400_to_the_cursor_of_another_list(
    make: Make, query: str, user: str
) -> None:
    app = make(idle, authorize=whoever)
    for _ in range(2):
        await over(app)
    first = await (await listed(app, "?limit=1")).json()
    answer = await listed(app, f"?after={first['next']}&{query}", user)

    detail = (
        "after is a cursor of another list: go on with the owner, thread, status and "
        "actor of the page before, or begin without a cursor."
    )
    assert (answer.status, await answer.json()) == (
        400,
        problem(400, "Bad Request", detail),
    )


async def test_lists_nothing_without_authorize(make: Make) -> None:
    app = make(idle)
    await over(app, owner=None)
    answer = await listed(app)
    head = await Client(app).head("/executions")

    detail = (
        "Who knows an execution's id may read and cancel it here, so there is no list "
        "of ids. Give the application an authorize hook: the list has the executions "
        "of the owner that it returns."
    )
    assert (answer.status, await answer.json()) == (
        403,
        problem(403, "Forbidden", detail),
    )
    assert (head.status, head.body) == (403, b"")


async def test_lists_all_to_all_where_authorize_knows_one_owner(make: Make) -> None:
    app = make(idle, authorize=lambda *_: "everybody")
    started = await Client(app).post("/idle", json={})
    page = await (await Client(app).get("/executions")).json()

    assert ids(page) == [(await started.json())["id"]]


async def test_asks_authorize_whether_the_caller_may_list(make: Make) -> None:
    asked: list[Any] = []

    def authorize(scope: Any, action: str, execution: Any, *, actor: Any) -> str:
        asked.append((action, execution, actor))
        raise Forbidden("Not you.")

    app = make(idle, authorize=authorize)
    await over(app)
    answer = await listed(app, "?actor=idle&limit=0")

    assert (answer.status, await answer.json()) == (
        403,
        problem(403, "Forbidden", "Not you."),
    )
    assert asked == [("list", None, None)]


@pytest.mark.parametrize(("user", "status"), [("", 401), ("ann", 503)])
async def test_answers_503_to_who_may_list_when_the_store_is_away(
    make: Make, user: str, status: int
) -> None:
    answer = await listed(make(idle, authorize=whoever, store=AwayStore()), user=user)

    assert answer.status == status
    assert ("retry-after" in answer.headers) is (status == 503)


async def test_answers_500_when_the_store_has_what_it_should_not(
    make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    class Odd(MemoryStore):
        async def list(self, *_: Any, **__: Any) -> Any:
            raise ValueError(SECRET)

    answer = await listed(make(idle, authorize=whoever, store=Odd()))

    assert answer.status == 500
    assert SECRET not in answer.body.decode()
    assert SECRET in caplog.text
