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

import json
import os
import sqlite3
import weakref
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from itertools import count, repeat
from time import time
from typing import NamedTuple, Self
from urllib.parse import parse_qsl, unquote, urlsplit

from asgi_events.exceptions import Busy, Ended, Fenced, Gap
from asgi_events.stores import Ack, Grant, Page
from asgi_events.stores.sqlite_file import File, transaction
from asgi_events.stores.sqlite_threads import Worker
from asgi_events.stores.sqlite_watches import Watch, Watches

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
        self._file = File(os.path.abspath(path), synchronous, busy_timeout)
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

    async def watch(self) -> Watch:
        opened = self._open()
        return Watch(opened.watches, opened.reader)

    async def aclose(self) -> None:
        opened, self._opened = self._opened, None
        if opened is not None:
            await opened.writer.stop()
            await opened.reader.stop()

    @property
    def _writer(self) -> Worker:
        return self._open().writer

    @property
    def _reader(self) -> Worker:
        return self._open().reader

    def _open(self) -> _Opened:
        if self._opened is None:
            self._opened = opened = _Opened.on(self._file)
            # A store that is dropped takes its threads along.
            weakref.finalize(self, opened.dismiss)
        return self._opened


@dataclass(frozen=True, slots=True)
class _Opened:
    writer: Worker
    reader: Worker
    watches: Watches

    @classmethod
    def on(cls, file: File) -> _Opened:
        watches = Watches()
        return cls(
            Worker(file, "BEGIN IMMEDIATE", idle=_sweep, hint=watches.hint),
            Worker(file, "BEGIN", idle=watches.look, hint=watches.hint),
            watches,
        )

    def dismiss(self) -> None:
        self.writer.dismiss()
        self.reader.dismiss()


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


def _delete(db: sqlite3.Connection, key: str) -> None:
    db.execute("UPDATE log SET key = NULL WHERE key = ?", (key,))


def _sweep(db: sqlite3.Connection) -> float:
    """Delete a part of what is expired; the seconds until the next part."""
    with transaction(db, "BEGIN IMMEDIATE"):
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
