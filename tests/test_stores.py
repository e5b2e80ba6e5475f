"""What every store promises; the numbers are those of ``asgi_events.stores``."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import Any, Protocol

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asgi_events.exceptions import Busy, Ended, Fenced, Gap, Missing
from asgi_events.stores import (
    Ack,
    EventStore,
    Grant,
    Page,
    Watch,
    memory,
    open_store,
)
from asgi_events.stores.memory import MemoryStore
from asgi_events.stores.redis import RedisStore
from asgi_events.stores.sqlite import SQLiteStore
from asgi_events.stores.sqlite import store as sqlite
from tests.asgi import TIMEOUT
from tests.valkey import Valkey

LEASE, TTL = 10.0, 60.0


class Kind(Protocol):
    """How to test one kind of store: add one, and its name to ``KINDS``."""

    def open(self) -> EventStore: ...

    async def pass_time(self, seconds: float) -> None:
        """Put the store's clock forward, or back where ``seconds`` are negative."""


class Memory:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        real = memory.monotonic
        self._ahead = 0.0
        monkeypatch.setattr(memory, "monotonic", lambda: real() + self._ahead)

    def open(self) -> EventStore:
        return MemoryStore()

    async def pass_time(self, seconds: float) -> None:
        self._ahead += seconds


class SQLite:
    def __init__(self, monkeypatch: pytest.MonkeyPatch, path: Path) -> None:
        real = sqlite.time
        self._ahead = 0.0
        self._path = path
        monkeypatch.setattr(sqlite, "time", lambda: real() + self._ahead)

    def open(self) -> EventStore:
        return SQLiteStore(self._path, synchronous="NORMAL")

    async def pass_time(self, seconds: float) -> None:
        self._ahead += seconds


class Server:
    """A store on a real server; time passes by shifting what it holds."""

    def __init__(self, server: Valkey) -> None:
        self._server = server

    def open(self) -> EventStore:
        return RedisStore(self._server.url)

    async def pass_time(self, seconds: float) -> None:
        self._server.pass_time(seconds)


SERVERS = {
    "valkey": {"program": "valkey"},
    "redis": {"program": "redis"},
    "cluster": {"program": "valkey", "cluster_enabled": "yes"},
}


@pytest.fixture(scope="module")
def start() -> Iterator[Callable[[str], Valkey]]:
    """Starts a server once for all tests."""
    with ExitStack() as servers:
        yield cache(lambda name: servers.enter_context(Valkey(**SERVERS[name])))


KINDS = ["memory", "sqlite", *SERVERS]


@pytest.fixture(
    params=[
        pytest.param(name, marks=[pytest.mark.server] if name in SERVERS else [])
        for name in KINDS
    ]
)
def kind(
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    start: Callable[[str], Valkey],
) -> Kind:
    if request.param == "memory":
        return Memory(monkeypatch)
    if request.param == "sqlite":
        return SQLite(monkeypatch, tmp_path / "events.db")
    server = start(request.param)
    with server.client() as client:
        client.flushall()
    return Server(server)


@pytest.fixture
async def store(kind: Kind) -> AsyncIterator[EventStore]:
    store = kind.open()
    yield store
    await store.aclose()


@pytest.fixture
def pass_time(kind: Kind) -> Callable[[float], Awaitable[None]]:
    return kind.pass_time


PassTime = Callable[[float], Awaitable[None]]


def frames(first: int, last: int) -> list[bytes]:
    return [b"data: %d\nid: k:%d\n\n" % (n, n) for n in range(first, last + 1)]


async def opened(store: EventStore, key: str = "k", *, writer: str = "w") -> Grant:
    return await store.open(
        key, writer=writer, lease=LEASE, ttl=TTL, meta={"actor": "research"}
    )


async def whole(store: EventStore, key: str = "k") -> Page:
    page = await store.read(key, 0, 1 << 20)
    assert page is not None
    return page


async def reap(store: EventStore, after: int, key: str = "k") -> bool:
    return await store.reap(key, after, b"data: lost\n\n", end="lost")


async def kept_asking(
    store: EventStore, pass_time: PassTime, after: int, key: str = "k"
) -> bool:
    """Whether the log was reaped by calls that came often enough, and long enough."""
    for _ in range(3):
        if await reap(store, after, key):
            return True
        await pass_time(LEASE / 4 - 0.3)
    return await reap(store, after, key)


# 1. Numbers without holes; an append is atomic


async def test_opens_a_new_log_at_nothing(store: EventStore) -> None:
    grant = await opened(store)

    assert grant.last == 0
    assert await whole(store) == Page(
        first=1,
        last=0,
        end=None,
        alive=True,
        cancel=False,
        frames=[],
        meta={"actor": "research"},
    )


