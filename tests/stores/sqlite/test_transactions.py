"""The SQLite store: transactions, bounds, and the life of a store."""

import asyncio
import gc
import sqlite3
import threading
import time
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest

from asgi_events.exceptions import StoreError
from asgi_events.stores import Ack, open_store
from asgi_events.stores.sqlite import SQLiteStore
from asgi_events.stores.sqlite import file as sqlite_file
from tests import TIMEOUT
from tests.stores.sqlite.files import Make, frames, locked, opened, until, whole

# Transactions


async def test_commits_together_what_waits_together(
    make: Make, path: Path, statements: list[str]
) -> None:
    store = make()
    grants = {f"k{n}": await opened(store, f"k{n}") for n in range(50)}

    with locked(path):
        statements.clear()
        appending = [
            asyncio.create_task(store.append(key, grant, 0, frames(1, 2)))
            for key, grant in grants.items()
        ]
        await asyncio.sleep(0)  # now all have asked

    assert await asyncio.gather(*appending) == [Ack(2)] * 50
    # The first who asked may have been taken alone.
    assert statements.count("COMMIT") in (1, 2)


@pytest.mark.parametrize("synchronous", ["FULL", "NORMAL"])
async def test_syncs_as_it_is_told(
    make: Make, statements: list[str], synchronous: str
) -> None:
    store = make(synchronous=synchronous)

    await opened(store)

    assert [line for line in statements if "synchronous" in line] == [
        f"PRAGMA synchronous = {synchronous}"
    ]
    assert statements.index("PRAGMA journal_mode = WAL") > 0


async def test_fails_a_bad_request_and_not_its_neighbours(make: Make) -> None:
    store = make()
    keys = ["before", "bad", "after"]
    grants = {key: await opened(store, key) for key in keys}
    batches: dict[str, Any] = {key: frames(1, 2) for key in keys}
    batches["bad"] = [b"data: 1\n\n", None]

    outcomes = await asyncio.gather(
        *(store.append(key, grants[key], 0, batches[key]) for key in keys),
        return_exceptions=True,
    )

    assert [type(outcome) for outcome in outcomes] == [Ack, StoreError, Ack]
    pages = [await whole(store, key) for key in keys]
    assert [page.frames for page in pages] == [frames(1, 2), [], frames(1, 2)]
    assert await store.append("bad", grants["bad"], 0, frames(1, 3)) == Ack(3)


async def test_does_what_was_asked_by_somebody_who_went_away(
    make: Make, path: Path
) -> None:
    store = make()
    grants = {key: await opened(store, key) for key in ("first", "goes", "stays")}

    with locked(path):
        first, goes, stays = (
            asyncio.create_task(store.append(key, grant, 0, frames(1, 1)))
            for key, grant in grants.items()
        )
        await asyncio.sleep(0)  # now all have asked
        goes.cancel()

    assert [await first, await stays] == [Ack(1)] * 2
    assert goes.cancelled()
    assert (await whole(store, "goes")).last == 1


async def test_reads_while_a_commit_has_to_wait(make: Make, path: Path) -> None:
    store = make()
    grant = await opened(store)

    with locked(path):
        appending = asyncio.create_task(store.append("k", grant, 0, frames(1, 2)))
        page = await whole(store)
        assert (page.last, appending.done()) == (0, False)

    assert await appending == Ack(2)


