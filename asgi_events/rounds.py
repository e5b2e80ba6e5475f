"""Wakes those who wait for a log, in rounds that clock themselves.

A round over a thousand viewers takes milliseconds, for their writes more than for the
waking. If events come faster than that, a round for each would write each by itself to
each viewer. So the next round waits about as long as the last one took, and what has
come meanwhile goes in one write. A quiet log, or one with few viewers, never waits.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable

_FEW = 8  # waking so few costs less than the timer that would wait
_LONGEST = 0.02  # seconds; a person does not see less


class Rounds:
    """The sleepers of one log, and when they are woken."""

    def __init__(self) -> None:
        self._sleeping: dict[Hashable, Callable[[], None]] = {}
        self._next = 0.0  # the loop's time before which no round begins
        self._timer: asyncio.TimerHandle | None = None

    def sleep(self, sleeper: Hashable, wake: Callable[[], None]) -> None:
        """Call ``wake`` in the next round, once."""
        self._sleeping[sleeper] = wake

    def discard(self, sleeper: Hashable) -> None:
        """Forget ``sleeper``."""
        self._sleeping.pop(sleeper, None)
        if not self._sleeping:
            self._stop_timer()

    def wake(self, *, at_once: bool) -> None:
        """Begin a round now, or when the last one has been paid for."""
        if not self._sleeping:
            return
        if at_once or len(self._sleeping) < _FEW:
            self._begin()
            return
        if self._timer is not None:
            return
        loop = asyncio.get_running_loop()
        if loop.time() >= self._next:
            self._begin()
        else:
            self._timer = loop.call_at(self._next, self._begin)

    def _begin(self) -> None:
        self._stop_timer()
        sleeping, self._sleeping = self._sleeping, {}
        for wake in sleeping.values():
            wake()
        if len(sleeping) >= _FEW:
            loop = asyncio.get_running_loop()
            # It is called after the turn of everyone who has just been woken.
            loop.call_soon(self._end, loop, loop.time())

    def _end(self, loop: asyncio.AbstractEventLoop, began: float) -> None:
        now = loop.time()
        self._next = now + min(now - began, _LONGEST)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