async def test_keeps_frames_byte_for_byte_and_in_order(store: EventStore) -> None:
    grant = await opened(store)
    given_frames = [b"data: \xe2\x80\xa8\0\r\n\xff\n\n", b"", b"x" * 100_000]

    assert await store.append("k", grant, 0, given_frames[:2]) == Ack(last=2)
    assert await store.append("k", grant, 2, given_frames[2:]) == Ack(last=3)

    page = await whole(store)
    assert (page.first, page.last) == (1, 3)
    assert list(page.frames) == given_frames


async def test_keeps_logs_apart(store: EventStore) -> None:
    one, other = await opened(store, "one"), await opened(store, "other")

    await store.append("one", one, 0, frames(1, 2))
    await store.append("other", other, 0, frames(1, 1), end="completed")

    first, second = await whole(store, "one"), await whole(store, "other")
    assert (first.last, first.end) == (2, None)
    assert (second.last, second.end) == (1, "completed")


async def test_keeps_what_it_was_given_and_not_a_view_of_it(store: EventStore) -> None:
    meta = {"actor": "research"}
    grant = await store.open("k", writer="w", lease=LEASE, ttl=TTL, meta=meta)
    batch = frames(1, 2)
    await store.append("k", grant, 0, batch)

    batch.clear()
    meta.clear()

    page = await whole(store)
    assert list(page.frames) == frames(1, 2)
    assert page.meta == {"actor": "research"}


async def test_knows_nothing_of_other_logs(store: EventStore) -> None:
    await opened(store)

    assert await store.read("other", 0, 100) is None


# 2. An append is a compare-and-set


async def test_answers_the_same_call_again_the_same(store: EventStore) -> None:
    grant = await opened(store)

    answers = [await store.append("k", grant, 0, frames(1, 3)) for _ in range(3)]

    assert answers == [Ack(last=3)] * 3
    assert list((await whole(store)).frames) == frames(1, 3)


async def test_answers_the_terminal_call_again_the_same(store: EventStore) -> None:
    grant = await opened(store)
    await store.append("k", grant, 0, frames(1, 2))

    answers = [
        await store.append("k", grant, 2, frames(3, 4), end="completed")
        for _ in range(3)
    ]

    assert answers == [Ack(last=4)] * 3
    page = await whole(store)
    assert (list(page.frames), page.end) == (frames(1, 4), "completed")


async def test_ends_a_log_that_has_no_frames(store: EventStore) -> None:
    grant = await opened(store)

    acks = [await store.append("k", grant, 0, [], end="completed") for _ in range(2)]
    with pytest.raises(Ended):
        await store.append("k", grant, 0, [], end="failed")
    with pytest.raises(Ended):
        await opened(store)

    page = await whole(store)
    assert acks == [Ack(last=0)] * 2
    assert (page.end, page.last, list(page.frames)) == ("completed", 0, [])


async def test_stores_only_what_it_has_not(store: EventStore) -> None:
    grant = await opened(store)
    await store.append("k", grant, 0, frames(1, 3))

    assert await store.append("k", grant, 1, frames(2, 5)) == Ack(last=5)
    assert await store.append("k", grant, 1, frames(2, 3)) == Ack(last=5)

    assert list((await whole(store)).frames) == frames(1, 5)


async def test_leaves_no_gap(store: EventStore) -> None:
    grant = await opened(store)
    await store.append("k", grant, 0, frames(1, 2))

    with pytest.raises(Gap, match="ends at 2") as caught:
        await store.append("k", grant, 3, frames(4, 5))

    assert caught.value.last == 2
    assert list((await whole(store)).frames) == frames(1, 2)
    assert await store.append("k", grant, 2, frames(3, 5)) == Ack(last=5)


async def test_begins_a_new_log_after_a_number(store: EventStore) -> None:
    grant = await store.open(
        "k", writer="w", lease=LEASE, ttl=TTL, meta={"actor": "research"}, after=7
    )

    assert grant.last == 7
    page = await whole(store)
    assert (page.first, page.last, list(page.frames)) == (8, 7, [])
    with pytest.raises(Gap, match="ends at 7"):
        await store.append("k", grant, 8, frames(9, 9))
    assert await store.append("k", grant, 7, frames(8, 10)) == Ack(last=10)
    assert await store.append("k", grant, 7, frames(8, 10)) == Ack(last=10)
    for after in (0, 5, 7):
        page_after = await store.read("k", after, 1 << 20)
        assert page_after is not None
        assert (page_after.first, page_after.last) == (8, 10)
        assert list(page_after.frames) == frames(8, 10)


async def test_can_reap_a_log_that_began_after_a_number(
    store: EventStore, pass_time: PassTime
) -> None:
    await store.open("k", writer="w", lease=LEASE, ttl=TTL, meta={}, after=7)
    await pass_time(LEASE)

    assert await kept_asking(store, pass_time, 7)

    page = await whole(store)
    assert (page.first, page.last, list(page.frames)) == (8, 8, [b"data: lost\n\n"])


