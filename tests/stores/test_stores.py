"""The contract of stores, run against each of ours, and what is special in memory."""

import random
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import Any, Protocol

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asgi_events.exceptions import Ended, Gap
from asgi_events.stores import (
    EventStore,
    memory,
    open_store,
)
from asgi_events.stores.memory import MemoryStore
from asgi_events.stores.redis import RedisStore
from asgi_events.stores.sqlite import SQLiteStore
from asgi_events.stores.sqlite import logs as sqlite_logs
from asgi_events.testing.stores import StoreContract
from asgi_events.testing.stores.case import LEASE, TTL, frames, opened, whole
from tests.stores.listed import Model
from tests.valkey import Valkey


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
        real = sqlite_logs.clock
        self._ahead = 0.0
        self._path = path
        monkeypatch.setattr(sqlite_logs, "clock", lambda: real() + self._ahead)

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


class TestEachStore(StoreContract):
    @pytest.fixture(autouse=True)
    def of_a_kind(self, kind: Kind) -> None:
        self.kind = kind

    async def make(self) -> EventStore:
        return self.kind.open()

    async def advance(self, store: EventStore, seconds: float) -> None:
        await self.kind.pass_time(seconds)

    @pytest.mark.parametrize("seed", range(3))
    async def test_lists_what_a_model_of_it_lists(
        self, store: EventStore, seed: int
    ) -> None:
        await Model(store, self.kind.pass_time, random.Random(seed)).run(150)


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
    store = MemoryStore(max_retained_bytes=16 * 1024)

    for number in range(10):
        await marked(store, str(number))
    keys = [key async for key in store.keys()]
    held = store.held_bytes
    for key in keys:
        await store.delete(key)

    assert keys == ["6", "7", "8", "9"]
    assert (held, store.held_bytes) == (4 * 1024, 0)


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


async def test_memory_deletes_what_ended_first_then_cuts_the_largest() -> None:
    store = MemoryStore(max_retained_bytes=30_000)
    grants = {key: await opened(store, key) for key in ("a", "b", "small", "large")}
    for key in ("b", "a"):
        await store.append(key, grants[key], 0, [b"x" * 1000] * 3, end="completed")
    await store.append("small", grants["small"], 0, [b"x" * 1000] * 3)
    await store.append("large", grants["large"], 0, [b"x" * 1000] * 4)
    kept = [key async for key in store.keys()]
    for number in range(4, 40):
        await store.append("large", grants["large"], number, [b"x" * 1000])

    small, large = await whole(store, "small"), await whole(store, "large")
    assert kept == ["a", "small", "large"]
    assert [key async for key in store.keys()] == ["small", "large"]
    assert store.held_bytes <= 30_000
    assert (small.first, small.last) == (1, 3)
    assert large.first > 20 and large.last == 40
    assert len(large.frames) == 41 - large.first


async def test_memory_deletes_logs_whose_writers_are_silent_before_it_cuts_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kind, store = Memory(monkeypatch), MemoryStore(max_retained_bytes=20_000)
    for key in ("a", "b"):
        await opened(store, key)
        await kind.pass_time(1.0)
    await kind.pass_time(LEASE)
    grant = await opened(store, "c")
    for number in range(9):
        await store.append("c", grant, number, [b"x" * 1000])

    assert [key async for key in store.keys()] == ["b", "c"]
    assert (await whole(store, "c")).first == 1
    assert store.held_bytes <= 20_000


async def test_memory_deletes_what_is_past_its_time_when_another_log_is_opened(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kind, store = Memory(monkeypatch), MemoryStore()
    grant = await opened(store, "a")
    await store.append("a", grant, 0, frames(1, 2), end="completed")
    await store.delete("a")
    await store.append("b", await opened(store, "b"), 0, frames(1, 2), end="completed")

    await kind.pass_time(TTL + LEASE + 1)
    await opened(store, "c")
    held = store.held_bytes
    await store.delete("c")

    assert held > store.held_bytes == 0


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
