"""The threads of a ``SQLiteStore``, and what is asked of them.

Every request that is made before its thread is dismissed is answered, on the event loop
where it was made: after its transaction was committed, and before its hint is given. A
``StoreError`` is an answer like any other. Another error of one request does not spoil
those beside it: all is rolled back, and each is done in a transaction of its own.

A connection is given up when the transaction itself fails, other than for a lock, and
when its file is no longer the one of its name; the next request opens another one.
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

_RETRY = 5.0  # seconds until what failed while nothing was asked is tried again


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
        except StoreError as error:  # an answer; it is raised before anything is done
            self.error = error

    def answer(self) -> None:
        if self.future.done():  # who asked was cancelled
            return
        if self.error is not None:
            self.future.set_exception(self.error)
        else:
            self.future.set_result(self.result)  # type: ignore[arg-type]  # a T by now


_Requests: TypeAlias = Sequence[_Request[Any]]


class Worker:
    """A thread that takes all requests that wait, does them together, and answers.

    Its queue has no bound but that those who ask wait for the answer.

    Args:
        file: What it opens a connection to.
        begin: Begins the transaction in which requests are done.
        idle: Called when requests are answered; returns in how many seconds to call it
            again, None for after the next requests.
        hint: Is told what requests have changed. A request that returns False has
            changed nothing.
        leave: Called before the last connection is closed.
    """

    def __init__(
        self,
        file: File,
        begin: str,
        *,
        idle: Callable[[sqlite3.Connection], float | None],
        hint: Callable[[set[str]], None],
        leave: Callable[[sqlite3.Connection], None] | None = None,
    ) -> None:
        self._file = file
        self._begin = begin
        self._idle = idle
        self._hint = hint
        self._leave = leave
        self._db: sqlite3.Connection | None = None
        self._generation = 0
        self._queue: SimpleQueue[_Request[Any] | None] = SimpleQueue()
        self._stopped: concurrent.futures.Future[None] = concurrent.futures.Future()
        self._stopped.set_running_or_notify_cancel()
        # A daemon: a store that nobody has closed does not keep the process alive.
        self._thread = Thread(target=self._run, name="asgi_events.sqlite", daemon=True)
        self._thread.start()

    def submit(
        self, work: Callable[[sqlite3.Connection], T], hint: str | None = None
    ) -> asyncio.Future[T]:
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._queue.put(_Request(work, future, hint))
        return future

    def dismiss(self) -> None:
        """Stop when all that was asked so far is done."""
        self._queue.put(None)

    async def stop(self) -> None:
        self.dismiss()
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
                    self._give_up(error)
                    for request in requests:
                        request.error = error
                    if not requests:
                        self._tell(error)
                        due = monotonic() + _RETRY
                self._answer(requests)
                if self._db is not None and (due is None or due <= monotonic()):
                    due = self._call_idle(self._db)
            if self._db is not None and self._leave is not None:
                self._leave(self._db)
        finally:
            self._close()
            self._stopped.set_result(None)

    def _connect(self) -> sqlite3.Connection:
        """A connection to the file that has the name now."""
        self._file.look()
        if self._generation != self._file.generation:
            self._close()
        if self._db is None:
            # Who writes waits in ``transaction``.
            self._db = self._file.connect(patient=self._begin == "BEGIN")
            self._generation = self._file.generation
        return self._db

    def _give_up(self, error: Exception) -> None:
        """Close the connection, unless the error says nothing about it."""
        if isinstance(error, sqlite3.Error) and code(error) != sqlite3.SQLITE_BUSY:
            self._close()

    def _close(self) -> None:
        db, self._db = self._db, None
        if db is not None:
            db.close()

    def _take(self, due: float | None) -> tuple[_Requests, bool]:
        """All that waits, nothing when it is ``due``; and whether more may come."""
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
        """All in one transaction or, when one spoils it, each in one of its own."""
        request: _Request[Any] | None = None
        try:
            with transaction(db, self._begin, self._file.busy_timeout):
                for request in requests:
                    request.attempt(db)
                request = None
        except Exception as error:
            if request is None:  # it was the transaction itself
                raise
            if len(requests) == 1:
                request.error = error
                return
            for request in requests:
                self._serve(db, [request])

    def _answer(self, requests: _Requests) -> None:
        asked: defaultdict[asyncio.AbstractEventLoop, list[_Request[Any]]]
        asked = defaultdict(list)
        changed: set[str | None] = set()
        for request in requests:
            if isinstance(request.error, sqlite3.Error):
                request.error = self._file.explain(request.error)
            if request.error is None and request.result is not False:
                changed.add(request.hint)
            asked[request.future.get_loop()].append(request)
        for loop, answered in asked.items():
            call_soon(loop, _answer_all, answered)
        self._hint({key for key in changed if key is not None})

    def _call_idle(self, db: sqlite3.Connection) -> float | None:
        try:
            pause = self._idle(db)
        except Exception as error:
            self._give_up(error)
            self._tell(error)
            pause = _RETRY
        return None if pause is None else monotonic() + pause

    def _tell(self, error: Exception) -> None:
        """Log an error that is nobody's answer."""
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
    with suppress(RuntimeError):  # the loop is closed: nobody waits there any more
        loop.call_soon_threadsafe(call, argument)