async def test_opens_again_where_the_log_stands_whatever_it_is_asked(
    store: EventStore,
) -> None:
    first = await opened(store)
    await store.append("k", first, 0, frames(1, 2))

    again = await store.open("k", writer="w", lease=LEASE, ttl=TTL, meta={}, after=7)

    assert again.last == 2
    page = await whole(store)
    assert (page.first, list(page.frames)) == (1, frames(1, 2))
    assert page.meta == {"actor": "research"}


async def test_opens_again_for_the_same_writer(store: EventStore) -> None:
    first = await opened(store)
    await store.append("k", first, 0, frames(1, 2))

    again = await opened(store)

    assert again.last == 2
    assert await store.append("k", again, 2, frames(3, 3)) == Ack(last=3)


# 3. One writer, one terminal frame


async def test_refuses_a_second_writer(store: EventStore) -> None:
    grant = await opened(store, writer="first")

    with pytest.raises(Busy):
        await opened(store, writer="second")

    assert await store.append("k", grant, 0, frames(1, 1)) == Ack(last=1)


async def test_lets_one_of_many_open(store: EventStore) -> None:
    outcomes = await asyncio.gather(
        *(opened(store, writer=f"w{n}") for n in range(10)), return_exceptions=True
    )

    assert [type(outcome) for outcome in outcomes].count(Busy) == 9
    assert sum(isinstance(outcome, Grant) for outcome in outcomes) == 1


async def ended(store: EventStore) -> Grant:
    grant = await opened(store)
    await store.append("k", grant, 0, frames(1, 2), end="completed")
    return grant


def _append(store: EventStore, grant: Grant) -> Awaitable[Any]:
    return store.append("k", grant, 2, frames(3, 3))


def _append_an_end(store: EventStore, grant: Grant) -> Awaitable[Any]:
    return store.append("k", grant, 2, frames(3, 3), end="completed")


def _append_another_end(store: EventStore, grant: Grant) -> Awaitable[Any]:
    return store.append("k", grant, 0, frames(1, 2), end="failed")


def _renew(store: EventStore, grant: Grant) -> Awaitable[Any]:
    return store.renew("k", grant)


def _open(store: EventStore, grant: Grant) -> Awaitable[Any]:
    return opened(store)


def _open_another(store: EventStore, grant: Grant) -> Awaitable[Any]:
    return opened(store, writer="second")


Call = Callable[[EventStore, Grant], Awaitable[Any]]


@pytest.mark.parametrize(
    "write",
    [_append, _append_an_end, _append_another_end, _renew, _open, _open_another],
)
async def test_takes_nothing_after_the_terminal_frame(
    store: EventStore, write: Call
) -> None:
    grant = await ended(store)
    before = await whole(store)

    with pytest.raises(Ended):
        await write(store, grant)

    assert await whole(store) == before
    assert (before.last, before.end, before.alive) == (2, "completed", True)


@pytest.mark.parametrize("write", [_append, _append_an_end, _renew])
async def test_tells_a_writer_whose_log_was_deleted_that_there_is_none(
    store: EventStore, write: Call
) -> None:
    grant = await opened(store)
    await store.append("k", grant, 0, frames(1, 2))

    await store.delete("k")

    with pytest.raises(Missing):
        await write(store, grant)
    assert await store.read("k", 0, 100) is None


@pytest.mark.parametrize("write", [_append, _append_an_end, _renew])
async def test_fences_a_writer_whose_log_is_another_ones_now(
    store: EventStore, write: Call
) -> None:
    grant = await opened(store)
    await store.append("k", grant, 0, frames(1, 2))
    await store.delete("k")
    await opened(store, writer="second")

    with pytest.raises(Fenced) as caught:
        await write(store, grant)

    assert not isinstance(caught.value, Missing)
    assert (await whole(store)).last == 0


# 4. A read is a snapshot


@pytest.mark.parametrize("after", range(6))
async def test_reads_what_follows_a_number(store: EventStore, after: int) -> None:
    grant = await opened(store)
    await store.append("k", grant, 0, frames(1, 5))

    page = await store.read("k", after, 1 << 20)

    assert page == Page(
        first=after + 1,
        last=5,
        end=None,
        alive=True,
        cancel=False,
        frames=frames(after + 1, 5),
        meta={"actor": "research"},
    )


@pytest.mark.parametrize(
    ("limit", "count"),
    [
        pytest.param(1, 1, id="less than a frame"),
        pytest.param(len(b"".join(frames(1, 2))), 2, id="two frames"),
        pytest.param(1 << 20, 5, id="more than there is"),
    ],
)
async def test_reads_about_as_much_as_asked_for_but_at_least_a_frame(
    store: EventStore, limit: int, count: int
) -> None:
    grant = await opened(store)
    await store.append("k", grant, 0, frames(1, 5))

    page = await store.read("k", 0, limit)

    assert page is not None
    assert (list(page.frames), page.last) == (frames(1, count), 5)


