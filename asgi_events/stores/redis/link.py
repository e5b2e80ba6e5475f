"""One connection to the server, which is given up when nothing moves on it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from struct import unpack
from typing import Any, TypeAlias

from asgi_events.stores.redis.driver import Connection, exceptions

try:
    from fcntl import ioctl
    from termios import TIOCOUTQ
except ImportError:  # Windows
    ioctl = None  # type: ignore[assignment]


class Link:
    """A connection that carries commands as long as there is progress.

    A large command or a slow network takes long, but its bytes arrive. So the time is
    up only when no byte was sent or received for ``timeout`` seconds.
    """

    def __init__(self, connection: Connection, timeout: float) -> None:
        self.connection = connection
        self._timeout = timeout
        self._received = 0
        # NOTE: redis-py has no public way to the bytes of its connections.
        self._transport = connection._writer.transport
        reader = connection._reader
        feed = reader.feed_data

        def feed_data(data: Any) -> None:
            self._received += len(data)
            feed(data)

        reader.feed_data = feed_data  # type: ignore[method-assign]

    async def ask(self, *commands: bytes) -> list[Any]:
        """The replies to packed ``commands``; error replies are among them.

        Raises:
            TimeoutError: There was no progress for ``timeout`` seconds.
        """
        replies: list[Any] = []
        await self.exchange(commands, replies)
        return replies

    async def exchange(self, commands: Sequence[bytes], replies: list[Any]) -> None:
        """Add each reply to ``replies`` as it arrives; raises what ``ask`` raises."""
        async with self._progress_timeout():
            await self.connection.send_packed_command(b"".join(commands))
            for _ in commands:
                replies.append(await _reply(self.connection))

    @asynccontextmanager
    async def _progress_timeout(self) -> AsyncIterator[None]:
        async with asyncio.timeout(self._timeout) as limit:
            loop = asyncio.get_running_loop()
            pause = self._timeout / 8
            progress = self._progress()
            timer = loop.call_later(pause, lambda: look())

            def look() -> None:
                nonlocal progress, timer
                before, progress = progress, self._progress()
                if progress != before:
                    limit.reschedule(loop.time() + self._timeout)
                timer = loop.call_later(pause, look)

            try:
                yield
            finally:
                timer.cancel()

    def _progress(self) -> tuple[int, int, int]:
        """Numbers that change when a byte is sent or received."""
        buffered = self._transport.get_write_buffer_size()
        return self._received, buffered, _unsent(self._transport)


OnConnect: TypeAlias = Callable[[Link, bool], Awaitable[None]]
"""Looks at a new connection before its first command; True if it replaces another."""


async def _reply(connection: Connection) -> Any:
    try:
        return await connection.read_response()
    except exceptions.ResponseError as error:
        return error


def _unsent(transport: asyncio.WriteTransport) -> int:
    """How many bytes the system has still to send; 0 where it does not say."""
    if ioctl is not None:
        with suppress(OSError, ValueError):  # it is closed, or not of that kind
            descriptor = transport.get_extra_info("socket").fileno()
            return int(unpack("i", ioctl(descriptor, TIOCOUTQ, bytes(4)))[0])
    return 0
