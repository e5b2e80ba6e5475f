"""What one process does for all that share the file of a ``SQLiteStore``.

It deletes expired logs, and makes the checkpoints. A row of the file elects it, which
it renews; if it stops renewing, the next process that looks takes its place. It works
in small parts, with pauses that leave most of the time to writers.

Only one process makes checkpoints, and only right after a commit of its own. In old
versions of SQLite a checkpoint that begins right after another one ended may corrupt
the file (sqlite.org/wal.html#walresetbug).
"""

from __future__ import annotations

import logging
import secrets
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from time import monotonic
from typing import NamedTuple

from asgi_events.stores.sqlite.file import AUTOCHECKPOINT, code, transaction

logger = logging.getLogger(__name__)

_LOOK = 1.0  # seconds between two parts of the work when nothing is due
_STAND_BY = 10.0  # seconds between two checks that there is a housekeeper
_SILENCE = 30.0  # seconds until a housekeeper that does not renew is replaced
_PATIENCE = 0.02  # seconds to wait for a writer, before it tries later
_LATER = 0.1  # seconds until it tries again
_BATCH = 200  # logs in one transaction
_FRAMES = 16  # frames of the first deletion of a log; each next one has twice as many
_SLICE = 0.02  # seconds after which a transaction takes no more logs
_REST = 4  # the pause after a part, in multiples of the time that it took
_SUSPECTS = 10_000  # suspected writers at once; others are checked later
_CORRUPT = 3600.0  # seconds until a log with a corrupt page is tried again
# 16 MiB: the last page of each log is then written once for many appends.
_CHECKPOINT = 4000  # pages


class _Due(NamedTuple):
    id: int
    key: str | None
    writer: str
    end: str | None
    sign: float
    lease: float
    ttl: float


_FIND_DUE = """
SELECT id, key, writer, "end", sign, lease, ttl
FROM log WHERE due <= ? ORDER BY due LIMIT ?
"""


