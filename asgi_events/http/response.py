"""The only code that sends a body.

One task, the caller's own, sends; one other task receives. The sender sleeps on one
future that four things wake: frames, the client's disconnect, the timer, a farewell.

1. Disconnect is what ``receive`` says and nothing else. After it most servers' ``send``
   is a no-op that does not even suspend; that of uvicorn may raise, that of hypercorn
   may never return. So ``gone`` is looked at before each send, two sends never follow
   one another without a turn of the loop, an error of ``send`` counts only while the
   client is there, and a send to one that has gone is given up.
2. ``send_timeout`` is terminal. Whether the message went out is unknown, so the stream
   is dropped; the client comes back with the last id it has.
3. Some servers never hold a sender back: daphne, and most over HTTP/2. They buffer what
   a stuck client does not read, so there a stream that can be resumed ends after
   ``max_backlog`` bytes; a client that does read comes back at once. hypercorn then
   waits in the very last send until the client has read all of it, and nowhere else. So
   that send has no timeout where somebody counts who is ``Unread``.
4. Every other way out ends with ``more_body=False``. When the server cancels us that
   is the first thing awaited: uvicorn leaves one turn of the loop.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import random
from collections.abc import AsyncIterable, Callable, Iterable
from typing import Any, NoReturn

from asgiref.typing import ASGIReceiveCallable, ASGISendCallable

from asgi_events.aio import signals
from asgi_events.aio.timers import Timer, timers
from asgi_events.aio.waiter import Waiter
from asgi_events.checks import (
    check_callables,
    check_counts,
    check_headers,
    check_seconds,
)
from asgi_events.error_messages import ErrorMessage
from asgi_events.events import SHUTTING_DOWN, CancelledEvent
from asgi_events.executions.viewers import Unread
from asgi_events.http.iterator import IteratorSource
from asgi_events.log.source import BrokenOff, FrameSource
from asgi_events.types import Headers, Receive, Scope, Send
from asgi_events.wire.encoding import encode_json
from asgi_events.wire.formats import NATIVE, Format
from asgi_events.wire.frames import json_block

logger = logging.getLogger(__name__)


def encode_headers(headers: Headers) -> list[tuple[bytes, bytes]]:
    """Headers as ASGI wants them, the names in lower case."""
    return [
        (name.lower().encode("latin-1"), value.encode("latin-1"))
        for name, value in headers.items()
    ]


_HEADERS = {
    "cache-control": "no-cache, no-transform",
    "x-accel-buffering": "no",
    "x-content-type-options": "nosniff",
}


def _headers_of(format: Format, given: Headers) -> tuple[tuple[bytes, bytes], ...]:
    """The response headers of a stream."""
    check_headers(given)
    named = {"content-type": f"{format.media_type}; charset=utf-8"}
    named |= _HEADERS | dict(format.headers)
    return tuple(encode_headers(named | {n.lower(): v for n, v in given.items()}))


_NATIVE_HEADERS = _headers_of(NATIVE, {})  # of all streams that ask for no others

_NOT_ITERABLE = (
    "An EventSourceResponse is an ASGI application. Where the framework wants a "
    "response of its own, wrap it: in FastAPI return ASGIResponse(…) from "
    "asgi_events.adapters.starlette."
)

_FAREWELL_TIMEOUT = 1.0  # seconds for the last message to a client that may be stuck
_STOPPING_TIMEOUT = 2.0  # seconds for any message once the process is told to stop
_GONE_TIMEOUT = 1.0  # seconds for a message to a client that has gone
_GONE_SOON = 0.1  # seconds in which a failed send is followed by the disconnect


class EventSourceResponse:
    """An ASGI application that sends one event stream.

    Return it from any framework that takes an ASGI application, or await it.

    Args:
        content: An async iterable of ``ServerSentEvent``, pydantic models, dicts (one
            line of JSON), str (the text of ``data``) or bytes (encoded blocks, sent as
            they are); or a ``FrameSource``.
        status: The HTTP status.
        headers: More response headers, or other values for ours.
        heartbeat_interval: Seconds without data until a comment is sent; None for
            never.
        send_timeout: Seconds one send may take until the stream is dropped; None for
            ever.
        max_duration: Seconds until the stream ends with a ``goodbye`` from which the
            client reconnects, less up to a tenth so that not all come back at once.
        max_backlog: Bytes handed to a server that never holds a sender back until the
            stream ends with a ``goodbye``; None for any number, since a stream that can
            not be resumed would lose its rest.
        error_message: What the client is told when the iterable raises; None tells it
            only that there was an error. It is logged either way.
        handle_signals: End the stream at SIGTERM and SIGINT: the iterable is closed,
            and the client is told ``cancelled``. Most servers wait for open streams
            before they stop.
        format: What the client is sent besides the frames of its source.

    Attributes:
        last_word: Makes what the client is told when the process stops before the
            source has ended.
        source_hears: Whether the source hears the signals itself, and ends.
        unread: Where the stream waits at its end until its client has read it, if the
            server is one that never holds a sender back; its source is closed by then.
            None: it is dropped after ``send_timeout``.

    Raises:
        TypeError: ``content`` is none of the above.
        ValueError: An interval that is not positive, a header that no stream can have.
    """

    # No __dict__: FastAPI would take that for the content, and name another error.
    __slots__ = (
        "__weakref__",
        "_sent",
        "format",
        "handle_signals",
        "headers",
        "heartbeat_interval",
        "last_word",
        "max_backlog",
        "max_duration",
        "send_timeout",
        "source",
        "source_hears",
        "status",
        "unread",
    )

    def __init__(
        self,
        content: FrameSource | AsyncIterable[Any],
        *,
        status: int = 200,
        headers: Headers | None = None,
        heartbeat_interval: float | None = 15.0,
        send_timeout: float | None = 30.0,
        max_duration: float | None = None,
        max_backlog: int | None = None,
        error_message: ErrorMessage | None = None,
        handle_signals: bool = True,
        format: Format = NATIVE,
    ) -> None:
        check_seconds(
            heartbeat_interval=heartbeat_interval,
            send_timeout=send_timeout,
            max_duration=max_duration,
        )
        check_counts(max_backlog=max_backlog)
        check_callables(error_message=error_message)
        if isinstance(content, FrameSource):
            self.source: FrameSource = content
        elif isinstance(content, AsyncIterable):
            self.source = IteratorSource(content, error_message=error_message)
        else:
            raise TypeError(
                "content must be an async iterable of events, "
                f"got {type(content).__name__}{_cure(content)}"
            )
        self.status = status
        self.format = format
        self.headers = _NATIVE_HEADERS
        if headers or format is not NATIVE:
            self.headers = _headers_of(format, headers or {})
        self.heartbeat_interval = heartbeat_interval
        self.send_timeout = send_timeout
        self.max_duration = max_duration
        self.max_backlog = max_backlog
        self.unread: Unread | None = None
        self._sent = False
        self.handle_signals = handle_signals
        self.last_word: Callable[[], bytes | None] = _cancelled
        self.source_hears = False

    def __iter__(self) -> NoReturn:
        """Refuse what FastAPI does to an endpoint's result that it does not know."""
        raise TypeError(_NOT_ITERABLE)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._sent:
            raise RuntimeError(
                "This EventSourceResponse has been sent, and its content with it: make "
                "a new one for each request."
            )
        self._sent = True
        try:
            if scope["type"] != "http":
                raise RuntimeError(
                    f"An event stream answers http requests, not {scope['type']!r}."
                )
            stream = _Stream(self, scope, receive, send)
            if scope["method"] == "HEAD":
                await stream.head()
            else:
                await stream.run()
        finally:
            await self.source.aclose()


