"""Leases, suspicions and reaping (promise 7)."""

import asyncio

import pytest

from asgi_events.exceptions import Ended, Fenced
from asgi_events.stores import EventStore, Page
from asgi_events.testing.stores.case import (
    LEASE,
    TTL,
    Call,
    StoreCase,
    ended,
    frames,
    open_again,
    opened,
    reap,
    renew,
    whole,
)

SIGNS = [
    pytest.param(renew, id="renew"),
    pytest.param(open_again, id="open"),
    pytest.param(lambda store, grant: store.append("k", grant, 0, [b"x"]), id="append"),
]


class Leases(StoreCase):
    """A dead writer's log can be ended, and a living writer's cannot."""

    async def test_suspects_a_writer_that_is_silent_for_half_a_lease(
        self, store: EventStore
    ) -> None:
        await opened(store)

        await self.advance(store, LEASE / 2 - 1)
        assert (await whole(store)).alive

        await self.advance(store, 2)
        assert not (await whole(store)).alive

    async def test_suspects_nobody_whose_log_has_ended(self, store: EventStore) -> None:
        await ended(store)

        await self.advance(store, LEASE)

        assert (await whole(store)).alive

    @pytest.mark.parametrize("sign", SIGNS)
    async def test_renews_the_lease_with_every_call_of_the_writer(
        self, store: EventStore, sign: Call
    ) -> None:
        grant = await opened(store)

        for _ in range(3):
            await self.advance(store, LEASE / 2 + 1)
            assert not (await whole(store)).alive
            await sign(store, grant)
            assert (await whole(store)).alive

    async def test_reaps_no_log_whose_writer_lives(self, store: EventStore) -> None:
        grant = await opened(store)
        await store.append("k", grant, 0, frames(1, 2))
        before = await whole(store)

        for _ in range(8):
            assert not await self.kept_asking(store, 2)
            await store.renew("k", grant)

        assert await whole(store) == before

    async def test_reaps_by_no_single_call(self, store: EventStore) -> None:
        await opened(store)
        await self.advance(store, TTL)

        assert [await reap(store, 0) for _ in range(20)] == [False] * 20

        assert (await whole(store)).end is None

    async def test_ends_the_log_of_a_dead_writer_and_fences_it(
        self, store: EventStore
    ) -> None:
        grant = await opened(store)
        await store.append("k", grant, 0, frames(1, 2))
        await self.advance(store, LEASE / 2 + 1)

        assert await self.kept_asking(store, 2)

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
        self, store: EventStore
    ) -> None:
        await opened(store)
        await self.advance(store, TTL)

        assert not await reap(store, 0)
        await self.advance(store, LEASE / 4 - 0.5)
        assert not await reap(store, 0)
        await self.advance(store, LEASE / 4 - 0.5)
        assert not await reap(store, 0)
        await self.advance(store, 1.5)
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
        self, store: EventStore, step: float
    ) -> None:
        await opened(store)
        await self.advance(store, LEASE)
        assert not await reap(store, 0)
        await self.advance(store, LEASE / 4 - 0.5)
        assert not await reap(store, 0)

        await self.advance(store, step)

        assert not await reap(store, 0)
        await self.advance(store, LEASE / 4 - 0.5)
        assert not await reap(store, 0)
        assert await self.kept_asking(store, 0)

    @pytest.mark.parametrize("sign", SIGNS)
    async def test_clears_a_suspicion_at_a_sign_of_life(
        self, store: EventStore, sign: Call
    ) -> None:
        grant = await opened(store)
        await self.advance(store, LEASE / 2 + 1)
        assert not await reap(store, 0)
        await self.advance(store, LEASE / 4 - 0.5)
        assert not await reap(store, 0)

        await sign(store, grant)

        last = (await whole(store)).last
        await self.advance(store, LEASE / 4 - 0.5)
        assert not await reap(store, last)
        await self.advance(
            store, LEASE / 4 + 1.5
        )  # suspected again, and for no time yet
        assert not await reap(store, last)
        await self.advance(store, LEASE / 4 - 0.5)
        assert not await reap(store, last)

    async def test_suspects_at_once_when_its_clock_was_set_back(
        self, store: EventStore
    ) -> None:
        grant = await opened(store)

        await self.advance(store, -3600)

        assert not (await whole(store)).alive
        assert not await reap(store, 0)
        await store.renew("k", grant)
        assert (await whole(store)).alive
        assert not await self.kept_asking(store, 1)

    async def test_reaps_the_log_of_a_dead_writer_though_its_clock_was_set_back(
        self, store: EventStore
    ) -> None:
        await opened(store)
        await self.advance(store, -3600)

        assert await self.kept_asking(store, 0)

        assert (await whole(store)).end == "lost"

    async def test_tells_one_of_several_reapers_that_it_was_the_one(
        self, store: EventStore
    ) -> None:
        await opened(store)
        await self.advance(store, LEASE + 1)

        reaped: list[bool] = []
        for _ in range(6):
            reaped += await asyncio.gather(*(reap(store, 0) for _ in range(10)))
            # Half of the longest gap: a busy machine may take as long again.
            await self.advance(store, LEASE / 8)

        assert sorted(reaped) == [False] * 59 + [True]
        assert (await whole(store)).last == 1

    @pytest.mark.parametrize("after", [0, 1, 3])
    async def test_reaps_no_log_that_has_gone_on(
        self, store: EventStore, after: int
    ) -> None:
        grant = await opened(store)
        await store.append("k", grant, 0, frames(1, 2))
        await self.advance(store, LEASE + 1)

        assert not await self.kept_asking(store, after)

        assert (await whole(store)).end is None

    async def test_reaps_nothing_that_is_over_or_never_was(
        self, store: EventStore
    ) -> None:
        await ended(store)
        await self.advance(store, LEASE + 1)

        assert not await self.kept_asking(store, 2)
        assert not await self.kept_asking(store, 0, "other")

        assert (await whole(store)).end == "completed"
        assert await store.read("other", 0, 100) is None
