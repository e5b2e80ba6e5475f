"""A TCP link to a store's server that can be cut, delayed, and made to swallow."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Self


class Link:
    """Forwards to ``upstream`` on 127.0.0.1, as well as it is told to.

    Attributes:
        port: Where it listens.
        delay: Seconds by which every reply is late.
        swallows: Replies are read and thrown away; requests arrive.
        down: New connections are refused.
    """

    def __init__(self, upstream: int) -> None:
        self._upstream = upstream
        self.port = 0
        self.delay = 0.0
        self.swallows = False
        self.down = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        self.cut()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    def cut(self) -> None:
        """Reset every connection there is."""
        for writer in self._writers:
            writer.transport.abort()

    async def _accept(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        if self.down:
            writer.transport.abort()
            return
        writers = {writer}
        try:
            up, out = await asyncio.open_connection("127.0.0.1", self._upstream)
            writers.add(out)
            self._writers |= writers
            async with asyncio.TaskGroup() as pumps:
                pumps.create_task(self._pump(reader, out, replies=False))
                pumps.create_task(self._pump(up, writer, replies=True))
        except* OSError:
            pass
        finally:
            self._writers -= writers
            for each in writers:
                each.transport.abort()

    async def _pump(
        self, reader: asyncio.StreamReader, out: asyncio.StreamWriter, *, replies: bool
    ) -> None:
        with suppress(asyncio.IncompleteReadError):
            while chunk := await reader.read(65536):
                if replies and self.delay:
                    await asyncio.sleep(self.delay)
                if replies and self.swallows:
                    continue
                out.write(chunk)
                await out.drain()
        raise ConnectionResetError
