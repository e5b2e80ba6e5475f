"""The feeds of all owners, in one process: who writes to them, and who watches them."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any
from weakref import WeakValueDictionary

from asgi_events.aio.waiter import Waiter
from asgi_events.events import ExecutionStatus, InputAnswerEvent, InputRequestEvent
from asgi_events.executions.facts import Facts
from asgi_events.executions.feed import Feed
from asgi_events.executions.feed_log import FeedLog
from asgi_events.executions.feed_writer import FeedWriter
from asgi_events.executions.follower import Reaper, SharedWatch
from asgi_events.executions.missed_ends import MissedEnds
from asgi_events.executions.names import check_owner
from asgi_events.executions.options import ExecutionsOptions
from asgi_events.executions.question_log import Question, QuestionLog
from asgi_events.executions.questions import cancelled
from asgi_events.executions.viewers import Viewing
from asgi_events.feed_events import (
    FEED_EVENTS,
    ExecutionAnswered,
    ExecutionEnded,
    ExecutionStarted,
    ExecutionWaiting,
)
from asgi_events.stores.contract import EventStore
from asgi_events.wire.decoding import AnyEvent, EventDecoder, ResetEvent
from asgi_events.wire.sse import Decoder


class Feeds:
    """Tells the feeds of owners what happens, and finds the feed of an owner.

    What is told costs next to nothing as long as nobody watches; see ``FeedWriter``.

    Args:
        store: Where they are.
        options: How long they are kept.
        viewing: What their watchers share with the viewers of executions.
        watch: Says that feeds have changed.
        reaper: Ends the executions whose process is dead; None where ``store`` has no
            executions, because they are in this process only.
    """

    def __init__(
        self,
        store: EventStore,
        options: ExecutionsOptions,
        viewing: Viewing,
        watch: SharedWatch,
        reaper: Reaper | None = None,
    ) -> None:
        self._store = store
        self._viewing = viewing
        self._shared_watch = watch
        self._reaper = reaper
        if reaper is not None:
            reaper.on_reaped = self._lost
        self._retention = options["retention"]
        self._lease = options["lease"]
        self._look = options["lease"] / 4
        # It is kept for the retention after the last of these calls, and longer.
        self._keep = max(self._retention / 4, self._look)
        self._ttl = self._retention + self._keep
        self._writer = FeedWriter(self._log, self._wake)
        self._feeds: WeakValueDictionary[str | None, Feed] = WeakValueDictionary()
        self._may_be_watched = reaper is not None  # in another process
        self._is_closed = False

    @property
    def is_draining(self) -> bool:
        """Whether the process stops."""
        return self._viewing.draining

    async def get(self, owner: str | None, last_event_id: str | None = None) -> Feed:
        """The feed of an owner; there is one as soon as somebody asks for it.

        Args:
            owner: Whose it is.
            last_event_id: The id of the last event that a watcher has, who is to be
                attached then.

        Raises:
            StoreError: The store does not answer.
        """
        self._may_be_watched = True
        feed = self._current(owner) or await self._open(owner)
        await feed.learn(last_event_id)
        return feed

    async def _open(self, owner: str | None) -> Feed:
        log = self._log(owner)
        part, last = await log.open()
        feed = self._current(owner)  # somebody else may have come first
        if feed is None:
            feed = self._feeds[owner] = Feed(
                log,
                self._store,
                part,
                last,
                owner=owner,
                viewing=self._viewing,
                watch=self._shared_watch,
                missed=self._missed(owner),
                look=self._look,
                keep=self._keep,
            )
            if self._is_closed:  # meanwhile
                feed.close()
        return feed

    def started(self, facts: Facts) -> None:
        """Tell that an execution has started."""
        self._say(
            facts.owner,
            ExecutionStarted,
            execution=facts.id,
            timestamp=facts.created,
            actor=facts.actor,
            thread=facts.thread,
        )

    def ended(
        self, facts: Facts, status: str, moment: datetime, *, is_late: bool = False
    ) -> None:
        """Tell that an execution has ended; ``is_late`` if others may tell it, too."""
        self._say(
            facts.owner,
            ExecutionEnded,
            execution=facts.id,
            timestamp=moment,
            actor=facts.actor,
            thread=facts.thread,
            created=facts.created,
            status=status,
            is_late=is_late,
        )

    def questioned(
        self,
        facts: Facts,
        request: InputRequestEvent,
        answer: InputAnswerEvent | None,
    ) -> None:
        """Tell the owner, and whom it is to, that a question is open, or is closed.

        Args:
            facts: What asks.
            request: The question.
            answer: What has closed it; None if it is open.
        """
        for owner in {facts.owner, facts.owner if request.to is None else request.to}:
            if answer is None:
                self._say(
                    owner,
                    ExecutionWaiting,
                    execution=facts.id,
                    timestamp=request.timestamp,
                    n=request.n,
                    address=request.address,
                    message=request.message,
                    response_schema=request.response_schema,
                    expires=request.expires,
                    to=request.to,
                )
            else:
                self._answered(owner, facts.id, answer)

    def dismiss(self) -> None:
        """Send all watchers away, since the process stops; they reconnect."""
        for feed in list(self._feeds.values()):
            feed.watchers.dismiss()

    def reopen(self) -> None:
        """Tell again what happens, after ``aclose``."""
        self._is_closed = False
        self._writer.reopen()

    async def aclose(self) -> None:
        """Tell what is left to be told, and forget all; nothing is told after that."""
        await self._writer.aclose()
        self._is_closed = True
        for feed in list(self._feeds.values()):
            feed.close()
            feed.watchers.send_away()
        self._feeds.clear()

    async def _lost(self, id: str, meta: Mapping[str, str]) -> None:
        """Tell what the process of an execution cannot tell any more."""
        facts = Facts.from_meta(id, meta)
        try:
            for asked in (await self._questions(id)).values():
                if asked.answer is None and not asked.is_hidden:
                    dropped = cancelled(asked.request)
                    self.questioned(facts, asked.request, dropped)
        finally:
            self.ended(facts, ExecutionStatus.LOST, datetime.now(UTC))

    async def _closed(self, owner: str | None, id: str, numbers: Sequence[int]) -> None:
        """Tell whom an execution had asked what has closed its questions."""
        questions = await self._questions(id)
        for n in numbers:
            answer = questions[n].answer if n in questions else None
            dropped = InputAnswerEvent(address="", n=n, action="cancelled")
            self._answered(owner, id, answer or dropped, is_late=True)

    async def _questions(self, id: str) -> Mapping[int, Question]:
        log = QuestionLog(self._store, id, lease=self._lease, ttl=self._retention)
        return (await log.read()).questions

    def _answered(
        self,
        owner: str | None,
        id: str,
        answer: InputAnswerEvent,
        *,
        is_late: bool = False,
    ) -> None:
        self._say(
            owner,
            ExecutionAnswered,
            execution=id,
            timestamp=answer.timestamp,
            n=answer.n,
            action=answer.action,
            by=answer.by,
            is_late=is_late,
        )

    def _say(
        self,
        owner: str | None,
        kind: Callable[..., Any],
        *,
        is_late: bool = False,
        **members: Any,
    ) -> None:
        if self._may_be_watched:
            execution, make = members["execution"], partial(kind, **members)
            self._writer.say(owner, execution, make, is_late=is_late)

    def _current(self, owner: str | None) -> Feed | None:
        feed = self._feeds.get(owner)
        return None if feed is None or feed.is_over else feed

    def _wake(self, owner: str | None) -> None:
        feed = self._feeds.get(owner)
        if feed is not None:
            feed.wake()

    def _log(self, owner: str | None) -> FeedLog:
        return FeedLog(self._store, owner, lease=self._lease, ttl=self._ttl)

    def _missed(self, owner: str | None) -> MissedEnds | None:
        if self._reaper is None:
            return None

        def end(
            id: str, meta: Mapping[str, str], status: str, moment: datetime
        ) -> None:
            facts = Facts.from_meta(id, {"fingerprint": "", **meta})
            self.ended(facts, status, moment, is_late=True)

        return MissedEnds(
            self._store,
            owner,
            suspect=self._reaper.suspect,
            on_end=end,
            on_closed=partial(self._closed, owner),
        )


def feed_of(
    feeds: Feeds, owner: str | None, last: str | None = None
) -> AsyncGenerator[AnyEvent, None]:
    """What happens from now on, or after event ``last``; see ``Executions.feed``."""
    check_owner(owner)
    return _feed_of(feeds, owner, last)


async def _feed_of(
    feeds: Feeds, owner: str | None, last: str | None
) -> AsyncGenerator[AnyEvent, None]:
    decoder = EventDecoder(FEED_EVENTS)
    while not feeds.is_draining:
        begin = (await feeds.get(owner, last)).attach(last)
        cursor, sse, waiter = begin.cursor, Decoder(), Waiter(begin.cursor.on_ready)
        if begin.reset is not None:
            yield ResetEvent(reason=begin.reset, first=begin.first)
        try:
            while (chunk := cursor.take()) is not None:
                if not chunk:
                    await waiter.sleep()
                for block in sse.feed(chunk):
                    last = block.id or last
                    event = decoder.from_sse(block)
                    if event is not None:
                        yield event
        finally:
            cursor.close()
