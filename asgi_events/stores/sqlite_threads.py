"""The threads of a ``SQLiteStore``, and what is asked of them.

Every request that is made before its thread is dismissed is answered, on the event loop
where it was made: after its transaction was committed, and before its hint is given. A
``StoreError`` is an answer like any other. Another error of one request does not spoil
those beside it: all is rolled back, and each is done in a transaction of its own.
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
from asgi_events.stores.sqlite_file import File, transaction

logger = logging.getLogger(__name__)

T = TypeVar("T")


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
        hint: Is told what requests have changed.
    """

    def __init__(
        self,
        file: File,
        begin: str,
        *,
        idle: Callable[[sqlite3.Connection], float | None],
        hint: Callable[[set[str]], None],
    ) -> None:
        self._file = file
        self._begin = begin
        self._idle = idle
        self._hint = hint
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
        db: sqlite3.Connection | None = None
        due: float | None = None
        going = True
        try:
            while going:
                requests, going = self._take(due)
                try:
                    db = db or self._file.connect()
                    if requests:
                        self._serve(db, requests)
                except Exception as error:
                    for request in requests:
                        request.error = error
                self._answer(requests)
                if db is not None and (due is None or due <= monotonic()):
                    due = self._call_idle(db)
        finally:
            if db is not None:
                db.close()
            self._stopped.set_result(None)

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
            with transaction(db, self._begin):
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
        changed = set()
        for request in requests:
            if isinstance(request.error, sqlite3.Error):
                request.error = self._file.explain(request.error)
            if request.error is None and request.hint is not None:
                changed.add(request.hint)
            asked[request.future.get_loop()].append(request)
        for loop, answered in asked.items():
            call_soon(loop, _answer_all, answered)
        self._hint(changed)

    def _call_idle(self, db: sqlite3.Connection) -> float | None:
        try:
            pause = self._idle(db)
        except Exception:
            logger.warning("%s: trying again.", self._file.path, exc_info=True)
            pause = 1.0
        return None if pause is None else monotonic() + pause


def _answer_all(requests: _Requests) -> None:
    for request in requests:
        request.answer()


def call_soon(
    loop: asyncio.AbstractEventLoop, call: Callable[[T], None], argument: T
) -> None:
    with suppress(RuntimeError):  # the loop is closed: nobody waits there any more
        loop.call_soon_threadsafe(call, argument)
