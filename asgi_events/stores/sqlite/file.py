"""The file of a ``SQLiteStore``: opens it, and explains why it cannot be opened.

``File.connect`` returns connections to a file of ours, which has our tables and a
write-ahead log. Only ``transaction`` begins transactions on them. The file of another
program, or of a newer schema version, is refused and not changed.

If the file is deleted or replaced while it is open, its connections still lead to the
former file, which no other process sees. So the name is checked once a second, and
connections to a former file are closed.
"""

from __future__ import annotations

import logging
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from random import random
from threading import Lock
from time import monotonic, sleep
from typing import TypeAlias

from asgi_events.exceptions import StoreError, Unavailable
from asgi_events.stores.sqlite.schema import APPLICATION_ID, VERSION, upgrade

try:
    import fcntl
except ImportError:  # Windows, where an open file cannot be deleted
    fcntl = None  # type: ignore[assignment]

logger = logging.getLogger(__name__)

_LOOK = 1.0  # seconds between two checks of the file's name
_PATIENCE = 1.0  # seconds to wait while another process creates a file beside it
_FIRST_PAUSE, _LONGEST_PAUSE = 0.0003, 0.004  # seconds between tries to begin
# The housekeeper makes the checkpoints. The others make one only if the write-ahead log
# grows to 64 MiB, which means that there is no housekeeper.
AUTOCHECKPOINT = 16_000  # pages

# sqlite.org/wal.html#walresetbug; fixed in 3.51.3, and before that in two branches.
_WAL_RESET_BUG = ((3, 7, 0), (3, 51, 3))
_WAL_RESET_FIXED = ((3, 44, 6), (3, 50, 7))
_warned = False

_Identity: TypeAlias = tuple[int, int]
_creating = Lock()


class File:
    """A file that several threads have open.

    Args:
        path: The absolute path of the file.
        synchronous: "FULL" or "NORMAL".
        busy_timeout: Seconds to wait for another process that writes.

    Attributes:
        generation: Grows when the file was replaced. Connections of an older generation
            have to be closed.
    """

    def __init__(self, path: str, synchronous: str, busy_timeout: float) -> None:
        self.path = path
        self.synchronous = synchronous
        self.busy_timeout = busy_timeout
        self.generation = 0
        self._lock = Lock()
        self._identity: _Identity | None = None
        self._beside: dict[str, _Identity | None] = {}
        self._check_at = 0.0

    def connect(self, *, patient: bool) -> sqlite3.Connection:
        """Open a new connection; creates the file if there is none.

        Args:
            patient: Whether SQLite itself waits for locks, as ``transaction`` does.
        """
        warn_of_the_wal_reset_bug()
        with _creating:
            self._create()
        identity = _identity(self.path)
        # isolation_level=None: the module begins no transactions of its own.
        db = sqlite3.connect(self.path, timeout=self.busy_timeout, isolation_level=None)
        try:
            db.execute(f"PRAGMA synchronous = {self.synchronous}")
            db.execute(f"PRAGMA wal_autocheckpoint = {AUTOCHECKPOINT}")
            db.execute("PRAGMA secure_delete = ON")
            version = self._check(db)
            self._begin_wal(db)
            if version != VERSION:
                self._upgrade(db)
            db.execute("SELECT heard FROM housekeeper").fetchone()
            self._identify(identity)
            if not patient:
                db.execute("PRAGMA busy_timeout = 0")
        except BaseException:
            db.close()
            raise
        return db

    def check_name(self) -> None:
        """Check, at most once a second, whether the name leads to the same file."""
        now = monotonic()
        if now < self._check_at:
            return
        with self._lock:
            self._check_at = now + _LOOK
            if self._identity is None or _identity(self.path) == self._identity:
                return
            self._identity = None
            self.generation += 1
            logger.warning(
                "%s was deleted or replaced while it was open: it is opened anew. "
                "What it held is lost, but for what running executions write again.",
                self.path,
            )
            with _directory_lock(self.path):
                for path, identity in self._beside.items():
                    # They belong to the former file, and would corrupt this one.
                    if identity is not None and _identity(path) == identity:
                        os.unlink(path)

    def explain(self, error: sqlite3.Error) -> StoreError:
        """The error for the caller: whether it may pass, and what to do."""
        kind, advice = _ADVICE.get(code(error), (StoreError, "see sqlite.org/rescode"))
        return kind(f"{self.path}: {error}; {advice}.")

    def _create(self) -> None:
        """Create an empty file that only this user can read, if there is none."""
        if os.path.exists(self.path):
            return
        with _directory_lock(self.path), suppress(OSError):  # SQLite explains it better
            if os.path.exists(self.path):
                return
            for path in _side_files(self.path):  # left by a file that was deleted
                with suppress(FileNotFoundError):
                    os.unlink(path)
            # NOTE: closing it releases all locks of this process on it, so no thread
            # may use it yet.
            os.close(os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))

    def _identify(self, identity: _Identity | None) -> None:
        with self._lock:
            if identity is None or _identity(self.path) != identity:
                raise Unavailable(f"{self.path} was replaced while it was opened.")
            if self._identity not in (None, identity):
                self.generation += 1
            self._identity = identity
            self._beside = {path: _identity(path) for path in _side_files(self.path)}

    def _check(self, db: sqlite3.Connection) -> int:
        """The schema version, 0 if the file is empty.

        Raises:
            StoreError: It is not ours, or newer.
        """
        # One statement, for one snapshot: another process may be creating the tables.
        application_id, version, tables = db.execute(
            "SELECT application_id, user_version, (SELECT count(*) FROM sqlite_master) "
            "FROM pragma_application_id, pragma_user_version"
        ).fetchone()
        if not (application_id or version or tables):
            return 0
        if application_id != APPLICATION_ID:
            raise StoreError(
                f"{self.path} is the database of another program: name another file."
            )
        if not 1 <= version <= VERSION:
            raise StoreError(
                f"{self.path} has schema version {version}, and this asgi_events knows "
                f"version {VERSION}: upgrade asgi_events, or name another file."
            )
        return int(version)

    def _upgrade(self, db: sqlite3.Connection) -> None:
        with transaction(db, "BEGIN IMMEDIATE"):
            version = self._check(db)
            if version != VERSION:  # else another process was faster
                upgrade(db, version)

    def _begin_wal(self, db: sqlite3.Connection) -> None:
        # NOTE: SQLite waits for readers here, but not for writers.
        deadline = monotonic() + self.busy_timeout
        while True:
            try:
                (mode,) = db.execute("PRAGMA journal_mode = WAL").fetchone()
                break
            except sqlite3.OperationalError as error:
                if code(error) != sqlite3.SQLITE_BUSY or monotonic() >= deadline:
                    raise
            sleep(0.005)
        if mode != "wal":
            raise StoreError(
                f"{self.path} is on a file system without shared memory, perhaps a "
                "network file system: name a file on a disk of this machine."
            )


