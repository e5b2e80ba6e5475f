"""Tells streams and executions that the process is to stop, and passes the signal on.

Servers tell their applications to stop only after all streams have ended, and most wait
for the streams for ever. So we handle SIGTERM and SIGINT first: we tell everything of
ours that would keep the process waiting, then call the handler that was there before.

1. There is one link for each signal, above the handler that was there. The first
   listener installs it, and the last one puts the old handler back as it leaves. Both
   take a few microseconds, since a server may have one stream after the other.
2. A handler that is a Python callable is called at once: servers stop by themselves
   when their streams have ended. This holds for ``signal.signal`` (uvicorn, daphne) and
   for ``loop.add_signal_handler`` (hypercorn, granian), whose handler does nothing.
3. Where the signal would have killed the process (SIG_DFL: a script, a worker of a
   queue) it does so after everything has drained. A second signal kills at once.
4. SIG_IGN stays: somebody has set it on purpose.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import Context, ContextVar
from functools import lru_cache, partial
from itertools import islice
from types import FrameType
from typing import Any, TypeAlias
from weakref import WeakKeyDictionary, ref

logger = logging.getLogger(__name__)

_SIGNALS = (signal.SIGTERM, signal.SIGINT)

# After Ctrl-C, or before a reload, the next start matters more than the last events.
HURRIED = 0.5  # seconds

Stop: TypeAlias = Callable[[Any, float], "asyncio.Future[Any] | None"]
"""Stops a listener. Takes the listener and the longest grace it may allow, in seconds.

