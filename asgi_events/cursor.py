"""A viewer's place in a log: the number of the last frame it was given.

What is older than the frames the log holds in this process comes in pages from the
store, then the log takes over; the numbers are the same, so there is no seam. What
not even the store holds any more is announced with a ``reset`` event, never skipped.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from pydantic_core import to_json

from asgi_events.exceptions import Unavailable
from asgi_events.log import Log
from asgi_events.pauses import Pauses
from asgi_events.sse import MAX_CHUNK, ServerSentEvent
from asgi_events.stores import Page

logger = logging.getLogger(__name__)

ReadPage: TypeAlias = Callable[[int, int], Awaitable[Page | None]]
"""Reads the frames after a number, up to a number of bytes, from the store."""

# 20 digits hold any number a log can reach; int() refuses thousands of them.
_EVENT_ID = re.compile(r"([^:]+):([0-9]{1,20})", re.ASCII)


def parse_event_id(event_id: str) -> tuple[str, int] | None:
    """The execution's id and the frame's number; None for what we never sent."""
    match = _EVENT_ID.fullmatch(event_id)
    return (match[1], int(match[2])) if match else None


class Cursor:
    """One viewer of one log, a ``FrameSource``.

    Args:
        log: What it reads.
        last_event_id: Where it stands, as the client says; None is the beginning. An id
            that the log cannot continue from gives a ``reset`` event and everything.
        read_page: How it reads what the log has let go of.
        retry: Milliseconds the client is told to wait before it reconnects.
        on_close: Called once, when the viewer has left.
    """

    def __init__(
        self,
        log: Log,
        *,
        last_event_id: str | None = None,
        read_page: ReadPage | None = None,
        retry: int | None = None,
        on_close: Callable[[Cursor], None] | None = None,
    ) -> None:
        self.log = log
        self.position = 0
        self._reset: str | None = None
        if last_event_id:
            self.position, self._reset = _resume(log, last_event_id)
        self._read_page = read_page
        self._preamble = b"" if retry is None else b"retry: %d\n" % retry
        self._news = True
        self._page: Page | None = None
        self._loading: asyncio.Task[None] | None = None
        self._wake: Callable[[], None] | None = None
        self._farewell: bytes | None = None
        self._over = False
        self._on_close = on_close
        log.attach(self)

    @property
    def finished(self) -> bool:
        """Whether it has been given the terminal frame."""
        return self.log.end is not None and self.position == self.log.last

    @property
    def dismissed(self) -> bool:
        """Whether it was sent away, to come back."""
        return self._farewell is not None

    def take(self, limit: int = MAX_CHUNK) -> bytes | None:
        """Committed frames not given yet; see ``FrameSource``."""
        if self._over:
            return None
        if self._farewell is not None:
            self._over = True
            return self._introduce(self._farewell)
        log, position = self.log, self.position
        if position < log.first - 1:
            return self._take_old(limit)
        if position < log.committed:
            chunk, self.position = log.join(position, limit)
            return self._introduce(chunk, position + 1) if self._news else chunk
        if log.end is not None and self.finished:
            self._over = True
            return self._introduce(self._end()) or None
        return b""

    def on_ready(self, wake: Callable[[], None]) -> None:
        """Call ``wake`` at the next commit, page, or farewell."""
        self._wake = wake
        if self.position < self.log.first - 1 and self._read_page is not None:
            if self._loading is None or self._loading.done():
                self._loading = asyncio.ensure_future(self._load(self._read_page))
        else:
            self.log.sleep(self, wake)

    def dismiss(self, farewell: bytes) -> None:
        """Give ``farewell`` next, and then nothing any more."""
        if self._farewell is None:
            self._farewell = farewell
            if self._wake is not None:
                self._wake()

    async def aclose(self) -> None:
        """Leave the log."""
        self.close()

    def close(self) -> None:
        """Leave the log; there is nothing to wait for."""
        self._over = True
        self.log.detach(self)
        if self._loading is not None:
            self._loading.cancel()
        on_close, self._on_close = self._on_close, None
        if on_close is not None:
            on_close(self)

    def _take_old(self, limit: int) -> bytes | None:
        if self._read_page is None:
            self._skip_to(self.log.first)
            return self.take(limit)
        page, self._page = self._page, None
        if page is None:
            return b""
        if page.first > self.position + 1:
            self._skip_to(page.first)
        first = self.position + 1
        self.position += len(page.frames)
        return self._introduce(b"".join(page.frames), first)

    def _skip_to(self, first: int) -> None:
        self.position = first - 1
        self._reset = "trimmed"
        self._news = True

    async def _load(self, read_page: ReadPage) -> None:
        pauses = Pauses()
        try:
            while True:
                try:
                    self._page = await read_page(self.position, MAX_CHUNK)
                    break
                except Unavailable as error:
                    logger.warning("A viewer of %s waits: %s", self.log.name, error)
                await pauses.wait()
            self._over = self._page is None  # its retention is over
        except Exception:
            logger.exception("The log %s can not be read any more.", self.log.name)
            self._over = True
        finally:
            self._loading = None
            if self._wake is not None:
                self._wake()

    def _introduce(self, chunk: bytes, first: int | None = None) -> bytes:
        """Put before the first block what belongs there: ``retry``, and a reset."""
        if self._reset is not None and first is not None:
            data = to_json({"reason": self._reset, "first": first}).decode()
            chunk = ServerSentEvent(event="reset", data=data).encode() + chunk
            self._reset = None
        if chunk:
            chunk, self._preamble = self._preamble + chunk, b""
        self._news = False
        return chunk

    def _end(self) -> bytes:
        """The named event at which an ``EventSource`` closes; retained logs only."""
        if self.log.name is None:
            return b""
        data = to_json({"status": self.log.end}).decode()
        return ServerSentEvent(event="end", data=data).encode()


def _resume(log: Log, last_event_id: str) -> tuple[int, str | None]:
    """Where to continue, and why not where the client wanted to."""
    parsed = parse_event_id(last_event_id)
    if parsed is None:
        return 0, "malformed"
    name, number = parsed
    if name != log.name:
        return 0, "foreign"
    if number > max(log.committed, log.known):
        return 0, "future"
    return number, None
