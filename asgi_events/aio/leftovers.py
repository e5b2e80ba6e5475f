"""Lets go of what nobody needs any more, a little in each turn of the event loop.

To free a million objects takes tens of milliseconds, in which nothing else can run.
"""

from __future__ import annotations

import asyncio
from collections import deque

SHARE = 4096
"""Objects that are freed in a turn: 0.3 ms."""

MOST = 1_000_000
"""Objects that wait. Beyond that the oldest are freed at once."""


class Leftovers:
    """What is to be freed, in pieces.

    Attributes:
        count: How many objects wait.
    """

    def __init__(self) -> None:
        self.count = 0
        self._pieces: deque[tuple[int, object]] = deque()
        self._next: asyncio.Handle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def add(self, piece: object, count: int) -> None:
        """Take the last reference to ``piece``, which holds so many objects."""
        self._pieces.append((count, piece))
        self.count += count
        while self.count > MOST:
            self._free_oldest()
        loop = asyncio.get_running_loop()
        if self._next is None or self._loop is not loop:  # the other one has ended
            self._loop, self._next = loop, loop.call_soon(self._free_some)

    def _free_some(self) -> None:
        """Free one piece, and more if they are small."""
        rest = self.count - SHARE
        while self._pieces:
            self._free_oldest()
            if not self._pieces or self.count - self._pieces[0][0] < rest:
                break
        loop = asyncio.get_running_loop()
        self._next = loop.call_soon(self._free_some) if self._pieces else None

    def _free_oldest(self) -> None:
        count, _ = self._pieces.popleft()
        self.count -= count
