"""The frames of a log in another format than the native one, for all who want that.

A format is pure, so the words for an event depend on the events before it and on
nothing else. The viewers of one log in one format share a ``Translation``, which makes
the words of each event once. It takes the next frames whenever one of its viewers wants
to go on.

It holds as many bytes of words as its log holds of frames, and ``_LEAST`` in any case.
Beyond that it drops the oldest words, but none that the viewer who goes on still wants.
A viewer who wants older words makes a translation of its own, from the beginning, which
holds only the words it takes next, until it has come to the shared one.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import TypeAlias
from weakref import WeakValueDictionary

from asgi_events.log.log import Log
from asgi_events.wire.formats import Format
from asgi_events.wire.frames import split
from asgi_events.wire.sse import MAX_CHUNK
from asgi_events.wire.window import FrameWindow

_LEAST = 4 * MAX_CHUNK

_NOTHING = (-1, 0, 0, b"")  # what was joined last, when nothing was


class Translation(FrameWindow):
    """The words of the newest events, and the state that the next ones depend on.

    Args:
        log: What is translated.
        format: An object for this purpose alone.
        begin: The number of the first event that it is given; the others are gone.

    Attributes:
        format: As given.
        shared: Whether new viewers use it.
    """

    def __init__(self, log: Log, format: Format, begin: int) -> None:
        super().__init__(begin - 1)
        self.format = format
        self.shared = False
        self._log = log
        self._given = 0
        self._joined = _NOTHING
        if begin > 1:
            format.reset("trimmed", begin)

    def add(self, frames: Sequence[bytes], given: int) -> None:
        """Translate the frames that follow; words up to ``given`` may be dropped."""
        if not self.shared:
            self.restart(self.last + 1)
        words: list[bytes] = []
        translate = self.format.frame
        try:
            for number, frame in enumerate(frames, self.last + 1):
                payload, event_id = split(frame)
                words.append(translate(number, event_id, payload))
        finally:
            self.hold(words)
        self._given = given
        while self.held_bytes > _LEAST and self.held_bytes > self._log.held_bytes:
            if not self.trim():
                break

    def join(self, after: int, limit: int) -> tuple[bytes, int]:
        """The words from ``after`` + 1, and the number of the last one.

        The last join is remembered: viewers that stand side by side share it.
        """
        if after + 1 == self.last:
            return self.frames[-1], self.last
        start, stop, upto, joined = self._joined
        if (start, upto) == (after, self.last) and len(joined) <= limit:
            return joined, stop
        stop = self.page(after, limit)
        joined = b"".join(self.between(after, stop))
        self._joined = (after, stop, self.last, joined)
        return joined, stop

    def _droppable(self) -> int:
        return self._given


Translations: TypeAlias = WeakValueDictionary[tuple[type, Hashable, int], Translation]
"""The shared translations of a log: by class and key of the format, and first event.

One that was not given all events may have another state than one that was.
"""
