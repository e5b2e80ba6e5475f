"""Logs in a SQLite file, which two threads read and write."""

from __future__ import annotations

import os
import weakref
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Self, TypeVar
from urllib.parse import parse_qsl, unquote, urlsplit

from asgi_events.exceptions import StoreError
from asgi_events.stores.contract import Ack, Grant, Page, Position
from asgi_events.stores.sqlite import logs
from asgi_events.stores.sqlite.file import File
from asgi_events.stores.sqlite.housekeeping import Housekeeper
from asgi_events.stores.sqlite.listing import add_unknown, listed
from asgi_events.stores.sqlite.threads import Worker
from asgi_events.stores.sqlite.watches import Watch, Watches

T = TypeVar("T", int, float)


class SQLiteStore:
    """Keeps logs in a SQLite file, for all processes of one machine.

    The first call opens the file. After ``aclose`` the store may be used again, also in
    another event loop.

    Args:
        path: The file. If it does not exist, it is created for this user alone; its
            directory has to exist.
        synchronous: With "FULL" acknowledged frames survive a loss of power, at the
            cost of an fsync for each commit. With "NORMAL" they survive the process.
        busy_timeout: Seconds to wait for another process that writes.
        max_events: Frames kept of each log. Beyond that the oldest quarter is dropped,
            and a viewer that wants it is given a ``reset``.

    Raises:
        ValueError: An option is out of its range.
        StoreError: The directory does not exist, or ``path`` is a directory.
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
            raise ValueError(
                'Processes cannot share ":memory:": name a file, or no store at all.'
            )
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

        The query sets the options:
        ``?synchronous=normal&busy_timeout=10&max_events=100000``.

        Raises:
            ValueError: The URL names no file, or has an unknown or wrong option.
            StoreError: The directory does not exist.
        """
        parts = urlsplit(url)
        path = unquote(parts.path[1:])
        if not url.startswith("sqlite:///") or parts.fragment or not path:
            raise ValueError(
                f"{_redacted(url)!r} names no file: write "
                '"sqlite:///events.db" for one in the working directory, '
                '"sqlite:////var/lib/events.db" for an absolute path'
            )
        options = dict(parse_qsl(parts.query, keep_blank_values=True))
        synchronous = options.pop("synchronous", "full").upper()
        busy_timeout = _number(float, "busy_timeout", options.pop("busy_timeout", "5"))
        max_events = _number(int, "max_events", options.pop("max_events", "1000000"))
        if options:
            raise ValueError(
                f"{_redacted(url)!r}: the options are synchronous, busy_timeout and "
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
        """Grows when the file was replaced."""
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
        row = (key, writer, lease, ttl, dict(meta), after)
        return await self._writer.submit(lambda db: logs.open(db, *row))

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
            lambda db: logs.append(
                db, key, grant, after, frames, end, self._max_events
            ),
            key,
        )

    async def renew(self, key: str, grant: Grant) -> Ack:
        return await self._writer.submit(lambda db: logs.renew(db, key, grant))

    async def cancel(self, key: str) -> bool:
        return await self._writer.submit(lambda db: logs.cancel(db, key), key)

    async def mark_watched(self, key: str, seconds: float) -> None:
        await self._writer.submit(lambda db: logs.mark_watched(db, key, seconds))

    async def reap(self, key: str, after: int, frame: bytes, *, end: str) -> bool:
        return await self._writer.submit(
            lambda db: logs.reap(db, key, after, frame, end), key
        )

    async def read(self, key: str, after: int, limit: int) -> Page | None:
        return await self._reader.submit(lambda db: logs.read(db, key, after, limit))

    async def delete(self, key: str) -> None:
        await self._writer.submit(lambda db: logs.delete(db, key))

    async def keys(self) -> AsyncIterator[str]:
        listed = 0
        while rows := await self._reader.submit(partial(logs.keys, after=listed)):
            for _, key in rows:
                yield key
            listed, _ = rows[-1]

    async def list(
        self,
        match: Mapping[str, str | None],
        *,
        status: str | None = None,
        before: Position | None = None,
        limit: int,
    ) -> Sequence[tuple[str, Page]]:
        while True:
            found = await self._reader.submit(
                lambda db: listed(db, match, status, before, limit, logs.clock())
            )
            if found is not None:
                return found
            await self._writer.submit(add_unknown)

    async def watch(self) -> Watch:
        opened = self._open()
        return Watch(opened.watches, opened.reader)

    async def aclose(self) -> None:
        opened, self._opened = self._opened, None
        if opened is not None:
            opened.request_stop()  # both, also if this is cancelled
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
            # The threads of a store that is garbage-collected end, too.
            weakref.finalize(self, opened.request_stop)
        return self._opened


@dataclass(frozen=True, slots=True)
class _Opened:
    """The threads of a store, and its watches, while it is open."""

    writer: Worker
    reader: Worker
    watches: Watches

    @classmethod
    def on(cls, file: File) -> _Opened:
        watches = Watches()
        housekeeper = Housekeeper(file.path, lambda: logs.clock())
        return cls(
            Worker(
                file,
                "BEGIN IMMEDIATE",
                idle=housekeeper.work,
                hint=watches.hint,
                closing=housekeeper.resign,
            ),
            Worker(file, "BEGIN", idle=watches.poll, hint=watches.hint),
            watches,
        )

    def request_stop(self) -> None:
        self.writer.request_stop()
        self.reader.request_stop()


def _checked(path: str) -> str:
    """``path``, if a file may be there."""
    directory = os.path.dirname(path)
    if not os.path.isdir(directory):
        raise StoreError(
            f"{path} cannot be created, there is no directory {directory}: create it, "
            "or name another file."
        )
    if os.path.isdir(path):
        raise StoreError(f"{path} is a directory: name a file in it.")
    return path


def _redacted(url: str) -> str:
    """A URL without its user, password and query, which may be secret."""
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
