"""Executions in a store: found, followed and cancelled from every process."""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from functools import partial
from weakref import WeakValueDictionary

from asgi_events.actors.when_busy import WhenBusy
from asgi_events.exceptions import StoreError, UnknownExecution
from asgi_events.executions.execution import Execution, Run
from asgi_events.executions.facts import Facts
from asgi_events.executions.feeds import Feeds
from asgi_events.executions.follower import Follower, Reaper, SharedWatch
from asgi_events.executions.held import Begin, Claim, Make, Opened, OpenLog
from asgi_events.executions.idempotency import (
    IdempotentStarts,
    marker_of,
    open_only,
)
from asgi_events.executions.keeper import Keeper
from asgi_events.executions.listing import (
    ListedExecution,
    Place,
    Query,
    list_stored,
)
from asgi_events.executions.options import ExecutionsOptions
from asgi_events.executions.predecessors import Predecessors
from asgi_events.executions.question_log import QuestionLog
from asgi_events.executions.questions import Questioning, Questions
from asgi_events.executions.recorder import Opening, Recorder
from asgi_events.executions.recording import Recording
from asgi_events.executions.run import RemoteRun
from asgi_events.executions.taking import Taking
from asgi_events.executions.turns import Turns
from asgi_events.executions.viewers import Viewing
from asgi_events.log.log import Bounds
from asgi_events.log.stored import StoredLog
from asgi_events.stores.contract import EventStore, Page

logger = logging.getLogger(__name__)


