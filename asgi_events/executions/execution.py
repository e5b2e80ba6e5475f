"""One execution, wherever it runs: what it is, how it stands, and who watches it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Protocol

from asgi_events.events import CANCELLED, ExecutionStatus
from asgi_events.executions.viewers import Audience, Seats
from asgi_events.log.cursor import Cursor, ReadPage
from asgi_events.log.log import Log


class Work(Protocol):
    """What is behind an execution: a task of this process, or of another one."""

    is_local: bool

    async def cancel(self, message: str) -> bool:
        """Cancel it; False when it is over."""

    async def wait(self) -> None:
        """Wait until its terminal event is stored."""

    def abandon(self) -> None:
        """Record no more: the process stops, and the lease will tell the others."""

    def audience_changed(self, *, watched: bool, counted: bool) -> None:
        """The first viewer has come or the last one has left, of all or that counts."""


class Execution:
    """A running or finished call of an actor; ``Executions`` starts and finds them.

    Attributes:
        id: Its name in URLs and event ids; by default 32 hexadecimal digits.
        actor: The actor's name.
        owner: Who started it, as ``authorize`` said; None without one.
        created: When it was started.
        ended: When its terminal event was stored; None while it runs.
        fingerprint: What was asked for, to tell whether it is asked for again.
        log: Its frames.
        work: What is behind it; None once it has ended here.
    """

    def __init__(
        self,
        id: str,
        *,
        actor: str,
        owner: str | None,
        created: datetime,
        fingerprint: str,
        log: Log,
        read_page: ReadPage,
        retry: int,
        patience: float,
        seats: Seats,
    ) -> None:
        self.id = id
        self.actor = actor
        self.owner = owner
        self.created = created
        self.fingerprint = fingerprint
        self.ended: datetime | None = None
        self.log = log
        self.work: Work | None = None
        self.dismissed = False
        self._audience = Audience(
            log,
            read_page=read_page,
            retry=retry,
            patience=patience,
            seats=seats,
            owner=owner,
            on_change=self._audience_changed,
        )

    def __repr__(self) -> str:
        return f"<Execution {self.id} of {self.actor}: {self.status}>"

    @property
    def status(self) -> ExecutionStatus:
        """``started`` while it runs, then how it ended."""
        if self.log.end is None or self.log.committed < self.log.last:
            return ExecutionStatus.STARTED
        return ExecutionStatus(self.log.end)

    @property
    def runs_here(self) -> bool:
        """Whether it runs in this process."""
        return self.work is not None and self.work.is_local

    @property
    def viewers(self) -> int:
        """How many watch it now, in this process."""
        return len(self._audience)

    @property
    def awaits_viewers(self) -> bool:
        """Whether the last viewer was sent away, and told to come back."""
        return self._audience.returning

    async def wait(self) -> ExecutionStatus:
        """Wait for the end, and return how it ended."""
        if self.work is not None:
            await self.work.wait()
        return self.status

    async def cancel(self, message: str = CANCELLED) -> bool:
        """Cancel it, wherever it runs; False when it is over already.

        Viewers are told ``message`` where it runs in this process.

        Raises:
            Unavailable: It runs elsewhere, and the store does not answer.
        """
        return self.work is not None and await self.work.cancel(message)

    def attach(
        self,
        last_event_id: str | None = None,
        *,
        seated: bool = False,
        counts: bool = True,
    ) -> Cursor:
        """A new viewer, from where it stands; closing the cursor is how it leaves.

        One that does not count neither keeps the execution from ``cancel_after`` nor
        makes it begin.

        Raises:
            LimitReached: ``max_viewers`` watch already.
        """
        return self._audience.attach(last_event_id, seated=seated, counts=counts)

    def is_seen(self, last_event_id: str | None) -> bool:
        """Whether that is the id of the terminal event."""
        return self._audience.has_seen_all(last_event_id)

    def dismiss(self) -> None:
        """Send the viewers away, since the process stops; they reconnect."""
        self.dismissed = True
        self._audience.dismiss()

    def abandon(self) -> None:
        """Let go of it: the process stops."""
        if self.work is not None:
            self.work.abandon()

    def end(self) -> None:
        """Note that the terminal event is stored."""
        self.ended = datetime.now(UTC)

    def let_go(self) -> None:
        """Hold no more than what viewers need: all else is in the store."""
        self.work = None
        if not self._audience:
            self.log.skip_to(self.log.last + 1)

    def _audience_changed(self) -> None:
        if self.work is not None:
            audience = self._audience
            self.work.audience_changed(
                watched=len(audience) > 0, counted=audience.counted > 0
            )
        elif self.ended is not None:
            self.let_go()
