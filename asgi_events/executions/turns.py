"""Lets one execution of a thread run at a time, in whichever process they start.

The newest turn in the log of the thread is the one that counts.

| execution of the newest turn | a start of another id |
|---|---|
| runs | is refused |
| has ended, or is no longer kept | takes the next turn |

An execution's own log is opened before it takes its turn, and its actor runs after
that. So if the process dies in between, the log ends as any other whose writer is dead,
and the thread is free again. A turn whose execution has no log is over: it is no longer
kept, or it never ran.

Between the two, others find the log of an execution that may yet be refused its turn.
So one that runs in a thread has started only if it is among the thread's turns.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

from asgi_events.aio.backoff import Backoff
from asgi_events.exceptions import Busy, ThreadBusy, Unavailable, UnknownExecution
from asgi_events.executions.facts import Facts
from asgi_events.executions.held import OpenLog
from asgi_events.executions.idempotency import retry
from asgi_events.executions.thread_log import Recent, ThreadLog, Turn
from asgi_events.stores.contract import EventStore, Grant, Page

_FAILED = 3  # how many newest turns may be of starts that failed after they took it


class Turns:
    """Gives the executions of threads their turns.

    Args:
        store: Has the logs of threads and of executions.
        look: Reads the state of an execution's log, which then ends if its writer is
            dead.
        runs: Whether the execution of an id runs, in any process.
        discard: Deletes the log of an execution that was opened in vain.
        lease: Seconds, as for executions.
        ttl: Seconds a thread is known after its newest start.
        on_taken: Called with the turn of an execution that is about to run.
    """

    def __init__(
        self,
        store: EventStore,
        look: Callable[[str], Awaitable[Page | None]],
        runs: Callable[[str], Awaitable[bool]],
        discard: Callable[[str], Awaitable[None]],
        *,
        lease: float,
        ttl: float,
        on_taken: Callable[[Turn], None],
    ) -> None:
        self._store = store
        self._look = look
        self._runs = runs
        self._discard = discard
        self._lease = lease
        self._thread = partial(ThreadLog, store, lease=lease, ttl=ttl)
        self._on_taken = on_taken

    async def newest(self, owner: str | None, thread: str) -> Sequence[str]:
        """The ids of the executions that have the newest turns, the newest first."""
        recent = await self._thread(owner, thread).read(_FAILED + 1)
        return recent.ids[::-1]

    async def has_started(self, id: str, log: Page) -> bool:
        """Whether the execution of a log has had its turn, if it needs one."""
        facts = Facts.from_meta(id, log.meta)
        if log.end is not None or facts.thread is None:
            return True
        return id in (await self._thread(facts.owner, facts.thread).read()).ids

    async def check(self, facts: Facts) -> None:
        """Raise ``ThreadBusy`` if it is the turn of another execution, which runs."""
        assert facts.thread is not None
        recent = await self._thread(facts.owner, facts.thread).read()
        if facts.id not in recent.ids:
            await self._check(facts, recent)

    async def take(self, facts: Facts, open_log: OpenLog) -> Grant:
        """Open the log of an execution and take its turn, so that it may run.

        Args:
            facts: What the execution is; it has a thread.
            open_log: Opens its log.

        Raises:
            ThreadBusy: The execution of the newest turn runs.
            UnknownExecution: The thread had one of that id, which is no longer kept.
            Busy, Ended: There is one of that id.
            Unavailable: The store does not answer, or another process that does not
                answer is about to start the same id.
        """
        assert facts.thread is not None
        thread = self._thread(facts.owner, facts.thread)
        until = asyncio.get_running_loop().time() + self._lease / 2
        grant, recent = await self._open(thread, facts, open_log, until)
        try:
            turn = await retry(partial(self._append, thread, facts, recent), until)
        except ThreadBusy:
            await self._discard(facts.id)
            raise
        self._on_taken(turn)
        return grant

    async def _open(
        self, thread: ThreadLog, facts: Facts, open_log: OpenLog, until: float
    ) -> tuple[Grant, Recent]:
        """Open the log of an execution, if it may take the next turn."""
        id, backoff = facts.id, Backoff()
        while True:
            recent = await thread.open()
            if id not in recent.ids:
                await self._check(facts, recent)
            elif await self._store.read(id, 0, 0) is None:
                raise UnknownExecution(id)
            try:
                return await retry(open_log, until), recent
            except Busy:
                page = await self._look(id)
                if page is not None and await self.has_started(id, page):
                    raise
            # Another process has opened the log, and may yet be refused its turn.
            if asyncio.get_running_loop().time() >= until:
                raise Unavailable(f"Another process is about to start {id}; ask again.")
            await backoff.wait()

    async def _append(self, thread: ThreadLog, facts: Facts, recent: Recent) -> Turn:
        """Append the turn of an execution, unless it is another one's turn."""
        while recent.newest != facts.id:
            await thread.append(facts.id, recent)
            recent = await thread.open()
            await self._check(facts, recent)
        return thread.newest_turn(recent)

    async def _check(self, facts: Facts, recent: Recent) -> None:
        """Raise ``ThreadBusy`` if it is the turn of another execution, which runs."""
        newest = recent.newest
        if newest not in ("", facts.id) and await self._runs(newest):
            raise ThreadBusy(facts.thread or "", newest)
