"""One writer and one terminal frame for each log (promise 3)."""

import asyncio

import pytest

from asgi_events.exceptions import Busy, Ended, Fenced, Missing
from asgi_events.stores import Ack, EventStore, Grant
from asgi_events.testing.stores.case import (
    Call,
    StoreCase,
    append,
    append_an_end,
    append_another_end,
    ended,
    frames,
    open_again,
    open_another,
    opened,
    renew,
    whole,
)


class Writers(StoreCase):
    """A log has one writer at a time, and nothing follows its terminal frame."""

    async def test_refuses_a_second_writer(self, store: EventStore) -> None:
        grant = await opened(store, writer="first")

        with pytest.raises(Busy):
            await opened(store, writer="second")

        assert await store.append("k", grant, 0, frames(1, 1)) == Ack(last=1)

    async def test_lets_one_of_many_open(self, store: EventStore) -> None:
        outcomes = await asyncio.gather(
            *(opened(store, writer=f"w{n}") for n in range(10)), return_exceptions=True
        )

        assert [type(outcome) for outcome in outcomes].count(Busy) == 9
        assert sum(isinstance(outcome, Grant) for outcome in outcomes) == 1

    @pytest.mark.parametrize(
        "write",
        [append, append_an_end, append_another_end, renew, open_again, open_another],
    )
    async def test_takes_nothing_after_the_terminal_frame(
        self, store: EventStore, write: Call
    ) -> None:
        grant = await ended(store)
        before = await whole(store)

        with pytest.raises(Ended):
            await write(store, grant)

        assert await whole(store) == before
        assert (before.last, before.end, before.alive) == (2, "completed", True)

    @pytest.mark.parametrize("write", [append, append_an_end, renew])
    async def test_tells_a_writer_whose_log_was_deleted_that_there_is_none(
        self, store: EventStore, write: Call
    ) -> None:
        grant = await opened(store)
        await store.append("k", grant, 0, frames(1, 2))

        await store.delete("k")

        with pytest.raises(Missing):
            await write(store, grant)
        assert await store.read("k", 0, 100) is None

    @pytest.mark.parametrize("write", [append, append_an_end, renew])
    async def test_fences_a_writer_whose_log_is_another_ones_now(
        self, store: EventStore, write: Call
    ) -> None:
        grant = await opened(store)
        await store.append("k", grant, 0, frames(1, 2))
        await store.delete("k")
        await opened(store, writer="second")

        with pytest.raises(Fenced) as caught:
            await write(store, grant)

        assert not isinstance(caught.value, Missing)
        assert (await whole(store)).last == 0
