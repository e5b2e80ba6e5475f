"""The store of one machine: a SQLite file that all its processes share.

Two threads serve the event loop, each with a connection of its own. One writes: all
that waits becomes one transaction, so that a hundred executions share one fsync. One
reads, which write-ahead logging lets it do while the other commits; it also looks for
what other processes have written, while anybody watches.

Leases are judged by the wall clock of the machine, the one clock that its processes
share: a clock that is set forward ends leases early, and their writers are fenced. The
file belongs on a disk of the machine: a network file system does not keep its locks.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import json
import logging
import os
import sqlite3
import weakref
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from itertools import count, repeat
from queue import Empty, SimpleQueue
from threading import Lock, Thread
from time import monotonic, sleep, time
from typing import Any, Generic, NamedTuple, Self, TypeAlias, TypeVar
from urllib.parse import parse_qsl, unquote, urlsplit

from asgi_events.exceptions import Busy, Ended, Fenced, Gap, StoreError, Unavailable
from asgi_events.stores import Ack, Grant, Page

logger = logging.getLogger(__name__)

T = TypeVar("T")

_APPLICATION_ID = 0x61736765  # "asge": by this a file is known as ours
_VERSION = 1
# A log that is deleted loses its key at once, its frames by and by.
_SCHEMA = """
CREATE TABLE log (
    id INTEGER PRIMARY KEY,
    key TEXT UNIQUE,
    writer TEXT NOT NULL,
    epoch INTEGER NOT NULL DEFAULT 1,
    lease REAL NOT NULL,
    ttl REAL NOT NULL,
    alive_until REAL NOT NULL,
    watched_until REAL NOT NULL DEFAULT 0,
    last INTEGER NOT NULL DEFAULT 0,
    "end" TEXT,
    cancel INTEGER NOT NULL DEFAULT 0,
    meta TEXT NOT NULL
);
CREATE TABLE frame (
    log INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    frame BLOB NOT NULL,
    PRIMARY KEY (log, seq)
) WITHOUT ROWID
"""

_POLL = 0.01  # seconds between two looks for what other processes have written
_POLL_QUIET = 0.05  # likewise, when they have written nothing for so many seconds:
_QUIET = 5.0
_SWEEP = 10.0  # seconds between two searches for what is expired
_SWEPT = 1000  # logs or frames that go at once; requests come before the next ones
_KEYS = 1000  # keys in one read


class SQLiteStore:
    """Keeps logs in a SQLite file, for all processes of one machine.

    It opens the file at its first call. After ``aclose`` it may be used again, in
    another event loop too.

    Args:
        path: The file. It is made when there is none; its directory has to be there.
        synchronous: "FULL" keeps what was acknowledged when the power fails, and costs
            an fsync for each commit; "NORMAL" keeps it when the process dies.
        busy_timeout: Seconds to wait for another process that writes.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        synchronous: str = "FULL",
        busy_timeout: float = 5.0,
    ) -> None:
        if os.fspath(path) == ":memory:":
            raise ValueError('Processes share no ":memory:": use MemoryStore.')
        if synchronous not in ("FULL", "NORMAL"):
            raise ValueError(
                f'synchronous must be "FULL" or "NORMAL", got {synchronous!r}'
            )
        if not 0 <= busy_timeout < 3600:
            raise ValueError(f"busy_timeout must be 0 to 3600, got {busy_timeout!r}")
        self._file = _File(os.path.abspath(path), synchronous, busy_timeout)
        self._opened: _Opened | None = None

    @classmethod
    def from_url(cls, url: str) -> Self:
        """The store of ``sqlite:///relative/path`` or ``sqlite:////absolute/path``.

        ``?synchronous=normal`` and ``&busy_timeout=10`` set the options.

        Raises:
            ValueError: The URL names no file, or what is no option.
        """
        parts = urlsplit(url)
        path = unquote(parts.path[1:])
        if parts.netloc or parts.fragment or not path:
            raise ValueError(
                f'{url!r} names no file: write "sqlite:///events.db" for one in the '
                'working directory, "sqlite:////var/lib/events.db" for an absolute path'
            )
        options = dict(parse_qsl(parts.query, keep_blank_values=True))
        synchronous = options.pop("synchronous", "full").upper()
        busy_timeout = float(options.pop("busy_timeout", 5.0))
        if options:
            raise ValueError(
                f"{url!r}: the options are synchronous and busy_timeout, "
                f"not {', '.join(options)}"
            )
        return cls(path, synchronous=synchronous, busy_timeout=busy_timeout)

    async def open(
        self,
        key: str,
        *,
        writer: str,
        lease: float,
        ttl: float,
        meta: Mapping[str, str],
    ) -> Grant:
        row = (key, writer, lease, ttl, json.dumps(dict(meta)))
        return await self._writer.submit(lambda db: _open(db, *row))

    async def append(
        self,
        key: str,
        grant: Grant,
        after: int,
        frames: Sequence[bytes],
        *,
        end: str | None = None,
    ) -> Ack:
        return await self._writer.submit(
            lambda db: _append(db, key, grant, after, frames, end), key
        )

    async def renew(self, key: str, grant: Grant) -> Ack:
        return await self._writer.submit(lambda db: _renew(db, key, grant))

    async def cancel(self, key: str) -> bool:
        return await self._writer.submit(lambda db: _cancel(db, key), key)

    async def attend(self, key: str, seconds: float) -> None:
        await self._writer.submit(lambda db: _attend(db, key, seconds))

    async def reap(self, key: str, after: int, frame: bytes, *, end: str) -> bool:
        return await self._writer.submit(
            lambda db: _reap(db, key, after, frame, end), key
        )

    async def read(self, key: str, after: int, limit: int) -> Page | None:
        return await self._reader.submit(lambda db: _read(db, key, after, limit))

    async def delete(self, key: str) -> None:
        await self._writer.submit(lambda db: _delete(db, key))

    async def keys(self) -> AsyncIterator[str]:
        listed = 0
        while rows := await self._reader.submit(partial(_keys, after=listed)):
            for _, key in rows:
                yield key
            listed, _ = rows[-1]

    async def watch(self) -> _Watch:
        opened = self._open()
        return _Watch(opened.watches, opened.reader)

    async def aclose(self) -> None:
        opened, self._opened = self._opened, None
        if opened is not None:
            await opened.writer.stop()
            await opened.reader.stop()

    @property
    def _writer(self) -> _Worker:
        return self._open().writer

    @property
    def _reader(self) -> _Worker:
        return self._open().reader

    def _open(self) -> _Opened:
        if self._opened is None:
            self._opened = opened = _Opened.on(self._file)
            # A store that is dropped takes its threads along.
            weakref.finalize(self, opened.dismiss)
        return self._opened


