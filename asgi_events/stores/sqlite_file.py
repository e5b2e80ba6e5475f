"""The file of a ``SQLiteStore``: how it is opened, and what to do when it cannot be.

A connection that is handed out leads to a file of ours, which has our tables and is in
write-ahead mode. Nothing is begun on it but by ``transaction``. The file of another
program, or one of another schema version, is refused and not touched.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from time import monotonic, sleep

from asgi_events.exceptions import StoreError, Unavailable

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


@dataclass(frozen=True, slots=True)
class File:
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
        with transaction(db, "BEGIN IMMEDIATE"):
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
def transaction(db: sqlite3.Connection, begin: str) -> Iterator[None]:
    db.execute(begin)
    try:
        yield
        db.execute("COMMIT")
    finally:
        # True after an error, but not after one at which SQLite rolls back by itself.
        if db.in_transaction:
            db.execute("ROLLBACK")