_ADVICE: dict[int, tuple[type[StoreError], str]] = {
    sqlite3.SQLITE_BUSY: (
        Unavailable,
        "find who holds its lock for so long",
    ),
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


def code(error: sqlite3.Error) -> int:
    """The primary result code; the upper bits are details (sqlite.org/rescode.html)."""
    return getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF


@contextmanager
def transaction(
    db: sqlite3.Connection, begin: str, patience: float = 0.0
) -> Iterator[None]:
    """Commit what the block does, or nothing of it.

    Args:
        db: A connection.
        begin: The statement that begins the transaction.
        patience: Seconds to wait for another process that writes.
    """
    _begin(db, begin, patience)
    try:
        yield
        db.execute("COMMIT")
    finally:
        # After some errors SQLite has rolled back already.
        if db.in_transaction:
            db.execute("ROLLBACK")


def _begin(db: sqlite3.Connection, begin: str, patience: float) -> None:
    # SQLite itself sleeps up to 100 ms between two tries. A process that writes all the
    # time releases the lock for much less, so one that sleeps long would never get it.
    deadline = monotonic() + patience
    pause = _FIRST_PAUSE
    while True:
        try:
            db.execute(begin)
            return
        except sqlite3.OperationalError as error:
            if code(error) != sqlite3.SQLITE_BUSY or monotonic() >= deadline:
                raise
        sleep(pause * (0.5 + random()))
        pause = min(pause * 2, _LONGEST_PAUSE)


def has_wal_reset_bug(version: tuple[int, ...]) -> bool:
    """Whether this version of SQLite may, very rarely, lose committed data.

    See https://sqlite.org/wal.html#walresetbug.
    """
    begun, fixed = _WAL_RESET_BUG
    return begun <= version < fixed and not any(
        version[:2] == branch[:2] and version >= branch for branch in _WAL_RESET_FIXED
    )


def warn_of_the_wal_reset_bug() -> None:
    """Warn once in each process that its SQLite has the bug."""
    global _warned
    if _warned or not has_wal_reset_bug(sqlite3.sqlite_version_info):
        return
    _warned = True
    logger.warning(
        "SQLite %s has a bug that may, very rarely, corrupt a file that several "
        "processes write (https://sqlite.org/wal.html#walresetbug). asgi_events avoids "
        "what is known to cause it; SQLite 3.51.3 or newer does not have it.",
        sqlite3.sqlite_version,
    )


def _identity(path: str) -> _Identity | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _side_files(path: str) -> tuple[str, str]:
    return f"{path}-wal", f"{path}-shm"


@contextmanager
def _directory_lock(path: str) -> Iterator[None]:
    """Let one process at a time create or delete files in the directory of ``path``.

    This is best effort: if the directory cannot be locked, the block runs all the same.
    """
    try:
        directory = os.open(os.path.dirname(path), os.O_RDONLY)
    except OSError:
        yield
        return
    try:
        deadline = monotonic() + _PATIENCE
        while fcntl is not None and monotonic() < deadline:
            try:
                fcntl.flock(directory, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                sleep(0.005)
            except OSError:
                break
        yield
    finally:
        os.close(directory)
