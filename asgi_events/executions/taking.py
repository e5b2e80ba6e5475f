"""One start in a thread: it takes its turn, and waits until that has come."""

from __future__ import annotations

import asyncio
from functools import partial

from asgi_events.actors.when_busy import WhenBusy
from asgi_events.aio.backoff import Backoff
from asgi_events.exceptions import (
    Busy,
    Ended,
    Fenced,
    LimitReached,
    Missing,
    ThreadBusy,
    Unavailable,
    UnknownExecution,
)
from asgi_events.executions.facts import Facts
from asgi_events.executions.held import OpenLog
from asgi_events.executions.idempotency import retry
from asgi_events.executions.thread_log import Entry, Recent, Turn
from asgi_events.executions.turns import Turns, check_turn, replaced_by
from asgi_events.stores.contract import Grant


class Taking:
    """Takes the turn of one execution.

    Args:
        turns: What it shares with other starts.
        facts: What the execution is; it has a thread.
        when_busy: What it does while others of its thread run.
        open_log: Opens its log.
    """

    def __init__(
        self, turns: Turns, facts: Facts, when_busy: WhenBusy, open_log: OpenLog
    ) -> None:
        self._turns = turns
        self._facts = facts
        self._when_busy = when_busy
        self._open_log = open_log
        self._thread = turns.thread_of(facts.owner, facts.thread)
        self._turn: Turn | None = None
        self._grant: Grant | None = None

    async def check(self) -> None:
        """Raise what ``take`` raises of the thread, and write nothing."""
        recent = await self._thread.read()
        if self._facts.id not in recent.ids:
            await self._behind(recent)

    async def take(self) -> Grant:
        """Open the log of the execution and take its turn.

        Raises:
            ThreadBusy, LimitReached: See ``check_turn``.
            UnknownExecution: The thread had one of that id, which is no longer kept.
            Busy, Ended: There is one of that id.
            Unavailable: The store does not answer, or another process that does not
                answer is about to start the same id.
        """
        turns = self._turns
        until = asyncio.get_running_loop().time() + turns.lease / 2
        self._grant, recent = await self._open(until)
        try:
            self._turn = await retry(partial(self._append, recent), until)
        except (ThreadBusy, LimitReached):
            await turns.discard(self._facts.id)
            raise
        turns.on_taken(self._turn)
        return self._grant

    async def check_lease(self, began: float) -> None:
        """Raise ``Ended`` if a start took so long that its thread may have gone on.

        Args:
            began: The loop's time at which it began.
        """
        # No process is taken for dead before half of its lease is over.
        if asyncio.get_running_loop().time() < began + self._turns.lease / 2:
            return
        try:
            await self._renew()
        except Missing:  # lost by the store: the recorder writes it again
            pass
        except Fenced as error:
            raise Ended(str(error)) from error

    async def wait(self) -> None:
        """Wait until the actor may run; an execution that is not ours never may.

        Raises:
            CancelledError: Another process has taken this one for dead.
        """
        assert self._turn is not None
        entry = self._turn.entry
        if not entry.behind:
            return
        message = replaced_by(entry.id) if entry.replaces else None
        await self._turns.predecessors.wait(entry.behind, cancel=message)
        backoff = Backoff()
        while not await self._is_ours():
            await backoff.wait()

    async def why_cancelled(self) -> str:
        """What viewers are told if another process has cancelled the execution."""
        return await self._turns.why_cancelled(self._facts)

    async def _is_ours(self) -> bool:
        """Whether the log is still this process's, for half a lease from now on."""
        assert self._turn is not None
        began = asyncio.get_running_loop().time()
        try:
            await asyncio.gather(self._turn.keep(), self._renew())
        except (Missing, Unavailable):
            return False  # the recorder writes it again
        except (Fenced, Ended):
            raise asyncio.CancelledError from None
        return asyncio.get_running_loop().time() < began + self._turns.lease / 2

    async def _renew(self) -> None:
        assert self._grant is not None
        await self._turns.store.renew(self._facts.id, self._grant)

    async def _open(self, until: float) -> tuple[Grant, Recent]:
        """Open the log of the execution, if it may take the next turn."""
        turns, id, backoff = self._turns, self._facts.id, Backoff()
        while True:
            recent = await self._thread.open()
            if id not in recent.ids:
                await self._behind(recent)
            elif await turns.store.read(id, 0, 0) is None:
                raise UnknownExecution(id)
            try:
                return await retry(self._open_log, until), recent
            except Busy:
                page = await turns.look(id)
                if page is not None and await turns.has_started(id, page):
                    raise
            # Another process has opened the log, and may yet be refused its turn.
            if asyncio.get_running_loop().time() >= until:
                raise Unavailable(f"Another process is about to start {id}; ask again.")
            await backoff.wait()

    async def _append(self, recent: Recent) -> Turn:
        """Append the turn, unless it may not be taken."""
        id, replaces = self._facts.id, self._when_busy == "replace"
        while id not in recent.ids:
            entry = Entry(id, tuple(await self._behind(recent)), replaces)
            await self._thread.append(entry, recent)
            recent = await self._thread.open()
        return self._thread.turn_of(id, recent)

    async def _behind(self, recent: Recent) -> list[str]:
        """The ids of those that a turn after ``recent`` has to wait for."""
        turns, when_busy = self._turns, self._when_busy
        found = await turns.unfinished(recent, first=when_busy == "reject")
        check_turn(self._facts, when_busy, found, turns.max_queued)
        return list(found)