async def test_reads_all_of_a_log_page_by_page(store: EventStore) -> None:
    grant = await opened(store)
    await store.append("k", grant, 0, frames(1, 500), end="completed")

    read: list[bytes] = []
    pages = 0
    while len(read) < 500:
        page = await store.read("k", len(read), 1_000)
        assert page is not None
        assert (page.first, page.last, page.end) == (len(read) + 1, 500, "completed")
        assert len(b"".join(page.frames)) <= 1_000
        read += page.frames
        pages += 1

    assert read == frames(1, 500)
    assert pages > 10


async def test_does_not_change_a_page_that_was_read(store: EventStore) -> None:
    grant = await opened(store)
    await store.append("k", grant, 0, frames(1, 2))
    page = await whole(store)

    await store.append("k", grant, 2, frames(3, 4), end="completed")
    await store.cancel("k")

    assert page == Page(
        first=1,
        last=2,
        end=None,
        alive=True,
        cancel=False,
        frames=frames(1, 2),
        meta={"actor": "research"},
    )


async def test_says_since_when_a_log_has_ended(store: EventStore) -> None:
    grant = await opened(store)
    await store.append("k", grant, 0, frames(1, 2))
    before = (await whole(store)).ended
    await store.append("k", grant, 2, frames(3, 3), end="completed")

    ended = (await whole(store)).ended

    assert before is None
    assert ended is not None and ended > 1_700_000_000
    await store.append("k", grant, 2, frames(3, 3), end="completed")
    assert (await whole(store)).ended == ended


async def test_shows_an_append_whole_or_not_at_all(store: EventStore) -> None:
    grant = await opened(store)
    seen: set[int] = set()

    async def write() -> None:
        for after in range(0, 100, 10):
            await store.append("k", grant, after, frames(after + 1, after + 10))
            await asyncio.sleep(0)

    writing = asyncio.create_task(write())
    while not writing.done():
        page = await whole(store)
        assert list(page.frames) == frames(1, page.last)
        seen.add(page.last)
        await asyncio.sleep(0)
    await writing

    assert {last % 10 for last in seen} == {0}


# 5. Hints


async def hinted(watch: Any) -> set[str]:
    async with asyncio.timeout(TIMEOUT):
        keys: set[str] = await watch.get()
        return keys


def _appends(store: EventStore, grant: Grant) -> Awaitable[Any]:
    return store.append("k", grant, 0, frames(1, 1))


def _ends(store: EventStore, grant: Grant) -> Awaitable[Any]:
    return store.append("k", grant, 0, frames(1, 1), end="completed")


def _cancels(store: EventStore, grant: Grant) -> Awaitable[Any]:
    return store.cancel("k")


@pytest.mark.parametrize("change", [_appends, _ends, _cancels])
async def test_hints_at_a_change(store: EventStore, change: Call) -> None:
    grant = await opened(store)
    watch = await store.watch()
    watch.add("k")
    waiting = asyncio.create_task(hinted(watch))
    await asyncio.sleep(0)

    await change(store, grant)

    assert await waiting == {"k"}
    await watch.aclose()


async def test_hints_at_a_log_that_was_reaped(
    store: EventStore, pass_time: PassTime
) -> None:
    await opened(store)
    watch = await store.watch()
    watch.add("k")
    await pass_time(LEASE + 1)

    assert await kept_asking(store, pass_time, 0)

    assert await hinted(watch) == {"k"}
    await watch.aclose()


async def inbox(store: EventStore, *writers: str) -> Watch:
    watch = await store.watch()
    for writer in writers:
        watch.add_writer(writer)
    return watch


async def test_hints_to_the_writer_that_its_log_is_cancelled(
    store: EventStore,
) -> None:
    await opened(store, "one", writer="w")
    await opened(store, "other", writer="v")
    watch = await inbox(store, "w")

    assert [await store.cancel("other"), await store.cancel("one")] == [True, True]

    assert await hinted(watch) == {"one"}
    await watch.aclose()


async def test_hints_to_the_writer_that_it_is_suspected(
    store: EventStore, pass_time: PassTime
) -> None:
    await opened(store, "one", writer="w")
    await opened(store, "other", writer="v")
    watch = await inbox(store, "w")
    await pass_time(LEASE)

    assert not await reap(store, 0, "other")
    assert not await reap(store, 0, "one")

    assert await hinted(watch) == {"one"}
    await watch.aclose()


async def test_hints_again_when_a_suspicion_begins_again(
    store: EventStore, pass_time: PassTime
) -> None:
    await opened(store)
    watch = await inbox(store, "w")
    await pass_time(LEASE)

    for _ in range(3):
        assert not await reap(store, 0)
        assert await hinted(watch) == {"k"}
        await pass_time(LEASE / 4 + 1)
    await watch.aclose()


