"""The feed of an owner in the store: a head, and the parts that have its events.

The head is a log of its own. There is one while somebody watches the feed, and for
``ttl`` seconds after; without one nobody writes to the feed. It names the feed, and has
a frame for each part: the number of the event before the first one of the part.

A part is a log of so many events. Its last append ends it, so all processes agree on
where the next part begins. Parts that have ended expire, as the logs of executions do.

Every process may append, because all open these logs under one writer's name. An append
is a compare-and-set, one event at a time: what another process has stored at a number
stays, and only the rest of a batch is stored. So a batch has one event of each
execution at most, and what was not stored can follow without changing the order of the
events of any execution.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass

from asgi_events.exceptions import Ended, Fenced, Gap, Missing, Unavailable
from asgi_events.executions.recorder import Opening
from asgi_events.stores.contract import EventStore, Grant, Page
from asgi_events.wire.encoding import encode_json
from asgi_events.wire.frames import frame, split

_WRITER = "feed"  # the name under which every process writes it
_FULL = "full"  # how a part ends
_PAGE = 256 * 1024  # bytes read at once

PART = 4096
"""About how many events a part has."""


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a feed.

    Attributes:
        feed: The name of the feed, the first half of the ids of its events. No
            execution has such an id.
        number: The number of the part, from 1.
        after: The number of the event before its first one.
        key: The key of its log.
    """

    feed: str
    number: int
    after: int
    key: str


@dataclass(frozen=True, slots=True)
class Stored:
    """What a part of a feed has after a certain event.

    Attributes:
        data: The JSON of the events.
        last: The number of the newest event.
        is_trimmed: Whether some are not kept any more.
        is_full: Whether nothing more comes.
    """

    data: Sequence[bytes]
    last: int
    is_trimmed: bool
    is_full: bool


class FeedLog:
    """The feed of one owner in the store.

    All methods raise ``StoreError`` if the store does not answer.

    Args:
        store: Where it is.
        owner: Whose it is.
        lease: Seconds, as for executions.
        ttl: Seconds it is kept after ``open``.
    """

    def __init__(
        self, store: EventStore, owner: str | None, *, lease: float, ttl: float
    ) -> None:
        name = hashlib.sha256(encode_json([owner])).hexdigest()
        self.key = f"feed:{name}"
        self._store = store
        self._lease = lease
        self._ttl = ttl

    async def find(self) -> Part | None:
        """The newest part; None if there is no feed."""
        page = await self._store.read(self.key, 0, 0)
        if page is None or page.last == 0:
            return None
        page = await self._store.read(self.key, page.last - 1, 1)
        if page is None or not page.frames:
            return None
        return self._part(page.meta["feed"], page.last, int(page.frames[-1]))

    async def open(self) -> tuple[Part, int]:
        """Make the feed if there is none, and keep it for ``ttl`` seconds from now.

        Returns:
            The newest part, and the number of its newest event.
        """
        grant = await self._open_head()
        if grant.last == 0:
            await self._store.append(self.key, grant, 0, [b"0"])
        part = await self.find()
        if part is None:
            raise Unavailable("The feed was lost while it was opened; open it again.")
        part, grant = await self.begin(part)
        return part, grant.last

    async def keep(self, part: Part) -> None:
        """Keep the feed for ``ttl`` seconds from now."""
        await self._open_head()
        await self.begin(part)

    async def restart(self, part: Part) -> bool:
        """Let the feed of a part begin anew: all who watch it list again.

        False if it is another feed already.
        """
        is_current = await self.is_current(part)
        if is_current:
            await self._store.delete(self.key)
        return is_current

    async def begin(self, part: Part) -> tuple[Part, Grant]:
        """The right to write a part, or the one that follows if it is full.

        The part is kept for ``ttl`` seconds from now.

        Raises:
            Missing: The store has lost it.
        """
        while True:
            try:
                # The text tells one that was lost and made again from the first one.
                opening = self._opening(part.key, made=secrets.token_hex(8))
                return part, await opening.open(part.after)
            except Ended:
                part = await self.next(part)

    async def next(self, part: Part) -> Part:
        """The part after one that is full.

        Raises:
            Missing: The store has lost that one.
        """
        page = await self._store.read(part.key, 0, 0)
        if page is None:
            raise Missing(f"The part {part.key} of a feed was lost.")
        last = page.last
        if await self.is_current(part):
            head = await self._open_head()
            try:
                await self._store.append(self.key, head, part.number, [b"%d" % last])
            except (Gap, Fenced, Missing):  # the head is a new one
                pass
        return self._part(part.feed, part.number + 1, last)

    async def append(
        self, part: Part, grant: Grant, after: int, data: Sequence[bytes]
    ) -> None:
        """Append events after number ``after``, unless others are stored there.

        Raises:
            Ended: The part is full.
            Gap, Fenced, Missing: The store has lost some of it, or all.
        """
        name = part.feed.encode()
        frames = [frame(name, after + n, each) for n, each in enumerate(data, 1)]
        is_full = after + len(frames) - part.after >= PART
        end = _FULL if is_full else None
        await self._store.append(part.key, grant, after, frames, end=end)

    async def read(self, part: Part, after: int) -> Stored:
        """What a part has after a number."""
        data: list[bytes] = []
        trimmed = is_full = False
        while page := await self._store.read(part.key, after, _PAGE):
            trimmed = trimmed or page.first > after + 1
            data += [split(frame)[0] for frame in page.frames]
            after = page.first + len(page.frames) - 1
            is_full = page.end is not None
            if after >= page.last:
                break
        return Stored(data, after, trimmed, is_full)

    async def last(self, part: Part) -> int:
        """The number of the newest event, be it in this part or in a later one."""
        page = await self._store.read(part.key, 0, 0)
        if page is not None and page.end is not None:
            newest = await self.find()
            if newest is not None and newest.feed == part.feed:
                part = newest
                page = await self._store.read(part.key, 0, 0)
        return part.after if page is None else page.last

    async def is_current(self, part: Part) -> bool:
        """Whether the feed of a part is still the owner's feed."""
        page = await self._store.read(self.key, 0, 0)
        return page is not None and page.meta.get("feed") == part.feed

    async def page(self, part: Part, after: int, limit: int) -> Page | None:
        """The frames after a number that comes before ``part``, if they are kept."""
        head = await self._store.read(self.key, 0, _PAGE)
        if head is None or head.meta.get("feed") != part.feed:
            return None
        begins = [int(frame) for frame in head.frames[: part.number - 1]]
        for number, begin in enumerate(begins, head.first):
            ends = [*begins[number + 1 - head.first :], part.after][0]
            if after >= ends:
                continue
            key = self._part(part.feed, number, begin).key
            page = await self._store.read(key, max(after, begin), limit)
            if page is not None and page.frames:
                return page
        return await self._store.read(part.key, part.after, limit)

    async def _open_head(self) -> Grant:
        return await self._opening(self.key, feed=f"feed.{secrets.token_hex(8)}").open()

    def _opening(self, key: str, **meta: str) -> Opening:
        return Opening(
            store=self._store,
            key=key,
            writer=_WRITER,
            lease=self._lease,
            ttl=self._ttl,
            meta=meta,
        )

    def _part(self, feed: str, number: int, after: int) -> Part:
        return Part(feed, number, after, f"{self.key}:{feed}:{number}")
