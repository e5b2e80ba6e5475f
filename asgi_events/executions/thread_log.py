"""The log of a thread in the store: each frame is a turn, the id of an execution.

To append a turn is a compare-and-set: of several appends at one number, the store keeps
the first and ignores the others. A process that then reads its own id there has the
turn. Every process may append, because all open the log under one writer's name.
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

# How many turns are read to find an id among them, and enough bytes for that.
_RECENT = 256
_RECENT_BYTES = 32 * 1024


def thread_of(owner: str | None, thread: str) -> str:
    """The store's key for an owner's thread; no id has that form."""
    asked = encode_json([owner, thread])
    return f"thread:{hashlib.sha256(asked).hexdigest()}"


class Recent(NamedTuple):
    """The newest turns of a thread.

    Attributes:
        last: The number of the newest one.
        ids: Of their executions, the newest last.
    """

    last: int = 0
    ids: tuple[str, ...] = ()

    @property
    def newest(self) -> str:
        """The id of the newest one; empty if there is none."""
        return self.ids[-1] if self.ids else ""


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

    async def append(self, id: str, recent: Recent) -> None:
        """Append a turn to ``recent``, unless another one has been appended."""
        try:
            await Turn(self._opening, recent.last + 1, id).append(self._grant)
        except (Gap, Fenced):  # the store has lost turns, or all of them
            pass

    def newest_turn(self, recent: Recent) -> Turn:
        """The newest of ``recent``, of which there is one."""
        before = recent.ids[-2] if len(recent.ids) > 1 else ""
        return Turn(self._opening, recent.last, recent.newest, before)

    async def _read(self, last: int, count: int = _RECENT) -> Recent:
        if last == 0:
            return Recent()
        after = max(last - count, 0)
        page = await self._store.read(self._opening.key, after, _RECENT_BYTES)
        return Recent() if page is None else Recent(page.last, _ids(page))


@dataclass(frozen=True, slots=True)
class Turn:
    """The turn of one execution, which can be written again if the store loses it.

    Attributes:
        opening: How the thread's log is opened.
        number: The number of its frame.
        id: The id of the execution.
        before: The id of the turn before it; empty if it is not known.
    """

    opening: Opening
    number: int
    id: str
    before: str = ""

    async def append(self, grant: Grant) -> None:
        """Append it, unless there is a turn of that number."""
        store, key = self.opening.store, self.opening.key
        await store.append(key, grant, self.number - 1, [self.id.encode()])

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
        page = await self.opening.store.read(self.opening.key, after, _RECENT_BYTES)
        if page is None:
            return {}, 0
        return dict(enumerate(_ids(page), page.first)), page.last


def _ids(page: Page) -> tuple[str, ...]:
    return tuple(frame.decode() for frame in page.frames)
