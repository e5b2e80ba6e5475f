"""The threads of a ``SQLiteStore``, and their requests.

Every request that is made before its thread is asked to stop is answered, on the event
loop where it was made: after its transaction is committed, and before its hint is
given. A ``StoreError`` is an answer like any other. If a request fails with another
error, all are rolled back, and each is repeated in a transaction of its own.

A connection is closed when the transaction itself fails, except for a lock, and when
its file was deleted or replaced; the next request opens another one.
"""

import asyncio
import concurrent.futures
import logging
import sqlite3
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from threading import Thread
from time import monotonic
from typing import Any, Generic, TypeAlias, TypeVar

from asgi_events.exceptions import StoreError
from asgi_events.stores.sqlite.file import File, code, transaction

logger = logging.getLogger(__name__)

T = TypeVar("T")

_RETRY = 5.0  # seconds until an idle thread that failed tries again


@dataclass(slots=True, eq=False)
class _Request(Generic[T]):
    work: Callable[[sqlite3.Connection], T]
    future: asyncio.Future[T]
    hint: str | None
    result: T | None = None
    error: Exception | None = None

    def attempt(self, db: sqlite3.Connection) -> None:
        self.error = None
        try:
            self.result = self.work(db)
        except StoreError as error:  # an answer; it is raised before any change
            self.error = error

    def answer(self) -> None:
        if self.future.done():  # its caller was cancelled
            return
        if self.error is not None:
            self.future.set_exception(self.error)
        else:
            self.future.set_result(self.result)  # type: ignore[arg-type]  # a T by now


_Requests: TypeAlias = Sequence[_Request[Any]]


class Worker:
    """A thread that takes all waiting requests, does them together, and answers.

    Its queue has no bound of its own: each caller waits for its answer.

    Args:
        file: The file that it opens.
        begin: The statement that begins the transaction of requests.
        idle: Called when all requests are answered; returns after how many seconds to
            call it again, None for after the next requests.
        hint: Called with the keys that requests have changed. A request that returns
            False has changed nothing.
        closing: Called before the connection is closed at the end.
    """

    def __init__(
        self,
        file: File,
        begin: str,
        *,
        idle: Callable[[sqlite3.Connection], float | None],
        hint: Callable[[set[str]], None],
        closing: Callable[[sqlite3.Connection], None] | None = None,
    ) -> None:
        self._file = file
        self._begin = begin
        self._idle = idle
        self._hint = hint
        self._closing = closing
        self._db: sqlite3.Connection | None = None
        self._generation = 0
        self._queue: SimpleQueue[_Request[Any] | None] = SimpleQueue()
        self._stopped: concurrent.futures.Future[None] = concurrent.futures.Future()
        self._stopped.set_running_or_notify_cancel()
        # A daemon, so that a store that nobody closed does not keep the process alive.
        self._thread = Thread(target=self._run, name="asgi_events.sqlite", daemon=True)
        self._thread.start()

    def submit(
        self, work: Callable[[sqlite3.Connection], T], hint: str | None = None
    ) -> asyncio.Future[T]:
        """Do ``work`` in the thread.

        Args:
            work: Is given the connection, within a transaction.
            hint: The key that it changes.
        """
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._queue.put(_Request(work, future, hint))
        return future

    def request_stop(self) -> None:
        """Stop the thread when all requests so far are done."""
        self._queue.put(None)

    async def stop(self) -> None:
        """Stop the thread, and wait until it has ended."""
        self.request_stop()
        await asyncio.wrap_future(self._stopped)
        self._thread.join()

    def _run(self) -> None:
        due: float | None = None
        going = True
        try:
            while going:
                requests, going = self._take(due)
                try:
                    db = self._connect()
                    if requests:
                        self._serve(db, requests)
                except Exception as error:
                    self._close_after(error)
                    for request in requests:
                        request.error = error
                    if not requests:
                        self._log(error)
                        due = monotonic() + _RETRY
                self._answer(requests)
                if self._db is not None and (due is None or due <= monotonic()):
                    due = self._call_idle(self._db)
            if self._db is not None and self._closing is not None:
                self._closing(self._db)
        finally:
            self._close()
            self._stopped.set_result(None)

    def _connect(self) -> sqlite3.Connection:
        """A connection to the file that now has the name."""
        self._file.check_name()
        if self._generation != self._file.generation:
            self._close()
        if self._db is None:
            # A writer waits in ``transaction`` instead.
            self._db = self._file.connect(patient=self._begin == "BEGIN")
            self._generation = self._file.generation
        return self._db

    def _close_after(self, error: Exception) -> None:
        """Close the connection, unless the file was only locked."""
        if isinstance(error, sqlite3.Error) and code(error) != sqlite3.SQLITE_BUSY:
            self._close()

    def _close(self) -> None:
        db, self._db = self._db, None
        if db is not None:
            db.close()

    def _take(self, due: float | None) -> tuple[_Requests, bool]:
        """All waiting requests, none when it is ``due``; and whether more may come."""
        requests: list[_Request[Any]] = []
        wait = None if due is None else max(due - monotonic(), 0)
        with suppress(Empty):
            request = self._queue.get(timeout=wait)
            while request is not None:
                requests.append(request)
                request = self._queue.get_nowait()
            return requests, False
        return requests, True

    def _serve(self, db: sqlite3.Connection, requests: _Requests) -> None:
        """Do all in one transaction or, if one fails, each in one of its own."""
        request: _Request[Any] | None = None
        try:
            with transaction(db, self._begin, self._file.busy_timeout):
                for request in requests:
                    request.attempt(db)
                request = None
        except Exception as error:
            if request is None:  # the transaction itself failed
                raise
            if len(requests) == 1:
                request.error = error
                return
            for request in requests:
                self._serve(db, [request])

    def _answer(self, requests: _Requests) -> None:
        asked: defaultdict[asyncio.AbstractEventLoop, list[_Request[Any]]]
        asked = defaultdict(list)
        changed: set[str] = set()
        for request in requests:
            if isinstance(request.error, sqlite3.Error):
                request.error = self._file.explain(request.error)
            is_done = request.error is None and request.result is not False
            if request.hint is not None and is_done:
                changed.add(request.hint)
            asked[request.future.get_loop()].append(request)
        for loop, answered in asked.items():
            call_soon(loop, _answer_all, answered)
        if changed:
            self._hint(changed)

    def _call_idle(self, db: sqlite3.Connection) -> float | None:
        try:
            pause = self._idle(db)
        except Exception as error:
            self._close_after(error)
            self._log(error)
            pause = _RETRY
        return None if pause is None else monotonic() + pause

    def _log(self, error: Exception) -> None:
        """Log an error that no caller gets."""
        if isinstance(error, sqlite3.Error):
            error = self._file.explain(error)
        expected = isinstance(error, StoreError)
        logger.warning("%s Trying again.", error, exc_info=None if expected else error)


def _answer_all(requests: _Requests) -> None:
    for request in requests:
        request.answer()


def call_soon(
    loop: asyncio.AbstractEventLoop, call: Callable[[T], None], argument: T
) -> None:
    """Call from another thread; does nothing if the loop is closed."""
    with suppress(RuntimeError):
        loop.call_soon_threadsafe(call, argument)
