"""A store in this process, for tests: it promises what others do, but to last."""

import asyncio
from bisect import bisect_right
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush
from itertools import islice
from time import time
from typing import Self, TypeAlias

from asgi_events.exceptions import Busy, Ended, Fenced, Gap, Missing
from asgi_events.stores.contract import Ack, Grant, Page
from asgi_events.stores.rules import Suspicion, is_alive, suspect
from asgi_events.stores.watching import PendingKeys

# Bytes of memory, measured with tracemalloc (Python 3.11): what a log takes without its
# frames, together with the execution that it is of, and what a frame takes beside its
# own bytes.
_LOG = 4096
_FRAME = 96
_MARK = 1024  # of a log that has ended without a frame, and is of no execution

_ENOUGH = 0.95  # of the bound of all logs, once it is reached
_MARKS = 0.25  # of that limit, for logs that have ended without a frame


def monotonic() -> float:
    """The time of the event loop: a test can let it pass, see ``virtual_time``."""
    return asyncio.get_running_loop().time()


@dataclass(slots=True)
class _Log:
    writer: str
    ttl: float
    lease: float
    meta: Mapping[str, str]
    epoch: int
    first: int
    end: str | None = None
    ended: float | None = None
    cancel: bool = False
    sign: float = 0.0  # when its writer was last heard of
    suspicion: Suspicion | None = None
    watched_until: float = 0.0
    frames: list[bytes] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)  # of each frame, since the first
    size: int = 0  # in bytes, since the first frame
    trimmed: int = 0  # of that, bytes that are no longer kept

    @property
    def last(self) -> int:
        return self.first + len(self.frames) - 1

    @property
    def held(self) -> int:
        """About how many bytes of memory the frames take."""
        return self.size - self.trimmed + _FRAME * len(self.frames)

    def hold(self, frames: Sequence[bytes]) -> None:
        for frame in frames:
            self.size += len(frame)
            self.ends.append(self.size)
        self.frames.extend(frames)

    def trim(self) -> int:
        """Let go of the oldest quarter; about how many bytes that frees."""
        count = max(len(self.frames) // 4, 1)
        held = self.held
        self.trimmed = self.ends[count - 1]
        del self.frames[:count], self.ends[:count]
        self.first += count
        return held - self.held

    @property
    def forgotten_at(self) -> float:
        return self.sign + self.lease + self.ttl

    def touch(self, now: float) -> None:
        self.sign = now
        self.suspicion = None

    def finish(self, end: str) -> None:
        self.end = end
        self.ended = time()

    def ack(self, now: float) -> Ack:
        return Ack(self.last, self.cancel, now < self.watched_until)


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

    Attributes:
        held_bytes: About how many bytes of memory all logs take.
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
        self._max_events = max_events
        self._max_bytes = max_bytes
        self._limit = max_retained_bytes
        self._logs: dict[str, _Log] = {}
        self._ended: dict[str, None] = {}  # in the order in which they did
        self._marks: dict[str, None] = {}  # those of them without a frame
        self.held_bytes = 0
        self._epochs = 0
        self._watching: _Watching = defaultdict(set)
        self._inboxes: _Watching = defaultdict(set)

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
        self._delete_old(now)
        log = self._find(key, now)
        if log is None:
            self._epochs += 1  # a deleted log's writer does not write its successor
            log = _Log(writer, ttl, lease, dict(meta), self._epochs, first=after + 1)
            self._logs[key] = log
            self._grow(_LOG, now)
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
        new = frames[known:] if known else frames
        size = log.size
        log.hold(new)
        log.sign, log.suspicion = now, None
        if end is not None:
            self._finish(key, log, end)
        self.held_bytes += log.size - size + _FRAME * len(new)
        if self.held_bytes > self._limit:
            self._shrink(now)
        if len(log.frames) > self._max_events or log.held > self._max_bytes:
            self._trim(log)
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
        log = self._find(key, monotonic())
        if log is None or log.end is not None:
            return False
        log.cancel = True
        self._hint(key)
        self._hint_writer(log.writer, key)
        return True

    async def attend(self, key: str, seconds: float) -> None:
        log = self._find(key, monotonic())
        if log is not None:
            log.watched_until = max(log.watched_until, monotonic() + seconds)

    async def reap(self, key: str, after: int, frame: bytes, *, end: str) -> bool:
        now = monotonic()
        log = self._find(key, now)
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
        log.hold([frame])
        self.held_bytes += len(frame) + _FRAME
        self._finish(key, log, end)
        log.touch(now)
        self._hint(key)
        return True

    async def read(self, key: str, after: int, limit: int) -> Page | None:
        now = monotonic()
        log = self._find(key, now)
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
        self._delete(key)

    async def keys(self) -> AsyncIterator[str]:
        for key in list(self._logs):
            if self._find(key, monotonic()) is not None:
                yield key

    async def watch(self) -> "_MemoryWatch":
        return _MemoryWatch(self._watching, self._inboxes)

    async def aclose(self) -> None:
        self._logs.clear()
        self._ended.clear()
        self._marks.clear()
        self._watching.clear()
        self._inboxes.clear()

    def _find(self, key: str, now: float) -> _Log | None:
        log = self._logs.get(key)
        if log is not None and now >= log.forgotten_at:
            self._delete(key)
            return None
        return log

    def _delete(self, key: str) -> None:
        log = self._logs.pop(key, None)
        if log is not None:
            self._ended.pop(key, None)
            is_mark = key in self._marks
            self._marks.pop(key, None)
            self.held_bytes -= _MARK if is_mark else _LOG + log.held

    def _writable(self, key: str, grant: Grant, now: float) -> _Log:
        log = self._logs.get(key)
        if log is None or now >= log.sign + log.lease + log.ttl:
            raise Missing(
                f"There is no log {key!r}: its time is over, or it was deleted."
            )
        if log.epoch != grant.epoch:
            raise Fenced(f"The log {key!r} is another writer's.")
        return log

    def _trim(self, log: _Log) -> None:
        while len(log.frames) > self._max_events or (
            log.held > self._max_bytes and len(log.frames) > 1
        ):
            self.held_bytes -= log.trim()

    def _finish(self, key: str, log: _Log, end: str) -> None:
        log.finish(end)
        if log.last:
            self._ended[key] = None
            return
        self._marks[key] = None
        self.held_bytes -= _LOG - _MARK
        if len(self._marks) * _MARK > self._limit * _MARKS:
            self._delete(next(iter(self._marks)))

    def _delete_old(self, now: float) -> None:
        """Delete what nobody may ever look at again; one comes, two may go."""
        for key in [*islice(self._ended, 2), *islice(self._marks, 2)]:
            if now >= self._logs[key].forgotten_at:
                self._delete(key)

    def _grow(self, size: int, now: float) -> None:
        self.held_bytes += size
        if self.held_bytes > self._limit:
            self._shrink(now)

    def _shrink(self, now: float) -> None:
        for key in [key for key, log in self._logs.items() if now >= log.forgotten_at]:
            self._delete(key)
        while self.held_bytes > self._limit and self._ended:
            self._delete(next(iter(self._ended)))
        if self.held_bytes <= self._limit:
            return
        # Somewhat more than has to go, so that the next search comes later.
        enough = self._limit * _ENOUGH
        logs = (log for log in self._logs.values() if len(log.frames) > 1)
        largest = [(-log.held, number, log) for number, log in enumerate(logs)]
        heapify(largest)
        while largest and self.held_bytes > enough:
            _, number, log = heappop(largest)
            self.held_bytes -= log.trim()
            if len(log.frames) > 1:
                heappush(largest, (-log.held, number, log))

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