@dataclass(frozen=True, slots=True)
class _Opened:
    writer: _Worker
    reader: _Worker
    watches: _Watches

    @classmethod
    def on(cls, file: _File) -> _Opened:
        watches = _Watches()
        return cls(
            _Worker(file, "BEGIN IMMEDIATE", idle=_sweep, hint=watches.hint),
            _Worker(file, "BEGIN", idle=watches.look, hint=watches.hint),
            watches,
        )

    def dismiss(self) -> None:
        self.writer.dismiss()
        self.reader.dismiss()


# The file: how it is opened, and what to do when it cannot be


@dataclass(frozen=True, slots=True)
class _File:
    path: str
    synchronous: str
    busy_timeout: float

    def connect(self) -> sqlite3.Connection:
        # isolation_level=None: no transactions but those that are begun here.
        db = sqlite3.connect(self.path, timeout=self.busy_timeout, isolation_level=None)
        try:
            db.execute(f"PRAGMA synchronous = {self.synchronous}")
            # 16 MiB: the last page of each log is written once for many appends to it.
            db.execute("PRAGMA wal_autocheckpoint = 4000")
            empty = self._check(db)
            self._begin_wal(db)
            if empty:
                self._create(db)
        except BaseException:
            db.close()
            raise
        return db

    def _check(self, db: sqlite3.Connection) -> bool:
        """Whether the file is empty; raises when it is not ours."""
        # One statement, for one snapshot: another process may be making the tables.
        application_id, version, tables = db.execute(
            "SELECT application_id, user_version, (SELECT count(*) FROM sqlite_master) "
            "FROM pragma_application_id, pragma_user_version"
        ).fetchone()
        if not (application_id or version or tables):
            return True
        if application_id != _APPLICATION_ID:
            raise StoreError(
                f"{self.path} is the database of another program: name another file."
            )
        if version != _VERSION:
            raise StoreError(
                f"{self.path} has schema version {version}, and this asgi_events knows "
                f"version {_VERSION}: upgrade asgi_events, or name another file."
            )
        return False

    def _create(self, db: sqlite3.Connection) -> None:
        with _transaction(db, "BEGIN IMMEDIATE"):
            if not self._check(db):  # somebody was faster
                return
            for statement in _SCHEMA.split(";"):
                db.execute(statement)
            db.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
            db.execute(f"PRAGMA user_version = {_VERSION}")

    def _begin_wal(self, db: sqlite3.Connection) -> None:
        # NOTE: SQLite waits for who reads here, but not for who writes.
        deadline = monotonic() + self.busy_timeout
        while True:
            try:
                (mode,) = db.execute("PRAGMA journal_mode = WAL").fetchone()
                break
            except sqlite3.OperationalError as error:
                if _code(error) != sqlite3.SQLITE_BUSY or monotonic() >= deadline:
                    raise
            sleep(0.005)
        if mode != "wal":
            raise StoreError(
                f"{self.path} is on a file system without shared memory, a network's "
                "perhaps: name a file on a disk of this machine."
            )

    def explain(self, error: sqlite3.Error) -> StoreError:
        """What the caller is told: whether to try again, and what to do."""
        kind, advice = _ADVICE.get(_code(error), (StoreError, "see sqlite.org/rescode"))
        return kind(f"{self.path}: {error}; {advice}.")


