"""Where sync actors run: a daemon thread for each call, so many at a time.

Not the event loop's pool: the process waits for that when it ends, though what runs
there may have been cancelled long ago.

A call needs a place to run. There are ``limit`` of them, and one more below each call
that runs: what a call waits for may take that call's own place. So nested calls never
wait for one another in a circle, however deep they are: of all calls that run, one
waits for no other, or the place below it is free.
"""

from __future__ import annotations

import sys
from collections import OrderedDict
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from contextvars import ContextVar
from threading import Lock, Thread
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

MAX_THREADS = 40
"""Sync actors that run at a time; as many as AnyIO, and so Starlette, lets run."""

_lock = Lock()  # of all that is counted here; held for no longer than that takes


class Threads:
    """Places for the threads of sync actors; ``limit`` None is any number of them."""

    def __init__(self, limit: int | None) -> None:
        self.free = float("inf") if limit is None else float(limit)
        self.waiting: OrderedDict[_Call, None] = OrderedDict()


class _Call(Threads):
    """One call, and the place below it, which is free while it runs.

    Args:
        threads: Whose places it may take, beside the one of the call it is made in.
        parent: The call it is made in, None in none.
    """

    def __init__(self, threads: Threads, parent: _Call | None) -> None:
        super().__init__(0)
        self.sources = (threads,) if parent is None else (parent, threads)
        self.taken: Threads | None = None
        self.run: Callable[[], None] | None = None


shared = Threads(MAX_THREADS)
"""The places of all calls that no ``Executions`` has started."""

_call: ContextVar[_Call | None] = ContextVar("asgi_events_call", default=None)


@contextmanager
def place(threads: Threads) -> Iterator[None]:
    """The call that ``executor`` is given in the block needs a place of ``threads``."""
    token = _call.set(_Call(threads, _call.get()))
    try:
        yield
    finally:
        _call.reset(token)


def step_aside() -> None:
    """Let others have the place of the call that runs here, since it waits for long.

    It runs on without one.
    """
    call = _call.get()
    if call is not None:
        _leave(call)


class DaemonThreads(Executor):
    """An executor that the end of the process does not wait for."""

    def submit(
        self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs
    ) -> Future[T]:
        """Call ``fn`` in a thread of its own, as soon as there is a place."""
        call = _call.get()
        assert call is not None, "actors run in the block of place()"
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
        _enter(call)
        return future


executor: Any = DaemonThreads()


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
    """What starts the call, which has its place now."""
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
        call.free -= 1  # whoever has the place below gives it back to nobody
    _leave(call)


def _leave(call: _Call) -> None:
    """Give the place back, once; whoever waits longest for it starts."""
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
    """Close what Django has opened in this thread, which nobody comes back to."""
    if "django.db" in sys.modules:
        from django.conf import settings
        from django.db import connections

        if settings.configured:
            connections.close_all()
