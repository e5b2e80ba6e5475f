"""Wakes the viewers of a log in rounds, at a pace the rounds themselves set.

A round over a thousand viewers takes milliseconds, most of them for the writes. So it
wakes a hundred in each turn of the loop: these write, and all else has its turn before
the next hundred.

If events came faster than rounds and each began one, each viewer would get each event
in a write of its own. So the next round waits about as long as the last one took (20 ms
at most), and all events that came meanwhile go out in one write. It wakes those who
slept when the last event came; nobody is woken twice before all have been woken once. A
log with few events or few viewers never waits.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Hashable, Iterator
from itertools import islice

logger = logging.getLogger(__name__)

_FEW = 8  # waking so few costs less than the timer that would wait
_SLICE = 100  # sleepers woken in one turn: on uvicorn they write for about 1 ms
_LONGEST = 0.02  # seconds; people do not notice less

_NOBODY: dict[Hashable, Callable[[], None]] = {}  # never changed
_NO_REST: Iterator[Callable[[], None]] = iter(())


def _left() -> None:
    """Wakes nobody: the sleeper has left."""


class Wakeups:
    """Wakes the sleepers of one log.

    Attributes:
        sleeping: The sleepers without news, each with the callback that wakes it. Put
            another one there; it stays the same dict.
    """

    __slots__ = (
        "_began",
        "_due",
        "_handle",
        "_next",
        "_rest",
        "_round",
        "_urgent",
        "sleeping",
    )

    def __init__(self) -> None:
        self.sleeping: dict[Hashable, Callable[[], None]] = {}
        self._due = _NOBODY  # sleepers with news, for the next round
        self._round = _NOBODY  # all sleepers of the round that is under way
        self._rest = _NO_REST  # of that round
        self._urgent = False  # the next round follows at once
        self._began = 0.0  # the loop's time
        self._next = 0.0  # the loop's time before which no round begins
        self._handle: asyncio.Handle | None = None  # of the next slice or round

    def discard(self, sleeper: Hashable) -> None:
        """Forget ``sleeper``."""
        self.sleeping.pop(sleeper, None)
        self._due.pop(sleeper, None)
        if sleeper in self._round:
            self._round[sleeper] = _left

    def wake(self, at_once: bool) -> None:
        """Wake a few now; many when the last round and the pause after it are over.

        Args:
            at_once: Without a pause.
        """
        if self._handle is not None or len(self.sleeping) >= _FEW:
            self._wake_many(at_once)
            return
        sleeping = self.sleeping
        while sleeping:  # no callback adds to them
            sleeping.popitem()[1]()

    def _wake_many(self, at_once: bool) -> None:
        if self._due:
            self._due.update(self.sleeping)
        else:
            self._due = self.sleeping.copy()
        self.sleeping.clear()
        self._urgent = self._urgent or at_once
        if not self._round:
            self._begin_when_due(asyncio.get_running_loop())

    def _begin_when_due(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._urgent or loop.time() >= self._next:
            self._begin(loop)
        elif self._handle is None:
            self._handle = loop.call_at(self._next, self._begin, loop)

    def _begin(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._handle is not None:
            self._handle.cancel()
        self._round, self._due = self._due, _NOBODY
        self._rest = iter(self._round.values())
        self._urgent = False
        self._began = loop.time()
        self._wake_some(loop)

    def _wake_some(self, loop: asyncio.AbstractEventLoop) -> None:
        """Wake the next of the round; if there are none, end it."""
        some = list(islice(self._rest, _SLICE))
        if not some:
            self._end(loop)
            return
        for wake in some:
            try:
                wake()
            except Exception:
                logger.exception("A viewer could not be woken.")
        # The loop runs this after all that have just been woken.
        self._handle = loop.call_soon(self._wake_some, loop)

    def _end(self, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time()
        self._next = now + min(now - self._began, _LONGEST)
        self._round, self._handle = _NOBODY, None
        if self._due:
            self._begin_when_due(loop)
        else:
            self._urgent = False  # all have the event