async def test_does_not_hint_to_the_writer_what_it_writes(store: EventStore) -> None:
    one, _ = await opened(store, "one"), await opened(store, "other")
    watch = await inbox(store, "w")

    await store.append("one", one, 0, frames(1, 2))
    await store.renew("one", one)
    await store.append("one", one, 2, frames(3, 3), end="completed")
    await store.cancel("other")

    assert await hinted(watch) == {"other"}
    await watch.aclose()


async def test_gives_hints_for_writers_and_for_keys_in_one(store: EventStore) -> None:
    await opened(store, "mine", writer="w")
    grant = await opened(store, "watched", writer="v")
    watch = await inbox(store, "w", "u")
    watch.add("watched")
    watch.discard("mine")

    await store.cancel("mine")
    await store.append("watched", grant, 0, frames(1, 1))

    keys: set[str] = set()
    while keys != {"mine", "watched"}:
        keys |= await hinted(watch)
    await watch.aclose()


async def test_keeps_a_hint_until_somebody_asks(store: EventStore) -> None:
    one, other = await opened(store, "one"), await opened(store, "other")
    watch = await store.watch()
    for key in ("one", "other"):
        watch.add(key)

    await store.append("one", one, 0, frames(1, 1))
    await store.append("other", other, 0, frames(1, 1))

    keys: set[str] = set()
    while keys != {"one", "other"}:
        keys |= await hinted(watch)
    await watch.aclose()


async def test_hints_to_everybody_who_watches(store: EventStore) -> None:
    grant = await opened(store)
    watches = [await store.watch() for _ in range(3)]
    for watch in watches:
        watch.add("k")

    await store.append("k", grant, 0, frames(1, 1))

    assert [await hinted(watch) for watch in watches] == [{"k"}] * 3
    for watch in watches:
        await watch.aclose()


async def test_hints_at_no_log_that_is_not_watched(store: EventStore) -> None:
    grants = {key: await opened(store, key) for key in ("watched", "left", "never")}
    watch = await store.watch()
    watch.add("watched")
    watch.add("left")
    watch.discard("left")

    for key in ("never", "left", "watched"):
        await store.append(key, grants[key], 0, frames(1, 1))

    assert await hinted(watch) == {"watched"}
    await watch.aclose()


async def test_may_be_asked_for_hints_again_after_a_cancelled_wait(
    store: EventStore,
) -> None:
    grant = await opened(store)
    watch = await store.watch()
    watch.add("k")
    waiting = asyncio.create_task(hinted(watch))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait({waiting})

    await store.append("k", grant, 0, frames(1, 1))

    assert await hinted(watch) == {"k"}
    await watch.aclose()


# 6. Cancel


async def test_tells_the_writer_to_cancel_with_every_answer(store: EventStore) -> None:
    grant = await opened(store)
    assert await store.renew("k", grant) == Ack(last=0)

    assert [await store.cancel("k"), await store.cancel("k")] == [True, True]

    assert await store.renew("k", grant) == Ack(last=0, cancel=True)
    assert await store.append("k", grant, 0, frames(1, 1)) == Ack(last=1, cancel=True)
    assert await store.append("k", grant, 0, frames(1, 1)) == Ack(last=1, cancel=True)
    assert (await whole(store)).cancel
    last = await store.append("k", grant, 1, frames(2, 2), end="cancelled")
    assert last == Ack(last=2, cancel=True)


async def test_cancels_nothing_that_is_over_or_never_was(store: EventStore) -> None:
    await ended(store)

    assert [await store.cancel("k"), await store.cancel("other")] == [False, False]

    assert not (await whole(store)).cancel


async def test_tells_the_writer_that_somebody_watches(
    store: EventStore, pass_time: PassTime
) -> None:
    grant = await opened(store)

    await store.attend("k", 5.0)

    assert await store.renew("k", grant) == Ack(last=0, watched=True)
    assert await store.append("k", grant, 0, frames(1, 1)) == Ack(last=1, watched=True)
    await pass_time(6)
    assert await store.renew("k", grant) == Ack(last=1, watched=False)


async def test_may_be_told_of_watchers_of_nothing(store: EventStore) -> None:
    await ended(store)
    before = await whole(store)

    await store.attend("k", 5.0)
    await store.attend("other", 5.0)

    assert await whole(store) == before
    assert await store.read("other", 0, 100) is None


# 7. Leases


async def test_suspects_a_writer_that_is_silent_for_half_a_lease(
    store: EventStore, pass_time: PassTime
) -> None:
    await opened(store)

    await pass_time(LEASE / 2 - 1)
    assert (await whole(store)).alive

    await pass_time(2)
    assert not (await whole(store)).alive


