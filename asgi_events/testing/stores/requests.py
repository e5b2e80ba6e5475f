"""What other processes ask of a writer: to cancel, and to know that somebody watches
(promise 6)."""

from asgi_events.stores import Ack, EventStore
from asgi_events.testing.stores.case import (
    StoreCase,
    ended,
    frames,
    opened,
    whole,
)


class Requests(StoreCase):
    """A writer learns from the answer to each call what others ask of it."""

    async def test_tells_the_writer_to_cancel_with_every_answer(
        self, store: EventStore
    ) -> None:
        grant = await opened(store)
        assert await store.renew("k", grant) == Ack(last=0)

        assert [await store.cancel("k"), await store.cancel("k")] == [True, True]

        assert await store.renew("k", grant) == Ack(last=0, cancel=True)
        assert await store.append("k", grant, 0, frames(1, 1)) == Ack(
            last=1, cancel=True
        )
        assert await store.append("k", grant, 0, frames(1, 1)) == Ack(
            last=1, cancel=True
        )
        assert (await whole(store)).cancel
        last = await store.append("k", grant, 1, frames(2, 2), end="cancelled")
        assert last == Ack(last=2, cancel=True)

    async def test_cancels_nothing_that_is_over_or_never_was(
        self, store: EventStore
    ) -> None:
        await ended(store)

        assert [await store.cancel("k"), await store.cancel("other")] == [False, False]

        assert not (await whole(store)).cancel

    async def test_tells_the_writer_that_somebody_watches(
        self, store: EventStore
    ) -> None:
        grant = await opened(store)

        await store.mark_watched("k", 5.0)

        assert await store.renew("k", grant) == Ack(last=0, watched=True)
        assert await store.append("k", grant, 0, frames(1, 1)) == Ack(
            last=1, watched=True
        )
        await self.advance(store, 6)
        assert await store.renew("k", grant) == Ack(last=1, watched=False)

    async def test_may_be_told_of_watchers_of_nothing(self, store: EventStore) -> None:
        await ended(store)
        before = await whole(store)

        await store.mark_watched("k", 5.0)
        await store.mark_watched("other", 5.0)

        assert await whole(store) == before
        assert await store.read("other", 0, 100) is None
