"""A TCP proxy that cuts event streams in two where a test says so.

It forwards bytes and knows just enough of HTTP/1.1 to see requests and the heads of
answers: a head begins where a read does, since nobody here sends two at once.
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

_EVENT_END = b"\n\n"  # not in a head, nor in the framing of chunks: those have CR LF


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """Where an event stream is cut: after so many ``events`` and bytes ``more``.

    With neither nothing of the answer arrives, not even its head.

    Attributes:
        abrupt: It is a RST, else a FIN.
        held: Only when the test says that so many events were ``saw``: Chromium and
            node throw away what they have received when an error follows on its heels.
    """

    events: int = 0
    more: int = 0
    abrupt: bool = False
    held: bool = False

    def place(self, answer: bytes) -> int | None:
        """How much of ``answer`` passes; None when all that has come so far does."""
        end = 0
        for _ in range(self.events):
            found = answer.find(_EVENT_END, end)
            if found < 0:
                return None
            end = found + len(_EVENT_END)
        place = end + self.more
        return place if place <= len(answer) else None


def cuts(seed: int, count: int) -> list[Cut]:
    """``count`` cuts in places that ``seed`` decides; the first ones of every kind.

    60 bytes are inside of every frame of ``tests.apps``, and before its last line: in
    front of the blank line there is one byte where fetch-event-source, which believes
    an ``id`` as soon as it has the line, loses an event and no server can help it.
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
class Asked:
    """A request that passed."""

    method: str
    target: str
    last_event_id: str | None


class Proxy:
    """Stands before a server: ``async with Proxy(server.port, [Cut(events=3)]) as p``.

    Each cut is for one event stream, in the order in which they begin; what comes after
    the last cut passes whole.

    Attributes:
        requests: Those that passed, in their order.
        statuses: Those of the answers.
        port: Where it listens on 127.0.0.1.
    """

    def __init__(self, upstream: int, cuts: Iterable[Cut] = ()) -> None:
        self.requests: list[Asked] = []
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
        """How many cuts are still to be made."""
        return len(self._cuts)

    @property
    def made(self) -> list[str]:
        """Where the cuts fell: "mid-frame" or "between"."""
        return ["mid-frame" if inside else "between" for inside in self._made]

    def asked(self, ending: str = "") -> list[Asked]:
        """The requests whose path ends so."""
        return [r for r in self.requests if r.target.partition("?")[0].endswith(ending)]

    def saw(self, *_: object) -> None:
        """Take note that the client's user was handed one event more."""
        self._seen += 1
        self._progress.set()

    async def until(self, text: bytes, times: int = 1) -> None:
        """Wait until the server has sent ``text`` so often."""
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
                asyncio.create_task(self._ask(reader, upstream_writer)),
                asyncio.create_task(self._answer(upstream_reader, writer)),
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

    async def _ask(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        while chunk := await reader.read(65536):
            if b" HTTP/1.1\r\n" in chunk:
                chunk = await _whole_head(chunk, reader)
                self.requests.append(_asked(chunk))
            writer.write(chunk)
            await writer.drain()

    async def _answer(
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


def _asked(head: bytes) -> Asked:
    request, *lines = head.partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")
    method, target, _ = request.split(" ")
    headers = {
        name.lower(): value.strip()
        for name, _, value in (line.partition(":") for line in lines)
    }
    return Asked(method, target, headers.get("last-event-id"))


def _is_between(answer: bytes) -> bool:
    return not answer or answer.endswith((_EVENT_END, _EVENT_END + b"\r\n"))


def _reset(writer: asyncio.StreamWriter) -> None:
    """Close with a RST (SO_LINGER of 0 s) and not with a FIN."""
    writer.get_extra_info("socket").setsockopt(
        socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
    )
    writer.transport.abort()
