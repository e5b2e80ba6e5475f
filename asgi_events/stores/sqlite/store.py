"""Logs in a file, by two threads."""

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
from random import getrandbits
from time import time
from typing import NamedTuple, Self, TypeVar
from urllib.parse import parse_qsl, unquote, urlsplit

from asgi_events.exceptions import Busy, Ended, Fenced, Gap, Missing, StoreError
from asgi_events.stores.contract import Ack, Grant, Page
from asgi_events.stores.rules import Suspicion, is_alive, suspect
from asgi_events.stores.sqlite.file import File
from asgi_events.stores.sqlite.housekeeping import Housekeeper, forget
from asgi_events.stores.sqlite.threads import Worker
from asgi_events.stores.sqlite.watches import Watch, Watches

T = TypeVar("T", int, float)

_KEYS = 1000  # keys in one read
_TRIMMED = 100  # frames, beside twice those appended, that one call takes off a log


class SQLiteStore:
    """Keeps logs in a SQLite file, for all processes of one machine.

    It opens the file at its first call. After ``aclose`` it may be used again, in
    another event loop too.

    Args:
        path: The file. It is made when there is none, for this user alone; its
            directory has to be there.
        synchronous: "FULL" keeps what was acknowledged when the power fails, and costs
            an fsync for each commit; "NORMAL" keeps it when the process dies.
        busy_timeout: Seconds to wait for another process that writes.
        max_events: Frames kept of each log; beyond it the oldest quarter goes, and who
            still wants them is given a ``reset``.

    Raises:
        ValueError: An option is out of its range.
        StoreError: There is no such directory, or ``path`` is one.
    """

    durable = True
    settle_time = 0.0

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        synchronous: str = "FULL",
        busy_timeout: float = 5.0,
        max_events: int = 1_000_000,
    ) -> None:
        if os.fspath(path) == ":memory:":
            raise ValueError('Processes share no ":memory:": use MemoryStore.')
        if synchronous not in ("FULL", "NORMAL"):
            raise ValueError(
                f'synchronous must be "FULL" or "NORMAL", got {synchronous!r}'
            )
        if not 0 <= busy_timeout < 3600:
            raise ValueError(
                f"busy_timeout must be 0 to 3600 seconds, got {busy_timeout!r}"
            )
        if max_events < 4:
            raise ValueError(f"max_events must be at least 4, got {max_events!r}")
        self._max_events = max_events
        self._file = File(_checked(os.path.abspath(path)), synchronous, busy_timeout)
        self._opened: _Opened | None = None

    @classmethod
    def from_url(cls, url: str) -> Self:
        """The store of ``sqlite:///relative/path`` or ``sqlite:////absolute/path``.

        ``?synchronous=normal``, ``&busy_timeout=10`` and ``&max_events=100000`` set the
        options.

        Raises:
            ValueError: The URL names no file, or what is no option.
            StoreError: There is no such directory.
        """
        parts = urlsplit(url)
        path = unquote(parts.path[1:])
        if not url.startswith("sqlite:///") or parts.fragment or not path:
            raise ValueError(
                f"{_shown(url)!r} names no file: write "
                '"sqlite:///events.db" for one in the working directory, '
                '"sqlite:////var/lib/events.db" for an absolute path'
            )
        options = dict(parse_qsl(parts.query, keep_blank_values=True))
        synchronous = options.pop("synchronous", "full").upper()
        busy_timeout = _number(float, "busy_timeout", options.pop("busy_timeout", "5"))
        max_events = _number(int, "max_events", options.pop("max_events", "1000000"))
        if options:
            raise ValueError(
                f"{_shown(url)!r}: the options are synchronous, busy_timeout and "
                f"max_events, not {', '.join(options)}"
            )
        return cls(
            path,
            synchronous=synchronous,
            busy_timeout=busy_timeout,
            max_events=max_events,
        )

    def check_exists(self) -> None:
        """Raise ``StoreError`` if there is no file yet; the first call creates it."""
        if not os.path.isfile(self._file.path):
            raise StoreError(f"There is no file {self._file.path}")

    @property
    def generation(self) -> int:
        """Grows when the file turns out to be another one than before."""
        return self._file.generation

    async def open(
        self,
        key: str,
        *,
        writer: str,
        lease: float,
        ttl: float,
        meta: Mapping[str, str],
        after: int = 0,
    ) -> Grant:
        row = (key, writer, lease, ttl, json.dumps(dict(meta)), after)
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
            lambda db: _append(db, key, grant, after, frames, end, self._max_events),
            key,
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
        # A function, so that the clock of this module is the only one.
        housekeeper = Housekeeper(file.path, lambda: time())
        return cls(
            Worker(
                file,
                "BEGIN IMMEDIATE",
                idle=housekeeper.look,
                hint=watches.hint,
                leave=housekeeper.leave,
            ),
            Worker(file, "BEGIN", idle=watches.look, hint=watches.hint),
            watches,
        )

    def dismiss(self) -> None:
        self.writer.dismiss()
        self.reader.dismiss()


