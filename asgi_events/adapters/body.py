"""The response of an ASGI application, as other frameworks take it."""

from __future__ import annotations

import asyncio
from typing import Any, Self

from asgi_events.types import ASGIApp, Scope

_CLOSE_TIMEOUT = 10.0  # seconds for an application whose client has gone


class ASGIBody:
    """The body that an ASGI application sends, as an async iterator of bytes.

    The application runs in a task of its own, at most one message ahead of the reader.
    If nobody reads the body, the application sees a client that does not read, and
    ``send_timeout`` ends it. If the iterator is closed, or the task that waits for it
    is cancelled, the application sees a disconnect. If the application does not
    complete its body, the iterator raises at its end, and the server breaks the
    connection off, so no client takes the body to be complete.

    Attributes:
        status: The HTTP status.
        headers: The response headers.
    """

    def __init__(self) -> None:
        self.status = 500
        self.headers: dict[str, str] = {}
        self._loop = asyncio.get_running_loop()
        self._started: asyncio.Future[None] = self._loop.create_future()
        self._chunks: asyncio.Queue[bytes | None] = asyncio.Queue(1)
        self._gone = asyncio.Event()
        self._over = False
        self._complete = False
        self._broken: Exception | None = None
        self._task: asyncio.Task[None] | None = None

    @classmethod
    async def of(cls, app: ASGIApp, scope: Scope) -> Self:
        """Call ``app`` and wait until it has sent its status.

        Raises:
            RuntimeError: ``app`` ended and sent no status.
            Exception: What ``app`` raises before it sends its status.
        """
        body = cls()
        body._task = body._loop.create_task(body._run(app, scope))
        try:
            await body._started
        except BaseException:
            body._task.cancel()
            await body.aclose()
            raise
        return body

    async def aclose(self) -> None:
        """Disconnect, and wait up to 10 s for the application to end."""
        self._leave()
        if self._task is not None:
            await asyncio.wait({self._task}, timeout=_CLOSE_TIMEOUT)

    def close(self) -> None:
        """Disconnect. May be called in any thread."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._leave)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        if self._gone.is_set():
            raise StopAsyncIteration
        try:
            if self._over and self._chunks.empty():
                chunk = None
            else:
                chunk = await self._chunks.get()
        except asyncio.CancelledError:
            self._leave()
            raise
        if chunk is None:
            self._gone.set()
            raise self._broken or StopAsyncIteration
        return chunk

    async def _run(self, app: ASGIApp, scope: Scope) -> None:
        try:
            await app(scope, self._receive, self._send)
            if not self._complete and not self._gone.is_set():
                self._broken = ConnectionAbortedError(f"{app!r} broke off its body.")
        except Exception as error:
            self._broken = error
            if not self._started.done():
                self._started.set_exception(error)
        finally:
            if not self._started.done():
                self._started.set_exception(
                    RuntimeError(f"{app!r} returned, or was cancelled, unanswered.")
                )
            self._over = True
            if self._chunks.empty():  # else the reader sees it after the last one
                self._chunks.put_nowait(None)

    async def _receive(self) -> Any:
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = {
                name.decode("latin-1"): value.decode("latin-1")
                for name, value in message["headers"]
            }
            if not self._started.done():
                self._started.set_result(None)
            return
        if message.get("body") and not self._gone.is_set():
            await self._chunks.put(message["body"])
        self._complete = self._complete or not message.get("more_body")

    def _leave(self) -> None:
        self._gone.set()
        while not self._chunks.empty():  # nobody needs to wait for room any more
            self._chunks.get_nowait()
