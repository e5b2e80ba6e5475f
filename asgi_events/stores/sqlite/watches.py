"""Hints at changes in a ``SQLiteStore``, whichever process makes them.

Changes of this process are hinted at when they are committed. Changes of others are
found by a poll, which is frequent while they write and does not run while nobody
watches. One PRAGMA tells whether anything has changed; only then the poll compares all
watched logs with their last state. The state of a log is first noted when it is added,
before its first read, so no change in between is missed.

The poll does not compare the logs that this process writes. Requests to their writers
are rows of the table ``inbox``, which is empty most of the time. A row stays there, and
is hinted at again, until the writer has given a sign of life.
"""

import asyncio
import json
import sqlite3
from threading import Lock
from time import monotonic

from asgi_events.stores.sqlite.threads import Worker, call_soon
from asgi_events.stores.watching import PendingKeys

_POLL = 0.01  # seconds between two polls for changes of other processes
_POLL_QUIET = 0.025  # likewise, when they changed nothing for so many seconds:
_QUIET = 5.0


class Watches:
    """All watches of a store, and the state of the watched logs at the last poll.

    The event loop and both threads use it, so there is a lock.
    """

    def __init__(self) -> None:
        self.lock = Lock()
        self.all: set[Watch] = set()
        self._seen: dict[str, object] = {}  # from here on, only the reader uses it
        self._db: sqlite3.Connection | None = None
        self._version: int | None = None
        self._quiet_at = 0.0

    def hint(self, keys: set[str]) -> None:
        """Hint at ``keys`` to the watches that watch them."""
        with self.lock:
            hints = [(watch, watch.keys & keys) for watch in self.all]
        for watch, hinted in hints:
            if hinted:
                call_soon(watch.loop, watch.hint, hinted)

    def note(self, db: sqlite3.Connection, key: str) -> None:
        """Note the state of a log before it is read for the first time."""
        self._seen.setdefault(key, _states(db, {key}).get(key))

    def expect_changes(self, db: sqlite3.Connection) -> None:
        """Make the next poll look, even if nothing has changed since the last one."""
        self._version = None

    def poll(self, db: sqlite3.Connection) -> float | None:
        """Hint at changes of other connections; the seconds until the next poll."""
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
            self._hint_writers(_requests(db, writers))
        states = _states(db, keys) if keys else {}
        seen, self._seen = self._seen, {key: states.get(key) for key in keys}
        self.hint({key for key in keys & seen.keys() if seen[key] != states.get(key)})
        self._db, self._version = db, version
        self._quiet_at = began + _QUIET
        if not keys:
            return _POLL_QUIET
        # Comparing very many logs takes at most a fifth of a processor.
        return max(_POLL, 4 * (monotonic() - began))

    def _hint_writers(self, requests: list[tuple[str, str]]) -> None:
        for writer, key in requests:
            with self.lock:
                watches = [watch for watch in self.all if writer in watch.writers]
            for watch in watches:
                call_soon(watch.loop, watch.hint, {key})


class Watch:
    """One watch, of one event loop."""

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
        expecting = self._reader.submit(self._watches.expect_changes)
        expecting.add_done_callback(_ignore_error)

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


def _requests(db: sqlite3.Connection, writers: set[str]) -> list[tuple[str, str]]:
    """Which of ``writers`` are asked for a sign of life, and for which logs."""
    return db.execute(
        "SELECT writer, key FROM inbox "
        "WHERE writer IN (SELECT value FROM json_each(?))",
        (json.dumps(list(writers)),),
    ).fetchall()


def _states(db: sqlite3.Connection, keys: set[str]) -> dict[str, object]:
    """What a reader sees of each log, except its frames."""
    rows = db.execute(
        'SELECT key, id, last, "end", cancel FROM log '
        "WHERE key IN (SELECT value FROM json_each(?))",
        (json.dumps(list(keys)),),
    )
    return {row[0]: row for row in rows}
