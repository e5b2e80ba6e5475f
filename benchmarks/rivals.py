"""The same stream by each library.

The producer of a rival puts events straight into a queue for each viewer, which is less
work than any event bus does. Each stream needs only one task.

The classes of asgi-events use only public names, because ``benchmarks.before`` runs
this file with older checkouts too.
"""

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Sequence
from itertools import cycle
from time import monotonic_ns
from typing import Any, Protocol, TypeAlias

from pydantic import BaseModel

Publish: TypeAlias = Callable[[Any], Awaitable[Any] | None]


class Tick(BaseModel):
    """About 100 bytes of JSON; ``text`` is "~" and the time in ns."""

    number: int
    kind: str = "tick"
    source: str = "benchmarks/rivals"
    text: str


def tick(number: int, size: int = 0) -> Tick:
    """Make an event whose JSON has about ``size`` bytes, and at least 100."""
    text = f"~{monotonic_ns()} of about 100 bytes"
    return Tick(number=number, text=text.ljust(size - 69, "."))


class Rival(Protocol):
    """The methods of a library that the driver calls."""

    app: Any

    async def open(self, streams: int = 1) -> str:
        """Open new streams, and return the path at which to read them.

        A single stream may have any number of viewers. Several streams have one viewer
        each: each request for the path reads the next stream.
        """

    def publish(self, event: BaseModel) -> Awaitable[Any] | None:
        """Publish to all viewers of the only stream."""

    def publishers(self) -> Sequence[Publish]:
        """Return a function for each stream, which publishes to its viewer."""

    def finish(self) -> None:
        """End all streams."""


class Queues:
    """A rival: a queue for each viewer, and so for each stream of many."""

    def __init__(self, make_app: Callable[[Callable[[], Any]], Any]) -> None:
        self._queues: set[asyncio.Queue[Tick | None]] = set()
        self.app = make_app(self.queue)

    def queue(self) -> "asyncio.Queue[Tick | None]":
        queue: asyncio.Queue[Tick | None] = asyncio.Queue()
        self._queues.add(queue)
        return queue

    async def open(self, streams: int = 1) -> str:
        self._queues.clear()
        return "/stream"

    def publish(self, event: Any) -> None:
        for queue in self._queues:
            queue.put_nowait(event)

    def publishers(self) -> Sequence[Publish]:
        return [queue.put_nowait for queue in self._queues]

    def finish(self) -> None:
        self.publish(None)


async def ticks(queue: "asyncio.Queue[Tick | None]") -> AsyncIterator[Tick]:
    """Yield what the queue gives, until None."""
    while (event := await queue.get()) is not None:
        yield event


class HandWritten(Queues):
    """The hand-written pattern: it checks four times a second whether it has ended."""

    def __init__(self) -> None:
        from starlette.responses import StreamingResponse

        async def app(scope: Any, receive: Any, send: Any) -> None:
            response = StreamingResponse(
                self._stream(self.queue()), media_type="text/event-stream"
            )
            await response(scope, receive, send)

        super().__init__(lambda _: app)
        self._over = asyncio.Event()

    async def open(self, streams: int = 1) -> str:
        self._over = asyncio.Event()
        return await super().open(streams)

    def finish(self) -> None:
        self._over.set()

    async def _stream(self, queue: "asyncio.Queue[Tick | None]") -> AsyncIterator[str]:
        yield ": stream-start\n\n"
        over = self._over
        while not (over.is_set() and queue.empty()):
            try:
                event = await asyncio.wait_for(queue.get(), timeout=0.25)
                assert event is not None
                yield f"data: {event.model_dump_json()}\n\n"
            except TimeoutError:
                yield ": keep-alive\n\n"
        yield 'data: {"event_type": "complete"}\n\n'


def sse_starlette(queue: Callable[[], Any]) -> Any:
    from sse_starlette import EventSourceResponse

    async def stream(queue: Any) -> AsyncIterator[dict[str, str]]:
        yield {"comment": "stream-start"}
        async for event in ticks(queue):
            yield {"data": event.model_dump_json()}

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await EventSourceResponse(stream(queue()))(scope, receive, send)

    return app