class _Stream:
    """The state of one connection."""

    def __init__(
        self,
        response: EventSourceResponse,
        scope: Scope,
        receive: ASGIReceiveCallable,
        send: ASGISendCallable,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._response = response
        self._source = response.source
        self._waiter = Waiter(response.source.on_ready)
        self._receive = receive
        self._asgi_send = send
        self._task = asyncio.current_task()
        self._watching: asyncio.Task[None] | None = None
        self._timer: Timer | None = None
        self._over: asyncio.Future[None] = self._loop.create_future()
        self._send_timeout = response.send_timeout
        self._gone = False
        self._stopping = False
        self._patient = _waits_for_what_it_cancels(scope)
        self._dropped = False
        self._broken = False
        self._beat = False
        self._sending_since: float | None = None
        self._last_sent = self._started = self._loop.time()
        self._backlog: int | None = None
        self._unread: Unread | None = None
        if response.max_backlog is not None and not _holds_back(scope):
            self._backlog = response.max_backlog
            self._unread = response.unread
        self._ends_at: float | None = None
        if response.max_duration is not None:
            self._ends_at = self._started + response.max_duration * random.uniform(
                0.9, 1
            )

    async def head(self) -> None:
        """Headers and no body (RFC 9110, section 9.3.2)."""
        await self._start()
        await self._send(_body(b"", more_body=False))

    async def run(self) -> None:
        """Send frames until they end or the client goes."""
        self._watching = self._loop.create_task(self._watch())
        self._timer = timers().start(self._tick, self._first_tick())
        if self._response.handle_signals:
            signals.listen(self, _Stream._told)
        try:
            await self._start()
            if greeting := self._response.format.greeting:
                await self._send(_body(greeting))
            await self._send_frames()
            await self._end()
        except BrokenOff:
            return  # the server closes a connection whose body has not ended
        except asyncio.CancelledError:
            if not self._dropped:
                await self._end_cancelled()
                raise
            if self._task is not None and self._task.uncancel() > 0:
                raise  # the server's own cancel came as well
        except Exception:
            if not self._broken:
                await self._say_the_end()
            raise
        finally:
            self._timer.stop()
            self._watching.cancel()
            self._over.set_result(None)
            if self._response.handle_signals:
                signals.forget(self)

    async def _end_cancelled(self) -> None:
        """The server has cancelled the response; say the end, if there is time."""
        response = self._response
        if self._stopping and self._patient:
            await self._send_frames()
            await self._send(_body(b"", more_body=False))
        elif self._stopping or response.max_backlog is not None:
            await self._say_the_end(response.last_word() or b"")
        else:
            await self._say_the_end()

    def _told(self, longest: float) -> asyncio.Future[None]:
        """The process is told to stop: end, and wait no longer for a stuck client."""
        self._stopping = True
        if not self._response.source_hears:
            self._source.dismiss(self._response.last_word())
            self._waiter.wake()
        timeout = self._send_timeout
        self._send_timeout = min(_STOPPING_TIMEOUT, timeout or _STOPPING_TIMEOUT)
        if self._timer is not None:
            self._timer.stop()
            now = self._loop.time()
            self._timer = timers().start(self._tick, self._tick(now))
        return self._over

    async def _send_frames(self) -> None:
        """What every event of every viewer costs, so it calls as little as it can."""
        take, sleep, send = self._source.take, self._waiter.sleep, self._asgi_send
        now = self._loop.time
        chunk = take()
        while chunk is not None and not self._gone:
            if not chunk:
                if not self._beat:
                    await sleep()
                    chunk = take()
                    continue
                chunk = self._response.format.heartbeat
            if self._backlog is not None:
                self._spend(len(chunk))
            self._beat = False
            self._last_sent = self._sending_since = now()
            try:
                await send(
                    {"type": "http.response.body", "body": chunk, "more_body": True}
                )
            except Exception as error:
                await self._failed(error)
                return
            self._sending_since = None
            chunk = take()
            if chunk:
                await asyncio.sleep(0)

    async def _end(self) -> None:
        end = _body(b"", more_body=False)
        if self._unread is None or self._watching is None or self._gone:
            await self._send(end)
            return
        await self._source.aclose()
        try:
            await self._unread.wait(self._asgi_send(end), self._watching)
        except Exception as error:
            await self._failed(error)

    async def _watch(self) -> None:
        """Wait for the disconnect; the only code that calls ``receive``."""
        try:
            while (await self._receive())["type"] != "http.disconnect":
                pass
        except Exception:
            logger.exception("receive() failed; the client is taken to be gone.")
        self._gone = True
        self._waiter.wake()
        if self._sending_since is not None:  # hypercorn does not return from it
            await asyncio.sleep(_GONE_TIMEOUT)
            if self._sending_since is not None:
                self._drop()

    async def _failed(self, error: Exception) -> None:
        """Return when the client has gone, to whom any send may fail; raise if not."""
        if isinstance(error, OSError):  # promised by ASGI 2.4 for one that has gone
            self._gone = True
        self._sending_since = None
        if not self._gone and self._watching is not None:
            await asyncio.wait({self._watching}, timeout=_GONE_SOON)
        if not self._gone:
            self._broken = True
            raise error

    def _drop(self) -> None:
        """Give up the send that is under way, and the stream."""
        if self._task is not None and not self._dropped:
            self._dropped = True
            self._task.cancel()

    def _first_tick(self) -> float:
        """Within the second half of an interval, to spread those that came together."""
        return self._started + self._step() * random.uniform(0.5, 1)

    def _step(self) -> float:
        response = self._response
        steps = (
            response.heartbeat_interval,
            self._send_timeout,
            response.max_duration,
        )
        return min((step for step in steps if step is not None), default=3600.0)

    def _tick(self, now: float) -> float:
        """Look at every deadline; say when to look again."""
        response = self._response
        if self._ends_at is not None and now >= self._ends_at:
            self._ends_at = None
            self._source.dismiss(self._response.format.goodbye("max_duration"))
            self._waiter.wake()
        if self._sending_since is not None:
            return self._tick_while_sending(now, self._sending_since)
        at = now + self._step()
        if response.heartbeat_interval is not None:
            due = self._last_sent + response.heartbeat_interval
            if now >= due:
                self._beat = True
                self._waiter.wake()
            else:
                at = min(at, due)
        return at if self._ends_at is None else min(at, self._ends_at)

    def _tick_while_sending(self, now: float, since: float) -> float:
        timeout = self._send_timeout
        if timeout is None:
            return now + self._step()
        if now < since + timeout:
            return since + timeout
        if not self._dropped:
            logger.info(
                "An event stream was dropped: its client took nothing for %s s.",
                timeout,
            )
            self._drop()
        return now + timeout

    async def _start(self) -> None:
        await self._send(
            {
                "type": "http.response.start",
                "status": self._response.status,
                "headers": list(self._response.headers),  # middleware adds to it
            }
        )

    def _spend(self, size: int) -> None:
        assert self._backlog is not None
        self._backlog -= size
        if self._backlog < 0:
            self._backlog = None
            self._source.dismiss(self._response.format.goodbye("backlog"))

    async def _send(self, message: Any) -> None:
        if self._gone:
            return
        self._last_sent = self._sending_since = self._loop.time()
        try:
            await self._asgi_send(message)
        except Exception as error:
            await self._failed(error)
        self._sending_since = None

    async def _say_the_end(self, farewell: bytes = b"") -> None:
        try:
            async with asyncio.timeout(_FAREWELL_TIMEOUT):
                await self._send(_body(farewell, more_body=False))
        except TimeoutError:
            logger.info("A cancelled event stream could not say its end: client stuck.")
        except Exception:
            logger.info(
                "A cancelled event stream could not say its end.", exc_info=True
            )


def _cure(content: object) -> str:
    """What to do about content that is nearly right."""
    if inspect.isroutine(content):
        return ": call it"
    if inspect.iscoroutine(content):
        content.close()
        return ": await it, and give what it returns"
    if isinstance(content, Iterable) and not isinstance(content, str | bytes):
        return ": yield its items in an async generator"
    return ""


def _body(body: bytes, *, more_body: bool = True) -> Any:
    return {"type": "http.response.body", "body": body, "more_body": more_body}


def _cancelled() -> bytes:
    return json_block(encode_json(CancelledEvent(message=SHUTTING_DOWN)))


def _waits_for_what_it_cancels(scope: Scope) -> bool:
    """Whether the server cancels its applications at once when it is told to stop.

    NOTE: that is daphne, which names no spec_version; then it waits as long as they
    take. The others cancel when their patience is at an end.
    """
    return "spec_version" not in scope.get("asgi", {})


def _holds_back(scope: Scope) -> bool:
    """Whether the server's ``send`` waits for a client that does not read.

    NOTE: there is no way to ask. Daphne is the one that names no spec_version; of the
    servers with HTTP/2 only granian waits, and ending a stream early costs it little.
    """
    return scope.get("http_version") != "2" and "spec_version" in scope.get("asgi", {})