class HeldInStore:
    """What runs here, and what is watched here and runs or has run anywhere.

    What has ended is in the store; here it is only held for as long as somebody refers
    to it.

    Args:
        store: Where the logs are.
        options: How long, and how many bytes.
        key_ttl: Seconds a key is known.
        viewing: What the viewers of a process share.
        make: Makes an execution of another process.

    Attributes:
        here: By id, what runs here, the oldest first.
        feeds: The feeds of their owners.
    """

    def __init__(
        self,
        store: EventStore,
        options: ExecutionsOptions,
        *,
        key_ttl: float,
        viewing: Viewing,
        make: Make,
    ) -> None:
        self.here: dict[str, Execution] = {}
        self._elsewhere: WeakValueDictionary[str, Execution] = WeakValueDictionary()
        self._bounds = Bounds(options["max_events"], options["max_bytes"])
        lease = options["lease"]
        self._store = store
        self._options = options
        self._make = make
        self._name = secrets.token_hex(8)
        self._shared_watch = SharedWatch(store, self._get_writer)
        self._reaper = Reaper(store, lease=lease)
        watch = self._shared_watch
        self.feeds = Feeds(store, options, viewing, watch, self._reaper)
        self._keeper = Keeper(store, watch, lease=lease)
        self._questioning = Questioning(
            partial(QuestionLog, store, lease=lease, ttl=options["retention"]),
            watch,
            self._keeper.keep_answer,
            options["max_event_bytes"],
            self._look,
        )
        predecessors = Predecessors(store, self.here, self._look, watch, lease=lease)
        self._turns = Turns(
            store,
            self._look,
            self._runs,
            self.discard,
            predecessors,
            lease=lease,
            ttl=key_ttl,
            max_queued=options["max_queued"],
            on_taken=self._keeper.keep_turn,
        )
        self._starts = IdempotentStarts(
            store,
            self._find_anywhere,
            self._turns.has_started,
            writer=self._get_writer,
            lease=lease,
            ttl=key_ttl,
            on_claimed=self._keeper.keep_mark,
        )

    def __iter__(self) -> Iterator[Execution]:
        return iter([*self.here.values(), *self._elsewhere.values()])

    async def by_key(self, owner: str | None, key: str, begin: Begin) -> Execution:
        return await self._starts.by_marker(marker_of(owner, key), begin)

    async def by_id(self, id: str, begin: Begin) -> Execution:
        return self.here.get(id) or await self._starts.by_id(id, begin)

    async def newest(self, owner: str | None, thread: str) -> Execution | None:
        for id in await self._turns.newest(owner, thread):
            try:
                return await self._find_anywhere(id)
            except UnknownExecution:  # not kept any more; or its start failed late
                pass
        return None

    async def find(self, id: str) -> Execution:
        page = await self._look(id)
        if page is None:
            raise UnknownExecution(id)
        execution = self._elsewhere.get(id)
        if execution is None or (execution.log.end is not None and page.end is None):
            # There was none, or one whose end the store does not have.
            execution = self._elsewhere[id] = self._make_remote(id, page)
            self._share()
        log = execution.log
        assert isinstance(log, StoredLog)  # every execution of a store has one
        log.known = max(log.known, page.last)
        ends_otherwise = page.end is not None and page.last < log.last
        # Viewers who are there get what is new, frame by frame.
        if not execution.viewers and (page.last > log.last or ends_otherwise):
            log.fork(page.last, end=page.end)
        if page.ended is not None and log.end is not None:
            execution.ended = datetime.fromtimestamp(page.ended, UTC)
        return execution

    async def list(self, query: Query) -> Sequence[tuple[Place, ListedExecution]]:
        return await list_stored(self._store, query)

    async def open(
        self, facts: Facts, claim: Claim | None, when_busy: WhenBusy
    ) -> Opened:
        lease, writer = self._options["lease"], self._get_writer()
        opening = Opening(
            store=self._store,
            key=facts.id,
            writer=writer,
            lease=lease,
            ttl=self._options["retention"],
            meta=facts.to_meta() | {"writer": writer, "lease": f"{lease:g}"},
        )
        open_log: OpenLog = opening.open
        taking = None
        if facts.thread is not None:
            taking = Taking(self._turns, facts, when_busy, opening.open)
            open_log = taking.take
            if claim is not open_only:  # a start that is refused writes nothing
                await taking.check()
        began = asyncio.get_running_loop().time()
        try:
            grant = await (open_log() if claim is None else claim(open_log))
            if taking is not None:
                await taking.check_lease(began)
        except BaseException:
            self._keeper.discard_mark(facts.id)  # of a turn that it does not use
            raise
        log = StoredLog(facts.id, start=grant.last, bounds=self._bounds)
        recording = Recording(
            Recorder(log, opening, grant),
            partial(self._make_follower, log),
            self._shared_watch,
            on_stored=partial(self._keeper.keep, opening, log),
            why=None if taking is None else taking.why_cancelled,
        )
        read_page = partial(self._store.read, facts.id)
        turn = None if taking is None else taking.wait
        questions = Questions(facts, self._questioning)
        return Opened(log, questions, recording, turn, read_page)

    async def discard(self, id: str) -> None:
        try:
            await self._store.delete(id)
        except StoreError:  # it expires anyway
            logger.warning("The log %s could not be deleted.", id, exc_info=True)

    def add(self, execution: Execution) -> None:
        self.here[execution.id] = execution
        self._share()

    def retain(self, execution: Execution, run: Run) -> None:
        execution.end(run)
        self._keeper.discard_mark(execution.id)
        if self.here.pop(execution.id, None) is None:  # a drain has cleared it
            return
        if run.ended is None:  # not recorded to the end: others see its lease end
            return
        while self._keeper.held_bytes > self._options["max_retained_bytes"]:
            self._keeper.drop_oldest()
        self._elsewhere[execution.id] = execution
        self._share()

    async def started(self) -> None:
        await self._starts.wait()

    def reopen(self) -> None:
        for each in (self._reaper, self._keeper, self.feeds):
            each.reopen()
        self._name = secrets.token_hex(8)  # it no longer writes its earlier logs

    async def aclose(self) -> None:
        self._starts.clear()
        self.here.clear()
        await self._questioning.aclose()
        await self._reaper.aclose()  # which tells the feeds what it has ended
        await self.feeds.aclose()
        await self._keeper.aclose()
        await self._shared_watch.aclose()

    def _get_writer(self) -> str:
        """The writer of the logs; a process forked off this one has another."""
        return f"{self._name}-{os.getpid()}"

    def _share(self) -> None:
        """Let all logs together hold no more than ``max_retained_bytes``.

        Each of what runs, here or elsewhere, may hold the same. The number of shares is
        a power of two, so it changes seldom, and with it what every log may hold.
        """
        count = max(len(self.here) + len(self._elsewhere), 1)
        share = self._options["max_retained_bytes"] >> (count - 1).bit_length()
        share = max(min(share, self._options["max_bytes"]), 1)
        narrower = share < self._bounds.max_bytes
        self._bounds.max_bytes = share
        if narrower:
            for execution in self:
                execution.log.fit()

    def _make_remote(self, id: str, page: Page) -> Execution:
        log = StoredLog(id, start=page.last, bounds=self._bounds)
        log.extend([], end=page.end)
        make_run = partial(
            RemoteRun,
            id=id,
            log=log,
            store=self._store,
            follower=self._make_follower(log),
        )
        facts = Facts.from_meta(id, page.meta)
        questions = Questions(facts, self._questioning)
        opened = Opened(log, questions, read_page=partial(self._store.read, id))
        return self._make(facts, opened, make_run)

    def _make_follower(self, log: StoredLog) -> Follower:
        after, lease = self._options["cancel_after"], self._options["lease"]
        return Follower(
            log,
            self._store,
            self._shared_watch,
            self._reaper,
            watched_for=None if after is None else max(after, lease),
            patience=lease,
        )

    async def _find_anywhere(self, id: str) -> Execution:
        return self.here.get(id) or await self.find(id)

    async def _runs(self, id: str) -> bool:
        """Whether an execution runs, here or elsewhere."""
        local = self.here.get(id)
        if local is not None and local.log.end is None:
            return True  # also if the store has just lost its log
        page = await self._look(id)
        return page is not None and page.end is None

    async def _look(self, id: str) -> Page | None:
        """The state of a log. If its writer is dead, the reaper ends it soon."""
        page = await self._store.read(id, 0, 0)
        if page is not None and not page.alive:
            self._reaper.suspect(id)
        return page
