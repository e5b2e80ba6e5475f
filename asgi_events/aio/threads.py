"""Runs sync actors: each call in a daemon thread, a limited number at a time.

They do not run in the event loop's own pool, because the interpreter waits at exit for
every thread of that pool, even for calls that were cancelled long ago.

A call needs a slot to run. There are ``limit`` slots, and each running call adds one
slot that only the calls it makes may take. So nested calls never wait for one another
in a circle, however deep they are: the innermost call always finds the slot of its
caller free.
"""

from __future__ import annotations

import asyncio
import sys
from collections import OrderedDict
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from functools import partial
from threading import Lock, Thread
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

MAX_THREADS = 40
"""How many sync actors run at a time by default; AnyIO, and so Starlette, has the same
limit."""

_lock = Lock()  # guards all counters and queues below, and is only held for moments


class Threads:
    """Slots for the threads of sync actors; ``limit`` None means no limit."""

    def __init__(self, limit: int | None) -> None:
        self.free = float("inf") if limit is None else float(limit)
        self.waiting: OrderedDict[_Call, None] = OrderedDict()


class _Call(Threads):
    """One call, and the slot for its nested calls, which is free while the call runs.

    Args:
        threads: The slots that any call may take.
        parent: The call that makes this one; this one may take its slot too.
    """

    def __init__(self, threads: Threads, parent: _Call | None) -> None:
        super().__init__(0)
        self.sources = (threads,) if parent is None else (parent, threads)
        self.taken: Threads | None = None
        self.run: Callable[[], None] | None = None


shared = Threads(MAX_THREADS)
"""The slots for calls outside of any ``Executions``."""

_call: ContextVar[_Call | None] = ContextVar("asgi_events_call", default=None)


class Calls:
    """The calls in threads that one context has made: a cancel ends none of them."""

    def __init__(self) -> None:
        self._running: set[Future[Any]] = set()

    async def wait(self) -> None:
        """Wait until all have returned."""
        loop = asyncio.get_running_loop()
        while running := list(self._running):
            ended = asyncio.Event()
            running[0].add_done_callback(partial(_set, loop, ended))
            await ended.wait()

    def add(self, future: Future[Any]) -> None:
        """Add one that begins; it is dropped when it has returned."""
        self._running.add(future)
        future.add_done_callback(self._running.discard)


_calls: ContextVar[Calls | None] = ContextVar("asgi_events_calls", default=None)


def noted_calls(wanted: bool) -> Calls | None:
    """The calls that this context makes from now on; None if nobody wants them."""
    calls = Calls() if wanted else None
    if calls is not _calls.get():  # those of another context, which this is copied from
        _calls.set(calls)
    return calls


def _set(loop: asyncio.AbstractEventLoop, event: asyncio.Event, _: object) -> None:
    with suppress(RuntimeError):  # the loop is closed
        loop.call_soon_threadsafe(event.set)


@contextmanager
def slot(threads: Threads) -> Iterator[None]:
    """In this block, what ``executor`` is given waits for one of these slots."""
    token = _call.set(_Call(threads, _call.get()))
    try:
        yield
    finally:
        _call.reset(token)


def release_slot() -> None:
    """Give the slot of the current call to the next one; the current call runs on.

    Call this before a long wait.
    """
    call = _call.get()
    if call is not None:
        _release(call)


class DaemonThreads(Executor):
    """An executor whose threads do not delay the end of the process."""

    def submit(
        self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs
    ) -> Future[T]:
        """Call ``fn`` in a thread of its own, as soon as there is a slot."""
        call = _call.get()
        assert call is not None, "actors run inside a block of slot()"
        future: Future[T] = Future()

        def work() -> None:
            try:
                if not future.set_running_or_notify_cancel():
                    return
                try:
                    result = fn(*args, **kwargs)
                finally:
                    _close_connections()
            except BaseException as error:
                future.set_exception(error)
            else:
                future.set_result(result)
            finally:
                _end(call)

        def start() -> None:
            try:
                Thread(target=work, name="asgi_events actor", daemon=True).start()
            except RuntimeError as error:  # the system has no more threads
                if future.set_running_or_notify_cancel():
                    future.set_exception(error)
                _end(call)

        def withdraw(future: Future[T]) -> None:
            if future.cancelled():
                with _lock:
                    _stop_waiting(call)

        call.run = start
        future.add_done_callback(withdraw)
        if (calls := _calls.get()) is not None:
            calls.add(future)
        _enter(call)
        return future


executor = DaemonThreads()


def _enter(call: _Call) -> None:
    with _lock:
        source = next((s for s in call.sources if s.free > 0), None)
        if source is None:
            for each in call.sources:
                each.waiting[call] = None
            return
        start = _take(call, source)
    start()


def _take(call: _Call, source: Threads) -> Callable[[], None]:
    """Give the call a slot of ``source``; return the function that starts the call."""
    assert call.run is not None
    source.free -= 1
    call.taken = source
    call.free = 1
    _stop_waiting(call)
    return call.run


def _stop_waiting(call: _Call) -> None:
    for source in call.sources:
        source.waiting.pop(call, None)


def _end(call: _Call) -> None:
    with _lock:
        call.free -= 1  # the slot for nested calls ends with the call
    _release(call)


def _release(call: _Call) -> None:
    """Return the slot, once, and start the call that has waited longest for it."""
    with _lock:
        source, call.taken = call.taken, None
        if source is None:
            return
        source.free += 1
        if source.free <= 0 or not source.waiting:
            return
        start = _take(next(iter(source.waiting)), source)
    start()


def _close_connections() -> None:
    """Close the database connections that Django opened in this thread.

    The thread ends here, so nobody could use them again.
    """
    if "django.db" in sys.modules:
        from django.conf import settings
        from django.db import connections

        if settings.configured:
            connections.close_all()
