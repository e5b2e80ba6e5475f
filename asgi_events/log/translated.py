"""A viewer of a log in another format than the native one.

It has no state of its format, only a place, like any other viewer: its words come from
a ``Translation``. That may stand before the place of a client that resumes; it then
takes frames until it is there, and the client is sent nothing of them.

A format cannot take back what its client was sent. So where a native viewer is given a
``reset`` in the middle of its stream, this one breaks the connection off: its client
comes back, and the ``reset``, if there has to be one, is the first thing it gets.

Where a ``PausingFormat`` waits for somebody, the stream ends in good order.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable, Sequence
from copy import deepcopy
from typing import Any, cast

from asgi_events.log.cursor import Cursor
from asgi_events.log.log import Log
from asgi_events.log.translation import Translation, Translations
from asgi_events.wire.formats import PAUSE, Format, PausingFormat
from asgi_events.wire.sse import MAX_CHUNK


class TranslatedCursor(Cursor):
    """One viewer of one log.

    Args:
        log: What it reads.
        make_format: Makes an object of its format.
        translations: Those of the log.
        options: As of ``Cursor``.
    """

    def __init__(
        self,
        log: Log,
        make_format: Callable[[], Format],
        translations: Translations,
        **options: Any,
    ) -> None:
        self.format = make_format()
        self._make_format = make_format
        self._translations = translations
        self._translation: Translation | None = None
        self._begin = 1  # the first event of its translation
        self._pauses = isinstance(self.format, PausingFormat)
        self._pause: asyncio.TimerHandle | None = None
        self._has_paused = False
        super().__init__(log, **options)

    def take(self, limit: int = MAX_CHUNK) -> bytes | None:
        if self._over or self._farewell is not None:
            return self._take_farewell()
        log, position = self.log, self.position
        if position < log.committed or self._lacks_state():
            words = self._translation
            if words is None or not words.shared or words.first > position + 1:
                words = self._choose()
            if words.last <= position and words.last < log.committed:
                if not self._go_on(words):
                    return self.take(limit)
            while self.position < words.last:
                chunk = self._take_words(words, limit)
                if chunk != b"":
                    return self._with_end(chunk) if chunk else chunk
        return self._take_pause() if log.end is None else self._take_end()

    def on_ready(self, wake: Callable[[], None]) -> None:
        self._wake = wake
        log, words = self.log, self._translation
        if self.position >= log.committed and not self._lacks_state():
            log.sleepers[self] = wake
        elif words is None or words.last >= log.first - 1 or self._read_page is None:
            asyncio.get_running_loop().call_soon(wake)  # there is more to translate
        else:
            self._load_page(self._read_page)

    def forget(self, number: int) -> None:
        """Break off if the client has a word for a frame that is gone."""
        words = self._translation
        if self.position + bool(self._blocks) >= number:
            self.dismiss(None)
        elif words is not None and words.last >= number:
            if words.shared:
                words.shared = False
                del self._translations[self._key]
            self._leave()

    def close(self) -> None:
        super().close()
        self._translation = None
        self._stop_pause()

    @property
    def _key(self) -> tuple[type, Hashable, int]:
        key = cast(PausingFormat, self.format).key if self._pauses else None
        return type(self.format), key, self._begin

    def _lacks_state(self) -> bool:
        """Whether it does not know what its client, who has all words, waits for."""
        words = self._translation
        is_new = words is None or words.last < self.position
        return self._pauses and is_new and self.position > 0 and self.log.end is None

    def _take_pause(self) -> bytes | None:
        """What follows all words so far: nothing yet, or the end of the stream."""
        words = self._translation
        if not self._pauses or words is None or self._lacks_state():
            return b""
        format = cast(PausingFormat, words.format)
        if not format.waits:
            self._stop_pause()
        elif self._has_paused:
            self.dismiss(format.pause())
            return self._take_farewell()
        elif self._pause is None:
            loop = asyncio.get_running_loop()
            self._pause = loop.call_later(PAUSE, self._end_pause)
        return b""

    def _end_pause(self) -> None:
        self._has_paused = True
        if self._wake is not None:
            self._wake()

    def _stop_pause(self) -> None:
        if self._pause is not None:
            self._pause.cancel()
        self._pause, self._has_paused = None, False

    def _choose(self) -> Translation:
        """The translation to go on with: the shared one, unless its words are newer."""
        own, following = self._translation, self.position + 1
        key = self._key
        shared = self._translations.get(key)
        if shared is not None and shared.first <= following:
            self._leave()
            own = shared
        elif own is None or own.first > following:
            self._leave()
            own = Translation(self.log, self._make_format(), self._begin)
        if shared is None:
            own.shared = True
            self._translations[key] = own
        self._translation = own
        return own

    def _go_on(self, words: Translation) -> bool:
        """Translate what follows, if it is there; False if ``words`` cannot go on."""
        log, after = self.log, words.last
        frames: Sequence[bytes]
        if after >= log.first - 1:
            frames = log.between(after, min(log.page(after, MAX_CHUNK), log.committed))
        elif self._read_page is None:
            return self._begin_at(log.first)
        elif self._page is None:
            return True
        elif self._page.first > after + 1:
            return self._begin_at(self._page.first)
        else:
            frames = self._page.frames[after + 1 - self._page.first :]
            self._page = None
        words.add(frames, self.position)
        return True

    def _take_words(self, words: Translation, limit: int) -> bytes | None:
        first = self.position + 1
        if self._blocks:
            [word] = words.between(self.position, first)
            chunk = b"\n\n".join(word.split(b"\n\n")[self._blocks :])
            self._blocks, self.position = 0, first
        else:
            chunk, self.position = words.join(self.position, limit)
        if not self._news and not self._preamble:
            return chunk
        reason, self._reset = self._reset, None
        reset = self.format.reset(reason, first) if reason is not None else b""
        if reset is None:
            self.dismiss(None)
            return self._take_farewell()
        return self._introduce(reset + chunk)

    def _begin_at(self, first: int) -> bool:
        """Begin with ``first``, since what is before is gone; return False."""
        if not self._news:
            self.dismiss(None)
            return False
        self._begin, self._translation = first, None
        if self.position < first - 1:
            self.position, self._blocks, self._reset = first - 1, 0, "trimmed"
        return False

    def _leave(self) -> None:
        """Leave a translation that does not have what is wanted."""
        self._translation = None
        self._drop_page()

    def begin_of_page(self) -> int:
        words = self._translation
        return self._begin - 1 if words is None else words.last

    def _lost(self, payload: bytes) -> bytes:
        words = self._translation
        if words is None:
            return self._make_format().frame(1, b"", payload)
        # Others may go on with its state.
        return deepcopy(words.format).frame(words.last + 1, b"", payload)