_ADVICE: dict[int, tuple[type[StoreError], str]] = {
    sqlite3.SQLITE_BUSY: (Unavailable, "find who holds its lock for so long"),
    sqlite3.SQLITE_FULL: (Unavailable, "make room on the disk"),
    sqlite3.SQLITE_IOERR: (Unavailable, "look into the disk"),
    sqlite3.SQLITE_CANTOPEN: (
        StoreError,
        "its directory has to exist, and this user be allowed to write there",
    ),
    sqlite3.SQLITE_READONLY: (
        StoreError,
        "this user has to be allowed to write the file and its directory",
    ),
    sqlite3.SQLITE_NOTADB: (StoreError, "name another file"),
    sqlite3.SQLITE_CORRUPT: (
        StoreError,
        'move it away; "sqlite3 FILE .recover" saves what can be saved',
    ),
}


def _code(error: sqlite3.Error) -> int:
    """The primary result code; the upper bits are details (sqlite.org/rescode.html)."""
    return getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF


@contextmanager
def _transaction(db: sqlite3.Connection, begin: str) -> Iterator[None]:
    db.execute(begin)
    try:
        yield
        db.execute("COMMIT")
    finally:
        # True after an error, but not after one at which SQLite rolls back by itself.
        if db.in_transaction:
            db.execute("ROLLBACK")


# The threads, and what is asked of them


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


class _Worker:
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
        file: _File,
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
            with _transaction(db, self._begin):
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
            _call_soon(loop, _answer_all, answered)
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


def _call_soon(
    loop: asyncio.AbstractEventLoop, call: Callable[[T], None], argument: T
) -> None:
    with suppress(RuntimeError):  # the loop is closed: nobody waits there any more
        loop.call_soon_threadsafe(call, argument)


# Hints


class _Watches:
    """Who wants hints of which logs, and how those stood when last looked at.

    The event loop and both threads come here, so there is a lock.
    """

    def __init__(self) -> None:
        self.lock = Lock()
        self.all: set[_Watch] = set()
        self._seen: dict[str, object] = {}  # this and what follows is the reader's
        self._version: int | None = None
        self._quiet_at = 0.0

    def hint(self, keys: set[str]) -> None:
        """Hint at ``keys`` where they are watched."""
        with self.lock:
            hints = [(watch, watch.keys & keys) for watch in self.all]
        for watch, hinted in hints:
            if hinted:
                _call_soon(watch.loop, watch.hint, hinted)

    def note(self, db: sqlite3.Connection, key: str) -> None:
        """See how a log stands before it is read for the first time."""
        self._seen.setdefault(key, _states(db, {key}).get(key))

    def look(self, db: sqlite3.Connection) -> float | None:
        """Hint at what another connection has changed; the seconds to the next look."""
        with self.lock:
            keys = set().union(*(watch.keys for watch in self.all))
        if not keys:
            return None
        began = monotonic()
        (version,) = db.execute("PRAGMA data_version").fetchone()
        if version == self._version:
            return _POLL if began < self._quiet_at else _POLL_QUIET
        states = _states(db, keys)
        seen, self._seen = self._seen, {key: states.get(key) for key in keys}
        self.hint({key for key in keys & seen.keys() if seen[key] != states.get(key)})
        self._version = version
        self._quiet_at = began + _QUIET
        # Very many logs take their time, but at most a fifth of a processor.
        return max(_POLL, 4 * (monotonic() - began))


