"""Hints of what changes in a ``SQLiteStore``, whichever process changes it.

What this process writes is hinted when it is committed. What others have written is
looked for, often while they write, and not at all while nobody watches: one PRAGMA says
whether anything has changed, and only then all watched logs are compared with how they
stood. A log is noted when it is added, before its first read, so that no change between
the two is missed.

Of the logs that are written here nothing is compared. What is asked of their writers
stands in the table ``inbox``, which is empty most of the time. Rows stay there, and are
hinted at again, until the writer has given the sign of life that they ask for.
"""

import asyncio
import json
import sqlite3
from threading import Lock
from time import monotonic

from asgi_events.stores.sqlite.threads import Worker, call_soon
from asgi_events.stores.watching import PendingKeys

_POLL = 0.01  # seconds between two looks for what other processes have written
_POLL_QUIET = 0.025  # likewise, when they have written nothing for so many seconds:
_QUIET = 5.0


class Watches:
    """Who wants hints of which logs, and how those stood when last looked at.

    The event loop and both threads come here, so there is a lock.
    """

    def __init__(self) -> None:
        self.lock = Lock()
        self.all: set[Watch] = set()
        self._seen: dict[str, object] = {}  # this and what follows is the reader's
        self._db: sqlite3.Connection | None = None
        self._version: int | None = None
        self._quiet_at = 0.0

    def hint(self, keys: set[str]) -> None:
        """Hint at ``keys`` where they are watched."""
        with self.lock:
            hints = [(watch, watch.keys & keys) for watch in self.all]
        for watch, hinted in hints:
            if hinted:
                call_soon(watch.loop, watch.hint, hinted)

    def note(self, db: sqlite3.Connection, key: str) -> None:
        """See how a log stands before it is read for the first time."""
        self._seen.setdefault(key, _states(db, {key}).get(key))

    def look_again(self, db: sqlite3.Connection) -> None:
        """Look next time even if nothing has changed."""
        self._version = None

    def look(self, db: sqlite3.Connection) -> float | None:
        """Hint at what another connection has changed; the seconds to the next look."""
        with self.lock:
            keys = set().union(*(watch.keys for watch in self.all))
            writers = set().union(*(watch.writers for watch in self.all))
        if not keys and not writers:
            return None
        began = monotonic()
        (version,) = db.execute("PRAGMA data_version").fetchone()
        if db is self._db and version == self._version:
            return _POLL if keys and began < self._quiet_at else _POLL_QUIET
        if writers:
            self._hint_writers(_asked(db, writers))
        states = _states(db, keys) if keys else {}
        seen, self._seen = self._seen, {key: states.get(key) for key in keys}
        self.hint({key for key in keys & seen.keys() if seen[key] != states.get(key)})
        self._db, self._version = db, version
        self._quiet_at = began + _QUIET
        if not keys:
            return _POLL_QUIET
        # Very many logs take their time, but at most a fifth of a processor.
        return max(_POLL, 4 * (monotonic() - began))

    def _hint_writers(self, asked: list[tuple[str, str]]) -> None:
        for writer, key in asked:
            with self.lock:
                watches = [watch for watch in self.all if writer in watch.writers]
            for watch in watches:
                call_soon(watch.loop, watch.hint, {key})


class Watch:
    def __init__(self, watches: Watches, reader: Worker) -> None:
        self.loop = asyncio.get_running_loop()
        self.keys: set[str] = set()
        self.writers: set[str] = set()
        self._watches = watches
        self._reader = reader
        self._pending = PendingKeys()
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

    def add_writer(self, writer: str) -> None:
        with self._watches.lock:
            self.writers.add(writer)
        looking = self._reader.submit(self._watches.look_again)
        looking.add_done_callback(_ignore_error)

    def hint(self, keys: set[str]) -> None:
        self._pending.add(*keys)

    async def get(self) -> set[str]:
        return await self._pending.get()

    async def aclose(self) -> None:
        with self._watches.lock:
            self._watches.all.discard(self)


def _ignore_error(future: asyncio.Future[None]) -> None:
    if not future.cancelled():
        future.exception()


def _asked(db: sqlite3.Connection, writers: set[str]) -> list[tuple[str, str]]:
    """Of which logs something is asked of their writers."""
    return db.execute(
        "SELECT writer, key FROM inbox "
        "WHERE writer IN (SELECT value FROM json_each(?))",
        (json.dumps(list(writers)),),
    ).fetchall()


def _states(db: sqlite3.Connection, keys: set[str]) -> dict[str, object]:
    """What readers see of each log, but for its frames."""
    rows = db.execute(
        'SELECT key, id, last, "end", cancel FROM log '
        "WHERE key IN (SELECT value FROM json_each(?))",
        (json.dumps(list(keys)),),
    )
    return {row[0]: row for row in rows}