def _checked(path: str) -> str:
    """A path at which there may be a file."""
    directory = os.path.dirname(path)
    if not os.path.isdir(directory):
        raise StoreError(
            f"{path} cannot be created, there is no directory {directory}: create it, "
            "or name another file."
        )
    if os.path.isdir(path):
        raise StoreError(f"{path} is a directory: name a file in it.")
    return path


def _shown(url: str) -> str:
    """A URL without what may be secret."""
    before, mark, _ = url.partition("?")
    scheme, colon, rest = before.partition(":")
    hidden, at, place = rest.rpartition("@")
    if at:
        rest = f"{'//' if hidden.startswith('//') else ''}***@{place}"
    return f"{scheme}{colon}{rest}{'?...' if mark else ''}"


def _number(kind: type[T], option: str, text: str) -> T:
    try:
        return kind(text)
    except ValueError:
        raise ValueError(f"{option} must be a number, got {text!r}") from None


class _Head(NamedTuple):
    """What is asked of a log for each frame."""

    id: int
    epoch: int
    watched_until: float
    first: int
    last: int
    end: str | None
    due: float
    cancel: int
    suspected: float | None

    def ack(self, last: int, now: float) -> Ack:
        return Ack(last, bool(self.cancel), now < self.watched_until)


class _Log(NamedTuple):
    """All that is known of it; it begins with what is in a ``_Head``."""

    id: int
    epoch: int
    watched_until: float
    first: int
    last: int
    end: str | None
    due: float
    cancel: int
    suspected: float | None
    writer: str
    lease: float
    sign: float
    asked: float | None
    ended: float | None
    meta: str


_HEAD = 'id, epoch, watched_until, first, last, "end", due, cancel, suspected'
_FIND_HEAD = f"SELECT {_HEAD} FROM log WHERE key = ?"
_FIND = (
    f"SELECT {_HEAD}, writer, lease, sign, asked, ended, meta FROM log WHERE key = ?"
)


def _head(db: sqlite3.Connection, key: str, now: float) -> _Head | None:
    row = db.execute(_FIND_HEAD, (key,)).fetchone()
    if row is None:
        return None
    head = _Head._make(row)
    return None if _is_over(head, now) else head


def _find(db: sqlite3.Connection, key: str) -> _Log | None:
    """A log, though its time may be over."""
    row = db.execute(_FIND, (key,)).fetchone()
    return row and _Log._make(row)


def _is_over(head: _Head | _Log, now: float) -> bool:
    """Whether the log's time is over; that of one that runs never is."""
    return head.end is not None and head.due <= now


def _writable(db: sqlite3.Connection, key: str, grant: Grant, now: float) -> _Head:
    head = _head(db, key, now)
    if head is None:
        raise Missing(
            f"There is no log {key!r}: it has expired, was deleted, or its file was "
            "replaced."
        )
    if head.epoch != grant.epoch:
        raise Fenced(f"The log {key!r} is another writer's.")
    return head


def _open(
    db: sqlite3.Connection,
    key: str,
    writer: str,
    lease: float,
    ttl: float,
    meta: str,
    after: int,
) -> Grant:
    now = time()
    log = _find(db, key)
    if log is not None and _is_over(log, now):
        _delete(db, key)  # the housekeeper has not found it yet
        log = None
    if log is None:
        # Any number: a deleted log's writer is not to write its successor.
        epoch = getrandbits(48)
        expires = now + lease + ttl
        db.execute(
            "INSERT INTO log "
            "(key, writer, epoch, lease, ttl, sign, due, first, last, meta) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (key, writer, epoch, lease, ttl, now, expires, after + 1, after, meta),
        )
        return Grant(epoch, after)
    if log.end is not None:
        raise Ended(f"The log {key!r} has ended.")
    if log.writer != writer:
        # Nobody goes on where a dead writer stopped: its log is reaped.
        raise Busy(f"The log {key!r} is written by {log.writer!r}.")
    _hear(db, key, log, now)
    return Grant(log.epoch, log.last)


def _append(
    db: sqlite3.Connection,
    key: str,
    grant: Grant,
    after: int,
    frames: Sequence[bytes],
    end: str | None,
    max_events: int,
) -> Ack:
    now = time()
    head = _writable(db, key, grant, now)
    known = head.last - after
    if head.end is not None:
        if end == head.end and known == len(frames):
            return head.ack(head.last, now)
        raise Ended(f"The log {key!r} has ended.")
    if known < 0:
        raise Gap(head.last)
    last = _store(db, key, head, frames[known:], end, now)
    if head.first > 1 or last > max_events:
        _trim(db, head, last, max_events)
    return head.ack(last, now)


def _renew(db: sqlite3.Connection, key: str, grant: Grant) -> Ack:
    now = time()
    head = _writable(db, key, grant, now)
    if head.end is not None:
        raise Ended(f"The log {key!r} has ended.")
    _hear(db, key, head, now)
    return head.ack(head.last, now)