class _Watch:
    def __init__(self, watches: _Watches, reader: _Worker) -> None:
        self.loop = asyncio.get_running_loop()
        self.keys: set[str] = set()
        self._watches = watches
        self._reader = reader
        self._hints: set[str] = set()
        self._hinted = asyncio.Event()
        with watches.lock:
            watches.all.add(self)

    def add(self, key: str) -> None:
        with self._watches.lock:
            self.keys.add(key)
        noted = self._reader.submit(lambda db: self._watches.note(db, key))
        noted.add_done_callback(_ignore_error)

    def discard(self, key: str) -> None:
        with self._watches.lock:
            self.keys.discard(key)

    def hint(self, keys: set[str]) -> None:
        self._hints |= keys
        self._hinted.set()

    async def get(self) -> set[str]:
        await self._hinted.wait()
        self._hinted.clear()
        hints, self._hints = self._hints, set()
        return hints

    async def aclose(self) -> None:
        with self._watches.lock:
            self._watches.all.discard(self)


def _ignore_error(future: asyncio.Future[None]) -> None:
    if not future.cancelled():
        future.exception()


# What is done in a transaction


class _Log(NamedTuple):
    id: int
    writer: str
    epoch: int
    alive_until: float
    watched_until: float
    last: int
    end: str | None
    cancel: int
    meta: str


_FIND = """
SELECT id, writer, epoch, alive_until, watched_until, last, "end", cancel, meta
FROM log WHERE key = ? AND alive_until + ttl > ?
"""


def _find(db: sqlite3.Connection, key: str, now: float) -> _Log | None:
    row = db.execute(_FIND, (key, now)).fetchone()
    return row and _Log._make(row)


def _writable(db: sqlite3.Connection, key: str, grant: Grant, now: float) -> _Log:
    log = _find(db, key, now)
    if log is None or log.epoch != grant.epoch:
        raise Fenced(f"The log {key!r} is another writer's, or was deleted.")
    return log


def _open(
    db: sqlite3.Connection, key: str, writer: str, lease: float, ttl: float, meta: str
) -> Grant:
    now = time()
    log = _find(db, key, now)
    if log is None:
        _delete(db, key)  # an expired one that the sweep has not found yet
        db.execute(
            "INSERT INTO log (key, writer, lease, ttl, alive_until, meta) "
            "VALUES (?, ?, ?, ?, ?, ?)",
            (key, writer, lease, ttl, now + lease, meta),
        )
        return Grant(1, 0)
    if log.end is not None:
        raise Ended(f"The log {key!r} has ended.")
    if log.writer != writer:
        # Nobody goes on where a dead writer stopped: its log is reaped.
        raise Busy(f"The log {key!r} is written by {log.writer!r}.")
    _store(db, log, (), None, now)
    return Grant(log.epoch, log.last)


def _append(
    db: sqlite3.Connection,
    key: str,
    grant: Grant,
    after: int,
    frames: Sequence[bytes],
    end: str | None,
) -> Ack:
    now = time()
    log = _writable(db, key, grant, now)
    known = log.last - after
    if log.end is not None:
        if end == log.end and known == len(frames):
            return _ack(log, log.last, now)
        raise Ended(f"The log {key!r} has ended.")
    if known < 0:
        raise Gap(log.last)
    last = _store(db, log, frames[known:], end, now)
    return _ack(log, last, now)


def _renew(db: sqlite3.Connection, key: str, grant: Grant) -> Ack:
    now = time()
    log = _writable(db, key, grant, now)
    if log.end is not None:
        raise Ended(f"The log {key!r} has ended.")
    return _ack(log, _store(db, log, (), None, now), now)


