"""A log whose frames are in a store as well, where other processes find them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from asgi_events.log.log import Bounds, Log

# What a store is given in one call. Viewers see it when the call is over, so a slow
# store must not be given all that waits.
_CHUNK_BYTES, _CHUNK_FRAMES = 256 * 1024, 1024


class StoredLog(Log):
    """The frames of one execution that is in a store.

    It keeps the frames that the store does not have. If all are such, the log is
    ``full``, and its publisher waits for the store.

    Args:
        name: As of ``Log``.
        start: As of ``Log``.
        max_events: As of ``Log``.
        max_bytes: As of ``Log``.
        bounds: As of ``Log``.
        on_append: As of ``Log``.

    Attributes:
        resend_after: The store has lost what follows the frame of this number, so it is
            to be stored again, though it is committed; None where it has not.
    """

    __slots__ = ("resend_after",)

    def __init__(
        self,
        name: str | None = None,
        *,
        start: int = 0,
        max_events: int = 10_000,
        max_bytes: int = 16 * 1024 * 1024,
        bounds: Bounds | None = None,
        on_append: Callable[[], None] | None = None,
    ) -> None:
        super().__init__(
            name,
            start=start,
            max_events=max_events,
            max_bytes=max_bytes,
            bounds=bounds,
            on_append=on_append,
        )
        self.resend_after: int | None = None
        self._commits = False

    def extend(self, frames: Sequence[bytes], *, end: str | None) -> None:
        """Hold and show frames that another process has numbered and stored."""
        self.hold(frames)
        self.end = end
        self._urgent = end is not None
        self.commit(self.last)

    def skip_to(self, number: int) -> None:
        """Hold nothing and go on with ``number``; the frames before it are stored."""
        self.restart(number)
        self.committed = self.last
        self._set_marks()

    def fork(self, last: int, *, end: str | None, frames: Sequence[bytes] = ()) -> None:
        """Take another end than the one that viewers have seen here.

        The store has lost frames whose writer is dead. Cursors that have been given a
        frame of number ``last`` or later begin again, with a ``reset``.

        Args:
            last: The number of the terminal frame.
            end: How the execution ended.
            frames: The last frames up to it, to be held here; the others are stored.
        """
        self.skip_to(last + 1 - len(frames))
        self.known = last
        for cursor in self._cursors or ():
            cursor.forget(last)
        self.extend(frames, end=end)

    def drop_uncommitted(self) -> None:
        """Drop the frames that are not stored."""
        self.cut(self.committed)
        for cursor in self._cursors or ():
            cursor.forget(self.last + 1)  # what it saw elsewhere may be gone
        self.resend_after = None
        self.end = None

    def commit(self, number: int) -> None:
        """Show all frames up to ``number`` to the cursors."""
        self.committed = number
        if self.sleepers or self._urgent:
            self._wakeups.wake(self._urgent)
        self._urgent = False
        if self._room is not None or self._is_over():
            self._make_room()

    def uncommitted(self) -> list[bytes]:
        """The frames that the store has not taken yet."""
        return self.since(self.committed)

    def chunk(self, after: int) -> list[bytes]:
        """The frames after ``after``, as many as a store is given at once."""
        last = min(self.page(after, _CHUNK_BYTES), after + _CHUNK_FRAMES)
        return self.between(after, last)

    def _droppable(self) -> int:
        after = self.resend_after
        return self.committed if after is None else min(after, self.committed)
