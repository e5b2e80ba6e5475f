"""The only code that sends a body.

One task, the caller's own, sends; another task receives. The sender sleeps on one
future that four things wake: frames, the client's disconnect, the timer, a farewell.

1. Only ``receive`` tells that the client has disconnected. After that ``send`` of most
   servers does nothing and does not even suspend; uvicorn's may raise, hypercorn's may
   never return. So the sender checks ``gone`` before each send and lets the loop turn
   between two sends. To a client that has gone, an error of ``send`` does not count,
   and a send that does not return is given up.
2. After ``send_timeout`` nobody knows whether the message went out, so the stream is
   dropped. The client comes back with the last id it has.
3. Some servers never hold a sender back: daphne, and most over HTTP/2. They buffer what
   a stuck client does not read, so there a stream that can be resumed ends after
   ``max_backlog`` bytes; a client that does read comes back at once. hypercorn waits
   until the client has read everything, but only in the very last send. So that send
   has no timeout where ``Unread`` counts the streams that wait in it.
4. Every other exit ends the body with ``more_body=False``, in the message of the last
   bytes where they are known as such, or breaks the connection off where a format has
   no word for it. After the server has cancelled us this is the first thing that we
   await: uvicorn leaves one turn of the loop.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterable, Callable
from contextlib import suppress
from typing import Any, NoReturn

from asgiref.typing import ASGIReceiveCallable, ASGISendCallable

from asgi_events.aio import signals
from asgi_events.aio.waiter import Waiter
from asgi_events.checks import check_callables, check_counts, check_seconds
from asgi_events.error_messages import ErrorMessage
from asgi_events.events import SHUTTING_DOWN, CancelledEvent
from asgi_events.executions.viewers import Unread
from asgi_events.http import servers
from asgi_events.http.deadlines import Deadlines
from asgi_events.http.headers import stream_headers
from asgi_events.http.iterator import source_of
from asgi_events.log.source import BrokenOff, FrameSource, Last
from asgi_events.types import Headers, Receive, Scope, Send
from asgi_events.wire.encoding import encode_json
from asgi_events.wire.formats import NATIVE, Format
from asgi_events.wire.frames import json_block

logger = logging.getLogger(__name__)

_FAREWELL_TIMEOUT = 1.0  # seconds for the last message to a client that may be stuck
_STOPPING_TIMEOUT = 2.0  # seconds for any message once the process is told to stop
_GONE_TIMEOUT = 1.0  # seconds for a message to a client that has gone
_GONE_SOON = 0.1  # seconds in which a failed send is followed by the disconnect


class EventSourceResponse:
    """An ASGI application that sends one event stream.

    Return it from any framework that takes an ASGI application, or await it with
    ``(scope, receive, send)``. It can be sent once.

    Args:
        content: An async iterable of ``ServerSentEvent``, pydantic models, dicts (one
            line of JSON), str (the text of ``data``) or bytes (encoded blocks, sent
            unchanged); or a ``FrameSource``.
        status: The HTTP status.
        headers: Further response headers, or other values for ours.
        heartbeat_interval: Seconds without data until a comment is sent; None for no
            comments.
        send_timeout: Seconds that one send may take until the stream is dropped; None
            for any time.
        max_duration: Seconds until the stream ends with a ``goodbye``, after which the
            client reconnects. It ends up to a tenth earlier, so that clients do not all
            return at once. None for any time.
        max_backlog: Bytes that a server which never holds a sender back may be given
            until the stream ends with a ``goodbye``. None for any number: a stream that
            cannot be resumed would lose its rest.
        error_message: Makes the message that the client gets when the iterable raises;
            None for a neutral one. The exception is logged in any case.
        handle_signals: At SIGTERM and SIGINT close the iterable and send ``cancelled``.
            Most servers wait for open streams before they stop.
        format: Makes the bytes that the stream has beside the frames of its source.

    Attributes:
        last_word: Returns the bytes that the client gets when the process stops before
            the source has ended.
        source_hears: Whether the source handles the signals itself, and ends.
        unread: Where the stream waits at its end until the client has read it, on a
            server that never holds a sender back; the source is closed by then. None:
            the stream is dropped after ``send_timeout``.

    Raises:
        TypeError: ``content``, or an option, is of a wrong type.
        ValueError: An interval is not positive, or a stream cannot have a header.
    """

    # No __dict__: FastAPI would serialise it, and its error would not name the cause.
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
        self.source: FrameSource = source_of(content, error_message=error_message)
        self.status = status
        self.format = format
        self.headers = stream_headers(format, headers)
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
        """Raise: FastAPI iterates over results whose type it does not know."""
        raise TypeError(
            "An EventSourceResponse is an ASGI application. Where the framework wants "
            "a response of its own, wrap it: in FastAPI return ASGIResponse(…) from "
            "asgi_events.adapters.starlette."
        )

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
            await (stream.head() if scope["method"] == "HEAD" else stream.run())
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
        self._deadlines = Deadlines(
            heartbeat_interval=response.heartbeat_interval,
            send_timeout=response.send_timeout,
            max_duration=response.max_duration,
        )
        self._receive = receive
        self._asgi_send = send
        self._task = asyncio.current_task()
        self._watching: asyncio.Task[None] | None = None
        self._over: asyncio.Future[None] | None = None  # if somebody waits for it
        self._gone = False
        self._stopping = False
        self._patient = servers.waits_for_what_it_cancels(scope)
        self._dropped = False
        self._broken = False
        self._taken = b""  # from the source, and not sent yet
        waits = response.max_backlog is None or servers.holds_back(scope)
        self._backlog = None if waits else response.max_backlog
        self._unread = None if waits else response.unread

    async def head(self) -> None:
        """Send headers and no body (RFC 9110, section 9.3.2)."""
        await self._start()
        await self._send(_body(b"", more_body=False))

    async def run(self) -> None:
        """Send frames until they end or the client goes."""
        self._watching = self._loop.create_task(self._watch())
        self._deadlines.start(self)
        if self._response.handle_signals:
            signals.listen(self, _Stream._stop)
        try:
            await self._start()
            if greeting := self._response.format.greeting:
                await self._send(_body(greeting))
            await self._end(await self._send_frames())
        except BrokenOff:
            await servers.break_off(self._asgi_send)
        except asyncio.CancelledError:
            if not self._dropped:
                await self._end_cancelled()
                raise
            if self._task is not None and self._task.uncancel() > 0:
                raise  # the server's own cancel came as well
        except Exception:
            if not self._broken:
                await self._send_end(b"")
            raise
        finally:
            self._deadlines.stop()
            self._watching.cancel()
            if self._over is not None:
                self._over.set_result(None)
            if self._response.handle_signals:
                signals.forget(self)

    def wake(self) -> None:
        """Let the sender look at its source and its deadlines."""
        self._waiter.wake()

    def expire(self) -> None:
        """End with a goodbye: the stream has lasted for ``max_duration``."""
        self._source.dismiss(self._response.format.goodbye("max_duration"))
        self._waiter.wake()

    def drop(self) -> None:
        """Cancel the send that is under way, and with it the stream."""
        if self._task is None or self._dropped:
            return
        if not self._gone:
            logger.info(
                "An event stream was dropped: its client took nothing for %s s.",
                self._deadlines.send_timeout,
            )
        self._dropped = True
        self._task.cancel()

    async def _end_cancelled(self) -> None:
        """The server has cancelled the response: send the end, if there is time."""
        if self._stopping and self._patient:
            with suppress(BrokenOff):
                await self._send(_body(await self._send_frames(), more_body=False))
            return  # what is broken off ends with its server
        speaks = self._stopping or self._response.max_backlog is not None
        await self._send_end((self._response.last_word() or b"") if speaks else b"")

    def _stop(self, longest: float) -> asyncio.Future[None]:
        """End because the process stops, and wait less for a stuck client."""
        self._stopping = True
        if not self._response.source_hears:
            self._source.dismiss(self._response.last_word())
            self._waiter.wake()
        self._deadlines.shorten(_STOPPING_TIMEOUT)
        self._over = self._over or self._loop.create_future()
        return self._over

    async def _start(self) -> None:
        start = {"type": "http.response.start", "status": self._response.status}
        headers = list(self._response.headers)  # middleware adds to it
        await self._send({**start, "headers": headers})

    async def _send_frames(self) -> bytes:
        """Send what the source gives; return what goes out with the end of the body."""
        source, waiter, send = self._source, self._waiter, self._asgi_send
        loop, deadlines = self._loop, self._deadlines
        chunk, self._taken = self._taken or source.take(), b""
        while chunk is not None and not self._gone:
            if not chunk:
                if not deadlines.beat:
                    await waiter.sleep()
                    chunk = source.take()
                    continue
                chunk = self._response.format.heartbeat
            elif type(chunk) is Last:
                return bytes(chunk)
            if self._backlog is not None:
                self._spend(self._backlog - len(chunk))
            deadlines.beat = False
            deadlines.last_sent = deadlines.sending_since = loop.time()
            try:
                await send(
                    {"type": "http.response.body", "body": chunk, "more_body": True}
                )
            except Exception as error:
                await self._failed(error)
                break
            deadlines.sending_since = None
            chunk = source.take()
            if chunk:
                self._taken = chunk  # the server may cancel us here
                await asyncio.sleep(0)
                self._taken = b""
        return b""

    def _spend(self, left: int) -> None:
        self._backlog = left if left >= 0 else None
        if left < 0:
            self._source.dismiss(self._response.format.goodbye("backlog"))

    async def _send(self, message: Any) -> None:
        if self._gone:
            return
        self._deadlines.last_sent = self._deadlines.sending_since = self._loop.time()
        try:
            await self._asgi_send(message)
        except Exception as error:
            await self._failed(error)
        self._deadlines.sending_since = None

    async def _end(self, last: bytes) -> None:
        if self._unread is None or self._watching is None or self._gone:
            await self._send(_body(last, more_body=False))
            return
        if last:  # nobody sends what ``Unread`` has given up
            await self._send(_body(last))
        await self._source.aclose()
        end = self._asgi_send(_body(b"", more_body=False))
        try:
            await self._unread.wait(end, self._watching)
        except Exception as error:
            await self._failed(error)

    async def _send_end(self, farewell: bytes) -> None:
        """Send the end of a stream that was cancelled or has failed, if possible."""
        try:
            async with asyncio.timeout(_FAREWELL_TIMEOUT):
                if self._response.last_word() is None:
                    await servers.break_off(self._asgi_send)
                else:
                    await self._send(_body(farewell, more_body=False))
        except TimeoutError:
            logger.info("A cancelled stream could not be ended: its client is stuck.")
        except Exception:
            logger.info("A cancelled stream could not be ended.", exc_info=True)

    async def _watch(self) -> None:
        """Wait for the disconnect; the only code that calls ``receive``."""
        try:
            while (await self._receive())["type"] != "http.disconnect":
                pass
        except Exception:
            logger.exception("receive() failed; the stream ends as if its client left.")
        self._gone = True
        self._waiter.wake()
        if self._deadlines.sending_since is not None:  # hypercorn may never return
            await asyncio.sleep(_GONE_TIMEOUT)
            if self._deadlines.sending_since is not None:
                self.drop()

    async def _failed(self, error: Exception) -> None:
        """Return if the client has gone, since any send may fail then; else raise."""
        if isinstance(error, OSError):  # ASGI 2.4 raises it when the client has gone
            self._gone = True
        self._deadlines.sending_since = None
        if not self._gone and self._watching is not None:
            await asyncio.wait({self._watching}, timeout=_GONE_SOON)
        if not self._gone:
            self._broken = True
            raise error


def _body(body: bytes, *, more_body: bool = True) -> Any:
    return {"type": "http.response.body", "body": body, "more_body": more_body}


def _cancelled() -> bytes:
    return json_block(encode_json(CancelledEvent(message=SHUTTING_DOWN)))