def _reap(db: sqlite3.Connection, key: str, after: int, frame: bytes, end: str) -> bool:
    now = time()
    log = _find(db, key, now)
    if log is None or log.end is not None or log.last != after:
        return False
    if now < log.alive_until:
        return False
    db.execute("UPDATE log SET epoch = epoch + 1 WHERE id = ?", (log.id,))
    _store(db, log, (frame,), end, now)
    return True


def _store(
    db: sqlite3.Connection,
    log: _Log,
    frames: Sequence[bytes],
    end: str | None,
    now: float,
) -> int:
    """Number and keep frames, and renew the lease; the number of the newest."""
    if frames:
        db.executemany(
            "INSERT INTO frame VALUES (?, ?, ?)",
            zip(repeat(log.id), count(log.last + 1), frames, strict=False),
        )
    last = log.last + len(frames)
    db.execute(
        'UPDATE log SET last = ?, "end" = ?, alive_until = ? + lease WHERE id = ?',
        (last, end, now, log.id),
    )
    return last


def _ack(log: _Log, last: int, now: float) -> Ack:
    return Ack(last, bool(log.cancel), now < log.watched_until)


def _cancel(db: sqlite3.Connection, key: str) -> bool:
    changed = db.execute(
        'UPDATE log SET cancel = 1 WHERE key = ? AND "end" IS NULL '
        "AND alive_until + ttl > ?",
        (key, time()),
    )
    return changed.rowcount == 1


def _attend(db: sqlite3.Connection, key: str, seconds: float) -> None:
    db.execute(
        "UPDATE log SET watched_until = max(watched_until, ?) WHERE key = ?",
        (time() + seconds, key),
    )


def _read(db: sqlite3.Connection, key: str, after: int, limit: int) -> Page | None:
    now = time()
    log = _find(db, key, now)
    if log is None:
        return None
    return Page(
        first=max(after, 0) + 1,
        last=log.last,
        end=log.end,
        alive=log.end is not None or now < log.alive_until,
        cancel=bool(log.cancel),
        frames=_frames(db, log.id, after, limit) if limit > 0 else [],
        meta=json.loads(log.meta),
    )


def _frames(db: sqlite3.Connection, id: int, after: int, limit: int) -> list[bytes]:
    frames: list[bytes] = []
    rows = db.execute(
        "SELECT frame FROM frame WHERE log = ? AND seq > ? ORDER BY seq", (id, after)
    )
    with closing(rows):
        for (frame,) in rows:
            limit -= len(frame)
            if frames and limit < 0:
                break
            frames.append(frame)
    return frames


def _keys(db: sqlite3.Connection, after: int) -> list[tuple[int, str]]:
    return db.execute(
        "SELECT id, key FROM log WHERE id > ? AND key IS NOT NULL "
        "AND alive_until + ttl > ? ORDER BY id LIMIT ?",
        (after, time(), _KEYS),
    ).fetchall()


def _states(db: sqlite3.Connection, keys: set[str]) -> dict[str, object]:
    """What readers see of each log, but for its frames."""
    rows = db.execute(
        'SELECT key, id, last, "end", cancel FROM log '
        "WHERE key IN (SELECT value FROM json_each(?))",
        (json.dumps(list(keys)),),
    )
    return {row[0]: row for row in rows}


def _delete(db: sqlite3.Connection, key: str) -> None:
    db.execute("UPDATE log SET key = NULL WHERE key = ?", (key,))


def _sweep(db: sqlite3.Connection) -> float:
    """Delete a part of what is expired; the seconds until the next part."""
    with _transaction(db, "BEGIN IMMEDIATE"):
        db.execute(
            "UPDATE log SET key = NULL WHERE id IN (SELECT id FROM log "
            "WHERE key IS NOT NULL AND alive_until + ttl <= ? LIMIT ?)",
            (time(), _SWEPT),
        )
        log = db.execute("SELECT id FROM log WHERE key IS NULL LIMIT 1").fetchone()
        if log is None:
            return _SWEEP
        deleted = db.execute(
            "DELETE FROM frame WHERE log = ? AND seq < ? + "
            "(SELECT min(seq) FROM frame WHERE log = ?)",
            (*log, _SWEPT, *log),
        )
        if deleted.rowcount < _SWEPT:
            db.execute("DELETE FROM log WHERE id = ?", log)
        return 0.0
