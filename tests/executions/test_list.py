"""``Executions.list``: what runs and what has ended, page by page."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from asgi_events import Executions
from asgi_events.exceptions import Unavailable
from asgi_events.executions import ANY_OWNER, Listing
from asgi_events.stores import EventStore
from asgi_events.stores.memory import MemoryStore
from asgi_events.stores.sqlite import SQLiteStore
from tests.executions.faulty_store import FaultyStore
from tests.executions.scenes import Gate, Make, count, end_of, idle, outer

MANY = 1000


@pytest.fixture(params=["no store", "memory", "sqlite"])
async def options(
    request: pytest.FixtureRequest, tmp_path: Path
) -> AsyncIterator[dict[str, Any]]:
    """The store of an ``Executions``, as an option."""
    if request.param == "no store":
        yield {}
        return
    store: EventStore = MemoryStore()
    if request.param == "sqlite":
        store = SQLiteStore(tmp_path / "events.db", synchronous="NORMAL")
    yield {"store": store}
    await store.aclose()


def ids(listing: Listing) -> list[str]:
    return [each.id for each in listing.items]


async def test_lists_what_runs_and_what_has_ended(
    make: Make, options: dict[str, Any]
) -> None:
    gate = Gate()
    executions = make(count, gate.actor, **options)
    over = await executions.start(count, {"to": 2}, owner="ann", thread="t")
    await end_of(over)
    running = await executions.start(gate.actor, owner="ann")
    await gate.begun.wait()

    listing = await executions.list(owner="ann")

    assert listing.next is None
    first, second = listing.items
    assert (first.id, first.actor, first.status) == (running.id, "work", "started")
    assert (first.owner, first.thread, first.ended) == ("ann", None, None)
    assert first.created == running.created
    assert (second.id, second.actor, second.status) == (over.id, "count", "completed")
    assert (second.owner, second.thread, second.last) == ("ann", "t", over.log.last)
    assert second.created == over.created
    assert second.ended is not None and second.ended >= second.created
    gate.open.set()


async def test_lists_those_of_one_owner_or_of_nobody_or_all(
    make: Make, options: dict[str, Any]
) -> None:
    executions = make(idle, **options)
    for owner in ("ann", None, "bob", "ann"):
        await end_of(await executions.start(idle, owner=owner))

    found = {
        owner: [each.owner for each in (await executions.list(owner=owner)).items]
        for owner in ("ann", "bob", "eve", None, ANY_OWNER)
    }

    assert found == {
        "ann": ["ann", "ann"],
        "bob": ["bob"],
        "eve": [],
        None: [None],
        ANY_OWNER: ["ann", "bob", None, "ann"],
    }


async def test_lists_by_thread_status_and_actor(
    make: Make, options: dict[str, Any]
) -> None:
    gate = Gate()
    executions = make(idle, outer, gate.actor, **options)
    for id, actor, thread in (
        ("done", idle, "t"),
        ("failed", outer, "t"),
        ("other", idle, "u"),
        ("plain", idle, None),
    ):
        await end_of(await executions.start(actor, id=id, thread=thread))
    stopped = await executions.start(gate.actor, id="stopped")
    await gate.begun.wait()
    await stopped.cancel()
    await end_of(stopped)
    await executions.start(gate.actor, id="runs", thread="t")

    async def found(**query: Any) -> list[str]:
        return ids(await executions.list(owner=None, **query))

    assert await found(thread="t") == ["runs", "failed", "done"]
    assert await found(thread="v") == []
    assert await found(status="completed") == ["plain", "other", "done"]
    assert await found(status="failed") == ["failed"]
    assert await found(status="cancelled") == ["stopped"]
    assert await found(status="started") == ["runs"]
    assert await found(status="lost") == []
    assert await found(actor=idle) == ["plain", "other", "done"]
    assert await found(actor="work") == ["runs", "stopped"]
    assert await found(actor="idle", thread="t", status="completed") == ["done"]
    gate.open.set()


async def test_lists_page_by_page(make: Make, options: dict[str, Any]) -> None:
    executions = make(idle, **options)
    for number in range(7):
        await end_of(await executions.start(idle, id=f"e{number}", owner="ann"))

    pages = []
    after: str | None = None
    while not pages or after is not None:
        page = await executions.list(owner="ann", after=after, limit=3)
        pages.append(ids(page))
        after = page.next

    assert pages == [["e6", "e5", "e4"], ["e3", "e2", "e1"], ["e0"]]
    exact = await executions.list(owner="ann", limit=7)
    assert (len(exact.items), exact.next) == (7, None)
    assert (await executions.list(owner="ann", limit=6)).next is not None


async def test_lists_each_once_while_others_start_and_expire(
    make: Make, options: dict[str, Any]
) -> None:
    executions = make(idle, retention=MANY, **options)
    for number in range(6):
        await end_of(await executions.start(idle, id=f"e{number}"))
    first = await executions.list(owner=None, limit=2)

    await end_of(await executions.start(idle, id="new"))
    for gone in ("e4", "e2"):  # the last of the page, and one that is still to come
        await forget(executions, gone)
    rest = await executions.list(owner=None, limit=10, after=first.next)

    assert (ids(first), ids(rest)) == (["e5", "e4"], ["e3", "e1", "e0"])


async def forget(executions: Executions, id: str) -> None:
    """What happens when the retention of an execution is over."""
    if executions.store is not None:
        await executions.store.delete(id)
    else:
        executions._held._forget(id)  # type: ignore[attr-defined]


async def test_lists_nothing_that_is_not_kept_any_more(make: Make) -> None:
    executions = make(idle, retention=0.02)
    await end_of(await executions.start(idle, id="old"))
    while list(executions):  # noqa: ASYNC110
        await asyncio.sleep(0.005)
    await end_of(await executions.start(idle, id="new"))

    assert ids(await executions.list(owner=None)) == ["new"]


async def test_lists_what_other_processes_run(make: Make) -> None:
    store, gate = MemoryStore(), Gate()
    here, there = make(gate.actor, store=store), make(store=store)
    running = await here.start(gate.actor, owner="ann", idempotency_key="k", thread="t")
    await gate.begun.wait()

    [listed] = (await there.list(owner="ann")).items
    gate.open.set()
    await end_of(running)
    [ended] = (await there.list(owner="ann")).items

    assert (listed.id, listed.status) == (running.id, "started")
    assert (ended.id, ended.status) == (running.id, "completed")


async def test_lists_as_lost_what_a_process_that_died_has_left(make: Make) -> None:
    store = FaultyStore()
    gate = Gate()
    here, there = make(gate.actor, store=store, lease=0.2), make(store=store)
    running = await here.start(gate.actor)
    await gate.begun.wait()
    running.abandon()

    async with asyncio.timeout(10):
        while not ids(await there.list(owner=None, status="lost")):  # noqa: ASYNC110
            await asyncio.sleep(0.01)

    assert ids(await there.list(owner=None, status="started")) == []
    [listed] = (await there.list(owner=None)).items
    assert (listed.id, listed.status, listed.ended) == (running.id, "lost", None)
    page = await store.read(running.id, 0, 0)
    assert page is not None and page.end is None  # nobody has reaped it
    gate.open.set()


async def test_says_that_the_store_does_not_answer(make: Make) -> None:
    class Away(MemoryStore):
        async def list(self, *_: Any, **__: Any) -> Any:
            raise Unavailable("away")

    with pytest.raises(Unavailable, match="away"):
        await make(store=Away()).list(owner=None)


@pytest.mark.parametrize(
    ("query", "error", "message"),
    [
        ({"limit": 0}, ValueError, "limit must be 1 to 1000, got 0"),
        ({"limit": 1_000_000}, ValueError, "limit must be 1 to 1000, got 1000000"),
        ({"limit": "5"}, TypeError, "limit must be an int"),
        ({"limit": True}, TypeError, "limit must be an int"),
        ({"status": "dead"}, ValueError, "one of started, completed, failed, cancell"),
        ({"status": "retrying"}, ValueError, "status must be one of"),
        ({"thread": ""}, ValueError, "thread must be None or 1 to 255 printable"),
        ({"thread": "x" * 256}, ValueError, "thread must be"),
        ({"thread": "a\n"}, ValueError, "thread must be"),
        ({"thread": 5}, TypeError, "thread must be a str, got 5"),
        ({"owner": " "}, ValueError, "owner must be None or a str"),
        ({"owner": 5}, TypeError, "owner must be a str, got 5"),
        ({"actor": ""}, ValueError, "actor must be the name of an actor"),
        ({"actor": "\x00"}, ValueError, "actor must be the name of an actor"),
        ({"actor": print}, TypeError, "print"),
        ({"after": ""}, ValueError, "after must be the cursor of a page before"),
        ({"after": "x"}, ValueError, "after must be the cursor"),
        ({"after": "ü"}, ValueError, "after must be the cursor"),
        ({"after": "e30"}, ValueError, "after must be the cursor"),  # {}
        ({"after": "W10"}, ValueError, "after must be the cursor"),  # []
        ({"after": "W3t9LHt9LHt9XQ"}, ValueError, "must be the cursor"),  # [{},{},{}]
        ({"after": "bnVsbA"}, ValueError, "after must be the cursor"),  # null
        ({"after": "WyJhIiwxLDJd"}, ValueError, "must be the cursor"),  # ["a",1,2]
        ({"after": "WyJhIiwiw7wiLCIiXQ"}, ValueError, "must be the cursor"),  # a ü
        ({"after": "W" * 100_000}, ValueError, "after must be the cursor"),
        ({"after": 7}, ValueError, "after must be the cursor"),
    ],
)
async def test_says_what_is_wrong(
    make: Make, query: dict[str, Any], error: type[Exception], message: str
) -> None:
    executions = make(idle)

    with pytest.raises(error, match=message):
        await executions.list(**{"owner": None} | query)


@pytest.mark.parametrize(
    "other",
    [
        {"owner": "bob"},
        {"owner": ANY_OWNER},
        {"owner": None},
        {"thread": "t"},
        {"status": "completed"},
        {"actor": "idle"},
    ],
    ids=str,
)
async def test_refuses_the_cursor_of_another_list(
    make: Make, options: dict[str, Any], other: dict[str, Any]
) -> None:
    executions = make(idle, **options)
    for _ in range(3):
        await end_of(await executions.start(idle, owner="ann"))
    after = (await executions.list(owner="ann", limit=1)).next

    with pytest.raises(ValueError, match="after is a cursor of another list"):
        await executions.list(**{"owner": "ann", "after": after} | other)
    assert len((await executions.list(owner="ann", after=after)).items) == 2


async def test_refuses_a_cursor_of_another_process_without_a_store(make: Make) -> None:
    here, there = make(idle), make(idle)
    for executions in (here, there):
        for _ in range(2):
            await end_of(await executions.start(idle))
    after = (await here.list(owner=None, limit=1)).next
    assert after is not None
    told = json.loads(base64.urlsafe_b64decode(after + "=="))
    told[2] = "many"
    bad = base64.urlsafe_b64encode(json.dumps(told).encode()).decode().rstrip("=")

    with pytest.raises(ValueError, match="another list"):
        await there.list(owner=None, after=after)
    with pytest.raises(ValueError, match="another list"):
        await here.list(owner=None, after=bad)


async def test_gives_a_cursor_that_every_process_takes(make: Make) -> None:
    store = MemoryStore()
    here, there = make(idle, store=store), make(store=store)
    for number in range(4):
        await end_of(await here.start(idle, id=f"e{number}"))

    first = await here.list(owner=None, limit=2)

    assert ids(await there.list(owner=None, after=first.next)) == ["e1", "e0"]
