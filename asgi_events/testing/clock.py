"""Time that passes when the event loop has nothing else to do.

Heartbeats, leases, ``cancel_after``, ``asyncio.sleep`` and ``asyncio.timeout`` all ask
the event loop what time it is. ``virtual_time`` replaces that clock: it stands still
while anything can run, and jumps to the next timer when nothing can. trio calls this an
autojump clock, kotlinx-coroutines virtual time.

It works on the loop that runs, so it needs no event loop policy and no plugin of a
test runner. The selector is where a loop waits: what would wait there for a timer is
given the time at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import inf, nextafter
from selectors import BaseSelector
from time import monotonic
from typing import Any
from weakref import WeakSet

_virtual: WeakSet[asyncio.AbstractEventLoop] = WeakSet()


@contextmanager
def virtual_time() -> Iterator[None]:
    """Let the running event loop skip its waits: ``await asyncio.sleep(30)`` returns at
    once, and everything due within those 30 seconds has happened, in order.

    It is for tests in one process, with no store or a ``MemoryStore``. While a thread
    of ``asyncio.to_thread`` or ``run_in_executor`` runs (sync actors do), or the loop
    has a socket, a pipe or a child process, time passes as it always does: nothing can
    tell how long these would have taken. The loop cannot see threads that were started
    otherwise, such as those of a ``SQLiteStore``: do not use it with them.

    After the block the loop's time goes on from where it is.

    Raises:
        RuntimeError: No event loop runs, it is in virtual time already, or it is none
            of asyncio's own (uvloop reads its clock where nobody can replace it).
    """
    loop: Any = asyncio.get_running_loop()
    if loop in _virtual:
        raise RuntimeError("This event loop is in virtual time already.")
    selector: Any = getattr(loop, "_selector", None)
    if not hasattr(selector, "get_map"):
        raise RuntimeError(
            f"virtual_time() needs a selector event loop of asyncio, got {loop!r}."
        )
    before = loop.time, loop.run_in_executor
    clock = _Clock(selector, loop.time(), loop.run_in_executor)
    loop.time, loop.run_in_executor = clock.time, clock.run_in_executor
    loop._selector = clock
    _virtual.add(loop)
    try:
        yield
    finally:
        _virtual.discard(loop)
        loop._selector = selector
        real_time, loop.run_in_executor = before
        ahead = clock.time() - real_time()
        # It must not go back: timers are set by it.
        loop.time = lambda: real_time() + ahead


def is_virtual() -> bool:
    """Whether the running event loop is in ``virtual_time``."""
    return asyncio.get_running_loop() in _virtual


class _Clock:
    """The time of a loop, and the selector where the loop waits for it to pass."""

    def __init__(
        self, selector: BaseSelector, now: float, run_in_executor: Callable[..., Any]
    ) -> None:
        self._selector = selector
        self._now = now
        self._run_in_executor = run_in_executor
        self._threads = 0  # that run now

    def time(self) -> float:
        return self._now

    def select(self, timeout: float | None = None) -> Any:
        if timeout is None or timeout <= 0:
            return self._selector.select(timeout)
        ready = self._selector.select(0)
        if ready:
            return ready
        # The loop has a socket of its own, by which threads wake it.
        if self._threads or len(self._selector.get_map()) > 1:
            started = monotonic()
            ready = self._selector.select(timeout)
            self._now += monotonic() - started
            return ready
        # A little more: a timer is due when it is before the time, not at it.
        self._now = nextafter(self._now + timeout, inf)
        return []

    def run_in_executor(self, executor: Any, function: Any, *args: Any) -> Any:
        future = self._run_in_executor(executor, function, *args)
        self._threads += 1
        future.add_done_callback(self._forget_thread)
        return future

    def _forget_thread(self, future: object) -> None:
        self._threads -= 1

    def __getattr__(self, name: str) -> Any:
        return getattr(self._selector, name)
