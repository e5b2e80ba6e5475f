"""A peer that sends what a test says, byte by byte."""

from __future__ import annotations

import asyncio
import re
import socket
import struct
from collections.abc import Iterable
from types import TracebackType
from typing import Self, TypeAlias

RST = "rst"
FIN = "fin"
SILENCE = "silence"

Part: TypeAlias = bytes | str | float

HEAD = b"HTTP/1.1 %d X\r\nContent-Type: %b\r\nConnection: close\r\n%b\r\n"


def stream(*parts: Part) -> list[Part]:
    """An event stream; RST, FIN or SILENCE follow what has been sent.

    A float is a pause, in seconds.
    """
    return [HEAD % (200, b"text/event-stream", b""), *parts]


def reply(status: int, body: bytes = b"{}", more: bytes = b"") -> list[Part]:
    """A response of JSON; a problem document if it is an error."""
    kind = b"application/json" if status < 400 else b"application/problem+json"
    return [HEAD % (status, kind, more), body]


class Peer:
    """Answers each connection with the next part of a script.

    Attributes:
        heads: The heads of the requests.
        open: How many connections are open.
        tasks: Those that serve them.
    """

    def __init__(self, *script: Iterable[Part]) -> None:
        self.heads: list[str] = []
        self.open = 0
        self._script = list(script)
        self._changed = asyncio.Event()
        self.tasks: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    async def until(self, requests: int, open: int | None = None) -> None:
        """Wait for a number of requests, and of open connections."""
        async with asyncio.timeout(10):
            while len(self.heads) < requests or open not in (None, self.open):
                self._changed.clear()
                await self._changed.wait()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self._port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.close()
        for task in self.tasks:
            task.cancel()
        if self.tasks:
            await asyncio.wait(self.tasks)

    async def _accept(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.tasks.add(task)
        self._count(1)
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            length = re.search(rb"content-length: (\d+)", head.lower())
            if length is not None:  # what is not read becomes a reset
                await reader.readexactly(int(length[1]))
            self.heads.append(head.decode("latin-1"))
            self._changed.set()
            for part in self._script.pop(0):
                if isinstance(part, bytes):
                    writer.write(part)
                    await writer.drain()
                elif isinstance(part, float):
                    await asyncio.sleep(part)
                elif part == SILENCE:
                    await reader.read()  # until the client leaves
                elif part == RST:
                    linger = struct.pack("ii", 1, 0)
                    writer.get_extra_info("socket").setsockopt(
                        socket.SOL_SOCKET, socket.SO_LINGER, linger
                    )
                    writer.transport.abort()
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.close()
            self._count(-1)
            self.tasks.discard(task)

    def _count(self, more: int) -> None:
        self.open += more
        self._changed.set()
