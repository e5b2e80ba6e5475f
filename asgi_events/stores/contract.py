"""Where frames are kept: what a viewer has seen is stored.

What every store promises:

1. A log's frames are numbered 1 … n without holes; an append is atomic, and visible
   whole and in order.
2. An append is a compare-and-set at ``after``: the same call again has the same result.
   ``Unavailable`` means that the outcome is unknown: repeat the call.
3. A log has one writer at a time, who holds a lease, and one terminal frame, its last.
4. ``read`` is one consistent snapshot and never blocks.
5. Hints carry no data; they may be spurious, merged or lost.
6. ``cancel`` is sticky. It is hinted to the writer, and reaches it with the answer to
   its next call.
7. Leases are judged by the store's clock, and no step of that clock, no outage of the
   store and no pause of it ends the log of a writer that lives: see ``reap``.
8. ``list`` has each execution from the moment its log is there to the moment it is
   gone, in an order that does not change.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol, runtime_checkable


@dataclass(frozen=True, slots=True)
class Grant:
    """The right to write a log.

    Attributes:
        epoch: Which writer this is; a newer one fences the older.
        last: The number of the newest frame stored.
    """

    epoch: int
    last: int


class Ack(NamedTuple):
    """The answer to a writer.

    Attributes:
        last: The number of the newest frame stored.
        cancel: Whether somebody wants the execution cancelled.
        watched: Whether another process has said that somebody watches.
    """

    last: int
    cancel: bool = False
    watched: bool = False


@dataclass(frozen=True, slots=True)
class Page:
    """A consistent snapshot of part of a log.

    Attributes:
        first: The number of the first of ``frames``; later than asked for when older
            ones are gone.
        last: The number of the newest frame stored.
        end: How the execution ended; None while it runs.
        alive: Whether the log has ended, or its writer gave a sign of life within half
            its lease. False is a suspicion, no more: ``reap`` finds out.
        cancel: Whether somebody wants the execution cancelled.
        frames: The frames, as they go on the wire.
        meta: What ``open`` was given.
        ended: When the log ended, in seconds since 1970 by the store's clock; None
            while it has not.
    """

    first: int
    last: int
    end: str | None
    alive: bool
    cancel: bool
    frames: Sequence[bytes] = ()
    meta: Mapping[str, str] = field(default_factory=dict)
    ended: float | None = None


class Position(NamedTuple):
    """The place of an execution in the list: the greater, the earlier it comes.

    Attributes:
        created: When it was started, as ``meta`` says it.
        key: Its log, which decides where several were started at one moment.
    """

    created: str
    key: str


class Watch(Protocol):
    """Hints that logs have changed."""

    def add(self, key: str) -> None:
        """Give hints for ``key``; add before the first read."""

    def discard(self, key: str) -> None:
        """Give no more hints for ``key``."""

    def add_writer(self, writer: str) -> None:
        """Give hints, too, for logs of ``writer`` when it is asked for something.

        That is when the log is cancelled, and when the writer is suspected to be dead.
        The writer then calls ``renew``, and hears what it is in the answer. The hint
        names the log's key. What the writer itself appends is not hinted here.
        """

    async def get(self) -> set[str]:
        """Wait for hints; the keys that may have changed."""

    async def aclose(self) -> None:
        """Give up the watch."""


class EventStore(Protocol):
    """Keeps the logs of executions.

    Every method may raise ``Unavailable``.

    Attributes:
        durable: Whether logs outlive this process. Where they do, the process need not
            keep what has ended.
        settle_time: Seconds during which the store may still lose what it has
            acknowledged: when a replica takes over, or a server restarts that had not
            written everything to its disk. For that long the writer keeps logs that
            have ended, and writes them again should they be gone. 0 for never.
        generation: Grows when the store finds that it may have lost something: its
            server is another one, or was restarted; its file was replaced.
    """

    durable: bool
    settle_time: float

    @property
    def generation(self) -> int: ...

    async def open(
        self,
        key: str,
        *,
        writer: str,
        lease: float,
        ttl: float,
        meta: Mapping[str, str],
        after: int = 0,
    ) -> Grant:
        """Become the writer of a new log, or again of one's own.

        Args:
            key: The execution's id.
            writer: Who writes; the same writer opens again without harm, from any
                process, and what it was granted before stays valid.
            lease: Seconds until the writer is taken for dead, unless it is heard of.
            ttl: Seconds the log is kept after the last lease is over.
            meta: What readers in other processes have to know of the execution.
            after: A new log begins after the frame of this number: what is before it is
                gone, as if trimmed. It says nothing where the log exists.

        Raises:
            Busy: There is another writer, alive or not: nobody goes on where it has
                stopped, the log of a dead one is reaped.
            Ended: The log has its terminal frame.
        """

    async def append(
        self,
        key: str,
        grant: Grant,
        after: int,
        frames: Sequence[bytes],
        *,
        end: str | None = None,
    ) -> Ack:
        """Store ``frames`` as number ``after`` + 1 and following, and renew the lease.

        Frames whose numbers are stored already are not stored again, even if they are
        others: of several appends at one number the first one counts. ``end`` makes the
        last one the terminal one. A log that has no frames may end without one.

        Raises:
            Gap: The log ends before ``after``.
            Fenced: There is another writer.
            Missing: There is no such log: it has expired, was deleted, or was lost.
            Ended: The log has its terminal frame, and this is not that call again.
        """

    async def renew(self, key: str, grant: Grant) -> Ack:
        """Renew the lease without writing; raises what ``append`` raises."""

    async def cancel(self, key: str) -> bool:
        """Ask the writer to cancel; False when there is nothing left to cancel."""

    async def mark_watched(self, key: str, seconds: float) -> None:
        """Tell the writer, in any process, that somebody watches for ``seconds``.

        The latest moment of several calls counts. Does nothing when there is no such
        log, or it has ended.
        """

    async def reap(self, key: str, after: int, frame: bytes, *, end: str) -> bool:
        """End a log whose writer is dead: ``frame`` is number ``after`` + 1.

        One call is not enough. The first one that finds no sign of life for half a
        lease begins a suspicion, and hints it to the writer (``Watch.add_writer``). The
        log is ended by the first call that finds half a lease of suspicion, during
        which calls came at most a quarter of a lease apart, and no sign of life. A
        longer gap, or a clock that steps, begins the suspicion again; see ``rules``.

        So a living writer that can reach the store has half a lease to say so, counted
        only while the store answers.

        The writer is then fenced. Returns False when this call has not ended the log:
        the writer lives, the log has ended, its newest frame is not ``after``, or it is
        too early. Of several calls at the same time, one returns True.
        """

    async def read(self, key: str, after: int, limit: int) -> Page | None:
        """The frames after number ``after``, at least one if there is one, about
        ``limit`` bytes; None when there is no such log."""

    async def delete(self, key: str) -> None:
        """Delete a log; does nothing when there is none."""

    def keys(self) -> AsyncIterator[str]:
        """The keys of all logs, in any order."""

    async def list(
        self,
        match: Mapping[str, str | None],
        *,
        status: str | None = None,
        before: Position | None = None,
        limit: int,
    ) -> Sequence[tuple[str, Page]]:
        """The newest executions first: their keys, each with what ``read`` returns.

        No frames are read, as if ``read`` had a limit of 0.
        An execution is a log whose key has no colon, and whose ``meta`` says when it
        was ``created``: ISO 8601 in UTC, so that the texts have the order of the
        moments. The order of the list is that of ``Position``. Each page takes about as
        long, however many executions there are before and after it.

        Args:
            match: What ``meta`` has to say of ``owner``, ``actor`` and ``thread``. An
                ``owner`` of None means that it says nothing of one. What is not named
                may be anything.
            status: ``started`` for those that have not ended and whose writer is
                alive; ``lost`` for those that ended so, and those whose writer is not
                alive; else how they ended. None for all.
            before: The position of the last one on the page before.
            limit: How many at most. There are fewer only if there are no more.
        """

    async def watch(self) -> Watch:
        """Hints of changes."""

    async def aclose(self) -> None:
        """Close files and connections."""


@runtime_checkable
class CreatedOnDemand(Protocol):
    """A store that creates what its URL names, such as a file, at its first call."""

    def check_exists(self) -> None:
        """Check that there is something to open, and create nothing.

        Raises:
            StoreError: There is nothing yet.
        """
