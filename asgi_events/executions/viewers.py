"""Who watches a log in this process."""

import asyncio
from collections import Counter
from collections.abc import Callable

from asgi_events.events import ExecutionStatus
from asgi_events.exceptions import LimitReached
from asgi_events.log.cursor import Cursor, ReadPage
from asgi_events.log.log import Log
from asgi_events.wire.frames import EventId, goodbye, parse_event_id


class Seats:
    """How many there may be of something, in all and of each owner.

    Args:
        option: The name of the option that says how many in all.
        limit: How many in all; None for any number.
        per_owner: How many of each owner, likewise. What has no owner is not counted
            here; the option's name ends in ``_per_owner``.
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

    def take(self, owner: str | None = None) -> None:
        """Take one.

        Raises:
            LimitReached: All are taken, or all that the owner may have.
        """
        self.check(owner)
        self.taken += 1
        if owner is not None and self._per_owner is not None:
            self._owners[owner] += 1

    def check(self, owner: str | None = None) -> None:
        """Raise ``LimitReached`` when none is left."""
        if self._limit is not None and self.taken >= self._limit:
            raise LimitReached(self._option, self._limit)
        if owner is not None and self._per_owner is not None:
            if self._owners[owner] >= self._per_owner:
                raise LimitReached(f"{self._option}_per_owner", self._per_owner)

    def leave(self, owner: str | None = None) -> None:
        """Give one back."""
        self.taken -= 1
        if owner is not None and self._per_owner is not None:
            self._owners[owner] -= 1
            if not self._owners[owner]:
                del self._owners[owner]
        if not self.taken and self._emptied is not None:
            self._emptied.set_result(None)
            self._emptied = None

    async def emptied(self) -> None:
        """Return when none is taken."""
        if not self.taken:
            return
        if self._emptied is None:
            self._emptied = asyncio.get_running_loop().create_future()
        await asyncio.shield(self._emptied)


class Audience:
    """The viewers of one log.

    Args:
        log: What they watch.
        read_page: How they read what the log has let go of.
        retry: Milliseconds they are told to wait before they reconnect.
        patience: Seconds until they give up what cannot be read any more.
        seats: Shared with the audiences of all other logs.
        owner: In whose name they watch.
        on_change: Called when the first has come and when the last has left, of all
            and of those that count.

    Attributes:
        counted: How many of them count for ``cancel_after``.
        returning: Whether the last of these to leave was sent away, and told to come
            back.
    """

    def __init__(
        self,
        log: Log,
        *,
        read_page: ReadPage,
        retry: int,
        patience: float,
        seats: Seats,
        owner: str | None,
        on_change: Callable[[], None],
    ) -> None:
        self._log = log
        self._read_page = read_page
        self._retry = retry
        self._patience = patience
        self._seats = seats
        self._owner = owner
        self._on_change = on_change
        self._cursors: set[Cursor] = set()
        self._counted: set[Cursor] = set()
        self.returning = False

    def __len__(self) -> int:
        return len(self._cursors)

    @property
    def counted(self) -> int:
        return len(self._counted)

    def attach(
        self, last_event_id: str | None, *, seated: bool = False, counts: bool = True
    ) -> Cursor:
        """A new viewer, from where it stands; closing the cursor is how it leaves.

        Where it is ``seated``, its seat was taken by who gives it back.

        Raises:
            LimitReached: ``max_viewers`` watch already.
        """
        if not seated:
            self._seats.take(self._owner)
        cursor = Cursor(
            self._log,
            last_event_id=last_event_id,
            read_page=self._read_page,
            retry=self._retry,
            on_close=self._leave if seated else self._leave_seat,
            patience=self._patience,
        )
        self._cursors.add(cursor)
        if counts:
            self._counted.add(cursor)
        if len(self._cursors) == 1 or (counts and len(self._counted) == 1):
            self._on_change()
        return cursor

    def dismiss(self) -> None:
        """Send all away, since the process stops; they reconnect."""
        for cursor in list(self._cursors):
            cursor.dismiss(goodbye("draining"))

    def has_seen_all(self, last_event_id: str | None) -> bool:
        """Whether that is the id of the terminal event."""
        log = self._log
        if last_event_id is None or log.name is None or log.end is None:
            return False
        if log.committed < log.last:
            return False
        lost = log.end == ExecutionStatus.LOST
        return parse_event_id(last_event_id) == EventId(log.name, log.last, lost)

    def _leave_seat(self, cursor: Cursor) -> None:
        self._seats.leave(self._owner)
        self._leave(cursor)

    def _leave(self, cursor: Cursor) -> None:
        self._cursors.discard(cursor)
        counts = cursor in self._counted
        if counts:
            self._counted.discard(cursor)
            self.returning = cursor.dismissed
        if not self._cursors or (counts and not self._counted):
            self._on_change()
