"""The log of a thread in the store: each frame is a turn, the id of an execution.

To append a turn is a compare-and-set: of several appends at one number, the store keeps
the first and ignores the others. A process that then reads its own id there has the
turn. Every process may append, because all open the log under one writer's name.

A turn that is taken while earlier ones are not over names their executions:

    id
    id after another another …
    id replaces another another …

So the newest turn says which executions of the thread may still run or wait.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import NamedTuple

from asgi_events.exceptions import Fenced, Gap, Unavailable
from asgi_events.executions.recorder import Opening
from asgi_events.stores.contract import EventStore, Grant, Page
from asgi_events.wire.encoding import encode_json

_WRITER = "thread"  # the name under which every process writes it
_AFTER, _REPLACES = "after", "replaces"

_RECENT = 256  # turns that are read to find an id among them
_PAGE = 64 * 1024  # bytes read at once


def thread_of(owner: str | None, thread: str) -> str:
    """The store's key for an owner's thread; no id has that form."""
    asked = encode_json([owner, thread])
    return f"thread:{hashlib.sha256(asked).hexdigest()}"


class Entry(NamedTuple):
    """What the frame of a turn says.

    Attributes:
        id: The id of its execution.
        behind: The ids of those whose turns it has to wait for, the oldest first.
        replaces: Whether it cancels them.
    """

    id: str
    behind: tuple[str, ...] = ()
    replaces: bool = False

    @classmethod
    def from_frame(cls, frame: bytes) -> Entry:
        """What a frame says."""
        id, *rest = frame.decode().split(" ")
        return cls(id, tuple(rest[1:]), rest[:1] == [_REPLACES])

    def to_frame(self) -> bytes:
        """The frame that says it."""
        how = (_REPLACES if self.replaces else _AFTER,) if self.behind else ()
        return " ".join((self.id, *how, *self.behind)).encode()


class Recent(NamedTuple):
    """The newest turns of a thread.

    Attributes:
        last: The number of the newest one.
        entries: What they say, the newest last.
    """

    last: int = 0
    entries: tuple[Entry, ...] = ()

    @property
    def ids(self) -> tuple[str, ...]:
        """The ids of their executions, the newest last."""
        return tuple(entry.id for entry in self.entries)

    @property
    def perhaps_open(self) -> tuple[str, ...]:
        """The ids of all executions of the thread that may not be over, oldest first.

        Those of all other turns are over.
        """
        if not self.entries:
            return ()
        newest = self.entries[-1]
        return (*newest.behind, newest.id)


class ThreadLog:
    """The turns of one thread.

    Args:
        store: Where they are.
        owner: To whom the thread belongs.
        thread: Its name.
        lease: Seconds, as for executions.
        ttl: Seconds it is kept after its newest turn.
    """

    def __init__(
        self,
        store: EventStore,
        owner: str | None,
        thread: str,
        *,
        lease: float,
        ttl: float,
    ) -> None:
        self._store = store
        self._opening = Opening(
            store=store,
            key=thread_of(owner, thread),
            writer=_WRITER,
            lease=lease,
            ttl=ttl,
            meta={},
        )

    async def open(self) -> Recent:
        """Make the log if it is new, so that it can be written, and read it."""
        self._grant = await self._opening.open()
        return await self._read(self._grant.last)

    async def read(self, count: int = _RECENT) -> Recent:
        """The newest ``count`` turns; none if there is no log."""
        page = await self._store.read(self._opening.key, 0, 0)
        return Recent() if page is None else await self._read(page.last, count)

    async def append(self, entry: Entry, recent: Recent) -> None:
        """Append a turn to ``recent``, unless another one has been appended."""
        try:
            await Turn(self._opening, recent.last + 1, entry).append(self._grant)
        except (Gap, Fenced):  # the store has lost turns, or all of them
            pass

    def turn_of(self, id: str, recent: Recent) -> Turn:
        """The turn of an execution that is among ``recent``."""
        ids = recent.ids
        place = ids.index(id)
        number = recent.last + 1 - len(ids) + place
        before = ids[place - 1] if place else ""
        return Turn(self._opening, number, recent.entries[place], before)

    async def _read(self, last: int, count: int = _RECENT) -> Recent:
        if last == 0:
            return Recent()
        after = max(last - count, 0)
        entries: list[Entry] = []
        while page := await self._store.read(self._opening.key, after, _PAGE):
            entries += _entries(page)
            after = page.first + len(page.frames) - 1
            if after >= page.last:
                return Recent(page.last, tuple(entries))
        return Recent()


@dataclass(frozen=True, slots=True)
class Turn:
    """The turn of one execution, which can be written again if the store loses it.

    Attributes:
        opening: How the thread's log is opened.
        number: The number of its frame.
        entry: What its frame says.
        before: The id of the turn before it; empty if it is not known.
    """

    opening: Opening
    number: int
    entry: Entry
    before: str = ""

    @property
    def id(self) -> str:
        """The id of the execution."""
        return self.entry.id

    async def keep(self) -> None:
        """Keep the log of the thread for its ``ttl`` from now."""
        await self.opening.open()

    async def append(self, grant: Grant) -> None:
        """Append it, unless there is a turn of that number."""
        store, key = self.opening.store, self.opening.key
        await store.append(key, grant, self.number - 1, [self.entry.to_frame()])

    async def restore(self) -> bool:
        """Write it again if it is gone; False if another turn is in its place.

        Raises:
            Unavailable: The store does not answer, or has also lost turns before it,
                which their processes write again.
        """
        while True:
            turns, last = await self._neighbours()
            if last >= self.number:
                return turns.get(self.number, self.id) == self.id
            if self.before not in ("", turns.get(self.number - 1, self.before)):
                return False
            grant = await self.opening.open(after=self.number - 1)
            if grant.last < self.number - 1:
                raise Unavailable(f"Turns before that of {self.id} are missing, too.")
            await self.append(grant)

    async def _neighbours(self) -> tuple[dict[int, str], int]:
        """The turn before it, those after that, and the number of the newest."""
        after = max(self.number - 2, 0)
        page = await self.opening.store.read(self.opening.key, after, _PAGE)
        if page is None:
            return {}, 0
        ids = (entry.id for entry in _entries(page))
        return dict(enumerate(ids, page.first)), page.last


def _entries(page: Page) -> list[Entry]:
    return [Entry.from_frame(frame) for frame in page.frames]