async def test_suspects_nobody_whose_log_has_ended(
    store: EventStore, pass_time: PassTime
) -> None:
    await ended(store)

    await pass_time(LEASE)

    assert (await whole(store)).alive


SIGNS = [
    pytest.param(_renew, id="renew"),
    pytest.param(_open, id="open"),
    pytest.param(lambda store, grant: store.append("k", grant, 0, [b"x"]), id="append"),
]


@pytest.mark.parametrize("sign", SIGNS)
async def test_renews_the_lease_with_every_call_of_the_writer(
    store: EventStore, pass_time: PassTime, sign: Call
) -> None:
    grant = await opened(store)

    for _ in range(3):
        await pass_time(LEASE / 2 + 1)
        assert not (await whole(store)).alive
        await sign(store, grant)
        assert (await whole(store)).alive


async def test_reaps_no_log_whose_writer_lives(
    store: EventStore, pass_time: PassTime
) -> None:
    grant = await opened(store)
    await store.append("k", grant, 0, frames(1, 2))
    before = await whole(store)

    for _ in range(8):
        assert not await kept_asking(store, pass_time, 2)
        await store.renew("k", grant)

    assert await whole(store) == before


async def test_reaps_by_no_single_call(store: EventStore, pass_time: PassTime) -> None:
    await opened(store)
    await pass_time(TTL)

    assert [await reap(store, 0) for _ in range(20)] == [False] * 20

    assert (await whole(store)).end is None


async def test_ends_the_log_of_a_dead_writer_and_fences_it(
    store: EventStore, pass_time: PassTime
) -> None:
    grant = await opened(store)
    await store.append("k", grant, 0, frames(1, 2))
    await pass_time(LEASE / 2 + 1)

    assert await kept_asking(store, pass_time, 2)

    page = await whole(store)
    assert page.ended is not None
    assert page == Page(
        first=1,
        last=3,
        end="lost",
        alive=True,
        cancel=False,
        frames=[*frames(1, 2), b"data: lost\n\n"],
        meta={"actor": "research"},
        ended=page.ended,
    )
    with pytest.raises((Fenced, Ended)):
        await store.append("k", grant, 2, frames(3, 3))
    with pytest.raises((Fenced, Ended)):
        await store.append("k", grant, 2, [b"data: lost\n\n"], end="lost")
    with pytest.raises((Fenced, Ended)):
        await store.renew("k", grant)
    with pytest.raises(Ended):
        await opened(store)


async def test_does_not_reap_before_half_a_lease_of_suspicion(
    store: EventStore, pass_time: PassTime
) -> None:
    await opened(store)
    await pass_time(TTL)

    assert not await reap(store, 0)
    await pass_time(LEASE / 4 - 0.5)
    assert not await reap(store, 0)
    await pass_time(LEASE / 4 - 0.5)
    assert not await reap(store, 0)
    await pass_time(1.5)
    assert await reap(store, 0)


@pytest.mark.parametrize(
    "step",
    [
        pytest.param(LEASE / 4 + 1, id="a pause"),
        pytest.param(LEASE * 2, id="a step forward"),
        pytest.param(-LEASE * 2, id="a step back"),
    ],
)
async def test_begins_a_suspicion_again_after(
    store: EventStore, pass_time: PassTime, step: float
) -> None:
    await opened(store)
    await pass_time(LEASE)
    assert not await reap(store, 0)
    await pass_time(LEASE / 4 - 0.5)
    assert not await reap(store, 0)

    await pass_time(step)

    assert not await reap(store, 0)
    await pass_time(LEASE / 4 - 0.5)
    assert not await reap(store, 0)
    assert await kept_asking(store, pass_time, 0)


@pytest.mark.parametrize("sign", SIGNS)
async def test_clears_a_suspicion_at_a_sign_of_life(
    store: EventStore, pass_time: PassTime, sign: Call
) -> None:
    grant = await opened(store)
    await pass_time(LEASE / 2 + 1)
    assert not await reap(store, 0)
    await pass_time(LEASE / 4 - 0.5)
    assert not await reap(store, 0)

    await sign(store, grant)

    last = (await whole(store)).last
    await pass_time(LEASE / 4 - 0.5)
    assert not await reap(store, last)
    await pass_time(LEASE / 4 + 1.5)  # suspected again, and for no time yet
    assert not await reap(store, last)
    await pass_time(LEASE / 4 - 0.5)
    assert not await reap(store, last)


async def test_suspects_at_once_when_its_clock_was_set_back(
    store: EventStore, pass_time: PassTime
) -> None:
    grant = await opened(store)

    await pass_time(-3600)

    assert not (await whole(store)).alive
    assert not await reap(store, 0)
    await store.renew("k", grant)
    assert (await whole(store)).alive
    assert not await kept_asking(store, pass_time, 1)


