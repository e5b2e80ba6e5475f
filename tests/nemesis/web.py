"""HTTP/1.1, just enough of it: one request for each connection."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

TIMEOUT = 10.0  # seconds for an answer's head


class Body:
    """The body of an answer."""

    def __init__(self, reader: asyncio.StreamReader, *, chunked: bool) -> None:
        self._reader = reader
        self._chunked = chunked

    async def read(self) -> bytes:
        """What comes next; nothing at its end, and where the connection broke."""
        if not self._chunked:
            return await self._reader.read(65536)
        try:
            size = int(await self._reader.readline() or b"0", 16)
            data = await self._reader.readexactly(size + 2)
        except (asyncio.IncompleteReadError, ValueError):
            return b""
        return data[:-2]

    async def whole(self) -> bytes:
        """All of it."""
        parts = []
        while part := await self.read():
            parts.append(part)
        return b"".join(parts)


@asynccontextmanager
async def asked(
    port: int,
    method: str,
    path: str,
    headers: Mapping[str, str] | None = None,
    body: bytes = b"",
) -> AsyncIterator[tuple[int, Body]]:
    """The status of an answer, and its body.

    Raises:
        OSError: There is none.
    """
    lines = [f"{method} {path} HTTP/1.1", "host: 127.0.0.1", "connection: close"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    if body:
        lines += [f"content-length: {len(body)}", "content-type: application/json"]
    writer: asyncio.StreamWriter | None = None
    try:
        async with asyncio.timeout(TIMEOUT):
            reader, writer = await asyncio.open_connection(
                "127.0.0.1", port, limit=1 << 24
            )
            writer.write("\r\n".join([*lines, "", ""]).encode() + body)
            head = await reader.readuntil(b"\r\n\r\n")
        chunked = b"transfer-encoding: chunked" in head.lower()
        yield int(head.split(b" ", 2)[1]), Body(reader, chunked=chunked)
    except (TimeoutError, asyncio.IncompleteReadError) as error:
        raise ConnectionError(str(error)) from error
    finally:
        if writer is not None:
            writer.transport.abort()
