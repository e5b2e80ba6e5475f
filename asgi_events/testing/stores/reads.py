"""Reads are snapshots (promise 4)."""

import asyncio

import pytest

from asgi_events.stores import EventStore, Page
from asgi_events.testing.stores.case import (
    StoreCase,
    frames,
    opened,
    whole,
)


class Reads(StoreCase):
    """A read is one consistent snapshot of a log."""

    @pytest.mark.parametrize("after", range(6))
    async def test_reads_what_follows_a_number(
        self, store: EventStore, after: int
    ) -> None:
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
        self, store: EventStore, limit: int, count: int
    ) -> None:
        grant = await opened(store)
        await store.append("k", grant, 0, frames(1, 5))

        page = await store.read("k", 0, limit)

        assert page is not None
        assert (list(page.frames), page.last) == (frames(1, count), 5)

    async def test_reads_all_of_a_log_page_by_page(self, store: EventStore) -> None:
        grant = await opened(store)
        await store.append("k", grant, 0, frames(1, 500), end="completed")

        read: list[bytes] = []
        pages = 0
        while len(read) < 500:
            page = await store.read("k", len(read), 1_000)
            assert page is not None
            assert (page.first, page.last, page.end) == (
                len(read) + 1,
                500,
                "completed",
            )
            assert len(b"".join(page.frames)) <= 1_000
            read += page.frames
            pages += 1

        assert read == frames(1, 500)
        assert pages > 10

    async def test_does_not_change_a_page_that_was_read(
        self, store: EventStore
    ) -> None:
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

    async def test_says_since_when_a_log_has_ended(self, store: EventStore) -> None:
        grant = await opened(store)
        await store.append("k", grant, 0, frames(1, 2))
        before = (await whole(store)).ended
        await store.append("k", grant, 2, frames(3, 3), end="completed")

        ended = (await whole(store)).ended

        assert before is None
        assert ended is not None and ended > 1_700_000_000
        await store.append("k", grant, 2, frames(3, 3), end="completed")
        assert (await whole(store)).ended == ended

    async def test_shows_an_append_whole_or_not_at_all(self, store: EventStore) -> None:
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
