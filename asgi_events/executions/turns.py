"""Lets one execution of a thread run at a time, in whichever process they start.

A thread has a log of its own in the store. Each frame is a turn: the id of one
execution. The newest frame says whose turn it is.

| execution of the newest turn | a start of another id |
|---|---|
| runs | is refused |
| has ended, or is no longer kept | takes the next turn |

To take a turn is a compare-and-set: of several appends at one number the store keeps
the first, and takes each other one for its repetition. So whoever reads its own id back
has the turn. Any process may append: all open the log under one writer's name.

An execution's own log is opened before it takes its turn, and its actor runs after
that. So if the process dies in between, the log ends as any other whose writer is dead,
and the thread is free again. A turn whose execution has no log is over: it is no longer
kept, or it never ran.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from functools import partial
from typing import NamedTuple

from asgi_events.aio.backoff import Backoff
from asgi_events.exceptions import (
    Busy,
    Fenced,
    Gap,
    ThreadBusy,
    Unavailable,
    UnknownExecution,
)
from asgi_events.executions.execution import Facts
from asgi_events.executions.held import OpenLog
from asgi_events.executions.idempotency import retry
from asgi_events.executions.recorder import Opening
from asgi_events.stores.contract import EventStore, Grant
from asgi_events.wire.encoding import encode_json

_WRITER = "thread"  # the name under which every process writes the log of a thread

# How many of a thread's turns a start looks at, to find its own id among them, and
# enough bytes for that.
_RECENT = 256
_RECENT_BYTES = 32 * 1024


def thread_of(owner: str | None, thread: str) -> str:
    """The store's key for an owner's thread; no id has that form."""
    asked = encode_json([owner, thread])
    return f"thread:{hashlib.sha256(asked).hexdigest()}"


class _Recent(NamedTuple):
    """The newest turns of a thread.

    Attributes:
        grant: The right to append the next one.
        last: The number of the newest one.
        ids: Of their executions, the newest last.
    """

    grant: Grant
    last: int
    ids: list[str]

    @property
    def newest(self) -> str | None:
        return self.ids[-1] if self.ids else None


class Turns:
    """Gives the executions of a thread their turns.

    Args:
        store: Has the logs of threads and of executions.
        runs: Whether the execution of an id runs, in any process.
        discard: Deletes the log of an execution that was opened in vain.
        lease: Seconds, as for executions.
        ttl: Seconds a thread is known after its newest start.
    """

    def __init__(
        self,
        store: EventStore,
        runs: Callable[[str], Awaitable[bool]],
        discard: Callable[[str], Awaitable[None]],
        *,
        lease: float,
        ttl: float,
    ) -> None:
        self._store = store
        self._runs = runs
        self._discard = discard
        self._lease = lease
        self._ttl = ttl

    async def newest(self, owner: str | None, thread: str) -> str | None:
        """The id of the execution that has the newest turn, if there is one."""
        key = thread_of(owner, thread)
        page = await self._store.read(key, 0, 0)
        if page is None or page.last == 0:
            return None
        page = await self._store.read(key, page.last - 1, _RECENT_BYTES)
        if page is None or not page.frames:
            return None
        return page.frames[-1].decode()

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
        # No process can take this one for dead before half of its lease is over.
        until = asyncio.get_running_loop().time() + self._lease / 2
        recent, grant = await self._open(facts, open_log, until)
        try:
            await retry(partial(self._append, facts, recent), until)
        except ThreadBusy:
            await self._discard(facts.id)
            raise
        return grant

    async def _open(
        self, facts: Facts, open_log: OpenLog, until: float
    ) -> tuple[_Recent, Grant]:
        """Open the log of an execution, unless it is not its turn."""
        backoff = Backoff()
        while True:
            recent = await self._next(facts)
            try:
                return recent, await open_log()
            except Busy:
                if await self._has_started(facts, recent):
                    raise
            # Another process has opened the log, and may yet fail to take the turn.
            if asyncio.get_running_loop().time() >= until:
                raise Unavailable(
                    f"Another process is about to start {facts.id!r}; ask again."
                )
            await backoff.wait()

    async def _next(self, facts: Facts) -> _Recent:
        """The turns so far, if the execution may take the next one, or is found."""
        recent = await self._read(facts)
        if facts.id not in recent.ids:
            try:
                await self._check(facts, recent)
            except ThreadBusy:
                if not await self._has_started(facts, recent):
                    raise
        elif await self._store.read(facts.id, 0, 0) is None:
            raise UnknownExecution(facts.id)
        return recent

    async def _has_started(self, facts: Facts, recent: _Recent) -> bool:
        """Whether there is an execution of that id that runs, or has ended."""
        page = await self._store.read(facts.id, 0, 0)
        if page is None:
            return False
        known = Facts.from_meta(facts.id, page.meta)
        is_turn = (known.owner, known.thread) == (facts.owner, facts.thread)
        return page.end is not None or not is_turn or facts.id in recent.ids

    async def _append(self, facts: Facts, recent: _Recent) -> None:
        """Append the turn of an execution, unless another one has it."""
        assert facts.thread is not None
        key, frame = thread_of(facts.owner, facts.thread), facts.id.encode()
        while recent.newest != facts.id:
            try:
                await self._store.append(key, recent.grant, recent.last, [frame])
            except (Gap, Fenced):  # the store has lost turns, or all of them
                pass
            recent = await self._read(facts)
            await self._check(facts, recent)

    async def _check(self, facts: Facts, recent: _Recent) -> None:
        newest = recent.newest
        if newest in (None, facts.id):
            return
        assert newest is not None
        assert facts.thread is not None
        if await self._runs(newest):
            raise ThreadBusy(facts.thread, newest)

    async def _read(self, facts: Facts) -> _Recent:
        """The newest turns of an execution's thread; its log is made if it is new."""
        assert facts.thread is not None
        key = thread_of(facts.owner, facts.thread)
        opening = Opening(
            store=self._store,
            key=key,
            writer=_WRITER,
            lease=self._lease,
            ttl=self._ttl,
            meta={},
        )
        grant = await opening.open()
        if grant.last == 0:
            return _Recent(grant, 0, [])
        page = await self._store.read(key, max(grant.last - _RECENT, 0), _RECENT_BYTES)
        if page is None:
            return _Recent(grant, grant.last, [])
        return _Recent(grant, page.last, [frame.decode() for frame in page.frames])
