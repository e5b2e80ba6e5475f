"""Numbers without holes, and appends that compare and set (promises 1 and 2)."""

import asyncio

import pytest

from asgi_events.exceptions import Ended, Gap
from asgi_events.stores import Ack, EventStore, Page
from asgi_events.testing.stores.case import (
    LEASE,
    TTL,
    StoreCase,
    frames,
    opened,
    whole,
)


class Appends(StoreCase):
    """A log's frames are numbered without holes; an append repeats without harm."""

    async def test_opens_a_new_log_at_nothing(self, store: EventStore) -> None:
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

    async def test_keeps_frames_byte_for_byte_and_in_order(
        self, store: EventStore
    ) -> None:
        grant = await opened(store)
        given_frames = [b"data: \xe2\x80\xa8\0\r\n\xff\n\n", b"", b"x" * 100_000]

        assert await store.append("k", grant, 0, given_frames[:2]) == Ack(last=2)
        assert await store.append("k", grant, 2, given_frames[2:]) == Ack(last=3)

        page = await whole(store)
        assert (page.first, page.last) == (1, 3)
        assert list(page.frames) == given_frames

    async def test_keeps_logs_apart(self, store: EventStore) -> None:
        one, other = await opened(store, "one"), await opened(store, "other")

        await store.append("one", one, 0, frames(1, 2))
        await store.append("other", other, 0, frames(1, 1), end="completed")

        first, second = await whole(store, "one"), await whole(store, "other")
        assert (first.last, first.end) == (2, None)
        assert (second.last, second.end) == (1, "completed")

    async def test_keeps_what_it_was_given_and_not_a_view_of_it(
        self, store: EventStore
    ) -> None:
        meta = {"actor": "research"}
        grant = await store.open("k", writer="w", lease=LEASE, ttl=TTL, meta=meta)
        batch = frames(1, 2)
        await store.append("k", grant, 0, batch)

        batch.clear()
        meta.clear()

        page = await whole(store)
        assert list(page.frames) == frames(1, 2)
        assert page.meta == {"actor": "research"}

    async def test_knows_nothing_of_other_logs(self, store: EventStore) -> None:
        await opened(store)

        assert await store.read("other", 0, 100) is None

    async def test_answers_the_same_call_again_the_same(
        self, store: EventStore
    ) -> None:
        grant = await opened(store)

        answers = [await store.append("k", grant, 0, frames(1, 3)) for _ in range(3)]

        assert answers == [Ack(last=3)] * 3
        assert list((await whole(store)).frames) == frames(1, 3)

    async def test_answers_the_terminal_call_again_the_same(
        self, store: EventStore
    ) -> None:
        grant = await opened(store)
        await store.append("k", grant, 0, frames(1, 2))

        answers = [
            await store.append("k", grant, 2, frames(3, 4), end="completed")
            for _ in range(3)
        ]

        assert answers == [Ack(last=4)] * 3
        page = await whole(store)
        assert (list(page.frames), page.end) == (frames(1, 4), "completed")

    async def test_ends_a_log_that_has_no_frames(self, store: EventStore) -> None:
        grant = await opened(store)

        acks = [
            await store.append("k", grant, 0, [], end="completed") for _ in range(2)
        ]
        with pytest.raises(Ended):
            await store.append("k", grant, 0, [], end="failed")
        with pytest.raises(Ended):
            await opened(store)

        page = await whole(store)
        assert acks == [Ack(last=0)] * 2
        assert (page.end, page.last, list(page.frames)) == ("completed", 0, [])

    async def test_stores_only_what_it_has_not(self, store: EventStore) -> None:
        grant = await opened(store)
        await store.append("k", grant, 0, frames(1, 3))

        assert await store.append("k", grant, 1, frames(2, 5)) == Ack(last=5)
        assert await store.append("k", grant, 1, frames(2, 3)) == Ack(last=5)

        assert list((await whole(store)).frames) == frames(1, 5)

    async def test_leaves_no_gap(self, store: EventStore) -> None:
        grant = await opened(store)
        await store.append("k", grant, 0, frames(1, 2))

        with pytest.raises(Gap, match="ends at 2") as caught:
            await store.append("k", grant, 3, frames(4, 5))

        assert caught.value.last == 2
        assert list((await whole(store)).frames) == frames(1, 2)
        assert await store.append("k", grant, 2, frames(3, 5)) == Ack(last=5)

    async def test_begins_a_new_log_after_a_number(self, store: EventStore) -> None:
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
        self, store: EventStore
    ) -> None:
        await store.open("k", writer="w", lease=LEASE, ttl=TTL, meta={}, after=7)
        await self.advance(store, LEASE)

        assert await self.kept_asking(store, 7)

        page = await whole(store)
        assert (page.first, page.last, list(page.frames)) == (8, 8, [b"data: lost\n\n"])

    async def test_opens_again_where_the_log_stands_whatever_it_is_asked(
        self,
        store: EventStore,
    ) -> None:
        first = await opened(store)
        await store.append("k", first, 0, frames(1, 2))

        again = await store.open(
            "k", writer="w", lease=LEASE, ttl=TTL, meta={}, after=7
        )

        assert again.last == 2
        page = await whole(store)
        assert (page.first, list(page.frames)) == (1, frames(1, 2))
        assert page.meta == {"actor": "research"}

    async def test_opens_again_for_the_same_writer(self, store: EventStore) -> None:
        first = await opened(store)
        await store.append("k", first, 0, frames(1, 2))

        again = await opened(store)

        assert again.last == 2
        assert await store.append("k", again, 2, frames(3, 3)) == Ack(last=3)
        assert await store.append("k", first, 3, frames(4, 4)) == Ack(last=4)

    async def test_keeps_the_first_of_several_appends_at_one_number(
        self, store: EventStore
    ) -> None:
        grants = [await opened(store) for _ in range(10)]

        acks = await asyncio.gather(
            *(store.append("k", each, 0, [b"%d" % n]) for n, each in enumerate(grants))
        )

        page = await whole(store)
        assert acks == [Ack(last=1)] * 10
        assert (page.last, len(page.frames)) == (1, 1)
        await store.append("k", grants[0], 0, [b"other"])
        assert (await whole(store)).frames == page.frames
