"""What each operation of a ``SQLiteStore`` does in the file, within a transaction.

The functions are those of ``EventStore``; they run in a thread of the store.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from itertools import count, repeat
from random import getrandbits
from time import time
from typing import NamedTuple

from pydantic_core import to_json

from asgi_events.exceptions import Gap
from asgi_events.stores.contract import Ack, Grant, Page
from asgi_events.stores.rules import (
    Suspicion,
    check_open,
    check_repeats,
    ended,
    fenced,
    is_alive,
    missing,
    suspect,
)
from asgi_events.stores.sqlite.housekeeping import forget
from asgi_events.stores.sqlite.listing import facts_of

clock: Callable[[], float] = time
"""The clock of the store: the one that all processes of the machine share."""

_KEYS = 1000  # keys in one read
_TRIMMED = 100  # frames that one append deletes, beside twice those it adds


class _Head(NamedTuple):
    """The columns of a log that an append needs."""

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


class _Rest(NamedTuple):
    """Its other columns."""

    writer: str
    lease: float
    sign: float
    asked: float | None
    ended: float | None
    meta: str


_WIDTH = len(_Head._fields)
_HEAD = ", ".join(f'"{column}"' for column in _Head._fields)
_REST = ", ".join(f'"{column}"' for column in _Rest._fields)
_FIND_HEAD = f"SELECT {_HEAD} FROM log WHERE key = ?"
_FIND = f"SELECT {_HEAD}, {_REST} FROM log WHERE key = ?"
_INSERT_FRAME = "INSERT INTO frame VALUES (?, ?, ?)"
_INSERT = (
    "INSERT INTO log (key, writer, epoch, lease, ttl, sign, due, first, last, meta, "
    "created, owner, actor, thread) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) "
    "ON CONFLICT DO NOTHING"
)


def open(
    db: sqlite3.Connection,
    key: str,
    writer: str,
    lease: float,
    ttl: float,
    meta: Mapping[str, str],
    after: int,
) -> Grant:
    now = clock()
    # Any number: the writer of a deleted log must not write the next one.
    epoch = getrandbits(48)
    state = key, writer, epoch, lease, ttl, now, now + lease + ttl, after + 1, after
    values = (*state, _to_json(meta), *facts_of(key, meta))
    if db.execute(_INSERT, values).rowcount:
        return Grant(epoch, after)
    found = _find(db, key)
    assert found is not None  # it was in the way
    head, rest = found
    if _is_over(head, now):
        delete(db, key)  # the housekeeper has not found it yet
        db.execute(_INSERT, values)
        return Grant(epoch, after)
    check_open(key, writer, holder=rest.writer, end=head.end)
    _touch(db, key, head, now)
    return Grant(head.epoch, head.last)


def append(
    db: sqlite3.Connection,
    key: str,
    grant: Grant,
    after: int,
    frames: Sequence[bytes],
    end: str | None,
    max_events: int,
) -> Ack:
    now = clock()
    head = _writable(db, key, grant, now)
    known = head.last - after
    if head.end is not None:
        is_last = known == len(frames)
        check_repeats(key, same_end=end == head.end, same_frames=is_last)
        return head.ack(head.last, now)
    if known < 0:
        raise Gap(head.last)
    last = _store(db, key, head, frames[known:], end, now)
    if head.first > 1 or last > max_events:
        _trim(db, head, last, max_events)
    return head.ack(last, now)


def renew(db: sqlite3.Connection, key: str, grant: Grant) -> Ack:
    now = clock()
    head = _writable(db, key, grant, now)
    if head.end is not None:
        raise ended(key)
    _touch(db, key, head, now)
    return head.ack(head.last, now)


def cancel(db: sqlite3.Connection, key: str) -> bool:
    head = _head(db, key, clock())
    if head is None or head.end is not None:
        return False
    db.execute("UPDATE log SET cancel = 1 WHERE id = ?", (head.id,))
    _notify_writer(db, key, head)
    return True


def mark_watched(db: sqlite3.Connection, key: str, seconds: float) -> None:
    db.execute(
        "UPDATE log SET watched_until = max(watched_until, ?) WHERE key = ?",
        (clock() + seconds, key),
    )


def reap(db: sqlite3.Connection, key: str, after: int, frame: bytes, end: str) -> bool:
    now = clock()
    found = _find(db, key)
    if found is None:
        return False
    head, rest = found
    if head.end is not None or head.last != after:
        return False
    if is_alive(now, rest.sign, rest.lease):
        return False
    suspicion = None
    if head.suspected is not None and rest.asked is not None:
        suspicion = Suspicion(head.suspected, rest.asked)
    suspicion, is_dead = suspect(now, rest.lease, suspicion)
    if is_dead:
        db.execute("UPDATE log SET epoch = epoch + 1 WHERE id = ?", (head.id,))
        _store(db, key, head, (frame,), end, now)
        return True
    db.execute(
        "UPDATE log SET suspected = ?, asked = ? WHERE id = ?", (*suspicion, head.id)
    )
    _notify_writer(db, key, head)
    return False


def read(db: sqlite3.Connection, key: str, after: int, limit: int) -> Page | None:
    now = clock()
    found = _find(db, key)
    if found is None or _is_over(found[0], now):
        return None
    head, rest = found
    first = max(after + 1, head.first)
    return Page(
        first=first,
        last=head.last,
        end=head.end,
        alive=head.end is not None or is_alive(now, rest.sign, rest.lease),
        cancel=bool(head.cancel),
        frames=_frames(db, head.id, first - 1, limit) if limit > 0 else [],
        meta=json.loads(rest.meta),
        ended=rest.ended,
    )


def keys(db: sqlite3.Connection, after: int) -> list[tuple[int, str]]:
    """The ids and keys of the next logs, in the order of the ids.

    Args:
        db: A connection.
        after: The id after which to begin.
    """
    return db.execute(
        "SELECT id, key FROM log WHERE id > ? AND key IS NOT NULL "
        'AND ("end" IS NULL OR due > ?) ORDER BY id LIMIT ?',
        (after, clock(), _KEYS),
    ).fetchall()


def delete(db: sqlite3.Connection, key: str) -> None:
    row = db.execute("SELECT id, writer FROM log WHERE key = ?", (key,)).fetchone()
    if row is not None:
        id, writer = row
        forget(db, id, writer, key)


def _to_json(meta: Mapping[str, str]) -> str:
    try:
        return to_json(meta).decode()  # in a quarter of the time
    except ValueError:  # a text is not Unicode
        return json.dumps(meta)


def _head(db: sqlite3.Connection, key: str, now: float) -> _Head | None:
    row = db.execute(_FIND_HEAD, (key,)).fetchone()
    if row is None:
        return None
    head = _Head._make(row)
    return None if _is_over(head, now) else head


def _find(db: sqlite3.Connection, key: str) -> tuple[_Head, _Rest] | None:
    """All columns of a log, even of one that has expired."""
    row = db.execute(_FIND, (key,)).fetchone()
    if row is None:
        return None
    return _Head._make(row[:_WIDTH]), _Rest._make(row[_WIDTH:])


def _is_over(head: _Head, now: float) -> bool:
    """Whether a log has expired; one that runs never has."""
    return head.end is not None and head.due <= now


def _writable(db: sqlite3.Connection, key: str, grant: Grant, now: float) -> _Head:
    head = _head(db, key, now)
    if head is None:
        raise missing(key)
    if head.epoch != grant.epoch:
        raise fenced(key)
    return head


def _store(
    db: sqlite3.Connection,
    key: str,
    head: _Head,
    frames: Sequence[bytes],
    end: str | None,
    now: float,
) -> int:
    """Number and keep frames, which is a sign of life; returns the newest number."""
    if len(frames) == 1:
        db.execute(_INSERT_FRAME, (head.id, head.last + 1, frames[0]))
    elif frames:
        rows = zip(repeat(head.id), count(head.last + 1), frames, strict=False)
        db.executemany(_INSERT_FRAME, rows)
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
    _clear_inbox(db, key, head)
    return last


def _touch(db: sqlite3.Connection, key: str, head: _Head, now: float) -> None:
    """Record a sign of life."""
    db.execute("UPDATE log SET sign = ? WHERE id = ?", (now, head.id))
    _clear_inbox(db, key, head)


def _notify_writer(db: sqlite3.Connection, key: str, head: _Head) -> None:
    """Ask the writer for a sign of life; the reply tells it what is requested."""
    db.execute(
        "INSERT OR IGNORE INTO inbox SELECT writer, ? FROM log WHERE id = ?",
        (key, head.id),
    )


def _clear_inbox(db: sqlite3.Connection, key: str, head: _Head) -> None:
    """Stop asking the writer: it gave a sign of life, or the log ended."""
    if head.suspected is None and not head.cancel:
        return  # nobody asked
    db.execute("UPDATE log SET suspected = NULL, asked = NULL WHERE id = ?", (head.id,))
    db.execute(
        "DELETE FROM inbox "
        "WHERE writer = (SELECT writer FROM log WHERE id = ?) AND key = ?",
        (head.id, key),
    )


def _trim(db: sqlite3.Connection, head: _Head, last: int, max_events: int) -> None:
    """Drop the oldest quarter if there are too many frames.

    They are deleted in parts, with this append and later ones.
    """
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


def _frames(db: sqlite3.Connection, id: int, after: int, limit: int) -> list[bytes]:
    """The frames after number ``after``, at least one, about ``limit`` bytes."""
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