def fastapi(queue: Callable[[], Any]) -> Any:
    from fastapi import FastAPI
    from fastapi.sse import EventSourceResponse, ServerSentEvent

    app = FastAPI()

    @app.get("/stream", response_class=EventSourceResponse)
    async def stream() -> AsyncIterable[Any]:
        yield ServerSentEvent(comment="stream-start")
        async for event in ticks(queue()):
            yield event

    return app


def litestar(queue: Callable[[], Any]) -> Any:
    from litestar import Litestar, get
    from litestar.response import ServerSentEvent, ServerSentEventMessage

    async def events(queue: Any) -> AsyncIterator[ServerSentEventMessage]:
        yield ServerSentEventMessage(comment="stream-start")
        async for event in ticks(queue):
            yield ServerSentEventMessage(data=event.model_dump_json())

    @get("/stream", sync_to_thread=False)
    def stream() -> ServerSentEvent:
        return ServerSentEvent(events(queue()))

    return Litestar([stream])


def quart(queue: Callable[[], Any]) -> Any:
    from quart import Quart, make_response

    app = Quart(__name__)

    async def events(queue: Any) -> AsyncIterator[bytes]:
        yield b": stream-start\n\n"
        async for event in ticks(queue):
            yield b"data: %b\n\n" % event.model_dump_json().encode()

    @app.get("/stream")
    async def stream() -> Any:
        headers = {"content-type": "text/event-stream"}
        response: Any = await make_response(events(queue()), headers)
        response.timeout = None
        return response

    return app


def django(queue: Callable[[], Any]) -> Any:
    from django.conf import settings
    from django.core.asgi import get_asgi_application
    from django.http import StreamingHttpResponse
    from django.urls import path

    async def events(queue: Any) -> AsyncIterator[bytes]:
        yield b": stream-start\n\n"
        async for event in ticks(queue):
            yield b"data: %b\n\n" % event.model_dump_json().encode()

    async def stream(request: Any) -> Any:
        return StreamingHttpResponse(events(queue()), content_type="text/event-stream")

    class Urls:
        urlpatterns = (path("stream", stream),)

    settings.configure(ALLOWED_HOSTS=["*"], ROOT_URLCONF=Urls)
    return get_asgi_application()


class Bare:
    """asgi-events: an ``EventStreamer`` on a bus, or one on each of many buses."""

    def __init__(self, **options: Any) -> None:
        self._options: dict[str, Any] = {
            "on_disconnect": "continue",
            "heartbeat_interval": 15.0,
        }
        self._options |= options
        self._stop = asyncio.Event()

    async def open(self, streams: int = 1) -> str:
        from asgi_events import EventBus, EventStreamer

        buses = [EventBus() for _ in range(streams)]
        streamers = []
        for bus in buses:
            streamer = EventStreamer(**self._options)
            bus.subscribe(streamer)
            streamers.append(streamer)
        self._next = cycle(streamers)
        self._stop = asyncio.Event()
        self._task = asyncio.create_task(self._stop.wait())
        self._publishers = [bus.publish for bus in buses]
        self.publish = self._publishers[0]
        return "/stream"

    def publishers(self) -> Sequence[Publish]:
        return self._publishers

    def finish(self) -> None:
        self._stop.set()

    async def app(self, scope: Any, receive: Any, send: Any) -> None:
        response = next(self._next).response(execution_task=self._task)
        await response(scope, receive, send)


class Retained:
    """asgi-events: an ``EventsApp`` with its defaults, so with ids on the wire."""

    def __init__(self, **options: Any) -> None:
        from asgi_events import EventsApp, current_state, tool

        @tool
        async def produce() -> None:
            self._publishers.append(current_state().publish)
            stop = self._stop
            self._started.release()
            await stop.wait()

        options = {"cancel_after": None, "max_executions": None} | options
        self._app = EventsApp(produce, **options)
        self.executions = self._app.executions
        self._stop = asyncio.Event()

    async def open(self, streams: int = 1) -> str:
        self._stop = asyncio.Event()
        self._started = asyncio.Semaphore(0)
        self._publishers: list[Publish] = []
        paths = []
        for _ in range(streams):
            execution = await self.executions.start("produce", {})
            await self._started.acquire()
            paths.append(f"/executions/{execution.id}/events")
        self.publish = self._publishers[0]
        self._next = iter(paths)
        return paths[0] if streams == 1 else "/next"

    def publishers(self) -> Sequence[Publish]:
        return self._publishers

    def finish(self) -> None:
        self._stop.set()

    async def app(self, scope: Any, receive: Any, send: Any) -> None:
        if scope.get("path") == "/next":
            path = next(self._next)
            scope = {**scope, "path": path, "raw_path": path.encode()}
        await self._app(scope, receive, send)


