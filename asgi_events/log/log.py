"""The numbered frames of one execution, in this process, and the cursors on them.

1. ``append`` numbers, nothing else does: 1, 2, 3 … without holes.
2. A cursor is only given committed frames. A frame is committed as it is appended; of a
   ``StoredLog``, when the store has it: what a viewer has seen is stored.
3. There is no queue per viewer. A viewer is an integer, and one callback while it
   sleeps. Appending costs the same for one viewer and for a thousand, except waking.
4. The terminal frame is the last. A frame that is appended after it is dropped.

A log holds ``max_events`` frames and ``max_bytes`` of them. Beyond that it drops the
oldest frames that it need not keep; ``keeps`` says which these are:

=========== ================================ ========================================
keeps       frames that may be dropped       if there are none
=========== ================================ ========================================
"unread"    those that every cursor took     the log is ``full``
"newest"    all, the oldest first            that does not happen
=========== ================================ ========================================

``append`` takes the frame even when the log is full, and its publisher then has to wait
for ``room``. So each concurrent publisher may exceed the bound by one frame.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from asgi_events.aio.wakeups import Wakeups
from asgi_events.wire.frames import frame_pattern
from asgi_events.wire.window import BLOCK, Block, FrameWindow

_REPORT = 64 * 1024  # bytes by which a log grows until it reports that

_NOTHING = (-1, 0, 0, b"")  # what was joined last, when nothing was

Keeps = Literal["unread", "newest"]


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
    """A reader of a log, at a place in it.

    Attributes:
        position: The number of the last frame it was given.
    """

    position: int

    def __hash__(self) -> int: ...

    def forget(self, number: int) -> None:
        """Take note: the store has lost the frames from ``number`` on."""


class Log(FrameWindow):
    """The frames of one execution.

    Args:
        name: The execution's id, the first half of the ``id`` of each frame; None for
            frames without ids, which cannot be resumed.
        keeps: What is not dropped, see above.
        start: The number of the last frame before those that are held here.
        max_events: How many frames are held.
        max_bytes: How many bytes of frames are held.
        bounds: Both, instead, where they may change.
        on_append: Called when a frame was appended.
        on_growth: Called with the bytes of memory that the log takes more, or fewer,
            than when it was called last; not for each frame.

    Attributes:
        on_growth: As given.
        committed: The number of the newest frame that cursors are given.
        known: The number of the newest frame that other processes are known to have.
        sleepers: The cursors that sleep, each with the callback that wakes it.
        end: How the execution ended, once its terminal frame is appended.
    """

    __slots__ = (
        "_bounds",
        "_commits",
        "_cursors",
        "_joined",
        "_keeps",
        "_look_at_number",
        "_look_at_size",
        "_looking_for_room",
        "_pattern",
        "_reported",
        "_room",
        "_urgent",
        "_wakeups",
        "committed",
        "end",
        "known",
        "name",
        "on_append",
        "on_growth",
        "sleepers",
    )

    def __init__(
        self,
        name: str | None = None,
        *,
        keeps: Keeps = "unread",
        start: int = 0,
        max_events: int = 10_000,
        max_bytes: int = 16 * 1024 * 1024,
        bounds: Bounds | None = None,
        on_append: Callable[[], None] | None = None,
        on_growth: Callable[[Log, int], None] | None = None,
    ) -> None:
        if max_events < 1 or max_bytes < 1:
            raise ValueError(
                "max_events and max_bytes must be at least 1, "
                f"got {max_events} and {max_bytes}"
            )
        super().__init__(start)
        self.name = name
        self._pattern = frame_pattern(None if name is None else name.encode())
        self.committed = start
        self.known = start
        self.end: str | None = None
        self.on_append = on_append
        self.on_growth = on_growth
        self._reported = 0
        self._keeps = keeps
        self._commits = True  # as it appends
        self._bounds = bounds or Bounds(max_events, max_bytes)
        # None: nothing is kept for them.
        self._cursors: set[Reader] | None = set() if keeps == "unread" else None
        self._wakeups = Wakeups()
        self.sleepers = self._wakeups.sleeping
        self._urgent = False
        self._room: asyncio.Future[None] | None = None
        self._looking_for_room = False
        self._joined = _NOTHING
        self._look_at_size = self._look_at_number = 0
        self._set_marks()

    def append(
        self, data: bytes, urgent: bool = False, *, end: str | None = None
    ) -> bool:
        """Make a frame of ``data`` and hold it.

        Args:
            data: One line of UTF-8, as ``encode_json`` gives it.
            urgent: Wake the viewers for it at once, even if they were just woken.
            end: How the execution ended, with its terminal event.

        Returns:
            Whether the log is full now: its publisher has to wait for ``room``.
        """
        if self.end is not None:
            return False
        self.last = number = self.last + 1
        # What follows is frame(), hold() and commit(): to call them makes an append a
        # third (Python 3.13) to a half (3.11) dearer.
        made = self._pattern % (data if self.name is None else (data, number))
        self.frames.append(made)
        self.size = size = self.size + len(made)
        self.ends.append(size)
        if end is not None:
            self.end = end
            urgent = True
        if self._commits:
            self.committed = number
            if self.sleepers or urgent:
                self._wakeups.wake(urgent)
        elif urgent:
            self._urgent = True
        if self.on_append is not None:
            self.on_append()
        if size <= self._look_at_size and number < self._look_at_number and end is None:
            return False
        return self._look()

    def restart(self, number: int) -> None:
        super().restart(number)
        self._joined = _NOTHING

    def fit(self) -> None:
        """Drop what exceeds the bounds, which have become narrower."""
        self._make_room()
        self._set_marks()

    def trim(self) -> bool:
        if not super().trim():
            return False
        self._report()
        self._set_marks()
        return True

    def release(self) -> None:
        """Stop keeping frames for cursors: publishers never wait again."""
        self._keeps = "newest"
        self._make_room()

    def keep_newest(self) -> Sequence[Block]:
        """Drop all frames but the newest, of a log that has ended; see ``drop``."""
        dropped = self.drop_old()
        self._report()
        return dropped

    @property
    def full(self) -> bool:
        """Whether the bounds are reached, nothing can be dropped, and more may come."""
        return self.end is None and self._is_over() and not self._make_room()

    def room(self) -> asyncio.Future[None]:
        """A future that is done when the log is no longer full."""
        if self._room is None:
            self._room = asyncio.get_running_loop().create_future()
        # One publisher that is cancelled must not take the future from the others.
        return asyncio.shield(self._room)

    def join(self, after: int, limit: int) -> tuple[bytes, int]:
        """Committed frames from ``after`` + 1, at least one, and the last one's number.

        The last join is remembered: cursors that stand side by side share it.
        """
        if self._room is not None:
            self._look_soon()
        start, stop, upto, joined = self._joined
        if (start, upto) == (after, self.committed) and len(joined) <= limit:
            return joined, stop
        stop = min(self.page(after, limit), self.committed)
        joined = b"".join(self.between(after, stop))
        self._joined = (after, stop, self.committed, joined)
        return joined, stop

    def attach(self, cursor: Reader) -> None:
        """Hold frames until ``cursor`` has taken them."""
        if self._cursors is not None:
            self._cursors.add(cursor)

    def detach(self, cursor: Reader) -> None:
        """Forget ``cursor``."""
        if self._cursors is not None:
            self._cursors.discard(cursor)
        self._wakeups.discard(cursor)
        self._make_room()

    def _look_soon(self) -> None:
        """Look for room once per turn of the loop, for all cursors that moved on."""
        if not self._looking_for_room:
            self._looking_for_room = True
            asyncio.get_running_loop().call_soon(self._look_for_room)

    def _look_for_room(self) -> None:
        self._looking_for_room = False
        self._make_room()

    def _look(self) -> bool:
        """Report the growth and keep the bounds; return whether the log is full."""
        if len(self.frames) > BLOCK:
            self._begin_block()
        self._report()
        full = self.full
        if self.end is not None:  # release publishers that wait for room
            self._make_room()
        self._set_marks()
        return full

    def _set_marks(self) -> None:
        """Set the numbers at which ``append`` has to call ``_look``."""
        bounds = self._bounds
        self._look_at_size = self.begin + bounds.max_bytes
        if self.on_growth is not None:
            self._look_at_size = min(self._look_at_size, self.size + _REPORT)
        self._look_at_number = min(self.first + bounds.max_events, self.base + BLOCK)

    def _report(self) -> None:
        if self.on_growth is not None:
            held = self.held_bytes
            grown, self._reported = held - self._reported, held
            self.on_growth(self, grown)

    def _is_over(self) -> bool:
        count = self.count
        return count > self._bounds.max_events or (
            self.size - self.begin > self._bounds.max_bytes and count > 1
        )

    def _make_room(self) -> bool:
        """Drop what exceeds the bounds and need not be kept; whether there is room."""
        while self._is_over():
            if self.trim():
                continue
            if self.end is None:
                return False
            break
        if self._room is not None:
            if not self._room.done():
                self._room.set_result(None)
            self._room = None
        return True

    def _droppable(self) -> int:
        if self._keeps == "newest":
            return self.last
        if not self._cursors:
            return 0
        return min(cursor.position for cursor in self._cursors)
