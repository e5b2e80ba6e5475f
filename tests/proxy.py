"""A TCP proxy that cuts event streams where a test says so.

It forwards bytes. It knows enough of HTTP/1.1 to see requests and the heads of
responses: a head begins where a read begins, because nothing here sends two at once.
"""

from __future__ import annotations

import asyncio
import random
import socket
import struct
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from tests.servers import TIMEOUT

_EVENT_END = b"\n\n"  # heads and the framing of chunks have CR LF instead
_BODY_END = b"0\r\n\r\n"  # of a body in chunks


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """Where an event stream is cut: after ``events`` events and ``more`` bytes.

    If both are 0, no byte of the response arrives, not even of its head.

    Attributes:
        abrupt: Cut with a RST; otherwise with a FIN.
        held: Cut only after the test has called ``count_seen`` for so many events:
            Chromium and Node.js drop what they have received if an error follows at
            once.
    """

    events: int = 0
    more: int = 0
    abrupt: bool = False
    held: bool = False

    def place(self, answer: bytes) -> int | None:
        """Return how many bytes of ``answer`` pass; None if it is not to be cut there.

        The cut may be further on, or leave nothing out: then the client has the whole
        answer, and sends its next request on a connection that is about to break.
        """
        end = 0
        for _ in range(self.events):
            found = answer.find(_EVENT_END, end)
            if found < 0:
                return None
            end = found + len(_EVENT_END)
        place = end + self.more
        if place == len(answer) and answer.endswith(_BODY_END):
            return None
        return place if place <= len(answer) else None


def cuts(seed: int, count: int) -> list[Cut]:
    """Return ``count`` cuts in places that ``seed`` decides; the first ones are fixed.

    60 bytes are inside every frame of ``tests.apps``, and before its last line. Between
    the ``id`` and the blank line fetch-event-source loses an event, because it takes
    the event as seen when it has read the ``id``; no server can prevent that.
    """
    dice = random.Random(seed)
    fixed = [
        Cut(events=1),
        Cut(events=2, more=30, abrupt=True),
        Cut(events=3, more=60),
        Cut(events=1, abrupt=True),
    ]
    drawn = [
        Cut(
            events=dice.randint(1, 6),
            more=dice.choice([0, dice.randint(1, 60)]),
            abrupt=dice.random() < 0.5,
        )
        for _ in range(count - len(fixed))
    ]
    return fixed + drawn


@dataclass(frozen=True, slots=True)
class Request:
    """A request that the proxy has forwarded."""

    method: str
    target: str
    last_event_id: str | None


