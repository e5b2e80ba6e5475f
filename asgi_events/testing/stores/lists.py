"""The list of executions: what is in it, in which order, page by page (promise 8)."""

from __future__ import annotations

import asyncio

import pytest

from asgi_events.stores import EventStore, Grant, Position
from asgi_events.testing.stores.case import LEASE, TTL, StoreCase, frames


class Lists(StoreCase):
    """Executions are listed, the newest first, as long as their logs are kept."""

    async def test_lists_executions_the_newest_first(self, store: EventStore) -> None:
        for key, second in (("b", 2), ("c", 3), ("a", 1), ("d", 2)):
            await started(store, key, second)

        assert await keys(store) == ["c", "d", "b", "a"]

    async def test_lists_what_a_read_says(self, store: EventStore) -> None:
        await started(store, "runs", 1, owner="ann", thread="t")
        grant = await started(store, "ended", 2)
        await store.append("ended", grant, 0, frames(1, 3), end="failed")
        await store.cancel("runs")

        listed = await store.list({}, limit=10)

        expected = [(key, await store.read(key, 0, 0)) for key in ("ended", "runs")]
        assert list(listed) == expected

    async def test_lists_no_log_that_is_no_execution(self, store: EventStore) -> None:
        await started(store, "execution", 1)
        await started(store, "idempotency:key", 2)
        await started(store, "thread:t", 3)
        meta = {"actor": "research", "owner": "ann"}
        await store.open("undated", writer="w", lease=LEASE, ttl=TTL, meta=meta)

        assert await keys(store) == ["execution"]
        assert await keys(store, owner="ann") == []

    @pytest.mark.parametrize(
        ("match", "found"),
        [
            ({"owner": "ann"}, ["4", "3", "1"]),
            ({"owner": None}, ["5"]),
            ({"owner": "nobody"}, []),
            ({"actor": "chat"}, ["4", "2"]),
            ({"thread": "t"}, ["3", "2", "1"]),
            ({"owner": "ann", "actor": "chat"}, ["4"]),
            ({"owner": "ann", "thread": "t"}, ["3", "1"]),
            ({"owner": None, "actor": "research"}, ["5"]),
            ({"owner": None, "thread": "t"}, []),
            ({"owner": "bob", "actor": "research"}, []),
        ],
        ids=str,
    )
    async def test_lists_what_matches(
        self, store: EventStore, match: dict[str, str | None], found: list[str]
    ) -> None:
        await started(store, "1", 1, owner="ann", thread="t")
        await started(store, "2", 2, owner="bob", thread="t", actor="chat")
        await started(store, "3", 3, owner="ann", thread="t")
        await started(store, "4", 4, owner="ann", actor="chat")
        await started(store, "5", 5)

        assert [key for key, _ in await store.list(match, limit=50)] == found

    async def test_tells_names_apart_whatever_they_are(self, store: EventStore) -> None:
        names = [
            "a b",
            "a",
            "a:b",
            "A",
            "ü",
            "%",
            "%25",
            "{a}",
            "'",
            "\ud800",
            "\ud801",
        ]
        for number, name in enumerate(names):
            await started(store, f"k{number}", number, owner=name, actor=name)

        found = [await keys(store, owner=name, actor=name) for name in names]

        assert found == [[f"k{number}"] for number in range(len(names))]

    async def test_lists_by_status(self, store: EventStore) -> None:
        for second, status in enumerate(("completed", "failed", "completed", "lost")):
            grant = await started(store, f"{second}-{status}", second, owner="ann")
            key = f"{second}-{status}"
            await store.append(key, grant, 0, frames(1, 1), end=status)
        await started(store, "4-runs", 4, owner="ann")
        await started(store, "5-runs", 5)

        found = {
            status: (await keys(store, status), await keys(store, status, owner="ann"))
            for status in ("started", "completed", "failed", "cancelled", "lost")
        }

        assert found == {
            "started": (["5-runs", "4-runs"], ["4-runs"]),
            "completed": (["2-completed", "0-completed"],) * 2,
            "failed": (["1-failed"],) * 2,
            "cancelled": ([], []),
            "lost": (["3-lost"],) * 2,
        }

    async def test_lists_as_lost_what_nobody_writes(self, store: EventStore) -> None:
        await started(store, "1-dead", 1)
        grant = await started(store, "2-ended", 2)
        await store.append("2-ended", grant, 0, frames(1, 1), end="lost")
        grant = await started(store, "3-alive", 3)
        await started(store, "4-dead", 4)

        await self.advance(store, LEASE / 2 + 1)
        await store.renew("3-alive", grant)

        assert await keys(store, "started") == ["3-alive"]
        assert await keys(store, "lost") == ["4-dead", "2-ended", "1-dead"]
        assert await keys(store, "lost", limit=2) == ["4-dead", "2-ended"]
        assert await keys(store) == ["4-dead", "3-alive", "2-ended", "1-dead"]

    async def test_lists_what_was_reaped_as_it_ended(self, store: EventStore) -> None:
        await started(store, "k", 1)
        await self.advance(store, LEASE + 1)

        assert await self.kept_asking(store, 0)

        listed = await store.list({"owner": None}, status="lost", limit=10)
        assert [(key, page.end, page.last) for key, page in listed] == [
            ("k", "lost", 1)
        ]
        assert await keys(store, "started") == []

    @pytest.mark.parametrize("limit", [1, 2, 3, 7, 8])
    @pytest.mark.parametrize("status", [None, "completed"])
    async def test_lists_page_by_page(
        self, store: EventStore, limit: int, status: str | None
    ) -> None:
        for number in range(8):  # several at one moment
            grant = await started(store, f"k{number}", number // 3, owner="ann")
            if status is not None:
                await store.append(f"k{number}", grant, 0, frames(1, 1), end=status)

        assert await pages(store, limit, status) == [f"k{n}" for n in range(7, -1, -1)]
        assert await pages(store, limit, status, owner="ann") == [
            f"k{n}" for n in range(7, -1, -1)
        ]

    async def test_lists_each_once_while_others_come_and_go(
        self, store: EventStore
    ) -> None:
        for number in range(20, 40):
            await started(store, f"k{number}", number)
        first = await store.list({}, limit=5)

        await started(store, "k50", 50)  # newer than all
        await started(store, "k10", 10)  # by a clock that is late
        await store.delete(first[-1][0])
        await store.delete("k30")
        found = [key for key, _ in first] + await pages(store, 5, after=first[-1])

        kept = [f"k{n}" for n in range(39, 19, -1) if n != 30]
        assert found == [*kept, "k10"]

    async def test_lists_nothing_after_a_place_at_the_end(
        self, store: EventStore
    ) -> None:
        await started(store, "k", 5)

        for place, found in ((moment(4), []), (moment(5), []), (moment(6), ["k"])):
            before = Position(place, "k")
            listed = await store.list({}, before=before, limit=5)
            assert [key for key, _ in listed] == found

    async def test_lists_no_log_that_was_deleted_or_is_past_its_time(
        self, store: EventStore
    ) -> None:
        for number in range(5):
            grant = await started(store, f"k{number}", number, owner="ann", thread="t")
            await store.append(f"k{number}", grant, 0, frames(1, 1), end="completed")
        await store.delete("k3")
        assert await keys(store) == ["k4", "k2", "k1", "k0"]

        await self.advance(store, LEASE + TTL + 1)
        await started(store, "new", 9)

        assert await keys(store) == ["new"]
        assert await keys(store, owner="ann") == []
        assert await keys(store, thread="t") == []
        assert await keys(store, "completed") == []

    async def test_lists_a_key_that_is_used_again_once(self, store: EventStore) -> None:
        await started(store, "k", 1, owner="ann")
        await store.delete("k")
        await started(store, "k", 2, owner="bob")
        assert (await keys(store), await keys(store, owner="ann")) == (["k"], [])

        await self.advance(store, LEASE + TTL + 1)
        if await store.read("k", 0, 0) is None:
            grant = await started(store, "k", 3)
            await store.append("k", grant, 0, frames(1, 1), end="completed")

        assert await keys(store) == ["k"]

    async def test_lists_long_what_is_written_for_longer_than_its_time(
        self, store: EventStore
    ) -> None:
        grant = await started(store, "k", 1)
        for number in range(10):
            await self.advance(store, LEASE - 1)
            await store.renew("k", grant)
            await started(store, f"other{number}", 2)

        assert (await keys(store))[-1] == "k"
        await store.append("k", grant, 0, frames(1, 1), end="completed")
        await self.advance(store, TTL - 1)
        assert await keys(store, "completed") == ["k"]

    async def test_lists_what_many_open_and_end_at_once(
        self, store: EventStore
    ) -> None:
        async def run(number: int) -> None:
            grant = await started(store, f"k{number}", number, owner="ann")
            if number % 2:
                last = frames(1, 1)
                await store.append(f"k{number}", grant, 0, last, end="completed")

        await asyncio.gather(*(run(number) for number in range(30)))

        assert await pages(store, 7, "completed", owner="ann") == [
            f"k{n}" for n in range(29, 0, -2)
        ]
        assert await pages(store, 7, "started", owner="ann") == [
            f"k{n}" for n in range(28, -1, -2)
        ]


def moment(second: int) -> str:
    """Return a moment as ``meta`` has it."""
    return f"2026-11-30T12:00:{second:02}.000001+00:00"


async def started(
    store: EventStore, key: str, second: int, *, actor: str = "research", **facts: str
) -> Grant:
    """Open the log of an execution."""
    meta = {"actor": actor, "created": moment(second), **facts}
    return await store.open(key, writer="w", lease=LEASE, ttl=TTL, meta=meta)


async def keys(
    store: EventStore,
    status: str | None = None,
    *,
    limit: int = 50,
    **match: str | None,
) -> list[str]:
    """Return the keys that are listed."""
    return [key for key, _ in await store.list(match, status=status, limit=limit)]


async def pages(
    store: EventStore,
    limit: int,
    status: str | None = None,
    *,
    after: tuple[str, object] | None = None,
    **match: str | None,
) -> list[str]:
    """Return the keys of all pages of ``limit`` executions, or of those after one."""
    found: list[str] = []
    before = None
    if after is not None:
        key, page = after
        before = Position(page.meta["created"], key)  # type: ignore[attr-defined]
    while True:
        listed = await store.list(match, status=status, before=before, limit=limit)
        found += [key for key, _ in listed]
        if len(listed) < limit:
            return found
        key, last = listed[-1]
        before = Position(last.meta["created"], key)
