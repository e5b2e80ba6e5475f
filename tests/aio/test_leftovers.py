"""Freeing a lot, a little in each turn of the loop."""

import asyncio

import pytest

from asgi_events.aio.leftovers import MOST, SHARE, Leftovers


class Piece:
    """Notes how many objects went with it."""

    def __init__(self, gone: list[int], size: int) -> None:
        self.gone = gone
        self.size = size

    def __del__(self) -> None:
        self.gone.append(self.size)


@pytest.mark.parametrize("size", [1, 100, 1_500, SHARE - 1, SHARE])
async def test_frees_a_share_in_each_turn_and_all_in_the_end(size: int) -> None:
    leftovers, gone = Leftovers(), list[int]()
    pieces = 10 * SHARE // size
    for _ in range(pieces):
        leftovers.add(Piece(gone, size), size)
    assert gone == []

    before = 0
    while leftovers.count:
        await asyncio.sleep(0)
        freed = (len(gone) - before) * size
        assert 0 < freed <= SHARE
        before = len(gone)
    assert len(gone) == pieces


async def test_frees_a_piece_that_is_larger_than_a_share_alone() -> None:
    leftovers, gone = Leftovers(), list[int]()
    for size in (10, SHARE * 2, 20, 30):
        leftovers.add(Piece(gone, size), size)

    turns = []
    for _ in range(4):
        await asyncio.sleep(0)
        turns.append(gone.copy())
        gone.clear()

    assert turns == [[10], [SHARE * 2], [20, 30], []]


async def test_begins_again_with_what_comes_later() -> None:
    leftovers, gone = Leftovers(), list[int]()
    for size in (1, 2):
        leftovers.add(Piece(gone, size), size)
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    assert gone == [1, 2]


async def test_frees_the_oldest_at_once_when_too_much_waits() -> None:
    leftovers, gone = Leftovers(), list[int]()
    for size in (1, MOST - 1, 2):
        leftovers.add(Piece(gone, size), size)

    assert gone == [1, MOST - 1]
    assert leftovers.count == 2


def test_begins_again_in_the_next_event_loop() -> None:
    leftovers, gone = Leftovers(), list[int]()

    async def add() -> None:
        for _ in range(50):
            leftovers.add(Piece(gone, SHARE), SHARE)

    async def add_and_wait() -> None:
        await add()
        for _ in range(100):
            await asyncio.sleep(0)

    asyncio.run(add())  # which ends before all are freed
    asyncio.run(add_and_wait())

    assert len(gone) == 100