It is called on the listener's event loop, perhaps again while the listener stops.
Returns a future that is done, in bounded time, when the listener has stopped; None when
there is nothing to stop.
"""

Loop: TypeAlias = asyncio.AbstractEventLoop

# NOTE: this keeps neither a loop nor a listener alive. We do not tell a stream that was
# dropped without being closed.
_listeners: WeakKeyDictionary[Any, tuple[ref[Loop], Stop]] = WeakKeyDictionary()

# ``signal`` looks each handler up in an enum, and a failed look-up takes ten times as
# long as all the rest. The module ``_signal`` does not, where there is one.
_signal: Any = sys.modules.get("_signal", signal)

_enabled = True
_warned = False
_left: ContextVar[bool] = ContextVar("asgi_events_signals_left", default=False)


@contextmanager
def left_to_others() -> Iterator[None]:
    """In this block, and in the tasks it starts, nothing begins to listen.

    It is for work that another program ends, when that program is told to stop.
    """
    token = _left.set(True)
    try:
        yield
    finally:
        _left.reset(token)


def listen(listener: object, stop: Stop) -> None:
    """Call ``stop`` on the running loop when the process is told to stop."""
    if _left.get():
        return
    _listeners[listener] = _entry(ref(asyncio.get_running_loop()), stop)
    _install()


@lru_cache(64)
def _entry(loop: ref[Loop], stop: Stop) -> tuple[ref[Loop], Stop]:
    """The same object for the same values: there may be thousands of listeners."""
    return loop, stop


def forget(listener: object) -> None:
    """Do not tell ``listener`` any more; the last one puts the old handlers back."""
    _listeners.pop(listener, None)
    # There may be thousands of listeners; the first one is nearly always enough.
    is_needed = _listeners and (
        _has_open_loop(islice(_listeners.values(), 1))
        or _has_open_loop(list(_listeners.values()))
    )
    if not is_needed:
        _restore()


def tell(longest: float = float("inf")) -> list[asyncio.Future[Any]]:
    """Stop all listeners of the running loop, as a signal does.

    Args:
        longest: The longest grace that each may allow, in seconds.

    Returns:
        Futures that are done when the listeners have stopped.
    """
    here = asyncio.get_running_loop()
    stopping = []
    for listener, (loop, stop) in list(_listeners.items()):
        if loop() is not here:
            continue
        try:
            stopped = stop(listener, longest)
        except Exception:
            logger.exception("%r could not be stopped; the others are.", listener)
            continue
        if stopped is not None:
            stopping.append(stopped)
    return stopping


def disable() -> None:
    """Handle no signal in this process any more; call ``tell`` instead."""
    global _enabled
    _enabled = False
    _restore()


def enable() -> None:
    """Handle signals again, from the next stream or start on."""
    global _enabled
    _enabled = True


class _Link:
    """A handler of one signal, above the one that was there before."""

    def __init__(self, number: int, previous: Any) -> None:
        self.previous = previous
        self._number = number
        self._heard = 0
        self._pid = os.getpid()

    def __call__(self, number: int, frame: FrameType | None) -> None:
        self._heard += 1
        # A forked process inherits this handler, and loops that only its parent runs.
        loops = _running() if os.getpid() == self._pid else []
        if self.previous == signal.SIG_DFL:
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

    def __init__(self, number: int, loops: Iterable[Loop], longest: float) -> None:
        self._number = number
        self._loops = set(loops)
        self._tasks: set[asyncio.Task[None]] = set()
        for loop in list(self._loops):
            loop.call_soon_threadsafe(self._begin, loop, longest, context=Context())
        if not self._loops:
            signal.raise_signal(number)

    def _begin(self, loop: Loop, longest: float) -> None:
        task = loop.create_task(_drain(longest))
        self._tasks.add(task)
        task.add_done_callback(partial(self._end, loop))  # even if it never began

    def _end(self, loop: Loop, _: object) -> None:
        self._loops.discard(loop)
        if not self._loops:
            signal.raise_signal(self._number)


async def _drain(longest: float) -> None:
    if stopping := tell(longest):
        await asyncio.wait(stopping)


def _loops() -> set[Loop]:
    """Return the loops that have listeners."""
    loops = {loop() for loop, _ in list(_listeners.values())}
    return {loop for loop in loops if loop is not None}


def _running() -> list[Loop]:
    """Return the loops that run and have listeners."""
    return [loop for loop in _loops() if loop.is_running()]


def _has_open_loop(listeners: Iterable[tuple[ref[Loop], Stop]]) -> bool:
    """Whether one of the listeners is on a loop that is not closed."""
    loops = (loop() for loop, _ in listeners)
    return any(loop is not None and not loop.is_closed() for loop in loops)


def _install() -> None:
    """Put a link above each handler that is there now.

    NOTE: a server may have set its own since the last stream.
    """
    if not _enabled or isinstance(_signal.getsignal(signal.SIGTERM), _Link):
        return
    if threading.current_thread() is not threading.main_thread():
        _warn("Signals arrive in the main thread, and this event loop runs in another.")
        return
    for number in _SIGNALS:
        previous = _signal.getsignal(number)
        if isinstance(previous, _Link):
            continue
        if callable(previous) or previous == signal.SIG_DFL:
            _signal.signal(number, _Link(number, previous))
        elif number == signal.SIGTERM:
            _warn("SIGTERM is ignored in this process, or not handled by Python.")
    if _is_worker_of_hypercorn():
        _warn(
            "hypercorn stops its worker processes without a signal. Start it with "
            "--workers 0, once for each process."
        )


def _restore() -> None:
    """Put the old handlers back, unless another one was set since."""
    if threading.current_thread() is not threading.main_thread():
        return
    for number in _SIGNALS:
        link = _signal.getsignal(number)
        if isinstance(link, _Link):
            _signal.signal(number, link.previous)


def _is_reloading(previous: Any) -> bool:
    """Whether the server starts again as soon as this process has ended.

    NOTE: uvicorn reloads by SIGTERM, the signal that also ends it in production. Its
    handler is a method of the server, and the server's config has the difference.
    """
    server = getattr(previous, "__self__", None)
    reloads = getattr(getattr(server, "config", None), "reload", False)
    return reloads is True or "--reload" in sys.argv


def _is_worker_of_hypercorn() -> bool:
    """Whether hypercorn has spawned this process."""
    spawning = sys.modules.get("multiprocessing.process")
    return (
        spawning is not None
        and spawning.parent_process() is not None
        and "hypercorn" in sys.modules
        and _signal.getsignal(signal.SIGINT) == signal.SIG_IGN
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
