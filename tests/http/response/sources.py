"""What an ``EventSourceResponse`` sends, and a server that notes how."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from asgi_events.types import ASGIApp, Receive, Scope, Send
from asgi_events.wire.sse import MAX_CHUNK

HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache, no-transform"),
    (b"x-accel-buffering", b"no"),
    (b"x-content-type-options", b"nosniff"),
]

START = {"type": "http.response.start", "status": 200, "headers": HEADERS}

END = {"type": "http.response.body", "body": b"", "more_body": False}


def chunk(body: bytes) -> dict[str, Any]:
    return {"type": "http.response.body", "body": body, "more_body": True}


async def settle() -> None:
    """Some turns of the loop, in which everything that can go on has gone on."""
    for _ in range(20):
        await asyncio.sleep(0)


class Clock:
    """The loop's clock, put forward by hand; what is due then happens.

    It also goes by itself, so what tests tell apart is at least a minute apart.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        loop = asyncio.get_running_loop()
        real = loop.time
        self._ahead = 0.0
        monkeypatch.setattr(loop, "time", lambda: real() + self._ahead)

    async def advance(self, seconds: float) -> None:
        self._ahead += seconds
        await settle()


class Spy:
    """An application, and who did what on its connection."""

    def __init__(self, app: ASGIApp) -> None:
        self.received: list[str] = []
        self.receivers: set[asyncio.Task[Any] | None] = set()
        self.receiving = 0
        self.sent = 0
        self.senders: set[asyncio.Task[Any] | None] = set()
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def spy_receive() -> Any:
            self.receivers.add(asyncio.current_task())
            self.receiving += 1
            message = await receive()
            self.received.append(message["type"])
            return message

        async def spy_send(message: Any) -> None:
            self.senders.add(asyncio.current_task())
            self.sent += 1
            await send(message)

        await self._app(scope, spy_receive, spy_send)


class Content:
    """An iterable of one's own making: a queue that tells its life."""

    def __init__(self, *items: Any) -> None:
        self.life: list[str] = []
        self.queue: asyncio.Queue[Any] = asyncio.Queue()
        for item in items:
            self.queue.put_nowait(item)

    def put(self, item: Any) -> None:
        self.queue.put_nowait(item)

    async def __aiter__(self) -> AsyncIterator[Any]:
        self.life.append("started")
        try:
            while (item := await self.queue.get()) is not None:
                if isinstance(item, BaseException):
                    raise item
                yield item
        finally:
            self.life.append("finally")
            await asyncio.sleep(0)
            self.life.append("cleaned up")


CLEANED_UP = ["started", "finally", "cleaned up"]


class Source:
    """A source of frames that notes what is done to it."""

    def __init__(self, take: Callable[[], bytes | None]) -> None:
        self.taken = 0
        self.closed = 0
        self.farewell: bytes | None = None
        self._take = take

    def take(self, limit: int = MAX_CHUNK) -> bytes | None:
        assert not self.closed, "take() after aclose()"
        self.taken += 1
        if self.farewell is not None:
            farewell, self.farewell, self._take = self.farewell, None, lambda: None
            return farewell
        return self._take()

    def on_ready(self, wake: Callable[[], None]) -> None:
        pass

    def dismiss(self, farewell: bytes) -> None:
        self.farewell = farewell

    async def aclose(self) -> None:
        self.closed += 1


def idle() -> bytes | None:
    return b""


class Turns:
    """Counts the turns that another task gets."""

    def __init__(self) -> None:
        self.count = 0
        self._task = asyncio.ensure_future(self._go_round())

    async def _go_round(self) -> None:
        while True:
            self.count += 1
            await asyncio.sleep(0)

    async def __aenter__(self) -> "Turns":
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        await asyncio.wait({self._task})


class Flood:
    """A producer that never awaits; how much it did between the others' turns."""

    data = b"." * 92
    block = b"data: " + data + b"\n\n"
    count = 30_000

    def __init__(self, turns: Turns) -> None:
        self.produced = 0
        self.longest = 0
        self.life: list[str] = []
        self._turns = turns

    async def __aiter__(self) -> AsyncIterator[bytes]:
        turn, since = self._turns.count, 0
        try:
            for number in range(self.count):
                if self._turns.count != turn:
                    turn, since = self._turns.count, number
                self.longest = max(self.longest, number - since)
                self.produced += 1
                yield self.block
        finally:
            self.life.append("finally")
