"""A viewer's place in a log: the number of the last frame it was given.

Frames that are older than those in the log come in pages from the store, then the log
goes on with the next number. A ``reset`` event announces frames that not even the store
has any more; none is skipped silently.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from asgi_events.aio.backoff import Patience
from asgi_events.events import ExecutionStatus
from asgi_events.exceptions import Unavailable
from asgi_events.log.log import Log
from asgi_events.log.pages import ReadPage, load_page
from asgi_events.log.source import BrokenOff, Last
from asgi_events.log.stored import StoredLog
from asgi_events.native import mypyc_attr
from asgi_events.stores.contract import Page
from asgi_events.wire.formats import NATIVE, Format
from asgi_events.wire.frames import (
    join,
    parse_event_id,
    reset,
    split,
    unstored_lost_frame,
)
from asgi_events.wire.sse import MAX_CHUNK

logger = logging.getLogger(__name__)


@mypyc_attr(allow_interpreted_subclasses=True)
class Cursor:
    """One viewer of one log, a ``FrameSource``.

    Args:
        log: What it reads.
        last_event_id: What the client sent; None for the beginning. If the log cannot
            continue from that id, the client gets a ``reset`` event and all events.
        read_page: Reads frames that the log has dropped.
        retry: Milliseconds the client is told to wait before it reconnects.
        on_close: Called once, when the viewer has left.
        patience: Seconds until frames that cannot be read are given up, with a
            ``reset`` and a ``lost`` event. A store that does not answer is waited for.

    Attributes:
        position: The number of the last frame that its client has.
        format: What its client is sent beside the frames.
    """

    format: Format = NATIVE

    def __init__(
        self,
        log: Log,
        *,
        last_event_id: str | None = None,
        read_page: ReadPage | None = None,
        retry: int | None = None,
        on_close: Callable[[Cursor], None] | None = None,
        patience: float = 15.0,
    ) -> None:
        self.log = log
        self.position = self._blocks = 0
        self._reset: str | None = None
        if last_event_id:
            self.position, self._blocks, self._reset = _resume(log, last_event_id)
        self._read_page = read_page
        self._preamble = b"" if retry is None else self.format.retry(retry)
        self._news = True
        self._page: Page | None = None
        self._loading: asyncio.Task[None] | None = None
        self._wake: Callable[[], None] | None = None
        self._farewell: bytes | None = None
        self.dismissed = False  # sent away, to come back
        self._over = False
        self._breaks = False
        self._on_close = on_close
        self._longest_failure = patience
        self._patience: Patience | None = None  # while the store fails
        log.attach(self)

    @property
    def finished(self) -> bool:
        """Whether it has been given the terminal frame."""
        return self.log.end is not None and self.position == self.log.last

    def take(self, limit: int = MAX_CHUNK) -> bytes | None:
        """Committed frames not given yet; see ``FrameSource``."""
        if self._over or self._farewell is not None:
            return self._take_farewell()
        log, number = self.log, self.position + 1
        if number > log.committed:
            return b"" if log.end is None else self._take_end()
        base = log.base
        if number == log.committed and number >= base:  # most often, and join() is slow
            chunk, self.position = log.frames[number - base], number
        elif number < log.first:
            return self._take_old(limit)
        else:
            chunk, self.position = log.join(number - 1, limit)
        if self._news:
            chunk = self._introduce(chunk, number)
        return chunk if log.end is None else self._with_end(chunk)

    def on_ready(self, wake: Callable[[], None]) -> None:
        """Call ``wake`` at the next commit, page, or farewell."""
        self._wake = wake
        if self.position < self.log.first - 1 and self._read_page is not None:
            self._load_page(self._read_page)
        else:
            self.log.sleepers[self] = wake

    def dismiss(self, farewell: bytes | None) -> None:
        """Give ``farewell`` next, and then end; None breaks the connection off."""
        if self._farewell is None:
            self.dismissed = True
            self._farewell = self._word(farewell)
            if self._wake is not None:
                self._wake()

    def forget(self, number: int) -> None:
        """Begin again if the client has a frame that is gone; see ``Reader``."""
        if self.position >= number:
            self.position = 0
            self._reset = "future"
            self._news = True
            self._patience = None
            self._drop_page()

    async def aclose(self) -> None:
        """Leave the log."""
        self.close()

    def close(self) -> None:
        """Leave the log at once."""
        self._over = True
        self.log.detach(self)
        if self._loading is not None:
            self._loading.cancel()
        on_close, self._on_close = self._on_close, None
        if on_close is not None:
            on_close(self)

    def _take_farewell(self) -> bytes | None:
        if not self._over:
            self._over = True
            if farewell := self._introduce(self._farewell or b""):
                return farewell if self._breaks else Last(farewell)
        if self._breaks:
            raise BrokenOff
        return None

    def _take_end(self) -> bytes | None:
        """What follows all committed frames: the end, or nothing yet."""
        if not self.finished:
            return b""
        self._farewell = self._end_word()
        return self._take_farewell()

    def _with_end(self, chunk: bytes) -> bytes:
        """``chunk`` and the end, if that follows it; a client waits for both."""
        if not self.finished:
            return chunk
        self._over, self._farewell = True, self._end_word()
        chunk += self._farewell
        return chunk if self._breaks else Last(chunk)

    def _end_word(self) -> bytes:
        if self.log.name is None:  # it cannot be resumed, so nothing has to be closed
            return b""
        return self._word(self.format.end(self.log.end))

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
        return self._with_end(self._introduce(b"".join(page.frames), first))

    def _skip_to(self, first: int) -> None:
        self.position = first - 1
        self._reset = "trimmed"
        self._news = True

    def _load_page(self, read_page: ReadPage) -> None:
        if self._loading is None or self._loading.done():
            self._loading = asyncio.ensure_future(load_page(self, read_page))
            # Not by the task itself: if it is cancelled at once it never begins.
            self._loading.add_done_callback(self._end_page)

    def _drop_page(self) -> None:
        self._page = None
        if self._loading is not None:
            self._loading.cancel()

    def begin_of_page(self) -> int:
        """The number of the frame after which a page is read."""
        return self.position

    def take_page(self, page: Page | None) -> bool:
        """Whether this is the page, or no other will come."""
        if page is not None:
            self._follow_fork(page)
            if page.frames:
                self._patience = None
                self._page = page
                return True
        if page is None or self.log.end is not None:
            return self._is_hopeless("The events of this execution are not kept")
        return False  # its writer lives, and writes again what the store has lost

    def fail_page(self, error: Exception) -> bool:
        """Whether no page will come, since the store, or ``take_page``, has failed."""
        if isinstance(error, Unavailable):
            logger.warning("A viewer of %s waits: %s", self.log.name, error)
            self._patience = None
            return False
        logger.warning("A viewer of %s waits: %r", self.log.name, error)  # it may pass
        return self._is_hopeless("The events of this execution cannot be read")

    def _end_page(self, loading: object) -> None:
        """Wake the viewer: nothing is loaded any more."""
        if self._loading is loading:  # not the next one
            self._loading = None
        if self._wake is not None:
            self._wake()

    def _follow_fork(self, page: Page) -> None:
        log = self.log
        if not isinstance(log, StoredLog):
            return
        is_settled = log.end is not None and log.committed == log.last
        if is_settled and page.end is not None and page.last != log.last:
            log.fork(page.last, end=page.end)

    def _is_hopeless(self, message: str) -> bool:
        """Whether to give up; the viewer then gets ``lost`` with ``message``."""
        if self._patience is None:
            self._patience = Patience(self._longest_failure)
        if not self._patience.is_over():
            return False
        if self._farewell is None:
            logger.error("A viewer of %s is sent away: %s.", self.log.name, message)
            self._farewell = self._word(None)  # which stays if its format raises
            payload, _ = split(unstored_lost_frame(f"{message} any more"))
            end = self.format.end(ExecutionStatus.LOST)
            self._farewell = self._lost(payload) + (end or b"")
            self._breaks = end is None
        return True

    def _lost(self, payload: bytes) -> bytes:
        farewell = join(payload, b"")
        if self.position or self._reset:
            farewell = reset("future", 1) + farewell
        return farewell

    def _introduce(self, chunk: bytes, first: int | None = None) -> bytes:
        """Put before the first block what belongs there: ``retry``, and a reset."""
        if self._reset is not None and first is not None:
            chunk = reset(self._reset, first) + chunk
            self._reset = None
        if chunk and self._preamble:
            chunk, self._preamble = self._preamble + chunk, b""
        self._news = False
        return chunk

    def _word(self, word: bytes | None) -> bytes:
        """``word``; None breaks the connection off, after all else was given."""
        if word is None:
            self._breaks = True
        return word or b""


def _resume(log: Log, last_event_id: str) -> tuple[int, int, str | None]:
    """Where to continue: after a frame and some blocks of the next one.

    Returns:
        Both, and, if that is not where the client wanted to, the reason.
    """
    event_id = parse_event_id(last_event_id)
    if event_id is None:
        return 0, 0, "malformed"
    name, number, lost, blocks = event_id
    if name != log.name:
        return 0, 0, "foreign"
    # Another frame of the number of the one that says ``lost`` is not in this log.
    newest = number + 1 if blocks else number
    is_lost = log.end == ExecutionStatus.LOST and newest == log.last
    # NOTE: another process may show what the store has taken before the writer, whose
    # log this may be, hears that it has; so what counts is what was appended.
    if number > max(log.last, log.known) or lost is not is_lost:
        return 0, 0, "future"
    return number, blocks, None
