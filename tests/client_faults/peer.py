"""A scripted server: raw bytes over TCP, one plan of answers for each place.

A place is a prefix of the path, with its own executions, plan and memory of requests.
So many questions are asked of one peer at the same time. What no plan says is answered
as a real server does it.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from contextlib import suppress
from types import TracebackType
from typing import Self

from tests.client_faults.place import Place, Reply, Request
from tests.servers import TIMEOUT


class Peer:
    """``async with Peer() as peer``: a server with many places.

    Args:
        tls: The certificate with which it speaks TLS; None for plain HTTP.

    Attributes:
        port: The port of 127.0.0.1 on which it listens, once it does.
        places: The places by the first segment of their path.
    """

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.places: dict[str, Place] = {}
        self._tls = tls
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._changed = asyncio.Event()
        self._socket = socket.socket()
        self._socket.bind(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]

    def url(self, place: str) -> str:
        """The URL of a place."""
        scheme = "http" if self._tls is None else "https"
        return f"{scheme}://127.0.0.1:{self.port}/{place}"

    async def listen(self) -> None:
        """Accept connections; before that they are refused."""
        self._server = await asyncio.start_server(
            self._accept, sock=self._socket, ssl=self._tls
        )

    async def until_left(self, place: str, seconds: float = TIMEOUT) -> None:
        """Wait until no connection to a place is open."""
        async with asyncio.timeout(seconds):
            while self.places[place].open:
                self._changed.clear()
                await self._changed.wait()

    async def __aenter__(self) -> Self:
        await self.listen()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close all connections."""
        if self._server is None:
            self._socket.close()
            return
        # Accept nothing more. What was accepted has its transport two turns later, and
        # asyncio would leave that open if its server had closed.
        asyncio.get_running_loop().remove_reader(self._socket.fileno())
        for _ in range(2):
            await asyncio.sleep(0)
        self._server.close()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        await self._server.wait_closed()

    async def _accept(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        place: Place | None = None
        try:
            name, request = await _read(reader)
            place = self.places[name]
            place.open += 1
            await _write(place.answer(request), reader, writer)
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.close()
            with suppress(OSError, asyncio.CancelledError):
                await writer.wait_closed()
            self._tasks.discard(task)
            if place is not None:
                place.open -= 1
            self._changed.set()


async def _read(reader: asyncio.StreamReader) -> tuple[str, Request]:
    head = await reader.readuntil(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").strip().split("\r\n")
    method, target, _ = first.split(" ")
    pairs = (line.partition(":") for line in lines)
    headers = {name.lower(): value.strip() for name, _, value in pairs}
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    _, name, *rest = target.split("/")
    path = "/" + "/".join(rest)
    return name, Request(_kind(method, rest), method, path, name, headers, body)


def _kind(method: str, segments: list[str]) -> str:
    match method, segments:
        case "POST", [_]:
            return "start"
        case "GET", ["executions", _]:
            return "about"
        case "DELETE", ["executions", _]:
            return "cancel"
        case "GET", ["executions", _, "events"]:
            return "events"
        case "POST", ["executions", _, "inputs", _]:
            return "answer"
    return "other"


async def _write(
    reply: Reply, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    left = reply.cut
    for piece in reply.pieces():
        if left is not None:
            piece = piece[:left]
            left -= len(piece)
        writer.write(piece)
        await writer.drain()
        if left == 0:
            break
        if reply.pause:
            await asyncio.sleep(reply.pause)
    if reply.then == "hang":
        while await reader.read(65536):
            pass
    elif reply.then == "rst":
        writer.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
        )
        writer.transport.abort()