class Proxy:
    """A proxy before a server: ``async with Proxy(server.port, [Cut(events=3)]) as p``.

    Each cut is for one event stream, in the order in which the streams begin. Streams
    after the last cut pass whole.

    Attributes:
        requests: The requests, in the order in which they were forwarded.
        statuses: The statuses of the responses.
        port: The port of 127.0.0.1 on which it listens.
    """

    def __init__(self, upstream: int, cuts: Iterable[Cut] = ()) -> None:
        self.requests: list[Request] = []
        self.statuses: list[int] = []
        self.port = 0
        self._upstream = upstream
        self._cuts = deque(cuts)
        self._made: list[bool] = []
        self._passed = b""
        self._seen = 0
        self._progress = asyncio.Event()
        self._connections: dict[asyncio.Task[None], list[asyncio.StreamWriter]] = {}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def left(self) -> int:
        """How many cuts are left."""
        return len(self._cuts)

    @property
    def made(self) -> list[str]:
        """Where each cut was: "mid-frame" or "between" two frames."""
        return ["mid-frame" if inside else "between" for inside in self._made]

    def cut_next(self, *cuts: Cut) -> None:
        """Add cuts, for the next event streams that have none."""
        self._cuts.extend(cuts)

    @property
    def passed(self) -> int:
        """How many bytes of responses have passed, without those that were cut."""
        return len(self._passed)

    def requests_for(self, ending: str = "") -> list[Request]:
        """Return the requests whose path ends in ``ending``."""
        return [r for r in self.requests if r.target.partition("?")[0].endswith(ending)]

    def count_seen(self, *_: object) -> None:
        """Count one more event that the client has passed to its user."""
        self._seen += 1
        self._progress.set()

    async def until(self, text: bytes, times: int = 1) -> None:
        """Wait until the server has sent ``text`` that many ``times``."""
        await self._until(lambda: self._passed.count(text) >= times)

    async def _until_seen(self, events: int) -> None:
        await self._until(lambda: self._seen >= events)

    async def _until(self, happened: Callable[[], bool]) -> None:
        async with asyncio.timeout(TIMEOUT):
            while not happened():
                self._progress.clear()
                await self._progress.wait()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.close()
        for writers in self._connections.values():
            for writer in writers:
                writer.transport.abort()
        if self._connections:
            await asyncio.wait(self._connections)
        await self._server.wait_closed()

    async def _accept(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        task = asyncio.current_task()
        assert task is not None
        writers = self._connections[task] = [writer]
        try:
            upstream_reader, upstream_writer = await asyncio.open_connection(
                "127.0.0.1", self._upstream
            )
            writers.append(upstream_writer)
            pumps = [
                asyncio.create_task(self._forward_requests(reader, upstream_writer)),
                asyncio.create_task(self._forward_responses(upstream_reader, writer)),
            ]
            _, pending = await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            for pump in pending:
                pump.cancel()
            for outcome in await asyncio.gather(*pumps, return_exceptions=True):
                if isinstance(outcome, Exception) and not isinstance(outcome, OSError):
                    raise outcome
        finally:
            for each in writers:
                each.close()
            for each in writers:
                try:
                    await each.wait_closed()
                except OSError:
                    pass
            del self._connections[task]

    async def _forward_requests(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        while chunk := await reader.read(65536):
            if b" HTTP/1.1\r\n" in chunk:
                chunk = await _whole_head(chunk, reader)
                self.requests.append(_request_of(chunk))
            writer.write(chunk)
            await writer.drain()

    async def _forward_responses(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        cut: Cut | None = None
        answer = b""
        while chunk := await reader.read(65536):
            if chunk.startswith(b"HTTP/1.1 "):
                chunk = await _whole_head(chunk, reader)
                self.statuses.append(int(chunk[9:12]))
                head = chunk.partition(b"\r\n\r\n")[0]
                is_stream = b"text/event-stream" in head and self._cuts
                cut = self._cuts.popleft() if is_stream else None
                answer = b""
            if cut is not None:
                before = len(answer)
                answer += chunk
                place = cut.place(answer)
                if place is not None:
                    writer.write(chunk[: place - before])
                    await writer.drain()
                    self._made.append(not _is_between(answer[:place]))
                    if cut.held:
                        await self._until_seen(cut.events)
                    if cut.abrupt:
                        _reset(writer)
                    return
            writer.write(chunk)
            await writer.drain()
            self._passed += chunk
            self._progress.set()


async def _whole_head(chunk: bytes, reader: asyncio.StreamReader) -> bytes:
    while b"\r\n\r\n" not in chunk and (more := await reader.read(65536)):
        chunk += more
    return chunk


def _request_of(head: bytes) -> Request:
    request, *lines = head.partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")
    method, target, _ = request.split(" ")
    headers = {
        name.lower(): value.strip()
        for name, _, value in (line.partition(":") for line in lines)
    }
    return Request(method, target, headers.get("last-event-id"))


def _is_between(answer: bytes) -> bool:
    return not answer or answer.endswith((_EVENT_END, _EVENT_END + b"\r\n"))


def _reset(writer: asyncio.StreamWriter) -> None:
    """Close with a RST (SO_LINGER of 0 s) and not with a FIN."""
    writer.get_extra_info("socket").setsockopt(
        socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
    )
    writer.transport.abort()
