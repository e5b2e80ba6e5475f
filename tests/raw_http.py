"""Streams over HTTP/1.1 and HTTP/2 that a test reads, stalls and leaves."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import h2.config
import h2.connection
import h2.events

from tests.servers import TIMEOUT


class Stream:
    """A response while it arrives: ``block`` by block, or its ``rest`` at once.

    Attributes:
        status: The HTTP status.
        headers: The response headers.
        ended: Whether it has ended.
        clean: Whether it has ended as the protocol requires.
    """

    def __init__(self) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self.ended = False
        self.clean = False
        self.received = bytearray()

    async def more(self) -> None:
        """Wait for more bytes."""
        raise NotImplementedError

    async def leave(self) -> None:
        """Disconnect."""
        raise NotImplementedError

    async def block(self) -> bytes | None:
        """Return the next event; None after the last one."""
        while True:
            end = self.received.find(b"\n\n")
            if end >= 0:
                lines = bytes(self.received[:end]).split(b"\n")
                del self.received[: end + 2]
                if fields := [line for line in lines if not line.startswith(b":")]:
                    return b"\n".join(fields)
            elif self.ended:
                return None
            else:
                async with asyncio.timeout(TIMEOUT):
                    await self.more()

    async def blocks(self) -> list[bytes]:
        """Return all further events."""
        found = []
        while (block := await self.block()) is not None:
            found.append(block)
        return found

    async def rest(self) -> bytes:
        """Return the rest of the body unchanged."""
        async with asyncio.timeout(TIMEOUT):
            while not self.ended:
                await self.more()
        return bytes(self.received)


class Stream1(Stream):
    """A response over HTTP/1.1. It reads only when the test asks for something."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        super().__init__()
        self._reader = reader
        self._writer = writer
        self._left = 0

    async def start(self) -> None:
        async with asyncio.timeout(TIMEOUT):
            head = await self._reader.readuntil(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").strip().split("\r\n")
        self.status = int(first.split()[1])
        fields = (line.partition(":") for line in lines)
        self.headers = {name.lower(): value.strip() for name, _, value in fields}
        self._left = int(self.headers.get("content-length", 0))
        chunked = self.headers.get("transfer-encoding") == "chunked"
        self.clean = self.ended = not chunked and not self._left

    async def more(self) -> None:
        try:
            if self._left:
                self.received += await self._reader.readexactly(self._left)
                self.clean = self.ended = True
                return
            size = int(await self._reader.readuntil(b"\r\n"), 16)
            chunk = await self._reader.readexactly(size + 2)
        except (asyncio.IncompleteReadError, ConnectionError):
            self.ended = True
            return
        self.received += chunk[:-2]
        self.clean = self.ended = not size

    async def leave(self) -> None:
        self._writer.close()
        with suppress(ConnectionError):
            await self._writer.wait_closed()


class Stream2(Stream):
    """A response over HTTP/2; the window of a ``stalled`` one never grows.

    Attributes:
        id: Its number on the connection.
    """

    def __init__(self, connection: Connection2, id: int, *, stalled: bool) -> None:
        super().__init__()
        self.id = id
        self.stalled = stalled
        self.reset = False
        self._connection = connection
        self._progress = asyncio.Event()

    def progress(self) -> None:
        self._progress.set()

    async def start(self) -> None:
        async with asyncio.timeout(TIMEOUT):
            while not self.status and not self.ended:
                await self.more()

    async def more(self) -> None:
        await self._progress.wait()
        self._progress.clear()

    async def leave(self) -> None:
        """Reset the stream; its connection goes on, unless it is the only one."""
        self._connection.reset(self.id)
        self.ended = True
        self._progress.set()


class Connection2:
    """A connection that speaks HTTP/2 with prior knowledge: ``async with``."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._h2 = h2.connection.H2Connection(
            h2.config.H2Configuration(client_side=True, header_encoding="utf-8")
        )
        self._streams: dict[int, Stream2] = {}
        self._going_away = False
        self._progress = asyncio.Event()

    async def __aenter__(self) -> Connection2:
        self._reader, self._writer = await asyncio.open_connection(
            "127.0.0.1", self.port
        )
        self._h2.initiate_connection()
        self.flush()
        self._pump = asyncio.create_task(self._read())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._pump.cancel()
        self._writer.close()
        with suppress(ConnectionError):
            await self._writer.wait_closed()
        await asyncio.wait([self._pump])

    async def request(
        self,
        method: str,
        path: str,
        *,
        body: bytes = b"",
        headers: dict[str, str] | None = None,
        stalled: bool = False,
        end: bool = True,
        wait: bool = True,
    ) -> Stream2:
        """Send a request; with ``end=False`` its body does not end."""
        async with asyncio.timeout(TIMEOUT):
            while self._h2.outbound_flow_control_window < len(body):
                self._progress.clear()
                await self._progress.wait()
        id = self._h2.get_next_available_stream_id()
        stream = self._streams[id] = Stream2(self, id, stalled=stalled)
        fields = {
            ":method": method,
            ":path": path,
            ":scheme": "http",
            ":authority": "127.0.0.1",
            **(headers or {}),
        }
        self._h2.send_headers(id, list(fields.items()), end_stream=end and not body)
        if body:
            self._h2.send_data(id, body, end_stream=end)
        self.flush()
        if wait:
            await stream.start()
        return stream

    async def ask(self, path: str) -> dict[str, Any]:
        """Return the JSON of the response to a GET."""
        answer: dict[str, Any] = json.loads(
            await (await self.request("GET", path)).rest()
        )
        return answer

    def finish(self, stream: Stream2) -> None:
        """End the body of a request."""
        self._h2.end_stream(stream.id)
        self.flush()

    def send(self, stream: Stream2, body: bytes) -> int:
        """Send as much of ``body`` as the windows allow; return the number of bytes."""
        size = min(
            len(body),
            self._h2.local_flow_control_window(stream.id),
            self._h2.max_outbound_frame_size,
        )
        if size:
            self._h2.send_data(stream.id, body[:size])
            self.flush()
        return size

    def reset(self, id: int) -> None:
        with suppress(h2.exceptions.StreamClosedError):
            self._h2.reset_stream(id, 8)  # CANCEL
        self.flush()

    def flush(self) -> None:
        self._writer.write(self._h2.data_to_send())

    async def _read(self) -> None:
        try:
            while not (self._going_away and all(s.ended for s in self._all())):
                for event in self._h2.receive_data(await self._frame()):
                    self._take(event)
                self._progress.set()
                self.flush()
                await asyncio.sleep(0)  # what is there already is read without waiting
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self._writer.close()
            for stream in self._streams.values():
                stream.ended = True
                stream.progress()

    def _all(self) -> list[Stream2]:
        return list(self._streams.values())

    async def _frame(self) -> bytes:
        """Return the next frame. Skip GOAWAY: h2 would accept nothing after it."""
        while True:
            head = await self._reader.readexactly(9)
            body = await self._reader.readexactly(int.from_bytes(head[:3], "big"))
            if head[3] != 0x07:
                return head + body
            self._going_away = True
            if all(stream.ended for stream in self._all()):
                raise ConnectionResetError

    def _take(self, event: h2.events.Event) -> None:
        stream = self._streams.get(getattr(event, "stream_id", None) or 0)
        if stream is None:
            return
        match event:
            case h2.events.ResponseReceived():
                fields = dict(event.headers or ())
                stream.status = int(fields.pop(":status"))
                stream.headers = fields
            case h2.events.DataReceived():
                size = event.flow_controlled_length or 0
                stream.received += event.data or b""
                if stream.stalled:
                    self._h2.increment_flow_control_window(size)
                else:
                    self._h2.acknowledge_received_data(size, stream.id)
            case h2.events.StreamEnded():
                stream.ended = stream.clean = True
            case h2.events.StreamReset():
                stream.ended = stream.reset = True
        stream.progress()


def lines(file: Path) -> int:
    """Return the number of lines of a file; 0 if it does not exist."""
    return len(file.read_text().splitlines()) if file.exists() else 0