async def test_reaps_the_log_of_a_dead_writer_though_its_clock_was_set_back(
    store: EventStore, pass_time: PassTime
) -> None:
    await opened(store)
    await pass_time(-3600)

    assert await kept_asking(store, pass_time, 0)

    assert (await whole(store)).end == "lost"


async def test_tells_one_of_several_reapers_that_it_was_the_one(
    store: EventStore, pass_time: PassTime
) -> None:
    await opened(store)
    await pass_time(LEASE + 1)

    reaped: list[bool] = []
    for _ in range(4):
        reaped += await asyncio.gather(*(reap(store, 0) for _ in range(10)))
        await pass_time(LEASE / 4 - 0.3)

    assert sorted(reaped) == [False] * 39 + [True]
    assert (await whole(store)).last == 1


@pytest.mark.parametrize("after", [0, 1, 3])
async def test_reaps_no_log_that_has_gone_on(
    store: EventStore, pass_time: PassTime, after: int
) -> None:
    grant = await opened(store)
    await store.append("k", grant, 0, frames(1, 2))
    await pass_time(LEASE + 1)

    assert not await kept_asking(store, pass_time, after)

    assert (await whole(store)).end is None


async def test_reaps_nothing_that_is_over_or_never_was(
    store: EventStore, pass_time: PassTime
) -> None:
    await ended(store)
    await pass_time(LEASE + 1)

    assert not await kept_asking(store, pass_time, 2)
    assert not await kept_asking(store, pass_time, 0, "other")

    assert (await whole(store)).end == "completed"
    assert await store.read("other", 0, 100) is None


# What a store says of itself


async def test_says_what_it_may_lose(store: EventStore) -> None:
    before = store.generation

    await ended(store)

    assert isinstance(store.durable, bool)
    assert store.settle_time >= 0
    assert store.generation >= before >= 0


# Retention


async def test_keeps_a_log_for_its_time_and_then_forgets_it(
    store: EventStore, pass_time: PassTime
) -> None:
    await ended(store)

    await pass_time(TTL - 1)
    assert (await whole(store)).end == "completed"

    await pass_time(LEASE + 2)
    assert [key async for key in store.keys()] == []
    assert await store.read("k", 0, 100) is None
    assert not await store.cancel("k")
    assert (await opened(store)).last == 0


async def test_does_not_read_what_is_past_its_time(
    store: EventStore, pass_time: PassTime
) -> None:
    await ended(store)

    await pass_time(TTL + LEASE + 1)

    assert await store.read("k", 0, 100) is None


async def test_keeps_a_log_that_is_written_for_longer_than_its_time(
    store: EventStore, pass_time: PassTime
) -> None:
    grant = await opened(store)
    await store.append("k", grant, 0, frames(1, 2))

    for _ in range(10):
        await pass_time(LEASE - 1)
        await store.renew("k", grant)

    assert list((await whole(store)).frames) == frames(1, 2)


async def test_keeps_the_log_of_a_dead_writer_until_it_can_be_reaped(
    store: EventStore, pass_time: PassTime
) -> None:
    await store.open("k", writer="w", lease=LEASE, ttl=4.0, meta={})

    await pass_time(LEASE / 2 + 0.5)

    assert await kept_asking(store, pass_time, 0)


async def test_lets_nobody_write_a_log_whose_time_is_over(
    store: EventStore, pass_time: PassTime
) -> None:
    grant = await ended(store)

    await pass_time(LEASE + TTL + 1)

    with pytest.raises(Missing):
        await store.append("k", grant, 2, frames(3, 3))


async def marked(store: EventStore, key: str) -> None:
    await store.append(key, await opened(store, key), 0, [], end="completed")


async def test_holds_no_mark_in_memory_that_is_past_its_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kind, store = Memory(monkeypatch), MemoryStore()
    await marked(store, "a")
    one = store.held_bytes

    await kind.pass_time(TTL + LEASE + 1)
    await marked(store, "b")

    assert 0 < one == store.held_bytes


async def test_holds_marks_in_memory_for_a_quarter_of_the_limit() -> None:
    store = MemoryStore()
    store.limit(16 * 1024, lambda: False)

    for number in range(10):
        await marked(store, str(number))
    keys = [key async for key in store.keys()]
    held = store.held_bytes
    for key in keys:
        await store.delete(key)

    assert keys == ["6", "7", "8", "9"]
    assert (held, store.held_bytes) == (4 * 1024, 0)


async def test_forgets_what_is_deleted(store: EventStore) -> None:
    await ended(store)

    await store.delete("k")
    await store.delete("k")

    assert await store.read("k", 0, 100) is None
    assert (await opened(store)).last == 0


async def test_lists_its_logs(store: EventStore) -> None:
    for key in ("one", "two", "three"):
        await opened(store, key)
    await store.delete("two")

    assert sorted([key async for key in store.keys()]) == ["one", "three"]


async def test_may_be_closed_twice(store: EventStore) -> None:
    await opened(store)

    await store.aclose()
    await store.aclose()


