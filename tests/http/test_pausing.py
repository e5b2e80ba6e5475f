"""The source of a response that ends where its execution waits."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

import pytest

from asgi_events.aio.waiter import Waiter
from asgi_events.http.pausing import PausingSource
from asgi_events.log.source import BrokenOff, Last
from asgi_events.testing import virtual_time
from asgi_events.wire.sse import MAX_CHUNK
from tests import TIMEOUT

PAUSE = b"data: pause\n\n"


class Given:
    """A source that gives what the test has put in."""

    def __init__(self, *chunks: bytes | None) -> None:
        self.taken = 0
        self.closed = False
        self._chunks = deque(chunks)
        self._wake: Callable[[], None] | None = None
        self._breaks = False

    def put(self, chunk: bytes | None) -> None:
        self._chunks.append(chunk)
        if self._wake is not None:
            self._wake()

    def take(self, limit: int = MAX_CHUNK) -> bytes | None:
        if self._breaks:
            raise BrokenOff
        if not self._chunks:
            return b""
        self.taken += 1
        return self._chunks.popleft()

    def on_ready(self, wake: Callable[[], None]) -> None:
        self._wake = wake
        if self._chunks:
            asyncio.get_running_loop().call_soon(wake)

    def dismiss(self, farewell: bytes | None) -> None:
        self._breaks = farewell is None
        self.put(farewell)

    async def aclose(self) -> None:
        self.closed = True


def word(name: str) -> bytes:
    return b"data: %b\n\n" % name.encode()


def wait(*numbers: int) -> bytes:
    return b": waiting%b\n" % b"".join(b" %d" % n for n in numbers)


async def rest(source: PausingSource) -> bytes:
    """All that comes until the end."""
    waiter, chunks = Waiter(source.on_ready), []
    async with asyncio.timeout(TIMEOUT):
        while (chunk := source.take()) is not None:
            if chunk:
                chunks.append(chunk)
            else:
                await waiter.sleep()
    return b"".join(chunks)


async def test_ends_where_a_question_is_open_and_drops_what_follows() -> None:
    with virtual_time():
        given = Given(word("a") + wait(1), word("b"))

        said = await rest(PausingSource(given, PAUSE, ()))

    assert said == word("a") + wait(1) + PAUSE


async def test_gives_what_is_before_a_question_at_once() -> None:
    source = PausingSource(Given(word("a") + wait(1) + word("b")), PAUSE, ())

    assert source.take() == word("a") + wait(1)
    assert source.take() == b""
    await source.aclose()


async def test_lets_a_second_question_follow_in_a_moment() -> None:
    with virtual_time():
        given = Given(word("a") + wait(1), word("b"))
        source = PausingSource(given, PAUSE, ())
        asyncio.get_running_loop().call_later(
            0.01, given.put, word("c") + wait(1, 2) + word("d")
        )

        said = await rest(source)

    expected = word("a") + wait(1) + word("b") + word("c") + wait(1, 2)
    assert said == expected + PAUSE


async def test_goes_on_where_the_question_is_answered_in_a_moment() -> None:
    with virtual_time():
        given = Given(wait(1) + word("a"))
        source = PausingSource(given, PAUSE, ())
        loop = asyncio.get_running_loop()
        loop.call_later(0.01, given.put, word("b") + wait())
        loop.call_later(1, given.put, word("c"))
        loop.call_later(2, given.put, None)

        said = await rest(source)

    assert said == wait(1) + word("a") + word("b") + wait() + word("c")


async def test_goes_on_where_a_question_is_known_to_be_answered() -> None:
    with virtual_time():
        given = Given(word("a") + wait(1, 2), word("b"))
        source = PausingSource(given, PAUSE, [1])
        loop = asyncio.get_running_loop()
        loop.call_later(1, given.put, wait(2) + word("c"))

        said = await rest(source)

    assert said == word("a") + wait(1, 2) + word("b") + wait(2) + PAUSE


async def test_gives_what_it_holds_if_its_source_ends() -> None:
    source = PausingSource(Given(wait(1) + word("a"), None), PAUSE, ())

    assert await rest(source) == wait(1) + word("a")


@pytest.mark.parametrize("held", [b"", word("b")], ids=["nothing", "words"])
async def test_gives_what_it_holds_with_the_last_bytes(held: bytes) -> None:
    source = PausingSource(Given(wait(1) + held, Last(word("c"))), PAUSE, ())
    assert source.take() == wait(1)

    chunk = source.take()

    assert chunk == held + word("c")
    assert isinstance(chunk, Last)
    assert source.take() is None
    await source.aclose()


async def test_takes_no_more_than_a_chunk_and_another_that_it_drops() -> None:
    with virtual_time():
        given = Given(wait(1), *[b"x" * MAX_CHUNK] * 5)

        said = await rest(PausingSource(given, PAUSE, ()))

    assert (said, given.taken) == (wait(1) + PAUSE, 3)


async def test_is_broken_off_where_its_source_is() -> None:
    source = PausingSource(Given(wait(1)), PAUSE, ())
    assert source.take() == wait(1)

    source.dismiss(None)

    with pytest.raises(BrokenOff):
        source.take()


async def test_closes_its_source_and_its_timer() -> None:
    given = Given(wait(1))
    source = PausingSource(given, PAUSE, ())
    source.take()

    await source.aclose()

    assert given.closed