async def test_asks_for_the_lock_again_and_again_and_never_sleeps_long(
    make: Make, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        time.sleep(seconds)

    monkeypatch.setattr(sqlite_file, "sleep", sleep)
    store = make()
    grant = await opened(store)
    slept.clear()

    with locked(path):
        appending = asyncio.create_task(store.append("k", grant, 0, frames(1, 2)))

        async def has_tried() -> bool:
            return len(slept) >= 20

        await until(has_tried)

    assert await appending == Ack(2)
    assert 0 < max(slept) < 0.01
    assert len(set(slept)) > 10  # two that wait do not wake at the same time


# Bounds


async def test_lets_the_oldest_quarter_go_and_says_so(make: Make) -> None:
    store = make(max_events=8)
    grant = await opened(store)

    for after in range(0, 100, 5):
        await store.append("k", grant, after, frames(after + 1, after + 5))
        page = await whole(store)
        assert list(page.frames) == frames(page.first, page.last)
        assert page.last == after + 5
        assert 4 <= len(page.frames) <= 8

    page_after = await store.read("k", 2, 1)
    assert page_after is not None
    assert page_after.first > 90
    assert list(page_after.frames) == frames(page_after.first, page_after.first)


async def test_deletes_the_oldest_frames_in_parts(
    make: Make, path: Path, statements: list[str]
) -> None:
    store = make(max_events=2000)
    grant = await opened(store)
    await store.append("k", grant, 0, frames(1, 2000))

    held = []
    for after in range(2000, 2020):
        await store.append("k", grant, after, frames(after + 1, after + 1))
        with closing(sqlite3.connect(path)) as db:
            held += db.execute("SELECT min(seq), max(seq) FROM frame").fetchone()

    first = (await whole(store)).first
    assert first == 501
    assert held[::2] == [103, 205, 307, 409] + [501] * 16
    assert held[1::2] == list(range(2001, 2021))


async def test_is_bounded_by_the_option_of_its_url(
    path: Path,
) -> None:
    store = open_store(f"sqlite:///{path}?max_events=4")
    grant = await opened(store)

    await store.append("k", grant, 0, frames(1, 10))

    page = await whole(store)
    assert (page.first, list(page.frames)) == (7, frames(7, 10))
    await store.aclose()


# Life


def threads() -> list[threading.Thread]:
    return [t for t in threading.enumerate() if t.name == "asgi_events.sqlite"]


def test_may_be_used_in_one_event_loop_after_another(path: Path) -> None:
    store = SQLiteStore(path)

    async def append(after: int, *, close: bool) -> Ack:
        grant = await opened(store)
        ack = await store.append("k", grant, after, frames(after + 1, after + 2))
        if close:
            await store.aclose()
        return ack

    assert asyncio.run(append(0, close=False)) == Ack(2)
    assert asyncio.run(append(2, close=True)) == Ack(4)
    assert asyncio.run(append(4, close=True)) == Ack(6)
    assert threads() == []


def test_outlives_an_event_loop_that_waits_for_it(path: Path) -> None:
    store = SQLiteStore(path)
    appending: list[asyncio.Task[Ack]] = []

    async def leave_without_the_answer() -> None:
        grant = await opened(store)
        lock.enter_context(locked(path))
        appending.append(asyncio.create_task(store.append("k", grant, 0, [b"x"])))
        await asyncio.sleep(0)  # now it has asked

    async def append_again() -> Ack:
        grant = await opened(store)
        ack = await store.append("k", grant, grant.last, frames(2, 3))
        await store.aclose()
        return ack

    with ExitStack() as lock:
        asyncio.run(leave_without_the_answer())

    assert appending[0].cancelled()
    assert asyncio.run(append_again()) == Ack(3)


async def test_does_what_waits_before_it_closes(make: Make) -> None:
    store = make()
    grants = {f"k{n}": await opened(store, f"k{n}") for n in range(20)}
    appending = [
        asyncio.create_task(store.append(key, grant, 0, frames(1, 1)))
        for key, grant in grants.items()
    ]
    await asyncio.sleep(0)

    await store.aclose()
    await store.aclose()

    assert threads() == []
    assert await asyncio.gather(*appending) == [Ack(1)] * 20
    assert (await whole(store, "k19")).last == 1


async def test_ends_its_threads_when_nobody_has_it_any_more(path: Path) -> None:
    store = SQLiteStore(path)
    await opened(store)
    await whole(store)
    running = threads()
    assert len(running) == 2

    del store
    gc.collect()

    for thread in running:
        await asyncio.to_thread(thread.join, TIMEOUT)
    assert threads() == []
