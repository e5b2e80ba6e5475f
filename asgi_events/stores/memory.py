"""A store in this process, for tests. It promises what others do, except to last."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from heapq import nlargest
from typing import Self

from asgi_events.exceptions import Gap
from asgi_events.stores.contract import Ack, Grant, Page, Position
from asgi_events.stores.memory_logs import MemoryLog, MemoryLogs
from asgi_events.stores.rules import (
    check_open,
    check_repeats,
    ended,
    fenced,
    is_alive,
    is_listed,
    missing,
    status_of,
    suspect,
)
from asgi_events.stores.watching import KeyWatch


def monotonic() -> float:
    """The time of the event loop: a test can let it pass, see ``virtual_time``."""
    return asyncio.get_running_loop().time()


class MemoryStore:
    """Keeps logs in this process.

    ``Executions`` needs no store to keep its events in memory. This one is for tests of
    what several ``Executions`` share.

    Args:
        max_events: Frames kept of each log. Beyond that the oldest quarter is dropped,
            and a viewer that wants it is given a ``reset``.
        max_bytes: Bytes of memory that the frames of each log take, likewise.
        max_retained_bytes: Bytes of memory that all logs take together. Beyond that
            those that ended first are deleted, then the oldest frames of the largest
            logs. Each keeps its newest frame. Logs that have ended without a frame may
            take a quarter of it.

    """

    durable = False
    settle_time = 0.0
    generation = 0

    def __init__(
        self,
        *,
        max_events: int = 1_000_000,
        max_bytes: int = 64 * 1024 * 1024,
        max_retained_bytes: int = 256 * 1024 * 1024,
    ) -> None:
        if max_events < 4 or max_bytes < 1:
            raise ValueError(
                "max_events must be at least 4 and max_bytes 1, "
                f"got {max_events} and {max_bytes}"
            )
        self._logs = MemoryLogs(max_events, max_bytes, max_retained_bytes)
        self._epochs = 0
        self._hints = _Hints()

    @property
    def held_bytes(self) -> int:
        """About how many bytes of memory all logs take."""
        return self._logs.held_bytes

    @classmethod
    def from_url(cls, url: str) -> Self:
        """A new, empty store; ``memory://`` has no options."""
        return cls()

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
        now = monotonic()
        self._logs.delete_old(now)
        log = self._logs.find(key, now)
        if log is None:
            self._epochs += 1  # a deleted log's writer does not write its successor
            log = MemoryLog(after, writer, ttl, lease, dict(meta), self._epochs)
            self._logs.add(key, log, now)
        else:
            check_open(key, writer, holder=log.writer, end=log.end)
        log.touch(now)
        return Grant(log.epoch, log.last)

    async def append(
        self,
        key: str,
        grant: Grant,
        after: int,
        frames: Sequence[bytes],
        *,
        end: str | None = None,
    ) -> Ack:
        now = monotonic()
        log = self._writable(key, grant, now)
        known = log.last - after
        if log.end is not None:
            is_last = known == len(frames)
            check_repeats(key, same_end=end == log.end, same_frames=is_last)
            return log.ack(now)
        if known < 0:
            raise Gap(log.last)
        log.sign, log.suspicion = now, None
        self._logs.hold(key, frames[known:] if known else frames, end, now)
        if key in self._hints.by_key:
            self._hints.hint(key)
        return log.ack(now)

    async def renew(self, key: str, grant: Grant) -> Ack:
        now = monotonic()
        log = self._writable(key, grant, now)
        if log.end is not None:
            raise ended(key)
        log.touch(now)
        return log.ack(now)

    async def cancel(self, key: str) -> bool:
        log = self._logs.find(key, monotonic())
        if log is None or log.end is not None:
            return False
        log.cancel = True
        self._hints.hint(key)
        self._hints.hint_writer(log.writer, key)
        return True

    async def mark_watched(self, key: str, seconds: float) -> None:
        log = self._logs.find(key, monotonic())
        if log is not None:
            log.watched_until = max(log.watched_until, monotonic() + seconds)

    async def reap(self, key: str, after: int, frame: bytes, *, end: str) -> bool:
        now = monotonic()
        log = self._logs.find(key, now)
        if log is None or log.end is not None or log.last != after:
            return False
        if is_alive(now, log.sign, log.lease):
            return False
        log.suspicion, is_dead = suspect(now, log.lease, log.suspicion)
        if not is_dead:
            if log.suspicion.since == now:
                self._hints.hint_writer(log.writer, key)
            return False
        self._epochs += 1
        log.epoch = self._epochs
        log.touch(now)
        self._logs.hold(key, [frame], end, now)
        self._hints.hint(key)
        return True

    async def read(self, key: str, after: int, limit: int) -> Page | None:
        now = monotonic()
        log = self._logs.find(key, now)
        if log is None:
            return None
        return _page(log, after, limit, now)

    async def delete(self, key: str) -> None:
        self._logs.delete(key)

    async def keys(self) -> AsyncIterator[str]:
        for key in list(self._logs):
            if self._logs.find(key, monotonic()) is not None:
                yield key

    async def list(
        self,
        match: Mapping[str, str | None],
        *,
        status: str | None = None,
        before: Position | None = None,
        limit: int,
    ) -> Sequence[tuple[str, Page]]:
        now = monotonic()
        found: dict[Position, Page] = {}
        for key in self._logs:
            log = self._logs[key]
            if not is_listed(key, log.meta) or now >= log.forgotten_at:
                continue
            if any(log.meta.get(fact) != value for fact, value in match.items()):
                continue
            page = _page(log, 0, 0, now)
            if status in (None, status_of(page.end, alive=page.alive)):
                found[Position(log.meta["created"], key)] = page
        after = (place for place in found if before is None or place < before)
        return [(place.key, found[place]) for place in nlargest(limit, after)]

    async def watch(self) -> KeyWatch:
        return KeyWatch(self._hints)

    async def aclose(self) -> None:
        self._logs.clear()
        self._hints.clear()

    def _writable(self, key: str, grant: Grant, now: float) -> MemoryLog:
        log = self._logs.get(key)
        if log is None or now >= log.sign + log.lease + log.ttl:
            raise missing(key)
        if log.epoch != grant.epoch:
            raise fenced(key)
        return log


