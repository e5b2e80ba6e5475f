"""The logs of a ``MemoryStore``, and the bounds of what they take."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import InitVar, dataclass
from itertools import islice
from time import time

from asgi_events.stores.contract import Ack
from asgi_events.stores.rules import Suspicion
from asgi_events.wire.window import FrameWindow, trim_largest

# Bytes of memory, measured with tracemalloc (Python 3.11): what a log takes without its
# frames, together with the execution that it is of.
_LOG = 4096
_MARK = 1024  # of a log that has ended without a frame, and is of no execution

_ENOUGH = 0.95  # of the bound of all logs, once it is reached
_MARKS = 0.25  # of that limit, for logs that have ended without a frame


@dataclass(eq=False)
class MemoryLog(FrameWindow):
    """One log; times are those of the event loop."""

    start: InitVar[int]
    writer: str
    ttl: float
    lease: float
    meta: Mapping[str, str]
    epoch: int
    end: str | None = None
    ended: float | None = None
    cancel: bool = False
    sign: float = 0.0  # when its writer was last heard of
    suspicion: Suspicion | None = None
    watched_until: float = 0.0

    def __post_init__(self, start: int) -> None:
        super().__init__(start)

    @property
    def forgotten_at(self) -> float:
        return self.sign + self.lease + self.ttl

    def is_silent(self, now: float) -> bool:
        """Whether the lease of its writer is over."""
        return now >= self.sign + self.lease

    def touch(self, now: float) -> None:
        self.sign = now
        self.suspicion = None

    def finish(self, end: str) -> None:
        self.end = end
        self.ended = time()

    def ack(self, now: float) -> Ack:
        return Ack(self.last, self.cancel, now < self.watched_until)


class MemoryLogs:
    """Logs by their keys.

    Args:
        max_events: See ``MemoryStore``.
        max_bytes: Likewise.
        max_retained_bytes: Likewise.

    Attributes:
        held_bytes: About how many bytes of memory all of them take.
    """

    def __init__(
        self, max_events: int, max_bytes: int, max_retained_bytes: int
    ) -> None:
        self.held_bytes = 0
        self._max_events = max_events
        self._max_bytes = max_bytes
        self._limit = max_retained_bytes
        self._logs: dict[str, MemoryLog] = {}
        self._ended: dict[str, None] = {}  # in the order in which they did
        self._marks: dict[str, None] = {}  # those of them without a frame

    def __iter__(self) -> Iterator[str]:
        return iter(self._logs)

    def __contains__(self, key: str) -> bool:
        return key in self._logs

    def __getitem__(self, key: str) -> MemoryLog:
        return self._logs[key]

    def get(self, key: str) -> MemoryLog | None:
        """A log, also one that is past its time."""
        return self._logs.get(key)

    def find(self, key: str, now: float) -> MemoryLog | None:
        """A log, unless it is past its time."""
        log = self._logs.get(key)
        if log is not None and now >= log.forgotten_at:
            self.delete(key)
            return None
        return log

    def add(self, key: str, log: MemoryLog, now: float) -> None:
        """Add a new log."""
        self._logs[key] = log
        self._grow(_LOG, now)

    def delete(self, key: str) -> None:
        """Delete a log, if there is one."""
        log = self._logs.pop(key, None)
        if log is not None:
            self._ended.pop(key, None)
            is_mark = key in self._marks
            self._marks.pop(key, None)
            self.held_bytes -= _MARK if is_mark else _LOG + log.held_bytes

    def clear(self) -> None:
        """Delete all."""
        for key in list(self._logs):
            self.delete(key)

    def hold(
        self, key: str, frames: Sequence[bytes], end: str | None, now: float
    ) -> None:
        """Add frames to a log, and end it where ``end`` says how."""
        log = self._logs[key]
        held = log.held_bytes
        log.hold(frames)
        if end is not None:
            self._finish(key, log, end)
        self._grow(log.held_bytes - held, now)
        while log.count > self._max_events or (
            log.held_bytes > self._max_bytes and log.count > 1
        ):
            held = log.held_bytes
            log.trim()
            self.held_bytes -= held - log.held_bytes

    def _finish(self, key: str, log: MemoryLog, end: str) -> None:
        log.finish(end)
        if log.last:
            self._ended[key] = None
            return
        self._marks[key] = None
        self.held_bytes -= _LOG - _MARK
        if len(self._marks) * _MARK > self._limit * _MARKS:
            self.delete(next(iter(self._marks)))

    def delete_old(self, now: float) -> None:
        """Delete a few logs that are past their time; nobody else may look at them."""
        for key in [*islice(self._ended, 2), *islice(self._marks, 2)]:
            if now >= self._logs[key].forgotten_at:
                self.delete(key)

    def _silent(self, now: float) -> list[str]:
        """Those whose writers do not renew their leases, silent the longest first.

        They are those of threads, and of dead writers.
        """
        logs = self._logs.items()
        silent = [key for key, log in logs if log.end is None and log.is_silent(now)]
        return sorted(silent, key=lambda key: self._logs[key].sign)

    def _grow(self, size: int, now: float) -> None:
        self.held_bytes += size
        if self.held_bytes > self._limit:
            self._shrink(now)

    def _shrink(self, now: float) -> None:
        for key in [key for key, log in self._logs.items() if now >= log.forgotten_at]:
            self.delete(key)
        while self.held_bytes > self._limit and self._ended:
            self.delete(next(iter(self._ended)))
        if self.held_bytes <= self._limit:
            return
        # Somewhat more than has to go, so that the next search comes later.
        enough = self._limit * _ENOUGH
        for key in self._silent(now):
            self.delete(key)
            if self.held_bytes <= enough:
                return
        for freed in trim_largest(self._logs.values()):
            self.held_bytes -= freed
            if self.held_bytes <= enough:
                break