class Uncoalesced(Bare):
    """asgi-events with a batch of wake-ups for each event."""

    def __init__(self) -> None:
        from asgi_events.aio import wakeups

        wakeups._FEW = 1_000_000_000
        super().__init__()


class Bound:
    """The lowest cost of a write for each event: one future, one ``send``.

    It has one stream, no heartbeat, no history and one handler on its bus. It does not
    notice disconnects or slow viewers.
    """

    def __init__(self) -> None:
        self._frame: bytes | None = b""
        self._waiting: list[asyncio.Future[None]] = []

    async def open(self, streams: int = 1) -> str:
        self._frame = b": stream-start\n\n"
        return "/stream"

    def publish(self, event: BaseModel) -> None:
        self._wake(b"data: %b\n\n" % event.__pydantic_serializer__.to_json(event))

    def publishers(self) -> Sequence[Publish]:
        return [self.publish]

    def finish(self) -> None:
        self._wake(None)

    async def app(self, scope: Any, receive: Any, send: Any) -> None:
        headers = [(b"content-type", b"text/event-stream")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        loop = asyncio.get_running_loop()
        kind = "http.response.body"
        while self._frame is not None:
            await send({"type": kind, "body": self._frame, "more_body": True})
            woken = loop.create_future()
            self._waiting.append(woken)
            await woken
        await send({"type": kind, "body": b"", "more_body": False})

    def _wake(self, frame: bytes | None) -> None:
        self._frame = frame
        waiting, self._waiting = self._waiting, []
        for woken in waiting:
            woken.set_result(None)


class BurstBound:
    """The lowest cost of events that nothing waits for: a ``send`` for many of them.

    It has one viewer, and lets it send as often as asgi-events does. See ``Bound``.
    """

    def __init__(self) -> None:
        self._frames: list[bytes] = []
        self._woken: asyncio.Future[None] | None = None
        self._published = 0
        self._over = False

    async def open(self, streams: int = 1) -> str:
        self._frames, self._over = [b": stream-start\n\n"], False
        return "/stream"

    def publish(self, event: BaseModel) -> Awaitable[None] | None:
        json = event.__pydantic_serializer__.to_json(event)
        self._frames.append(b"data: %b\n\n" % json)
        self._wake()
        self._published += 1
        return None if self._published % 64 else asyncio.sleep(0)

    def publishers(self) -> Sequence[Publish]:
        return [self.publish]

    def finish(self) -> None:
        self._over = True
        self._wake()

    async def app(self, scope: Any, receive: Any, send: Any) -> None:
        headers = [(b"content-type", b"text/event-stream")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        loop = asyncio.get_running_loop()
        kind = "http.response.body"
        while self._frames or not self._over:
            body, self._frames = b"".join(self._frames), []
            await send({"type": kind, "body": body, "more_body": True})
            if not self._frames and not self._over:
                self._woken = loop.create_future()
                await self._woken
        await send({"type": kind, "body": b"", "more_body": False})

    def _wake(self) -> None:
        woken, self._woken = self._woken, None
        if woken is not None:
            woken.set_result(None)


RIVALS: dict[str, Callable[[], Any]] = {
    "hand-written": HandWritten,
    "sse-starlette": lambda: Queues(sse_starlette),
    "fastapi": lambda: Queues(fastapi),
    "litestar": lambda: Queues(litestar),
    "quart": lambda: Queues(quart),
    "django": lambda: Queues(django),
    "asgi-events": Bare,
    "uncoalesced": Uncoalesced,
    "retained": Retained,
    "bound": Bound,
    "bound of a burst": BurstBound,
}
