"""What an execution asks people: where it waits for answers, and where they answer."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from typing import TypeAlias, TypeVar

from asgi_events.aio.backoff import Backoff
from asgi_events.aio.waiter import Waiter
from asgi_events.events import InputAction, InputAnswerEvent, InputRequestEvent
from asgi_events.exceptions import StoreError, Unavailable
from asgi_events.executions.facts import Facts
from asgi_events.executions.follower import SharedWatch
from asgi_events.executions.question_log import (
    Answer,
    Asked,
    ClosedQuestion,
    HiddenRequest,
    QuestionLog,
    redacted,
)
from asgi_events.log.writer import check_size
from asgi_events.redaction import Redaction
from asgi_events.stores.contract import Page

logger = logging.getLogger(__name__)

T = TypeVar("T")

OnNews: TypeAlias = Callable[[Facts, InputRequestEvent, InputAnswerEvent | None], None]

_FLOOR = 2.0  # seconds between two looks for an answer; hints may be lost
_LAST_WORD = 1.0  # seconds


@dataclass(frozen=True, slots=True)
class Questioning:
    """What the questions of all executions of a process share.

    Attributes:
        open_log: Makes the log of the questions of an execution, given its id.
        watch: Says that other processes have answered; None where there are none.
        keep: Called with each question that is closed, so that the store can be given
            it again.
        max_event_bytes: How many bytes of JSON a question may have; None for any
            number.
        look: Looks at the log of an execution; None where all run in this process.
        closing: The tasks that close questions which nobody waits for any more.
    """

    open_log: Callable[[str], QuestionLog]
    watch: SharedWatch | None = None
    keep: Callable[[ClosedQuestion], None] | None = None
    max_event_bytes: int | None = None
    look: Callable[[str], Awaitable[Page | None]] | None = None
    closing: set[asyncio.Task[None]] = field(default_factory=set)

    async def is_running(self, id: str) -> bool:
        """Whether an execution goes on, in any process.

        Raises:
            Unavailable: Nobody knows, since its process gives no sign of life; or the
                store does not answer.
        """
        if self.look is None:
            return True
        page = await self.look(id)
        if page is not None and page.end is not None:
            return False
        if page is None or not page.alive:
            raise Unavailable(
                f"The process of execution {id!r} gives no sign of life: try again, "
                "until it does or has been found dead."
            )
        return True

    async def aclose(self) -> None:
        """Wait a moment for the tasks, since the process stops."""
        if self.closing:
            await asyncio.wait(self.closing, timeout=_LAST_WORD)


class Questions:
    """The questions of one execution.

    Args:
        facts: What the execution is.
        questioning: What they share with those of other executions.

    Attributes:
        id: The execution's id.
        redaction: What viewers may see of a question; None for all of it.
        on_change: Called when the first question is open, and when none is any more;
            None where the execution does not run.
        on_news: Called with each question that is asked here, and again with what has
            closed it.
    """

    # Most executions ask nothing, so this is small.
    __slots__ = (
        "_asked",
        "_facts",
        "_is_over",
        "_log_made",
        "_open",
        "_questioning",
        "_waiters",
        "_withdrawn",
        "id",
        "on_change",
        "on_news",
        "redaction",
    )

    def __init__(self, facts: Facts, questioning: Questioning) -> None:
        self.on_change: Callable[[], None] | None = None
        self.on_news: OnNews | None = None
        self.redaction: Redaction | None = None
        self.id = facts.id
        self._facts = facts
        self._questioning = questioning
        self._log_made: QuestionLog | None = None
        self._asked: count[int] | None = None
        self._waiters: tuple[Waiter, ...] = ()
        self._open = 0
        self._withdrawn = 0  # those that are being closed
        self._is_over = False

    @property
    def _log(self) -> QuestionLog:
        if self._log_made is None:
            self._log_made = self._questioning.open_log(self.id)
        return self._log_made

    @property
    def are_open(self) -> bool:
        """Whether a call of this process waits for an answer."""
        return self._open > 0

    def next_number(self) -> int:
        """The number of a new question."""
        if self._asked is None:
            self._asked = count(1)
        return next(self._asked)

    @contextmanager
    def opened(self) -> Iterator[None]:
        """In this block a question is open."""
        self._count(1)
        try:
            yield
        finally:
            self._count(-1)

    def stored(self, request: InputRequestEvent) -> InputRequestEvent:
        """A new question as it is stored, as viewers may see it, if it fits."""
        if self.redaction is not None:
            request = redacted(request, self.redaction)
        check_size(request, self._questioning.max_event_bytes)
        return request

    async def ask(self, request: InputRequestEvent) -> None:
        """Make a question known to all processes, however long that takes."""
        await _insisting(self.id, partial(self._log.ask, request))
        self._tell(request)

    async def answer_to(
        self, request: InputRequestEvent, is_over: Callable[[], bool]
    ) -> InputAnswerEvent:
        """Wait until a question is closed, and return what has closed it.

        Args:
            request: The question.
            is_over: Whether its call does not wait any more; then ``CancelledError`` is
                raised.
        """
        with self._waiter() as waiter:
            while not (self._is_over or is_over()):
                woken = waiter.sleep()
                answer = await self._look(request)
                if answer is not None:
                    self._tell(request, answer)
                    return answer
                await asyncio.wait([woken], timeout=_FLOOR)
            raise asyncio.CancelledError

    async def close(
        self, request: InputRequestEvent, action: InputAction
    ) -> InputAnswerEvent:
        """Close a question that nobody has answered; return what has closed it."""
        stands = await _insisting(self.id, partial(self._close, request, action))
        self._tell(request, stands)
        return stands

    def cancel(
        self, request: InputRequestEvent, tell: Callable[[InputAnswerEvent], None]
    ) -> None:
        """Close a question whose call does not wait any more, and wait for nothing.

        Args:
            request: The question.
            tell: Called with what has closed it, unless the store does not answer: then
                the question ends with its execution.
        """

        async def close() -> None:
            try:
                stands: InputAnswerEvent = await self._close(request, "cancelled")
                tell(stands)
            except StoreError:
                logger.info("Question %s of %s stays.", request.n, self.id)
                stands = cancelled(request)
            finally:
                self._withdrawn -= 1
                self.wake()
            self._tell(request, stands)

        self._withdrawn += 1
        task = asyncio.ensure_future(close())
        self._questioning.closing.add(task)
        task.add_done_callback(self._questioning.closing.discard)

    async def told(self, *, all: bool) -> None:
        """Wait until viewers know what became of all that are open, a second at most.

        Without ``all``, of those whose calls wait no more.
        """
        if self._withdrawn or (all and self.are_open):
            with self._waiter() as waiter, suppress(TimeoutError):
                async with asyncio.timeout(_LAST_WORD):
                    while self._withdrawn or (all and self.are_open):
                        await waiter.sleep()

    def wake(self) -> None:
        """Let the calls that wait look whether they still should."""
        for waiter in self._waiters:
            waiter.wake()

    def end(self) -> None:
        """Let no call wait any more: the execution has ended."""
        self.on_change = self.on_news = None
        self._is_over = True
        self.wake()

    async def read(self) -> Asked:
        """All questions.

        Raises:
            StoreError: The store does not answer.
        """
        if self.on_change is not None and self._asked is None:
            return Asked()  # it runs here, and has asked nothing
        return await self._log.read()

    async def is_awaited(self) -> bool:
        """Whether an answer may count; see ``Questioning.is_running``."""
        return self.on_change is not None or await self._questioning.is_running(self.id)

    async def settle(
        self, request: InputRequestEvent, answer: Answer, asked: Asked | None = None
    ) -> Answer:
        """Close a question, unless it is closed; return what has closed it.

        Args:
            request: The question.
            answer: What closes it.
            asked: What the caller has read.

        Raises:
            StoreError: The store does not answer.
        """
        question = await self._log.close(request, answer, asked)
        assert question.answer is not None
        if question.answer.token == answer.token:
            self.wake()
        return self._kept(request, question.answer)

    @contextmanager
    def _waiter(self) -> Iterator[Waiter]:
        """What ``wake`` wakes in this block."""
        waiter = Waiter()
        self._waiters += (waiter,)
        try:
            yield waiter
        finally:
            self._waiters = tuple(each for each in self._waiters if each is not waiter)

    async def _look(self, request: InputRequestEvent) -> InputAnswerEvent | None:
        """The answer to an open question, which is asked again if it is lost."""
        try:
            question = (await self._log.read()).questions.get(request.n)
            if question is None:
                await self._log.ask(request)
            elif question.answer is None:
                await self._log.keep()
            else:
                return self._kept(request, question.answer)
        except StoreError as error:
            logger.warning("A question of %s waits: %s", self.id, error)
        return None

    async def _close(self, request: InputRequestEvent, action: InputAction) -> Answer:
        answer = Answer(address=request.address, n=request.n, action=action, token="")
        return await self.settle(request, answer)

    def _kept(self, request: InputRequestEvent, answer: Answer) -> Answer:
        """What has closed a question, which the store may still lose."""
        if (keep := self._questioning.keep) is not None:
            keep(ClosedQuestion(self._log, request, answer))
        return answer

    def _tell(
        self, request: InputRequestEvent, answer: InputAnswerEvent | None = None
    ) -> None:
        if self.on_news is not None and not isinstance(request, HiddenRequest):
            self.on_news(self._facts, request, answer)

    def _count(self, change: int) -> None:
        was_open = self.are_open
        self._open += change
        if self.are_open == was_open:
            return
        watch = self._questioning.watch
        if watch is not None and self.are_open:
            watch.add(self._log.key, self.wake)
        elif watch is not None:
            watch.discard(self._log.key, self.wake)
        if not self.are_open:
            self.wake()
        if self.on_change is not None:
            self.on_change()


async def _insisting(id: str, call: Callable[[], Awaitable[T]]) -> T:
    """Call the store until it answers."""
    backoff = Backoff()
    while True:
        try:
            return await call()
        except StoreError as error:
            logger.warning("A question of %s waits: %s", id, error)
        await backoff.wait()


def cancelled(request: InputRequestEvent) -> InputAnswerEvent:
    """What closes a question whose call does not wait any more."""
    return InputAnswerEvent(address=request.address, n=request.n, action="cancelled")
