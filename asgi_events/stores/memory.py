"""A store in this process, for tests: it promises what others do, but to last."""

import asyncio
from bisect import bisect_right
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Self, TypeAlias

from asgi_events.exceptions import Busy, Ended, Fenced, Gap, Missing
from asgi_events.stores.contract import Ack, Grant, Page
from asgi_events.stores.memory_logs import MemoryLog, MemoryLogs
from asgi_events.stores.rules import is_alive, suspect
from asgi_events.stores.watching import PendingKeys


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
        self._watching: _Watching = defaultdict(set)
        self._inboxes: _Watching = defaultdict(set)

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
            log = MemoryLog(writer, ttl, lease, dict(meta), self._epochs, after + 1)
            self._logs.add(key, log, now)
        elif log.end is not None:
            raise Ended(f"The log {key!r} has ended.")
        elif log.writer != writer:
            # Nobody goes on where a dead writer stopped: its log is reaped.
            raise Busy(f"The log {key!r} is written by {log.writer!r}.")
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
        known = log.first + len(log.frames) - 1 - after
        if log.end is not None:
            if end == log.end and known == len(frames):
                return log.ack(now)
            raise Ended(f"The log {key!r} has ended.")
        if known < 0:
            raise Gap(log.last)
        log.sign, log.suspicion = now, None
        self._logs.hold(key, frames[known:] if known else frames, end, now)
        if key in self._watching:
            self._hint(key)
        return log.ack(now)

    async def renew(self, key: str, grant: Grant) -> Ack:
        now = monotonic()
        log = self._writable(key, grant, now)
        if log.end is not None:
            raise Ended(f"The log {key!r} has ended.")
        log.touch(now)
        return log.ack(now)

    async def cancel(self, key: str) -> bool:
        log = self._logs.find(key, monotonic())
        if log is None or log.end is not None:
            return False
        log.cancel = True
        self._hint(key)
        self._hint_writer(log.writer, key)
        return True

    async def attend(self, key: str, seconds: float) -> None:
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
                self._hint_writer(log.writer, key)
            return False
        self._epochs += 1
        log.epoch = self._epochs
        log.touch(now)
        self._logs.hold(key, [frame], end, now)
        self._hint(key)
        return True

    async def read(self, key: str, after: int, limit: int) -> Page | None:
        now = monotonic()
        log = self._logs.find(key, now)
        if log is None:
            return None
        first = max(after + 1, log.first)
        low = first - log.first
        frames: list[bytes] = []
        if limit > 0 and low < len(log.frames):
            begin = log.ends[low] - len(log.frames[low])
            high = max(bisect_right(log.ends, begin + limit, low), low + 1)
            frames = log.frames[low:high]
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

    async def delete(self, key: str) -> None:
        self._logs.delete(key)

    async def keys(self) -> AsyncIterator[str]:
        for key in list(self._logs):
            if self._logs.find(key, monotonic()) is not None:
                yield key

    async def watch(self) -> "_MemoryWatch":
        return _MemoryWatch(self._watching, self._inboxes)

    async def aclose(self) -> None:
        self._logs.clear()
        self._watching.clear()
        self._inboxes.clear()

    def _writable(self, key: str, grant: Grant, now: float) -> MemoryLog:
        log = self._logs.get(key)
        if log is None or now >= log.sign + log.lease + log.ttl:
            raise Missing(
                f"There is no log {key!r}: its time is over, or it was deleted."
            )
        if log.epoch != grant.epoch:
            raise Fenced(f"The log {key!r} is another writer's.")
        return log

    def _hint(self, key: str) -> None:
        for watch in self._watching.get(key, ()):
            watch.hint(key)

    def _hint_writer(self, writer: str, key: str) -> None:
        for watch in self._inboxes.get(writer, ()):
            watch.hint(key)


class _MemoryWatch:
    def __init__(self, watching: "_Watching", inboxes: "_Watching") -> None:
        self._watching = watching
        self._inboxes = inboxes
        self._keys: set[str] = set()
        self._writers: set[str] = set()
        self._pending = PendingKeys()
        self.hint = self._pending.add

    def add(self, key: str) -> None:
        self._keys.add(key)
        self._watching[key].add(self)

    def discard(self, key: str) -> None:
        self._keys.discard(key)
        self._leave(self._watching, key)

    def add_writer(self, writer: str) -> None:
        self._writers.add(writer)
        self._inboxes[writer].add(self)

    async def get(self) -> set[str]:
        return await self._pending.get()

    async def aclose(self) -> None:
        for key in self._keys:
            self._leave(self._watching, key)
        for writer in self._writers:
            self._leave(self._inboxes, writer)

    def _leave(self, watching: "_Watching", name: str) -> None:
        watching[name].discard(self)
        if not watching[name]:
            del watching[name]


_Watching: TypeAlias = defaultdict[str, set[_MemoryWatch]]
"""Who wants to hear of what, by its name."""