def _page(log: MemoryLog, after: int, limit: int, now: float) -> Page:
    first = max(after + 1, log.first)
    frames: Sequence[bytes] = []
    if limit > 0 and first <= log.last:
        stop = log.page(first - 1, limit)
        frames = log.between(first - 1, stop)
    return Page(
        first=first,
        last=log.last,
        end=log.end,
        alive=log.end is not None or is_alive(now, log.sign, log.lease),
        cancel=log.cancel,
        frames=frames,
        meta=log.meta,
        ended=log.ended,
    )


class _Hints:
    """The watches of a store, by what they want hints at."""

    def __init__(self) -> None:
        self.by_key: dict[str, set[KeyWatch]] = {}
        self._by_writer: dict[str, set[KeyWatch]] = {}

    def hint(self, key: str) -> None:
        for watch in self.by_key.get(key, ()):
            watch.hint(key)

    def hint_writer(self, writer: str, key: str) -> None:
        for watch in self._by_writer.get(writer, ()):
            watch.hint(key)

    def add(self, key: str, watch: KeyWatch) -> None:
        self.by_key.setdefault(key, set()).add(watch)

    def discard(self, key: str, watch: KeyWatch) -> None:
        _discard(self.by_key, key, watch)

    def add_writer(self, writer: str, watch: KeyWatch) -> None:
        self._by_writer.setdefault(writer, set()).add(watch)

    def discard_writer(self, writer: str, watch: KeyWatch) -> None:
        _discard(self._by_writer, writer, watch)

    def clear(self) -> None:
        self.by_key.clear()
        self._by_writer.clear()


def _discard(watches: dict[str, set[KeyWatch]], name: str, watch: KeyWatch) -> None:
    found = watches.get(name, set())
    found.discard(watch)
    if not found:
        watches.pop(name, None)
