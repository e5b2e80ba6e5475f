"""Hears that the process is told to stop, without taking the signal from anybody.

No server tells its applications before their streams have ended, and most wait for the
streams for ever. So SIGTERM and SIGINT are heard here first, by everything of ours that
would keep the process waiting, and then handed to the handler that was there.

1. There is one link for each signal, above the handler that was there. It is made when
   the first listener comes, and the handler is put back when the last one has left.
2. A handler that is a Python callable is called at once: servers stop by themselves
   when their streams have ended. This holds for ``signal.signal`` (uvicorn, daphne) and
   for ``loop.add_signal_handler`` (hypercorn, granian), whose handler does nothing.
3. Where the signal would have killed the process (SIG_DFL: a script, a worker of a
   queue) it does so after everything has drained. Another one kills at once.
4. SIG_IGN is there for a reason: it stays.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable
from contextvars import Context
from types import FrameType
from typing import Any, TypeAlias
from weakref import WeakKeyDictionary

logger = logging.getLogger(__name__)

_SIGNALS = (signal.SIGTERM, signal.SIGINT)

# A person at a keyboard, or a reloader, wants the next start and not the last word.
HURRIED = 0.5  # seconds

Told: TypeAlias = Callable[[Any, float], "asyncio.Future[Any] | None"]
"""Takes the listener and how many seconds of grace it may allow at most.

Called on the listener's event loop, perhaps again while it stops. Returns what is done
when the listener has stopped, in bounded time; None when it has nothing to do.
"""

# NOTE: neither loops nor listeners are held: a stream that was dropped is not told.
_listeners: WeakKeyDictionary[
    asyncio.AbstractEventLoop, WeakKeyDictionary[Any, Told]
] = WeakKeyDictionary()

_enabled = True
_warned = False


def listen(listener: object, told: Told) -> None:
    """Tell ``listener`` on the running loop when the process is told to stop."""
    loop = asyncio.get_running_loop()
    known = _listeners.get(loop)
    if known is None:
        known = _listeners[loop] = WeakKeyDictionary()
    known[listener] = told
    _install()


def forget(listener: object) -> None:
    """Tell ``listener`` nothing; with the last one the old handlers come back."""
    for known in list(_listeners.values()):
        known.pop(listener, None)
    if not any(known and not loop.is_closed() for loop, known in _items()):
        _restore()


def tell(longest: float = float("inf")) -> list[asyncio.Future[Any]]:
    """Stop all that listens on the running loop, as a signal does.

    Args:
        longest: Seconds of grace that each may allow at most.

    Returns:
        What is done when they have stopped.
    """
    stopping = []
    for listener, told in list(_listeners.get(asyncio.get_running_loop(), {}).items()):
        try:
            stopped = told(listener, longest)
        except Exception:
            logger.exception("%r could not be stopped; the others are.", listener)
            continue
        if stopped is not None:
            stopping.append(stopped)
    return stopping


def disable() -> None:
    """Hear no signal in this process any more; call ``tell`` instead."""
    global _enabled
    _enabled = False
    _restore()


def enable() -> None:
    """Hear signals again, from the next stream or start on."""
    global _enabled
    _enabled = True


class _Link:
    """A handler of one signal, above another one."""

    def __init__(self, number: int, previous: Any) -> None:
        self.previous = previous
        self._number = number
        self._heard = 0
        self._pid = os.getpid()

    def __call__(self, number: int, frame: FrameType | None) -> None:
        self._heard += 1
        # A fork inherits this handler and its parent's loops, which are not its own.
        loops = _running() if os.getpid() == self._pid else []
        if self.previous is signal.SIG_DFL:
            signal.signal(number, signal.SIG_DFL)
            _Death(number, loops, self._longest())
            return
        for loop in loops:
            loop.call_soon_threadsafe(tell, self._longest(), context=Context())
        self.previous(number, frame)

    def _longest(self) -> float:
        if self._number == signal.SIGINT:
            return HURRIED if self._heard == 1 else 0.0
        return HURRIED if _is_reloading(self.previous) else float("inf")


class _Death:
    """The end of the process by a signal, once everything has drained."""

    def __init__(
        self, number: int, loops: Iterable[asyncio.AbstractEventLoop], longest: float
    ) -> None:
        self._number = number
        self._loops = set(loops)
        self._tasks: set[asyncio.Task[None]] = set()
        for loop in list(self._loops):
            loop.call_soon_threadsafe(self._begin, loop, longest, context=Context())
        if not self._loops:
            signal.raise_signal(number)

    def _begin(self, loop: asyncio.AbstractEventLoop, longest: float) -> None:
        self._tasks.add(loop.create_task(self._drain(loop, longest)))

    async def _drain(self, loop: asyncio.AbstractEventLoop, longest: float) -> None:
        try:
            if stopping := tell(longest):
                await asyncio.wait(stopping)
        finally:
            self._loops.discard(loop)
            if not self._loops:
                signal.raise_signal(self._number)


def _items() -> list[tuple[asyncio.AbstractEventLoop, WeakKeyDictionary[Any, Told]]]:
    return list(_listeners.items())


def _running() -> list[asyncio.AbstractEventLoop]:
    """The loops that can be told, and have somebody to tell."""
    return [loop for loop, known in _items() if known and loop.is_running()]


def _install() -> None:
    """Be above the handlers that are there now; servers may have set theirs since."""
    if not _enabled or isinstance(signal.getsignal(signal.SIGTERM), _Link):
        return
    if threading.current_thread() is not threading.main_thread():
        _warn("Signals arrive in the main thread, and this event loop runs in another.")
        return
    for number in _SIGNALS:
        previous = signal.getsignal(number)
        if isinstance(previous, _Link):
            continue
        if callable(previous) or previous is signal.SIG_DFL:
            signal.signal(number, _Link(number, previous))
        elif number == signal.SIGTERM:
            _warn("SIGTERM is ignored in this process, or not handled by Python.")
    if _is_worker_of_hypercorn():
        _warn(
            "hypercorn stops its worker processes without a signal. Start it with "
            "--workers 0, once for each process."
        )


def _restore() -> None:
    """Put back the handlers that were there, unless others have come since."""
    if threading.current_thread() is not threading.main_thread():
        return
    for number in _SIGNALS:
        link = signal.getsignal(number)
        if isinstance(link, _Link):
            signal.signal(number, link.previous)


def _is_reloading(previous: Any) -> bool:
    """Whether the server starts again as soon as this process has ended.

    NOTE: uvicorn stops what it reloads by SIGTERM, as it would in production. Its
    handler is a method of the server, which knows.
    """
    server = getattr(previous, "__self__", None)
    reloads = getattr(getattr(server, "config", None), "reload", False)
    return reloads is True or "--reload" in sys.argv


def _is_worker_of_hypercorn() -> bool:
    """Whether this is a process that hypercorn has spawned."""
    spawning = sys.modules.get("multiprocessing.process")
    return (
        spawning is not None
        and spawning.parent_process() is not None
        and "hypercorn" in sys.modules
        and signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    )


def _warn(why: str) -> None:
    global _warned
    if not _warned:
        _warned = True
        logger.warning(
            "Streams cannot hear that this process is told to stop. %s Otherwise bound "
            "them by max_stream_duration, and call Executions.drain yourself.",
            why,
        )
