"""A source that ends where its execution waits for answers; see ``wire/waits.py``."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection

from asgi_events.log.source import FrameSource, Last
from asgi_events.wire.sse import MAX_CHUNK
from asgi_events.wire.waits import last_wait

_QUIET = 0.05  # seconds in which another question may follow, to be asked together


class PausingSource:
    """A source whose client answers questions with another request.

    It ends at a place where questions are open, unless one of them is answered already:
    then the answer follows. What comes after that place is for another response, and is
    dropped.

    Args:
        source: What it takes from.
        pause: The end of a response that ends there.
        answered: The numbers of the questions that are known to be answered.
    """

    def __init__(
        self, source: FrameSource, pause: bytes, answered: Collection[int]
    ) -> None:
        self._source = source
        self._pause = pause
        self._answered = frozenset(answered)
        self._held = b""  # what follows the place where it may end
        self._timer: asyncio.TimerHandle | None = None
        self._wake: Callable[[], None] | None = None
        self._is_quiet = self._is_over = False

    def take(self, limit: int = MAX_CHUNK) -> bytes | None:
        """What is ready; see ``FrameSource``."""
        if self._is_over:
            return None
        if self._is_quiet:
            self._is_over = True
            return Last(self._pause)
        chunk = b"" if self._is_full else self._source.take(limit)
        if chunk is None or type(chunk) is Last:
            self._is_over = True
            return Last(self._held + (chunk or b"")) or None
        return self._given(self._held + chunk)

    def on_ready(self, wake: Callable[[], None]) -> None:
        """Call ``wake`` when there is more, or when it ends here."""
        self._wake = wake
        if not self._is_full:
            self._source.on_ready(wake)

    def dismiss(self, farewell: bytes | None) -> None:
        """Give ``farewell`` next, and then nothing any more; None breaks it off."""
        self._source.dismiss(farewell)

    async def aclose(self) -> None:
        """Release everything."""
        self._go_on()
        await self._source.aclose()

    @property
    def _is_full(self) -> bool:
        return len(self._held) > MAX_CHUNK

    def _given(self, words: bytes) -> bytes:
        """Return as much of what follows as is for this response, and hold the rest."""
        wait = last_wait(words)
        if wait is None and self._timer is not None:
            self._held = words
            return b""
        if wait is None or not wait.questions or wait.questions & self._answered:
            self._go_on()
            return words
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_QUIET, self._end)
        self._held = words[wait.stop :]
        return words[: wait.stop]

    def _end(self) -> None:
        self._is_quiet = True
        if self._wake is not None:
            self._wake()

    def _go_on(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self._held = None, b""
