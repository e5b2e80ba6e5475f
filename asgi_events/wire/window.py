"""A window of numbered frames: the newest frames of a log, in memory."""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from heapq import heapify, heappop, heappush

from asgi_events.native import mypyc_attr

FRAME_OVERHEAD = 96
"""Bytes of memory that a frame takes beside its own (tracemalloc, Python 3.11)."""


@mypyc_attr(allow_interpreted_subclasses=True)
class FrameWindow:
    """Frames under consecutive numbers; the oldest ones can be dropped.

    Args:
        start: The number before that of the first frame.

    Attributes:
        first: The number of the oldest frame held.
        last: The number of the newest frame.
        frames: The frames held.
        ends: Where each of them ends, in bytes since the window was made.
        begin: Where the oldest one begins, likewise.
        size: Where the newest one ends, likewise.
    """

    __slots__ = ("__weakref__", "begin", "ends", "first", "frames", "last", "size")

    def __init__(self, start: int = 0) -> None:
        self.first = start + 1
        self.last = start
        self.frames: list[bytes] = []
        self.ends: list[int] = []
        self.begin = 0
        self.size = 0

    @property
    def held_bytes(self) -> int:
        """About how many bytes of memory the frames take."""
        return self.size - self.begin + FRAME_OVERHEAD * len(self.frames)

    def hold(self, frames: Sequence[bytes]) -> None:
        """Add frames after the newest one."""
        self.frames.extend(frames)
        size = self.size
        for frame in frames:
            size += len(frame)
            self.ends.append(size)
        self.size = size
        self.last += len(frames)

    def since(self, number: int) -> list[bytes]:
        """The frames after ``number``, which is ``first`` - 1 at least."""
        return self.frames[number + 1 - self.first :]

    def page(self, after: int, limit: int) -> int:
        """The number of the last of the frames after ``after`` that fit in ``limit``.

        Args:
            after: ``first`` - 1 at least, and less than ``last``.
            limit: Bytes. One frame always fits.
        """
        low = after + 1 - self.first
        begin = self.ends[low - 1] if low else self.begin
        high = bisect_right(self.ends, begin + limit, low)
        return self.first + max(high, low + 1) - 1

    def drop(self, number: int) -> None:
        """Drop the frames up to ``number``, which is ``first`` at least."""
        count = number + 1 - self.first
        self.begin = self.ends[count - 1]
        del self.frames[:count], self.ends[:count]
        self.first = number + 1

    def trim(self) -> bool:
        """Drop the oldest quarter of what may be dropped; False if that is nothing.

        The newest frame stays.
        """
        # A quarter at a time: to cut off a list's head moves all the rest.
        quarter = self.first + len(self.frames) // 4
        number = min(self._droppable(), quarter, self.last - 1)
        if number < self.first:
            return False
        self.drop(number)
        return True

    def _droppable(self) -> int:
        """The number of the newest frame that may be dropped."""
        return self.last

    def cut(self, number: int) -> None:
        """Drop the frames after ``number``, which is ``first`` - 1 at least."""
        count = number + 1 - self.first
        del self.frames[count:], self.ends[count:]
        self.size = self.ends[-1] if self.ends else self.begin
        self.last = number

    def restart(self, number: int) -> None:
        """Hold nothing; the next frame is ``number``."""
        self.frames.clear()
        self.ends.clear()
        self.begin = self.size = 0
        self.first = number
        self.last = number - 1


def trim_largest(windows: Iterable[FrameWindow]) -> Iterator[int]:
    """Trim the window that is largest, again and again, until none can be trimmed.

    Yields:
        How many bytes of memory each trim has freed.
    """
    largest = [(-each.held_bytes, index, each) for index, each in enumerate(windows)]
    heapify(largest)
    while largest:
        held, index, window = heappop(largest)
        if window.trim():
            heappush(largest, (-window.held_bytes, index, window))
            yield -held - window.held_bytes
