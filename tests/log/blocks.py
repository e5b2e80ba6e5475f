"""A format with a state that makes 0 to 4 blocks of an event, and its viewers."""

from collections.abc import Mapping
from random import Random
from weakref import WeakValueDictionary
from zlib import crc32

from asgi_events.log.log import Log
from asgi_events.log.source import BrokenOff
from asgi_events.log.translated import TranslatedCursor
from asgi_events.log.translation import Translations
from asgi_events.wire.formats import Reason
from asgi_events.wire.frames import block_ids, split
from tests.log.recorded import Recorded, read

END = b"data: end\n\n"


class Blocks:
    """All that it says of an event depends on all events before it."""

    media_type = "text/event-stream"
    headers: Mapping[str, str] = {}
    greeting = b""
    heartbeat = b":\n"
    translated = 0  # events, by all objects

    def __init__(self) -> None:
        self._state = 0

    def retry(self, milliseconds: int) -> bytes:
        return b"retry: %d\n" % milliseconds

    def frame(self, number: int, event_id: bytes, payload: bytes) -> bytes:
        type(self).translated += 1
        self._state = crc32(b"%d %b" % (number, payload), self._state)
        ids = block_ids(event_id, self._state % 5) if self._state % 5 else []
        return b"".join(
            b"data: %d %08x\nid: %b\n\n" % (number, self._state, id) for id in ids
        )

    def reset(self, reason: str, first: int) -> bytes | None:
        self._state = first - 1
        return b"data: reset %b %d\n\n" % (reason.encode(), first)

    def end(self, status: str | None) -> bytes | None:
        return END

    def goodbye(self, reason: Reason) -> bytes | None:
        return None


def words(log_frames: list[bytes], begin: int = 1) -> list[bytes]:
    """What one viewer alone is to get for the frames from number ``begin`` on."""
    format = Blocks()
    if begin > 1:
        format.reset("trimmed", begin)
    made = []
    for number, frame in enumerate(log_frames, begin):
        payload, event_id = split(frame)
        made.append(format.frame(number, event_id, payload))
    return made


def translations() -> Translations:
    return WeakValueDictionary()


def cursor(
    log: Log, shared: Translations | None = None, last_event_id: str | None = None
) -> TranslatedCursor:
    return TranslatedCursor(
        log,
        Blocks,
        translations() if shared is None else shared,
        last_event_id=last_event_id,
    )


class Client:
    """A client that resumes after the last block it has, whenever it is cut off."""

    def __init__(self, recorded: Recorded, shared: Translations) -> None:
        self.blocks: list[bytes] = []
        self.cuts = 0
        self._recorded = recorded
        self._shared = shared
        self._cursor: TranslatedCursor | None = None

    @property
    def last_event_id(self) -> str | None:
        ids = [split(block)[1] for block in self.blocks]
        return ids[-1].decode() if ids and ids[-1] else None

    def take(self, random: Random) -> None:
        """Take once; then the connection may be cut within what was taken."""
        if self._cursor is None:
            self._cursor = TranslatedCursor(
                self._recorded.log,
                Blocks,
                self._shared,
                last_event_id=self.last_event_id,
                read_page=self._recorded.read_page,
            )
        new = self._split(self._cursor.take(random.choice([1, 50, 200, 65536])))
        self._cursor.on_ready(lambda: None)
        if random.random() < 0.2:
            del new[random.randint(0, len(new)) :]
            self._cut()
        self.blocks += new

    async def finish(self) -> bytes:
        """Take all, and return all blocks together."""
        while END not in self.blocks:
            if self._cursor is None:
                self.take(Random(1))
                continue
            try:
                self.blocks += self._split(await read(self._cursor))
            except BrokenOff:
                self._cut()
        self._cut()
        return b"".join(self.blocks)

    def _cut(self) -> None:
        self.cuts += 1
        if self._cursor is not None:
            self._cursor.close()
            self._cursor = None

    def _split(self, chunk: bytes | None) -> list[bytes]:
        return [block + b"\n\n" for block in (chunk or b"").split(b"\n\n")[:-1]]
