"""The viewers of an execution in this process, and how many there may be."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from weakref import WeakValueDictionary

from asgi_events.events import ExecutionStatus
from asgi_events.exceptions import LimitReached
from asgi_events.executions.options import ExecutionsOptions
from asgi_events.log.cursor import Cursor
from asgi_events.log.log import Log
from asgi_events.log.pages import ReadPage
from asgi_events.log.translated import TranslatedCursor
from asgi_events.log.translation import Translations
from asgi_events.wire.formats import Format
from asgi_events.wire.frames import EventId, parse_event_id

logger = logging.getLogger(__name__)


class Place:
    """A place of a ``Capacity``; releasing it again does nothing."""

    __slots__ = ("_capacity", "_owner")

    def __init__(self, capacity: Capacity, owner: str | None) -> None:
        self._capacity: Capacity | None = capacity
        self._owner = owner

    def release(self) -> None:
        """Give it back."""
        capacity, self._capacity = self._capacity, None
        if capacity is not None:
            capacity._give_back(self._owner)


class Capacity:
    """A limit, in all and for each owner.

    Args:
        option: The name of the option that sets the limit.
        limit: How many places there are; None for any number.
        per_owner: How many of them one owner may take, likewise. Without an owner this
            limit does not apply. The option has the same name with ``_per_owner``.

    Attributes:
        taken: How many places are taken.
    """

    def __init__(
        self, option: str, limit: int | None, *, per_owner: int | None = None
    ) -> None:
        self.taken = 0
        self._option = option
        self._limit = limit
        self._per_owner = per_owner
        self._owners: Counter[str] = Counter()
        self._emptied: asyncio.Future[None] | None = None

    def take(self, owner: str | None = None) -> Place:
        """Take a place.

        Raises:
            LimitReached: All are taken, or all that the owner may take.
        """
        if self._limit is not None and self.taken >= self._limit:
            raise LimitReached(self._option, self._limit)
        if owner is not None and self._per_owner is not None:
            if self._owners[owner] >= self._per_owner:
                raise LimitReached(f"{self._option}_per_owner", self._per_owner)
            self._owners[owner] += 1
        self.taken += 1
        return Place(self, owner)

    async def emptied(self) -> None:
        """Wait until none is taken."""
        if not self.taken:
            return
        if self._emptied is None:
            self._emptied = asyncio.get_running_loop().create_future()
        await asyncio.shield(self._emptied)

    def _give_back(self, owner: str | None) -> None:
        self.taken -= 1
        if owner is not None and self._per_owner is not None:
            self._owners[owner] -= 1
            if not self._owners[owner]:
                del self._owners[owner]
        if not self.taken and self._emptied is not None:
            self._emptied.set_result(None)
            self._emptied = None


class Unread:
    """Ended streams whose clients have not read all that was sent.

    A stream waits here for as long as the server holds its bytes.
    """

    def __init__(self) -> None:
        self._ends: set[asyncio.Future[None]] = set()
        self._given_up = False

    async def wait(self, end: Awaitable[None], gone: asyncio.Future[None]) -> None:
        """Wait for the last send, until the client goes or ``give_up`` is called."""
        ending = asyncio.ensure_future(end)
        self._ends.add(ending)
        try:
            if not self._given_up:
                await asyncio.wait({ending, gone}, return_when=asyncio.FIRST_COMPLETED)
            if ending.done() and not ending.cancelled():
                ending.result()
        finally:
            self._ends.discard(ending)
            ending.cancel()

    def give_up(self) -> None:
        """Stop waiting: the process stops."""
        self._given_up = True
        for ending in self._ends:
            ending.cancel()

    def go_on(self) -> None:
        """Wait again."""
        self._given_up = False


@dataclass(slots=True)
class Viewing:
    """What all viewers of a process share.

    Attributes:
        options: The options of the executions.
        capacity: How many viewers there may be.
        drain: Stops the process's executions. It is called when a server cancels a
            response, which some do in place of a lifespan shutdown.
        returns: Whether a viewer that is sent away finds its execution in another
            process.
        draining: Whether the process stops.
        unread: Ended streams that clients have not read.
    """

    options: ExecutionsOptions
    capacity: Capacity
    drain: Callable[[], Awaitable[None]]
    returns: bool
    draining: bool = False
    unread: Unread = field(default_factory=Unread)


class Viewers:
    """The viewers of one execution.

    Args:
        log: The frames of the execution.
        viewing: What they share with the viewers of other executions.
        owner: The owner of the execution.
        read_page: Reads frames that the log has dropped; None where there is no store.

    Attributes:
        viewing: As given.
        on_change: Called when the first viewer comes and when the last one leaves, of
            all viewers and of those that count for ``cancel_after``.
        dismissed: Whether they were sent away because the process stops.
        expects_return: Whether the last viewer that counted was sent away, with a
            ``goodbye`` that tells it to come back.
    """

    __slots__ = (
        "_counted",
        "_cursors",
        "_log",
        "_owner",
        "_read_page",
        "_translations",
        "dismissed",
        "expects_return",
        "on_change",
        "viewing",
    )

    def __init__(
        self,
        log: Log,
        viewing: Viewing,
        *,
        owner: str | None,
        read_page: ReadPage | None = None,
    ) -> None:
        self.viewing = viewing
        self.on_change: Callable[[], None] | None = None
        self.dismissed = False
        self.expects_return = False
        self._log = log
        self._owner = owner
        self._read_page = read_page
        self._translations: Translations | None = None
        self._cursors: dict[Cursor, bool] = {}  # whether it counts
        self._counted = 0

    def __len__(self) -> int:
        return len(self._cursors)

    @property
    def counted(self) -> int:
        """How many of them count for ``cancel_after``."""
        return self._counted

    def take_place(self) -> Place:
        """A place for one more viewer.

        Raises:
            LimitReached: ``max_viewers`` watch already, or all that the owner may have.
        """
        return self.viewing.capacity.take(self._owner)

    def attach(
        self,
        last_event_id: str | None = None,
        *,
        counts: bool = True,
        format: Callable[[], Format] | None = None,
    ) -> Cursor:
        """Add a viewer; it leaves when the cursor is closed.

        Args:
            last_event_id: The id of the last event that it has.
            counts: Whether it counts for ``cancel_after``.
            format: The class of the format it is sent, or what makes an object of it.
        """
        cursor = self._make_cursor(last_event_id, format)
        self._cursors[cursor] = counts
        if counts:
            self._counted += 1
        if len(self._cursors) == 1 or (counts and self._counted == 1):
            self._changed()
        if self.viewing.draining and self.viewing.returns:
            _say_goodbye(cursor)
        return cursor

    def dismiss(self) -> None:
        """Send all viewers away because the process stops; they reconnect."""
        self.dismissed = True
        for cursor in list(self._cursors):
            _say_goodbye(cursor)

    def send_away(self) -> None:
        """End the streams of all viewers, who come back to another log."""
        for cursor in list(self._cursors):
            cursor.dismiss(b"")

    def is_complete_after(self, last_event_id: str | None) -> bool:
        """Whether that is the id of the terminal event: nothing follows it."""
        log = self._log
        if last_event_id is None or log.name is None or log.end is None:
            return False
        if log.committed < log.last:
            return False
        lost = log.end == ExecutionStatus.LOST
        return parse_event_id(last_event_id) == EventId(log.name, log.last, lost)

    def _make_cursor(
        self, last_event_id: str | None, format: Callable[[], Format] | None
    ) -> Cursor:
        options = self.viewing.options
        make: Callable[..., Cursor] = Cursor
        if format is not None:
            if self._translations is None:
                self._translations = WeakValueDictionary()
            make = partial(
                TranslatedCursor, make_format=format, translations=self._translations
            )
        return make(
            self._log,
            last_event_id=last_event_id,
            read_page=self._read_page,
            retry=options["retry"],
            on_close=self._leave,
            patience=options["lease"],
        )

    def _leave(self, cursor: Cursor) -> None:
        counts = self._cursors.pop(cursor)
        if counts:
            self._counted -= 1
            self.expects_return = cursor.dismissed
        if not self._cursors or (counts and not self._counted):
            self._changed()

    def _changed(self) -> None:
        if self.on_change is not None:
            self.on_change()


def _say_goodbye(cursor: Cursor) -> None:
    """Send a viewer away because the process stops, however it takes that."""
    try:
        goodbye = cursor.format.goodbye("draining")
    except Exception:  # of a format of the application's; the others are told
        logger.exception("A stream is broken off, since its format has no goodbye.")
        goodbye = None
    cursor.dismiss(goodbye)
