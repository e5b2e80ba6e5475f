"""A window of numbered frames: the newest frames of a log, in memory."""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from heapq import heapify, heappop, heappush
from operator import attrgetter
from typing import NamedTuple

from asgi_events.native import mypyc_attr

FRAME_OVERHEAD = 96
"""Bytes of memory that a frame takes beside its own (tracemalloc, Python 3.11)."""


BLOCK = 4096
"""Frames in a block. To free so many takes 0.2 ms."""


class Block(NamedTuple):
    """Frames of a window that are older than its newest block.

    Attributes:
        first: The number of the first frame.
        begin: Where it begins, in bytes since the window was made.
        frames: The frames.
        ends: Where each of them ends, likewise.
    """

    first: int
    begin: int
    frames: list[bytes]
    ends: list[int]


_first = attrgetter("first")
_begin = attrgetter("begin")


@mypyc_attr(allow_interpreted_subclasses=True)
class FrameWindow:
    """Frames under consecutive numbers; the oldest ones can be dropped.

    They are in blocks, so that to drop some takes the same time however many are held.

    Args:
        start: The number before that of the first frame.

    Attributes:
        first: The number of the oldest frame held.
        last: The number of the newest frame.
        base: The number of the first frame of the newest block.
        frames: The newest block. It has a frame, if any frame is held.
        ends: Where each frame of it ends, in bytes since the window was made.
        begin: Where the oldest frame begins, likewise.
        size: Where the newest one ends, likewise.
    """

    __slots__ = (
        "__weakref__",
        "_older",
        "base",
        "begin",
        "ends",
        "first",
        "frames",
        "last",
        "size",
    )

    def __init__(self, start: int = 0) -> None:
        self.first = self.base = start + 1
        self.last = start
        self.frames: list[bytes] = []
        self.ends: list[int] = []
        self.begin = 0
        self.size = 0
        self._older: tuple[Block, ...] = ()

    @property
    def count(self) -> int:
        """How many frames are held."""
        return self.last + 1 - self.first

    @property
    def held_bytes(self) -> int:
        """About how many bytes of memory the frames take."""
        return self.size - self.begin + FRAME_OVERHEAD * self.count

    def hold(self, frames: Sequence[bytes]) -> None:
        """Add frames after the newest one."""
        self.frames.extend(frames)
        size = self.size
        for frame in frames:
            size += len(frame)
            self.ends.append(size)
        self.size = size
        self.last += len(frames)
        if len(self.frames) > BLOCK:
            self._begin_block()

    def since(self, number: int) -> list[bytes]:
        """The frames after ``number``, which is ``first`` - 1 at least."""
        return self.between(number, self.last)

    def between(self, after: int, last: int) -> list[bytes]:
        """The frames after ``after`` up to ``last``.

        Args:
            after: ``first`` - 1 at least.
            last: ``after`` at least.
        """
        low, high = after + 1 - self.base, last + 1 - self.base
        if low >= 0:
            return self.frames[low:high]
        index = self._index(after + 1)
        block = self._older[index]
        frames = block.frames[after + 1 - block.first : last + 1 - block.first]
        for block in self._older[index + 1 :]:
            if block.first > last:
                return frames
            frames += block.frames[: last + 1 - block.first]
        if high > 0:
            frames += self.frames[:high]
        return frames

    def page(self, after: int, limit: int) -> int:
        """The number of the last of the frames after ``after`` that fit in ``limit``.

        Args:
            after: ``first`` - 1 at least, and less than ``last``.
            limit: Bytes. One frame always fits.
        """
        size = self._end(after) + limit
        first, ends = self.base, self.ends
        if self._older and size < self._older[-1].ends[-1]:
            block = self._older[bisect_right(self._older, size, key=_begin) - 1]
            first, ends = block.first, block.ends
        return max(first + bisect_right(ends, size) - 1, after + 1)

    def drop(self, number: int) -> Sequence[Block]:
        """Drop the frames up to ``number``, which is ``first`` at least.

        Returns:
            The blocks that were dropped whole. Who does not want to free them all at
            once lets go of one after the other.
        """
        older = self._older
        self.begin = self._end(number)
        self.first = first = number + 1
        if first >= self.base:
            self._older = ()
            count = first - self.base
            del self.frames[:count], self.ends[:count]
            self.base = first
            return older
        index = self._index(first)
        begin, _, frames, ends = older[index]
        count = first - begin
        del frames[:count], ends[:count]
        oldest = Block(first, self.begin, frames, ends)
        self._older = (oldest, *older[index + 1 :])
        return older[:index]

    def drop_old(self) -> Sequence[Block]:
        """Drop all frames but the newest; see ``drop``."""
        if self.first >= self.last:
            return ()
        self._begin_block()
        return self.drop(self.last - 1)

    def trim(self) -> bool:
        """Drop the oldest frames that may be dropped; False if there are none.

        These are a quarter of all, and as many as a block has at most. The newest frame
        stays.
        """
        some = self.first + min(self.count // 4, BLOCK - 1)
        number = min(self._droppable(), some, self.last - 1)
        if number < self.first:
            return False
        self.drop(number)
        return True

    def _droppable(self) -> int:
        """The number of the newest frame that may be dropped."""
        return self.last

    def cut(self, number: int) -> None:
        """Drop the frames after ``number``, which is ``first`` - 1 at least."""
        while self._older and number < self.base:
            *older, block = self._older
            self._older = tuple(older)
            self.base, _, self.frames, self.ends = block
        count = number + 1 - self.base
        del self.frames[count:], self.ends[count:]
        self.size = self.ends[-1] if self.ends else self.begin
        self.last = number

    def restart(self, number: int) -> None:
        """Hold nothing; the next frame is ``number``."""
        self.frames.clear()
        self.ends.clear()
        self._older = ()
        self.begin = self.size = 0
        self.first = self.base = number
        self.last = number - 1

    def _begin_block(self) -> None:
        """Let the newest frame be the first one of a new block."""
        frames, ends = self.frames, self.ends
        self.frames, self.ends = [frames.pop()], [ends.pop()]
        begin = self._older[-1].ends[-1] if self._older else self.begin
        self._older = (*self._older, Block(self.base, begin, frames, ends))
        self.base = self.last

    def _index(self, number: int) -> int:
        """The index of the older block that has a frame."""
        return bisect_right(self._older, number, key=_first) - 1

    def _end(self, number: int) -> int:
        """Where a frame ends, which is ``first`` - 1 at least."""
        if number >= self.base:
            return self.ends[number - self.base]
        if number < self.first:
            return self.begin
        block = self._older[self._index(number)]
        return block.ends[number - block.first]


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
