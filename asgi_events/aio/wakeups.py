"""Wakes the viewers of a log in rounds, at a pace the rounds themselves set.

A round over a thousand viewers takes milliseconds, most of them for the writes. If
events came faster than that and each began a round, each viewer would get each event in
a write of its own. So the next round waits about as long as the last one took (20 ms at
most), and all events that came meanwhile go out in one write. A log with few events or
few viewers never waits.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable

_FEW = 8  # waking so few costs less than the timer that would wait
_LONGEST = 0.02  # seconds; people do not notice less


class Wakeups:
    """Wakes the sleepers of one log.

    Attributes:
        sleeping: The sleepers, each with the callback that wakes it in the next round.
        sleep: Takes a sleeper and its callback.
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
        """Begin a round now, or when the pause after the last one is over."""
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
            # The loop runs this after all that have just been woken.
            loop.call_soon(self._end, loop, loop.time())

    def _is_due(self) -> bool:
        """Whether a round may begin now; if not, schedule one for when it may."""
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
