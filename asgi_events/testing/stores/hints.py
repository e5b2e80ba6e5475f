"""Watches hint at what has changed (promise 5)."""

import asyncio

import pytest

from asgi_events.stores import EventStore
from asgi_events.testing.stores.case import (
    LEASE,
    Call,
    StoreCase,
    append_one,
    append_the_end,
    cancel,
    frames,
    inbox,
    opened,
    reap,
)


class Hints(StoreCase):
    """A watch hints at changes of its logs, and at what its writers are asked for."""

    @pytest.mark.parametrize("change", [append_one, append_the_end, cancel])
    async def test_hints_at_a_change(self, store: EventStore, change: Call) -> None:
        grant = await opened(store)
        watch = await store.watch()
        watch.add("k")
        waiting = asyncio.create_task(self.hinted(watch))
        await asyncio.sleep(0)

        await change(store, grant)

        assert await waiting == {"k"}
        await watch.aclose()

    async def test_hints_at_a_log_that_was_reaped(self, store: EventStore) -> None:
        await opened(store)
        watch = await store.watch()
        watch.add("k")
        await self.advance(store, LEASE + 1)

        assert await self.kept_asking(store, 0)

        assert await self.hinted(watch) == {"k"}
        await watch.aclose()

    async def test_hints_to_the_writer_that_its_log_is_cancelled(
        self,
        store: EventStore,
    ) -> None:
        await opened(store, "one", writer="w")
        await opened(store, "other", writer="v")
        watch = await inbox(store, "w")

        assert [await store.cancel("other"), await store.cancel("one")] == [True, True]

        assert await self.hinted(watch) == {"one"}
        await watch.aclose()

    async def test_hints_to_the_writer_that_it_is_suspected(
        self, store: EventStore
    ) -> None:
        await opened(store, "one", writer="w")
        await opened(store, "other", writer="v")
        watch = await inbox(store, "w")
        await self.advance(store, LEASE)

        assert not await reap(store, 0, "other")
        assert not await reap(store, 0, "one")

        assert await self.hinted(watch) == {"one"}
        await watch.aclose()

    async def test_hints_again_when_a_suspicion_begins_again(
        self, store: EventStore
    ) -> None:
        await opened(store)
        watch = await inbox(store, "w")
        await self.advance(store, LEASE)

        for _ in range(3):
            assert not await reap(store, 0)
            assert await self.hinted(watch) == {"k"}
            await self.advance(store, LEASE / 4 + 1)
        await watch.aclose()

    async def test_does_not_hint_to_the_writer_what_it_writes(
        self, store: EventStore
    ) -> None:
        one, _ = await opened(store, "one"), await opened(store, "other")
        watch = await inbox(store, "w")

        await store.append("one", one, 0, frames(1, 2))
        await store.renew("one", one)
        await store.append("one", one, 2, frames(3, 3), end="completed")
        await store.cancel("other")

        assert await self.hinted(watch) == {"other"}
        await watch.aclose()

    async def test_gives_hints_for_writers_and_for_keys_in_one(
        self, store: EventStore
    ) -> None:
        await opened(store, "mine", writer="w")
        grant = await opened(store, "watched", writer="v")
        watch = await inbox(store, "w", "u")
        watch.add("watched")
        watch.discard("mine")

        await store.cancel("mine")
        await store.append("watched", grant, 0, frames(1, 1))

        keys: set[str] = set()
        while keys != {"mine", "watched"}:
            keys |= await self.hinted(watch)
        await watch.aclose()

    async def test_keeps_a_hint_until_somebody_asks(self, store: EventStore) -> None:
        one, other = await opened(store, "one"), await opened(store, "other")
        watch = await store.watch()
        for key in ("one", "other"):
            watch.add(key)

        await store.append("one", one, 0, frames(1, 1))
        await store.append("other", other, 0, frames(1, 1))

        keys: set[str] = set()
        while keys != {"one", "other"}:
            keys |= await self.hinted(watch)
        await watch.aclose()

    async def test_hints_to_everybody_who_watches(self, store: EventStore) -> None:
        grant = await opened(store)
        watches = [await store.watch() for _ in range(3)]
        for watch in watches:
            watch.add("k")

        await store.append("k", grant, 0, frames(1, 1))

        assert [await self.hinted(watch) for watch in watches] == [{"k"}] * 3
        for watch in watches:
            await watch.aclose()

    async def test_hints_at_no_log_that_is_not_watched(self, store: EventStore) -> None:
        grants = {key: await opened(store, key) for key in ("watched", "left", "never")}
        watch = await store.watch()
        watch.add("watched")
        watch.add("left")
        watch.discard("left")

        for key in ("never", "left", "watched"):
            await store.append(key, grants[key], 0, frames(1, 1))

        assert await self.hinted(watch) == {"watched"}
        await watch.aclose()

    async def test_may_be_asked_for_hints_again_after_a_cancelled_wait(
        self,
        store: EventStore,
    ) -> None:
        grant = await opened(store)
        watch = await store.watch()
        watch.add("k")
        waiting = asyncio.create_task(self.hinted(watch))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait({waiting})

        await store.append("k", grant, 0, frames(1, 1))

        assert await self.hinted(watch) == {"k"}
        await watch.aclose()