def _reap(db: sqlite3.Connection, key: str, after: int, frame: bytes, end: str) -> bool:
    now = time()
    log = _find(db, key)
    if log is None or log.end is not None or log.last != after:
        return False
    if is_alive(now, log.sign, log.lease):
        return False
    suspicion = None
    if log.suspected is not None and log.asked is not None:
        suspicion = Suspicion(log.suspected, log.asked)
    suspicion, is_dead = suspect(now, log.lease, suspicion)
    if is_dead:
        db.execute("UPDATE log SET epoch = epoch + 1 WHERE id = ?", (log.id,))
        _store(db, key, log, (frame,), end, now)
        return True
    db.execute(
        "UPDATE log SET suspected = ?, asked = ? WHERE id = ?", (*suspicion, log.id)
    )
    _ask_writer(db, key, log)
    return False


def _store(
    db: sqlite3.Connection,
    key: str,
    head: _Head | _Log,
    frames: Sequence[bytes],
    end: str | None,
    now: float,
) -> int:
    """Number and keep frames, which is a sign of life; the number of the newest."""
    if frames:
        db.executemany(
            "INSERT INTO frame VALUES (?, ?, ?)",
            zip(repeat(head.id), count(head.last + 1), frames, strict=False),
        )
    last = head.last + len(frames)
    if end is None:
        db.execute(
            "UPDATE log SET last = ?, sign = ? WHERE id = ?", (last, now, head.id)
        )
    else:
        db.execute(
            'UPDATE log SET last = ?, sign = ?, "end" = ?, ended = ?, '
            "due = ? + lease + ttl WHERE id = ?",
            (last, now, end, now, now, head.id),
        )
    _answered(db, key, head)
    return last


def _hear(db: sqlite3.Connection, key: str, head: _Head | _Log, now: float) -> None:
    """Take a sign of life."""
    db.execute("UPDATE log SET sign = ? WHERE id = ?", (now, head.id))
    _answered(db, key, head)


def _ask_writer(db: sqlite3.Connection, key: str, head: _Head | _Log) -> None:
    """Have the writer give a sign of life, and hear what it is asked for."""
    db.execute(
        "INSERT OR IGNORE INTO inbox SELECT writer, ? FROM log WHERE id = ?",
        (key, head.id),
    )


def _answered(db: sqlite3.Connection, key: str, head: _Head | _Log) -> None:
    """Have the writer asked no more: it has given a sign of life, or the log ended."""
    if head.suspected is None and not head.cancel:
        return  # it was not asked
    db.execute("UPDATE log SET suspected = NULL, asked = NULL WHERE id = ?", (head.id,))
    db.execute(
        "DELETE FROM inbox "
        "WHERE writer = (SELECT writer FROM log WHERE id = ?) AND key = ?",
        (head.id, key),
    )


def _trim(db: sqlite3.Connection, head: _Head, last: int, max_events: int) -> None:
    """Let the oldest quarter go when there are too many; in parts, with later calls."""
    first = head.first
    while last - first + 1 > max_events:
        first += max((last - first + 1) // 4, 1)
    if first != head.first:
        db.execute("UPDATE log SET first = ? WHERE id = ?", (first, head.id))
    db.execute(
        "DELETE FROM frame WHERE log = ? AND seq < min(?, "
        "? + (SELECT min(seq) FROM frame WHERE log = ?))",
        (head.id, first, _TRIMMED + 2 * (last - head.last), head.id),
    )


def _cancel(db: sqlite3.Connection, key: str) -> bool:
    head = _head(db, key, time())
    if head is None or head.end is not None:
        return False
    db.execute("UPDATE log SET cancel = 1 WHERE id = ?", (head.id,))
    _ask_writer(db, key, head)
    return True


def _attend(db: sqlite3.Connection, key: str, seconds: float) -> None:
    db.execute(
        "UPDATE log SET watched_until = max(watched_until, ?) WHERE key = ?",
        (time() + seconds, key),
    )


def _read(db: sqlite3.Connection, key: str, after: int, limit: int) -> Page | None:
    now = time()
    log = _find(db, key)
    if log is None or _is_over(log, now):
        return None
    first = max(after + 1, log.first)
    return Page(
        first=first,
        last=log.last,
        end=log.end,
        alive=log.end is not None or is_alive(now, log.sign, log.lease),
        cancel=bool(log.cancel),
        frames=_frames(db, log.id, first - 1, limit) if limit > 0 else [],
        meta=json.loads(log.meta),
        ended=log.ended,
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
        'AND ("end" IS NULL OR due > ?) ORDER BY id LIMIT ?',
        (after, time(), _KEYS),
    ).fetchall()


def _delete(db: sqlite3.Connection, key: str) -> None:
    row = db.execute("SELECT id, writer FROM log WHERE key = ?", (key,)).fetchone()
    if row is not None:
        id, writer = row
        forget(db, id, writer, key)
