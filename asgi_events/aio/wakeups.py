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
    """The sleepers of one log, and when they are woken.

    Attributes:
        sleeping: What wakes each of them in the next round, once.
        sleep: Takes a sleeper and what wakes it.
    """

    def __init__(self) -> None:
        self.sleeping: dict[Hashable, Callable[[], None]] = {}
        self.sleep = self.sleeping.__setitem__
        self._next = 0.0  # the loop's time before which no round begins
        self._timer: asyncio.TimerHandle | None = None

    def discard(self, sleeper: Hashable) -> None:
        """Forget ``sleeper``."""
        self.sleeping.pop(sleeper, None)
        if not self.sleeping:
            self._stop_timer()

    def wake(self, at_once: bool) -> None:
        """Begin a round now, or when the last one has been paid for."""
        many = len(self.sleeping) >= _FEW
        if many and not at_once and not self._is_due():
            return
        if self._timer is not None:
            self._stop_timer()
        woken = list(self.sleeping.values())
        self.sleeping.clear()
        for wake in woken:
            wake()
        if many:
            loop = asyncio.get_running_loop()
            # It is called after the turn of everyone who has just been woken.
            loop.call_soon(self._end, loop, loop.time())

    def _is_due(self) -> bool:
        """Whether the last round is paid for; else begin one when it is."""
        if self._timer is not None:
            return False
        loop = asyncio.get_running_loop()
        if loop.time() >= self._next:
            return True
        self._timer = loop.call_at(self._next, self.wake, True)
        return False

    def _end(self, loop: asyncio.AbstractEventLoop, began: float) -> None:
        now = loop.time()
        self._next = now + min(now - began, _LONGEST)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
