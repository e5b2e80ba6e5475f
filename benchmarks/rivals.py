"""The same stream by each library.

Rivals have a queue for each viewer and nothing else between the producer and it, which
is less than anybody's event bus does. None of them needs more than one task, either.
"""

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable
from typing import Any, Protocol

from pydantic import BaseModel


class Tick(BaseModel):
    """About 100 bytes of JSON; ``text`` is ~ and the time in ns."""

    number: int
    kind: str = "tick"
    source: str = "benchmarks/rivals"
    text: str


class Rival(Protocol):
    """What a library has to offer to be measured."""

    app: Any

    async def open(self) -> str:
        """The path of a new stream."""

    def publish(self, event: BaseModel) -> Awaitable[Any] | None:
        """Publish to all viewers of the last stream opened."""

    def finish(self) -> None:
        """End it."""


class Queues:
    """What a rival is: a queue for each viewer."""

    def __init__(self, make_app: Callable[[Callable[[], Any]], Any]) -> None:
        self._queues: set[asyncio.Queue[Tick | None]] = set()
        self.app = make_app(self.queue)

    def queue(self) -> "asyncio.Queue[Tick | None]":
        queue: asyncio.Queue[Tick | None] = asyncio.Queue()
        self._queues.add(queue)
        return queue

    async def open(self) -> str:
        self._queues.clear()
        return "/stream"

    def publish(self, event: Any) -> None:
        for queue in self._queues:
            queue.put_nowait(event)

    def finish(self) -> None:
        self.publish(None)


async def ticks(queue: "asyncio.Queue[Tick | None]") -> AsyncIterator[Tick]:
    """Until None."""
    while (event := await queue.get()) is not None:
        yield event


class HandWritten(Queues):
    """The README's "before": it looks four times a second whether it is over."""

    def __init__(self) -> None:
        from starlette.responses import StreamingResponse

        async def app(scope: Any, receive: Any, send: Any) -> None:
            response = StreamingResponse(
                self._stream(self.queue()), media_type="text/event-stream"
            )
            await response(scope, receive, send)

        super().__init__(lambda _: app)
        self._over = asyncio.Event()

    async def open(self) -> str:
        self._over = asyncio.Event()
        return await super().open()

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
    """Ours: an ``EventStreamer`` on a bus."""

    def __init__(self) -> None:
        self._stop = asyncio.Event()

    async def open(self) -> str:
        from asgi_events import EventBus, EventStreamer

        bus = EventBus()
        self._streamer = EventStreamer(
            on_disconnect="continue", heartbeat_interval=15.0
        )
        bus.subscribe(self._streamer)
        self._stop = asyncio.Event()
        self._task = asyncio.create_task(self._stop.wait())
        self.publish = bus.publish
        return "/stream"

    def finish(self) -> None:
        self._stop.set()

    async def app(self, scope: Any, receive: Any, send: Any) -> None:
        response = self._streamer.response(execution_task=self._task)
        await response(scope, receive, send)


class Retained:
    """Ours: an ``EventsApp`` with the store in memory, and ids on the wire."""

    def __init__(self) -> None:
        from asgi_events import EventsApp, current_state, tool

        @tool
        async def produce() -> None:
            self.publish = current_state().publish
            self._stop = asyncio.Event()
            self._started.set()
            await self._stop.wait()

        self.app = EventsApp(produce, cancel_after=None)

    async def open(self) -> str:
        self._started = asyncio.Event()
        execution = await self.app.executions.start("produce", {})
        await self._started.wait()
        return f"/executions/{execution.id}/events"

    def finish(self) -> None:
        self._stop.set()


class Uncoalesced(Bare):
    """Ours, with a round of wake-ups for each event."""

    def __init__(self) -> None:
        from asgi_events.aio import wakeups

        wakeups._FEW = 1_000_000_000
        super().__init__()


class Bound:
    """What none can beat with a write for each event: one future, one ``send``.

    No heartbeat, no disconnect, no slow viewer, no history; a bus of one handler.
    """

    def __init__(self) -> None:
        self._frame: bytes | None = b""
        self._waiting: list[asyncio.Future[None]] = []

    async def open(self) -> str:
        self._frame = b": stream-start\n\n"
        return "/stream"

    def publish(self, event: BaseModel) -> None:
        self._wake(b"data: %b\n\n" % event.__pydantic_serializer__.to_json(event))

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
}