# At random


CALLS = st.lists(
    st.tuples(
        st.integers(-3, 3), st.integers(0, 4), st.sampled_from([None] * 5 + ["x"])
    )
)


@given(calls=CALLS)
@settings(max_examples=100, deadline=None, derandomize=True)
async def test_keeps_one_to_n_whatever_a_confused_writer_repeats(
    calls: list[tuple[int, int, str | None]],
) -> None:
    store = MemoryStore()
    grant = await opened(store)
    last, end = 0, None

    for shift, count, call_end in calls:
        after = max(last + shift, 0)
        batch = frames(after + 1, after + count)
        if call_end is not None and after + count <= last:
            continue  # a terminal frame that is none
        try:
            await store.append("k", grant, after, batch, end=call_end)
        except Gap as gap:
            assert (after > last, gap.last, end) == (True, last, None)
        except Ended:
            assert end is not None
        else:
            last, end = max(last, after + count), end or call_end
        page = await whole(store)
        assert (list(page.frames), page.end) == (frames(1, last), end)


# The store of one process


async def test_tells_at_once_what_its_writer_has_to_heed() -> None:
    store = MemoryStore()
    grant = await opened(store)

    assert store.append_now("k", grant, 0, frames(1, 1)) is None
    await store.attend("k", 60)
    assert store.append_now("k", grant, 1, frames(2, 2)) == Ack(2, watched=True)
    await store.cancel("k")
    ack = store.append_now("k", grant, 2, frames(3, 3), "completed")
    assert ack == Ack(3, cancel=True, watched=True)


async def test_memory_lets_the_oldest_frames_go_and_says_so() -> None:
    store = MemoryStore(max_events=8)
    grant = await opened(store)

    for after in range(0, 100, 5):
        await store.append("k", grant, after, frames(after + 1, after + 5))
        page = await whole(store)
        assert list(page.frames) == frames(page.first, page.last)
        assert page.last == after + 5
        assert 4 <= len(page.frames) <= 8

    page = await store.read("k", 2, 1)
    assert page is not None
    assert page.first > 90
    assert list(page.frames) == frames(page.first, page.first)


async def test_memory_is_bounded_in_bytes() -> None:
    store = MemoryStore(max_bytes=1_000)
    grant = await opened(store)

    for after in range(100):
        await store.append("k", grant, after, [b"x" * 90])
        assert len(b"".join((await whole(store)).frames)) <= 1_000
    await store.append("k", grant, 100, [b"y" * 5_000])

    page = await whole(store)
    assert (page.first, list(page.frames)) == (101, [b"y" * 5_000])


async def test_memory_makes_room_beyond_its_limit_then_cuts_the_largest() -> None:
    store = MemoryStore()
    ended = ["a", "b"]

    def make_room() -> bool:
        if ended:
            store.discard(ended.pop(0))
            return True
        return False

    grants = {key: await opened(store, key) for key in ("a", "b", "small", "large")}
    for key in ("a", "b", "small"):
        await store.append(key, grants[key], 0, [b"x" * 1000] * 4)
    store.limit(store.held_bytes + 3000, make_room)
    before = store.held_bytes
    await store.append("large", grants["large"], 0, [b"x" * 1000] * 4)
    made_room = (store.held_bytes <= before, list(ended))
    for number in range(4, 40):
        await store.append("large", grants["large"], number, [b"x" * 1000])

    small, large = await whole(store, "small"), await whole(store, "large")
    assert made_room == (True, ["b"])
    assert ended == []
    assert store.held_bytes <= before + 3000
    assert (small.first, small.last) == (1, 4)
    assert large.first > 20 and large.last == 40
    assert len(large.frames) == 41 - large.first


async def test_memory_counts_nothing_of_what_is_gone() -> None:
    store = MemoryStore(max_events=8)
    grant = await opened(store)
    empty = store.held_bytes
    for number in range(20):
        await store.append("k", grant, number, [b"x" * 100])
    held = store.held_bytes
    await store.append("k", grant, 20, [b"end"], end="completed")
    await store.delete("k")

    assert held - empty <= 8 * 250
    assert store.held_bytes == 0


@pytest.mark.parametrize(
    "bounds", [{"max_events": 3}, {"max_bytes": 0}], ids=["events", "bytes"]
)
def test_memory_refuses_bounds_that_hold_nothing(bounds: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="max_events must be at least 4"):
        MemoryStore(**bounds)


def test_is_opened_by_the_scheme_of_its_url() -> None:
    assert isinstance(open_store("memory://"), MemoryStore)


@pytest.mark.parametrize("url", ["", "memory", "carrier-pigeon://loft", "://"])
def test_is_not_opened_by_a_scheme_that_nobody_knows(url: str) -> None:
    with pytest.raises(ValueError, match="There is no store for .*memory://"):
        open_store(url)