class Housekeeper:
    """Keeps a file in order, or stands by while another process does.

    Args:
        path: The path of the file, for messages.
        clock: The store's clock.
    """

    def __init__(self, path: str, clock: Callable[[], float]) -> None:
        self._path = path
        self._clock = clock
        self._name = secrets.token_hex(8)
        self._db: sqlite3.Connection | None = None
        self._version: int | None = None
        self._elected = False
        self._suspects: dict[int, tuple[float, float]] = {}
        self._at_work: int | None = None

    def work(self, db: sqlite3.Connection) -> float:
        """Do a part of what is due; returns the seconds until the next part."""
        if db is not self._db:
            self._db, self._version, self._elected = db, None, False
        now = self._clock()
        try:
            return self._work(db, now)
        except sqlite3.DatabaseError as error:
            at_work, self._at_work = self._at_work, None
            if code(error) == sqlite3.SQLITE_CORRUPT and at_work is not None:
                self._leave_for_later(db, at_work, now)
            elif code(error) != sqlite3.SQLITE_BUSY:
                raise
            return _LATER

    def resign(self, db: sqlite3.Connection) -> None:
        """Let another process be elected at once."""
        if self._elected:
            with suppress(sqlite3.Error):
                db.execute(
                    "UPDATE housekeeper SET heard = 0 WHERE name = ?", (self._name,)
                )

    def _work(self, db: sqlite3.Connection, now: float) -> float:
        name, heard = db.execute("SELECT name, heard FROM housekeeper").fetchone()
        trusted = heard <= now < heard + _SILENCE
        if trusted and name != self._name:
            self._set_elected(db, elected=False)
            return _STAND_BY
        renewed = trusted and now < heard + _SILENCE / 3
        if renewed and not self._has_work(db, now):
            return _LOOK
        with transaction(db, "BEGIN IMMEDIATE", _PATIENCE):
            began = monotonic()
            if not self._elect(db, now):
                return _LATER
            more = self._sweep(db, now)
        # The commit counts, too, since it may include a checkpoint.
        return _REST * (monotonic() - began) if more else _LOOK

    def _has_work(self, db: sqlite3.Connection, now: float) -> bool:
        """Whether logs are due, or other processes wrote, which needs a checkpoint."""
        (version,) = db.execute("PRAGMA data_version").fetchone()
        changed, self._version = version != self._version, version
        due = db.execute("SELECT 1 FROM log WHERE due <= ? LIMIT 1", (now,)).fetchone()
        return changed or due is not None

    def _elect(self, db: sqlite3.Connection, now: float) -> bool:
        elected = db.execute(
            "UPDATE housekeeper SET name = ?, heard = ? "
            "WHERE name = ? OR NOT (heard <= ? AND ? < heard + ?)",
            (self._name, now, self._name, now, now, _SILENCE),
        )
        self._set_elected(db, elected=elected.rowcount == 1)
        return self._elected

    def _set_elected(self, db: sqlite3.Connection, *, elected: bool) -> None:
        if elected == self._elected:
            return
        self._elected = elected
        self._suspects.clear()
        pages = _CHECKPOINT if elected else AUTOCHECKPOINT
        db.execute(f"PRAGMA wal_autocheckpoint = {pages}")

    def _sweep(self, db: sqlite3.Connection, now: float) -> bool:
        """Delete some of the expired logs; returns whether there may be more."""
        found = [_Due._make(row) for row in db.execute(_FIND_DUE, (now, _BATCH))]
        until = monotonic() + _SLICE
        for log in found:
            if log.key is None or log.end is not None or self._is_dead(db, log, now):
                self._delete(db, log, until)
            if monotonic() >= until:
                return True
        return len(found) == _BATCH

    def _is_dead(self, db: sqlite3.Connection, log: _Due, now: float) -> bool:
        """Whether an expired log that has not ended may be deleted.

        Its writer has to be silent for a lease more, from the first look at the log and
        by a clock that does not step. Until then the log is looked at again later.
        """
        expires = min(log.sign, now) + log.lease + log.ttl
        sign, since = self._suspects.get(log.id, (None, 0.0))
        moment = monotonic()
        if now < expires:
            self._suspects.pop(log.id, None)
        elif sign == log.sign:
            if moment >= since + log.lease:
                return True
        elif sign is not None or len(self._suspects) < _SUSPECTS:
            self._suspects[log.id] = log.sign, moment
        due = max(expires, now + log.lease)
        db.execute("UPDATE log SET due = ? WHERE id = ?", (due, log.id))
        return False

    def _delete(self, db: sqlite3.Connection, log: _Due, until: float) -> None:
        self._suspects.pop(log.id, None)
        self._at_work = log.id
        if log.key is not None:
            forget(db, log.id, log.writer, log.key)
        if _delete_frames(db, log.id, until):
            db.execute("DELETE FROM log WHERE id = ?", (log.id,))
        self._at_work = None

    def _leave_for_later(self, db: sqlite3.Connection, id: int, now: float) -> None:
        """Leave out a log with a corrupt page, and continue with the others."""
        logger.warning(
            "%s: an expired log cannot be deleted, a page of it is corrupt. Move the "
            'file away; "sqlite3 FILE .recover" saves what can be saved.',
            self._path,
        )
        with transaction(db, "BEGIN IMMEDIATE", _PATIENCE):
            db.execute("UPDATE log SET due = ? WHERE id = ?", (now + _CORRUPT, id))


def _delete_frames(db: sqlite3.Connection, log: int, until: float) -> bool:
    """Delete frames until the moment ``until``; returns whether none is left."""
    part = _FRAMES  # a frame may have 50 bytes or 5 MB
    while True:
        deleted = db.execute(
            "DELETE FROM frame WHERE log = ? AND seq < ? + "
            "(SELECT min(seq) FROM frame WHERE log = ?)",
            (log, part, log),
        )
        if deleted.rowcount < part:
            return True
        if monotonic() >= until:
            return False
        part *= 2


def forget(db: sqlite3.Connection, id: int, writer: str, key: str) -> None:
    """Remove the key of a log; the housekeeper deletes the rest later."""
    db.execute("UPDATE log SET key = NULL, due = 0 WHERE id = ?", (id,))
    db.execute("DELETE FROM inbox WHERE writer = ? AND key = ?", (writer, key))
