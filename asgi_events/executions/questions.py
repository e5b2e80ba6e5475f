"""What an execution asks people: where it waits for answers, and where they answer."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from typing import Any, TypeAlias

from asgi_events.actors.answers import errors_in
from asgi_events.aio.backoff import Backoff
from asgi_events.aio.waiter import Waiter
from asgi_events.events import InputAction, InputAnswerEvent, InputRequestEvent
from asgi_events.exceptions import (
    AlreadyAnswered,
    InvalidInput,
    QuestionClosed,
    StoreError,
    UnknownQuestion,
)
from asgi_events.executions.follower import SharedWatch
from asgi_events.executions.question_log import Answer, Question, QuestionLog

logger = logging.getLogger(__name__)

OnNews: TypeAlias = Callable[[InputRequestEvent, InputAnswerEvent | None], None]

_FLOOR = 2.0  # seconds between two looks for an answer; hints may be lost
_LAST_WORD = 1.0  # seconds


class Questions:
    """The questions of one execution.

    Args:
        id: The execution's id.
        log: Where they are.
        closing: Holds the tasks that close questions nobody waits for any more.
        watch: Says that other processes have answered; None where there are none.

    Attributes:
        on_change: Called when the first question is open, and when none is any more;
            None where the execution does not run.
        on_news: Called with each question that is asked here, and again with what has
            closed it.
    """

    # Most executions ask nothing, so this is small.
    __slots__ = (
        "_asked",
        "_closing",
        "_id",
        "_is_over",
        "_log",
        "_open",
        "_waiters",
        "_watch",
        "on_change",
        "on_news",
    )

    def __init__(
        self,
        id: str,
        log: QuestionLog,
        closing: set[asyncio.Task[None]],
        watch: SharedWatch | None = None,
    ) -> None:
        self.on_change: Callable[[], None] | None = None
        self.on_news: OnNews | None = None
        self._id = id
        self._log = log
        self._closing = closing
        self._watch = watch
        self._asked: count[int] | None = None
        self._waiters: tuple[Waiter, ...] = ()
        self._open = 0
        self._is_over = False

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

    async def ask(self, request: InputRequestEvent) -> None:
        """Make a question known to all processes, however long that takes."""
        backoff = Backoff()
        while True:
            try:
                await self._log.ask(request)
                self._tell(request)
                return
            except StoreError as error:
                logger.warning("A question of %s waits: %s", self._id, error)
            await backoff.wait()

    async def answer_to(
        self, request: InputRequestEvent, is_over: Callable[[], bool]
    ) -> InputAnswerEvent:
        """Wait until a question is closed, and return what has closed it.

        Args:
            request: The question.
            is_over: Whether its call does not wait any more; then ``CancelledError`` is
                raised.
        """
        waiter = Waiter()
        self._waiters += (waiter,)
        try:
            while not (self._is_over or is_over()):
                woken = waiter.sleep()
                answer = await self._look(request)
                if answer is not None:
                    self._tell(request, answer)
                    return answer
                await asyncio.wait([woken], timeout=_FLOOR)
            raise asyncio.CancelledError
        finally:
            self._waiters = tuple(each for each in self._waiters if each is not waiter)

    async def close(
        self, request: InputRequestEvent, action: InputAction
    ) -> InputAnswerEvent:
        """Close a question that nobody has answered; return what has closed it."""
        backoff = Backoff()
        while True:
            try:
                stands = await self._close(request, action)
                self._tell(request, stands)
                return stands
            except StoreError as error:
                logger.warning("A question of %s waits: %s", self._id, error)
            await backoff.wait()

    def cancel(self, request: InputRequestEvent) -> None:
        """Close a question whose call does not wait any more, and wait for nothing."""

        async def cancel() -> None:
            try:
                await self._close(request, "cancelled")
            except StoreError:  # it ends with its execution
                logger.info("Question %s of %s stays.", request.n, self._id)

        self._tell(request, cancelled(request))
        task = asyncio.ensure_future(cancel())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    def wake(self) -> None:
        """Let the calls that wait look whether they still should."""
        for waiter in self._waiters:
            waiter.wake()

    def end(self) -> None:
        """Let no call wait any more: the execution has ended."""
        self.on_change = self.on_news = None
        self._is_over = True
        self.wake()

    async def all(self) -> Sequence[Question]:
        """All questions, in the order in which they were asked.

        Raises:
            StoreError: The store does not answer.
        """
        if self.on_change is not None and self._asked is None:
            return []  # it runs here, and has asked nothing
        return list((await self._log.read()).values())

    async def answer(
        self,
        n: int,
        action: InputAction,
        content: Any = None,
        *,
        by: str | None = None,
        is_over: bool = False,
    ) -> bool:
        """Answer a question; see ``Execution.answer``.

        Args:
            n: The number of the question.
            action: ``accept`` or ``decline``.
            content: What is accepted, as JSON.
            by: Who answers.
            is_over: Its execution has ended, so nothing is answered any more.
        """
        question = (await self._log.read()).get(n)
        if question is None:
            raise UnknownQuestion(self._id, n)
        if action == "accept":
            errors = errors_in(question.request.response_schema, content)
            if errors:
                raise InvalidInput(f"question {n}", errors)
        stands, token = question.answer, secrets.token_hex(8)
        if stands is None:
            if is_over:
                raise QuestionClosed(self._id, n, "cancelled")
            stands = await self._close(question.request, action, content, by, token)
        if stands.token == token:
            self.wake()
            return True
        if stands.action in ("expired", "cancelled"):
            raise QuestionClosed(self._id, n, stands.action)
        if (stands.action, stands.content) != (action, content):
            raise AlreadyAnswered(self._id, n, stands.action, stands.by)
        return False

    async def _look(self, request: InputRequestEvent) -> InputAnswerEvent | None:
        """The answer to an open question, which is asked again if it is lost."""
        try:
            question = (await self._log.read()).get(request.n)
            if question is None:
                await self._log.ask(request)
            elif question.answer is None:
                await self._log.keep()
            else:
                return question.answer
        except StoreError as error:
            logger.warning("A question of %s waits: %s", self._id, error)
        return None

    async def _close(
        self,
        request: InputRequestEvent,
        action: InputAction,
        content: Any = None,
        by: str | None = None,
        token: str = "",
    ) -> Answer:
        answer = Answer(
            address=request.address,
            n=request.n,
            action=action,
            content=content,
            by=by,
            token=token,
        )
        return await self._log.close(request, answer)

    def _tell(
        self, request: InputRequestEvent, answer: InputAnswerEvent | None = None
    ) -> None:
        if self.on_news is not None:
            self.on_news(request, answer)

    def _count(self, change: int) -> None:
        was_open = self.are_open
        self._open += change
        if self.are_open == was_open:
            return
        if self._watch is not None and self.are_open:
            self._watch.add(self._log.key, self.wake)
        elif self._watch is not None:
            self._watch.discard(self._log.key, self.wake)
        if self.on_change is not None:
            self.on_change()


def cancelled(request: InputRequestEvent) -> InputAnswerEvent:
    """What closes a question whose call does not wait any more."""
    return InputAnswerEvent(address=request.address, n=request.n, action="cancelled")


async def closed(closing: set[asyncio.Task[None]]) -> None:
    """Wait a moment for the tasks that close questions, since the process stops."""
    if closing:
        await asyncio.wait(closing, timeout=_LAST_WORD)
