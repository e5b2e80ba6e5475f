"""The numbered frames of one execution, in this process, and the cursors on them.

1. ``append`` numbers, nothing else does: 1, 2, 3 … without holes.
2. A cursor is only given committed frames. Without a store an appended frame is
   committed at once; with one, when the store has it: what was seen is stored.
3. There is no queue per viewer. A viewer is an integer, and one callback while it
   sleeps; appending costs the same for one and for a thousand, but for waking them.
4. The terminal frame is the last. What is appended after it is dropped.

Bounds: ``max_events`` and ``max_bytes`` of frames held. When they are reached the
oldest frames that nobody needs are let go; with a store those are the committed ones,
without one those that every cursor has taken. If none can go the log is ``full``:
``append`` still takes the frame, and ``room`` is what its publisher has to wait for. So
each publisher that runs at the same time may exceed the bound by one frame.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from asgi_events.aio.wakeups import Wakeups
from asgi_events.wire.frames import frame

# What a store is given in one call: viewers see it when the call is over, so a store
# that is slow must not be given all that waits.
_CHUNK_BYTES, _CHUNK_FRAMES = 256 * 1024, 1024


_NOTHING = (-1, 0, 0, b"")  # what was joined last, when nothing was


@dataclass(slots=True)
class Bounds:
    """How much a log holds, which may change; logs may share it.

    Attributes:
        max_events: How many frames.
        max_bytes: How many bytes of frames.
    """

    max_events: int
    max_bytes: int


class Reader(Protocol):
    """Somebody who stands at a place in a log.

    Attributes:
        position: The number of the last frame it was given.
    """

    position: int

    def __hash__(self) -> int: ...

    def begin_again(self) -> None:
        """Go back to the beginning: what was given is not what the store has."""


class Log:
    """The frames of one execution.

    Args:
        name: The execution's id, the first half of the ``id`` of each frame; None for
            frames without ids, which cannot be resumed.
        stored: Frames are committed by whoever stores them, and not at once.
        start: The number of the last frame before those that are held here.
        max_events: How many frames are held.
        max_bytes: How many bytes of frames are held.
        bounds: Both, instead, where they may change.

    Attributes:
        first: The number of the oldest frame held.
        last: The number of the newest frame.
        committed: The number of the newest frame that cursors are given.
        known: The number of the newest frame that other processes are known to have.
        resend_after: The store has lost what follows the frame of this number, so that
            it is to be stored again, though it is committed; None where it has not.
        end: How the execution ended, once its terminal frame is appended.
    """

    def __init__(
        self,
        name: str | None = None,
        *,
        stored: bool = False,
        start: int = 0,
        max_events: int = 10_000,
        max_bytes: int = 16 * 1024 * 1024,
        bounds: Bounds | None = None,
    ) -> None:
        if max_events < 1 or max_bytes < 1:
            raise ValueError(
                "max_events and max_bytes must be at least 1, "
                f"got {max_events} and {max_bytes}"
            )
        self.name = name
        self._name = None if name is None else name.encode()
        self.first = start + 1
        self.last = start
        self.committed = start
        self.known = start
        self.resend_after: int | None = None
        self.end: str | None = None
        self.on_append: Callable[[], None] | None = None
        self._stored = stored
        self._released = False
        self._bounds = bounds or Bounds(max_events, max_bytes)
        self._frames: list[bytes] = []
        self._ends: list[int] = []  # of each frame, in bytes since frame 1
        self._start = 0  # of the oldest frame held, likewise
        self._end = 0  # of the newest
        self._cursors: set[Reader] = set()
        self._wakeups = Wakeups()
        self.sleep = self._wakeups.sleep
        self._urgent = False
        self._room: asyncio.Future[None] | None = None
        self._looking_for_room = False
        self._joined = _NOTHING

    def append(
        self, data: bytes, *, end: str | None = None, urgent: bool = False
    ) -> bool:
        """Make a frame of ``data`` and hold it.

        Args:
            data: One line of UTF-8, as ``encode_json`` gives it.
            end: How the execution ended, with its terminal event.
            urgent: Wake the viewers for it at once, even if they were just woken.

        Returns:
            Whether the log is full now: its publisher has to wait for ``room``.
        """
        if self.end is not None:
            return False
        self.last = number = self.last + 1
        # What follows is _hold, _show and _over: to call them makes an append a fifth
        # (Python 3.13) to a half (3.11) dearer.
        made = frame(self._name, number, data)
        self._frames.append(made)
        self._end += len(made)
        self._ends.append(self._end)
        self.end = end
        if urgent or end is not None:
            self._urgent = True
        if not self._stored:
            self.committed = number
            if self._wakeups.sleeping:
                self._wakeups.wake(self._urgent)
            self._urgent = False
        if end is not None:
            self._make_room()  # nothing follows: whoever waits, waits in vain
        if self.on_append is not None:
            self.on_append()
        bounds = self._bounds
        if (
            len(self._frames) <= bounds.max_events
            and self._end - self._start <= bounds.max_bytes
        ):
            return False
        return self.full

    def extend(self, frames: Sequence[bytes], *, end: str | None) -> None:
        """Hold and show frames that another process has numbered and stored."""
        for made in frames:
            self._hold(made)
        self.last += len(frames)
        self.end = end
        self._urgent = end is not None
        self.commit(self.last)

    def skip_to(self, number: int) -> None:
        """Hold nothing and go on with ``number``; what is before is in the store."""
        self._rebase(number)
        self._joined = _NOTHING
        self.committed = self.last

    def fork(self, last: int, *, end: str | None, frames: Sequence[bytes] = ()) -> None:
        """Take another end than the one that was shown here.

        The store has lost frames whose writer is dead. Cursors that have been given a
        frame of number ``last`` or later begin again, with a ``reset``.

        Args:
            last: The number of the terminal frame.
            end: How the execution ended.
            frames: The last frames up to it, to be held here; the others are stored.
        """
        self.skip_to(last + 1 - len(frames))
        self.known = last
        for cursor in self._cursors:
            if cursor.position >= last:
                cursor.begin_again()
        self.extend(frames, end=end)

    def rewind(self) -> None:
        """Let go of what is not stored, and hear no more of it."""
        count = self.committed + 1 - self.first
        del self._frames[count:], self._ends[count:]
        self._end = self._ends[-1] if self._ends else self._start
        self.last = self.committed
        for cursor in self._cursors:
            if cursor.position > self.last:  # what it was shown elsewhere may be gone
                cursor.begin_again()
        self.resend_after = None
        self.end = None

    def commit(self, number: int) -> None:
        """Show all frames up to ``number`` to the cursors."""
        self._show(number)
        if self._room is not None or self._over():
            self._make_room()

    def fit(self) -> None:
        """Let go of what is too much, now that the bounds are narrower."""
        self._make_room()

    def release(self) -> None:
        """Owe nobody anything any more: old frames go, the log is never full again."""
        self._released = True
        self._make_room()

    @property
    def awaited(self) -> bool:
        """Whether a cursor sleeps until more is committed."""
        return bool(self._wakeups.sleeping)

    @property
    def full(self) -> bool:
        """Whether the bounds are reached, nothing can be let go, and more may come."""
        return self._over() and self.end is None and not self._make_room()

    def room(self) -> asyncio.Future[None]:
        """Done when the log is no longer full."""
        if self._room is None:
            self._room = asyncio.get_running_loop().create_future()
        # One publisher that is cancelled must not take the future from the others.
        return asyncio.shield(self._room)

    def uncommitted(self) -> list[bytes]:
        """The frames that the store has not taken yet."""
        return self.since(self.committed)

    def chunk(self, after: int) -> list[bytes]:
        """The frames from ``after`` + 1, as many as a store is given at once."""
        low = after + 1 - self.first
        begin = self._ends[low - 1] if low else self._start
        high = max(bisect_right(self._ends, begin + _CHUNK_BYTES, low), low + 1)
        return self._frames[low : min(high, low + _CHUNK_FRAMES)]

    def since(self, number: int) -> list[bytes]:
        """The frames held after ``number``, which is not older than they are."""
        return self._frames[number + 1 - self.first :]

    def join(self, after: int, limit: int) -> tuple[bytes, int]:
        """Committed frames from ``after`` + 1, at least one, and the last one's number.

        The last join is remembered: cursors that stand side by side share it.
        """
        if self._room is not None:
            self._look_soon()
        low = after + 1 - self.first
        if after + 1 == self.committed:
            return self._frames[low], self.committed
        start, stop, upto, joined = self._joined
        if (start, upto) == (after, self.committed) and len(joined) <= limit:
            return joined, stop
        begin = self._ends[low - 1] if low else self._start
        high = max(bisect_right(self._ends, begin + limit, low), low + 1)
        high = min(high, self.committed + 1 - self.first)
        joined = b"".join(self._frames[low:high])
        stop = self.first + high - 1
        self._joined = (after, stop, self.committed, joined)
        return joined, stop

    def attach(self, cursor: Reader) -> None:
        """Hold frames until ``cursor`` has taken them."""
        self._cursors.add(cursor)

    def detach(self, cursor: Reader) -> None:
        """Forget ``cursor``."""
        self._cursors.discard(cursor)
        self._wakeups.discard(cursor)
        self._make_room()

    def _look_soon(self) -> None:
        """A cursor has moved on; look once per turn of the loop for all that did."""
        if not self._looking_for_room:
            self._looking_for_room = True
            asyncio.get_running_loop().call_soon(self._look_for_room)

    def _show(self, number: int) -> None:
        self.committed = number
        if self._wakeups.sleeping:
            self._wakeups.wake(self._urgent)
        self._urgent = False

    def _look_for_room(self) -> None:
        self._looking_for_room = False
        self._make_room()

    def _over(self) -> bool:
        return len(self._frames) > self._bounds.max_events or (
            self._end - self._start > self._bounds.max_bytes and len(self._frames) > 1
        )

    def _make_room(self) -> bool:
        """Let go of what nobody needs, once over the bounds; whether there is room."""
        while self._over():
            # A quarter at a time: cutting off a list's head moves all the rest.
            spare = min(self._unneeded(), self.first + len(self._frames) // 4)
            if spare >= self.first:
                self._trim(spare)
            elif self.end is not None:
                break
            else:
                return False
        if self._room is not None:
            if not self._room.done():
                self._room.set_result(None)
            self._room = None
        return True

    def _unneeded(self) -> int:
        if self._stored or self._released:
            after = self.resend_after
            return self.committed if after is None else min(after, self.committed)
        if not self._cursors:
            return 0
        return min(cursor.position for cursor in self._cursors)

    def _hold(self, made: bytes) -> None:
        self._frames.append(made)
        self._end += len(made)
        self._ends.append(self._end)

    def _rebase(self, number: int) -> None:
        self._frames.clear()
        self._ends.clear()
        self._start = self._end = 0
        self._joined = (-1, 0, 0, b"")
        self.first, self.last = number, number - 1

    def _trim(self, number: int) -> None:
        count = number + 1 - self.first
        self._start = self._ends[count - 1]
        del self._frames[:count], self._ends[:count]
        self.first = number + 1
