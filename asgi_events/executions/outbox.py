"""What has happened to the executions of one owner, until their feed has it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from typing import Any, TypeAlias

from asgi_events.feed_events import FeedEvent
from asgi_events.wire.decoding import read_json
from asgi_events.wire.encoding import encode_json

Make: TypeAlias = Callable[[], FeedEvent]
"""Makes an event, if somebody wants it."""

_BATCH = 256  # events in one append
_MOST = 10_000  # events that wait


class Outbox:
    """What one feed has to be told.

    Args:
        since: Since when the oldest of it waits.

    Attributes:
        is_lossy: Whether there was too much of it, so that all of it was dropped.
        since: As given.
    """

    __slots__ = ("_count", "_waiting", "is_lossy", "since")

    def __init__(self, since: float) -> None:
        self.is_lossy = False
        self.since = since
        self._waiting: dict[str, deque[Make | bytes]] = {}  # by execution
        self._count = 0

    def __bool__(self) -> bool:
        return self.is_lossy or bool(self._waiting)

    def add(self, execution: str, make: Make) -> None:
        """Add an event; those of one execution keep their order."""
        events = self._waiting.get(execution)
        if events is None:
            events = self._waiting[execution] = deque()
        events.append(make)
        self._bound(1)

    def merge(self, newer: Outbox) -> None:
        """Add what another one has, after what this one has."""
        for execution, events in newer._waiting.items():
            self._waiting.setdefault(execution, deque()).extend(events)
        self.is_lossy = self.is_lossy or newer.is_lossy
        self.since = min(self.since, newer.since)
        self._bound(newer._count)

    def batch(self) -> dict[str, bytes]:
        """The oldest events, one of each execution at most, as JSON.

        As long as none is dropped, the next batch begins with the same ones: so an
        append whose outcome is unknown is made again.
        """
        oldest = islice(self._waiting.items(), _BATCH)
        return {execution: _oldest(events) for execution, events in oldest}

    def discard(self, batch: Mapping[str, bytes], stored: Sequence[bytes]) -> None:
        """Drop what a feed has.

        Args:
            batch: What was appended.
            stored: What was stored there, also by others. If they have said that an
                execution has ended, no more is said of it; likewise of a question.
        """
        found, mine = set(stored), set(batch.values())
        for execution, data in batch.items():
            if data in found:
                self._drop_oldest(execution)
        for data in stored:
            if data not in mine:
                self._drop_what_follows(read_json(data))

    def _drop_oldest(self, execution: str) -> None:
        events = self._waiting.pop(execution)
        events.popleft()
        self._count -= 1
        if events:
            self._waiting[execution] = events  # behind those that wait for longer

    def _drop_what_follows(self, event: Any) -> None:
        """Drop what may not follow an event that says what is over."""
        match event:
            case {"event_type": "ended", "execution": id}:
                self._count -= len(self._waiting.pop(id, ()))
            case {"event_type": "answered", "execution": id, "n": n}:
                while events := self._waiting.get(id):
                    if read_json(_oldest(events)).get("n") != n:
                        break
                    self._drop_oldest(id)

    def _bound(self, more: int) -> None:
        self._count += more
        if self._count > _MOST:
            self.is_lossy = True
            self._waiting.clear()
            self._count = 0


def _oldest(events: deque[Make | bytes]) -> bytes:
    """The oldest event, as JSON."""
    oldest = events[0]
    if not isinstance(oldest, bytes):
        made = oldest().model_dump(mode="json", exclude_none=True)
        oldest = events[0] = encode_json(made)
    return oldest
