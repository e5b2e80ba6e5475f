"""How long logs are kept, how they are deleted and listed, and what a store says of
itself."""

import pytest

from asgi_events.exceptions import Missing
from asgi_events.stores import EventStore
from asgi_events.testing.stores.case import (
    LEASE,
    TTL,
    StoreCase,
    ended,
    frames,
    opened,
    whole,
)


class Retention(StoreCase):
    """A log is kept for its time, and can be listed and deleted."""

    async def test_says_what_it_may_lose(self, store: EventStore) -> None:
        before = store.generation

        await ended(store)

        assert isinstance(store.durable, bool)
        assert store.settle_time >= 0
        assert store.generation >= before >= 0

    async def test_keeps_a_log_for_its_time_and_then_forgets_it(
        self, store: EventStore
    ) -> None:
        await ended(store)

        await self.advance(store, TTL - 1)
        assert (await whole(store)).end == "completed"

        await self.advance(store, LEASE + 2)
        assert [key async for key in store.keys()] == []
        assert await store.read("k", 0, 100) is None
        assert not await store.cancel("k")
        assert (await opened(store)).last == 0

    async def test_does_not_read_what_is_past_its_time(self, store: EventStore) -> None:
        await ended(store)

        await self.advance(store, TTL + LEASE + 1)

        assert await store.read("k", 0, 100) is None

    async def test_keeps_a_log_that_is_written_for_longer_than_its_time(
        self, store: EventStore
    ) -> None:
        grant = await opened(store)
        await store.append("k", grant, 0, frames(1, 2))

        for _ in range(10):
            await self.advance(store, LEASE - 1)
            await store.renew("k", grant)

        assert list((await whole(store)).frames) == frames(1, 2)

    async def test_keeps_the_log_of_a_dead_writer_until_it_can_be_reaped(
        self, store: EventStore
    ) -> None:
        await store.open("k", writer="w", lease=LEASE, ttl=4.0, meta={})

        await self.advance(store, LEASE / 2 + 0.5)

        assert await self.kept_asking(store, 0)

    async def test_lets_nobody_write_a_log_whose_time_is_over(
        self, store: EventStore
    ) -> None:
        grant = await ended(store)

        await self.advance(store, LEASE + TTL + 1)

        with pytest.raises(Missing):
            await store.append("k", grant, 2, frames(3, 3))

    async def test_forgets_what_is_deleted(self, store: EventStore) -> None:
        await ended(store)

        await store.delete("k")
        await store.delete("k")

        assert await store.read("k", 0, 100) is None
        assert (await opened(store)).last == 0

    async def test_lists_its_logs(self, store: EventStore) -> None:
        for key in ("one", "two", "three"):
            await opened(store, key)
        await store.delete("two")

        assert sorted([key async for key in store.keys()]) == ["one", "three"]

    async def test_may_be_closed_twice(self, store: EventStore) -> None:
        await opened(store)

        await store.aclose()
        await store.aclose()
