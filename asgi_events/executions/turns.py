"""Lets one execution of a thread run at a time, in whichever process they start.

The log of a thread has the order of its turns. An execution runs when all those of
earlier turns are over.

| an earlier one is not over, and the actor is to | a start of another id |
|---|---|
| ``reject`` | is refused |
| ``queue`` | takes the next turn, and waits for it |
| ``replace`` | takes the next turn, cancels those before it, and waits for them |

An execution's own log is opened before it takes its turn, and its actor runs after
that. So if the process dies in between or while the execution waits, the log ends as
any other whose writer is dead, and the next one goes on. A turn whose execution has no
log is over: it is no longer kept, or it never ran.

Between the two, others find the log of an execution that may yet be refused its turn.
So one that runs in a thread has started only if it is among the thread's turns.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from asgi_events.actors.when_busy import WhenBusy
from asgi_events.events import CANCELLED
from asgi_events.exceptions import LimitReached, ThreadBusy
from asgi_events.executions.facts import Facts
from asgi_events.executions.predecessors import Predecessors
from asgi_events.executions.thread_log import Recent, ThreadLog, Turn
from asgi_events.stores.contract import EventStore, Page

_FAILED = 3  # how many newest turns may be of starts that failed after they took it


def replaced_by(id: str) -> str:
    """The message of ``cancelled`` of an execution that another one replaces."""
    return f"{CANCELLED}: replaced by {id}"


def check_turn(
    facts: Facts, when_busy: WhenBusy, unfinished: Sequence[str], max_queued: int
) -> None:
    """Raise if a start may take no turn in its thread.

    Args:
        facts: What it starts.
        when_busy: What it does while others run.
        unfinished: The ids of those that run or wait, the oldest first.
        max_queued: How many may wait.

    Raises:
        ThreadBusy: Another execution runs, and the actor is to reject the start.
        LimitReached: As many wait as may.
    """
    if unfinished and when_busy == "reject":
        raise ThreadBusy(facts.thread or "", unfinished[0])
    if len(unfinished) > max_queued:
        raise LimitReached("max_queued", max_queued)


class Turns:
    """What all starts in threads share.

    Args:
        store: Has the logs of threads and of executions.
        look: Reads the state of an execution's log, which then ends if its writer is
            dead.
        runs: Whether the execution of an id runs or waits, in any process.
        discard: Deletes the log of an execution that was opened in vain.
        predecessors: Waits for executions to end.
        lease: Seconds, as for executions.
        ttl: Seconds a thread is known after its newest start.
        max_queued: How many executions of a thread may wait.
        on_taken: Called with the turn of an execution that is about to run.
    """

    def __init__(
        self,
        store: EventStore,
        look: Callable[[str], Awaitable[Page | None]],
        runs: Callable[[str], Awaitable[bool]],
        discard: Callable[[str], Awaitable[None]],
        predecessors: Predecessors,
        *,
        lease: float,
        ttl: float,
        max_queued: int,
        on_taken: Callable[[Turn], None],
    ) -> None:
        self.store = store
        self.look = look
        self.discard = discard
        self.predecessors = predecessors
        self.lease = lease
        self.max_queued = max_queued
        self.on_taken = on_taken
        self._runs = runs
        self._ttl = ttl

    def thread_of(self, owner: str | None, thread: str | None) -> ThreadLog:
        """The log of a thread."""
        assert thread is not None
        return ThreadLog(self.store, owner, thread, lease=self.lease, ttl=self._ttl)

    async def newest(self, owner: str | None, thread: str) -> Sequence[str]:
        """The ids of the executions that have the newest turns, the newest first."""
        recent = await self.thread_of(owner, thread).read(_FAILED + 1)
        return recent.ids[::-1]

    async def has_started(self, id: str, log: Page) -> bool:
        """Whether the execution of a log has a turn, if it needs one."""
        facts = Facts.from_meta(id, log.meta)
        if log.end is not None or facts.thread is None:
            return True
        return id in (await self.thread_of(facts.owner, facts.thread).read()).ids

    async def unfinished(self, recent: Recent, *, first: bool) -> Sequence[str]:
        """The ids of those of a thread that run or wait, or only the ``first``."""
        found: list[str] = []
        for id in recent.perhaps_open:
            if not (first and found) and await self._runs(id):
                found.append(id)
        return found

    async def why_cancelled(self, facts: Facts) -> str:
        """The message of an execution that another process has cancelled."""
        recent = await self.thread_of(facts.owner, facts.thread).read()
        for entry in recent.entries:
            if entry.replaces and facts.id in entry.behind:
                return replaced_by(entry.id)
        return CANCELLED
