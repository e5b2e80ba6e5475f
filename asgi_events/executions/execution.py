"""One execution, wherever it runs: what it is, how it stands, and who watches it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable
from datetime import datetime
from functools import partial
from typing import Any, Protocol

from pydantic import BaseModel

from asgi_events.actors.actor import Actor
from asgi_events.actors.inputs import returned_by
from asgi_events.aio.waiter import Waiter
from asgi_events.events import (
    CANCELLED,
    ExecutionStatus,
    InputRequestEvent,
    ProgressEvent,
    TerminalEvent,
)
from asgi_events.executions.answers import give_answer
from asgi_events.executions.facts import Facts
from asgi_events.executions.history import History
from asgi_events.executions.question_log import Question
from asgi_events.executions.questions import Questions
from asgi_events.executions.viewers import Viewers
from asgi_events.log.log import Log
from asgi_events.log.pages import ReadPage
from asgi_events.log.stored import StoredLog
from asgi_events.wire.decoding import AnyEvent, EventDecoder
from asgi_events.wire.sse import Decoder


class Run(Protocol):
    """What is behind an execution: a task of this process, or of another one.

    Attributes:
        is_local: Whether it runs in this process.
        ended: When its terminal event was stored; None while it runs.
    """

    ended: datetime | None

    @property
    def is_local(self) -> bool: ...

    async def cancel(self, message: str) -> bool:
        """Cancel it; False when it is over."""

    async def wait(self) -> None:
        """Wait until its terminal event is stored."""

    def abandon(self) -> None:
        """Stop recording: the process stops, and others see its lease end."""


class Execution:
    """A running or finished call of an actor; ``Executions`` starts and finds them.

    Args:
        facts: What it is.
        log: Its frames.
        viewers: Who watches it.
        run: What is behind it.
        questions: What it asks.
        read_page: Reads frames that the log has dropped; None where nobody has them.
        calls: The actor that it is a call of, where this process has it.

    Attributes:
        asking: What it asks.
        facts: What it is.
        history: Looks back in its log.
        log: Its frames.
        watchers: Who watches it in this process.
    """

    __slots__ = (
        "__weakref__",
        "_calls",
        "_run",
        "asking",
        "facts",
        "history",
        "log",
        "watchers",
    )

    def __init__(
        self,
        facts: Facts,
        *,
        log: Log,
        viewers: Viewers,
        run: Run,
        questions: Questions,
        read_page: ReadPage | None = None,
        calls: Actor[..., Any] | None = None,
    ) -> None:
        self.log = log
        self.watchers = viewers
        self.facts = facts
        self._run = run
        self.asking = questions
        self.history = History(log, read_page)
        self._calls = calls

    def __repr__(self) -> str:
        return f"<Execution {self.id} of {self.actor}: {self.status}>"

    def end(self, run: Run) -> None:
        """Hold no more than what viewers need, where all else is in a store.

        Args:
            run: What is behind it from now on.
        """
        self._run = run
        self.watchers.on_change = None
        if isinstance(self.log, StoredLog):
            self.watchers.on_change = partial(self._drop_unwatched, self.log)
            self._drop_unwatched(self.log)

    @property
    def id(self) -> str:
        """Its name in URLs and event ids; by default 22 letters and digits."""
        return self.facts.id

    @property
    def actor(self) -> str:
        """The actor's name."""
        return self.facts.actor

    @property
    def owner(self) -> str | None:
        """Who started it, as ``authorize`` returned; None without one."""
        return self.facts.owner

    @property
    def thread(self) -> str | None:
        """The thread that it is a turn of; None without one."""
        return self.facts.thread

    @property
    def created(self) -> datetime:
        """When it was started."""
        return self.facts.created

    @property
    def ended(self) -> datetime | None:
        """When its terminal event was stored; None while it runs."""
        return self._run.ended

    @ended.setter
    def ended(self, moment: datetime) -> None:
        self._run.ended = moment

    @property
    def status(self) -> ExecutionStatus:
        """``started`` while it runs, then how it ended."""
        if self.log.end is None or self.log.committed < self.log.last:
            return ExecutionStatus.STARTED
        return ExecutionStatus(self.log.end)

    @property
    def viewers(self) -> int:
        """How many watch it now, in this process."""
        return len(self.watchers)

    @property
    def runs_here(self) -> bool:
        """Whether it runs in this process."""
        return self._run.is_local and self._run.ended is None

    async def wait(self) -> ExecutionStatus:
        """Wait for the end, and return how it ended."""
        await self._run.wait()
        return self.status

    async def cancel(self, message: str = CANCELLED) -> bool:
        """Cancel it, wherever it runs; False when it is over already.

        Viewers are told ``message`` where it runs in this process.

        Raises:
            Unavailable: It runs elsewhere, and the store does not answer.
        """
        return await self._run.cancel(message)

    async def questions(self) -> list[Question]:
        """What it has asked so far, and what was answered, the oldest first.

        Raises:
            Unavailable: The store does not answer.
        """
        return list((await self.asking.read()).questions.values())

    async def waiting(self) -> list[InputRequestEvent]:
        """What it asks now, as viewers may see it; nothing when it has ended.

        Raises:
            Unavailable: The store does not answer.
        """
        if self.status is not ExecutionStatus.STARTED:
            return []
        return [
            question.request
            for question in await self.questions()
            if question.answer is None and not question.is_hidden
        ]

    async def answer(self, n: int, content: Any, *, by: str | None = None) -> bool:
        """Answer a question, wherever it was asked; exactly one answer wins.

        Args:
            n: The number of the question.
            content: The answer, as JSON that fits its ``response_schema``.
            by: Who answers.

        Returns:
            Whether this is the answer that counts; False if it has this very answer
            already.

        Raises:
            UnknownQuestion: There is none of that number.
            InvalidInput: The content is not what was asked for.
            AlreadyAnswered: There is another answer.
            QuestionClosed: Nobody waits for the answer any more.
            Unavailable: The store does not answer, and may have taken the answer; or
                the process that asks gives no sign of life. Give the same one again.
        """
        _, is_first = await give_answer(
            self.asking, self.status, n, "accept", content, by=by
        )
        return is_first

    async def decline(self, n: int, *, by: str | None = None) -> bool:
        """Decline to answer a question; see ``answer``."""
        _, is_first = await give_answer(self.asking, self.status, n, "decline", by=by)
        return is_first

    async def result(self) -> Any:
        """Wait for the end, and return what the actor returned.

        It comes from the ``complete`` event, so it is the same in every process: the
        JSON of what was returned, validated as the type that the actor's function is
        annotated to return. Without an annotation it is the JSON data itself.

        Raises:
            ExecutionFailed: It failed; ``ExecutionCancelled``, ``ExecutionLost``: it
                was cancelled or lost. All name it and say what viewers were told.
            ResultGone: It is not kept any more.
            ValueError: What was returned is not what the annotation says.
            Unavailable: The store does not answer.
        """
        await self.wait()
        type = Any if self._calls is None else returned_by(self._calls)
        return await self.history.result(self.facts, type)

    def events(
        self,
        after: int = 0,
        *,
        types: Iterable[type[BaseModel]] = (),
        counts: bool = True,
    ) -> AsyncGenerator[AnyEvent, None]:
        """The events from number ``after`` + 1 to the terminal one, as they come.

        They are numbered from 1 without holes. Where the oldest are not kept any more
        a ``ResetEvent`` says which one follows.

        Args:
            after: The number of the last event that the caller has.
            types: Models of the application's that events are made into; see
                ``EventDecoder``. What no model knows is a dict.
            counts: The caller counts as a viewer for ``cancel_after``.

        Raises:
            ValueError: There is no event ``after`` yet, or it is negative.
        """
        newest = max(self.log.last, self.log.known)
        if not 0 <= after <= newest:
            raise ValueError(
                f"Execution {self.id} has {newest} events so far, so nobody can have "
                f"had number {after}: give 0 for all of them."
            )
        last_event_id = f"{self.id}:{after}" if after else None
        return _events(self.watchers, last_event_id, counts, EventDecoder(types))

    async def terminal_event(self) -> TerminalEvent | None:
        """The terminal event; None while it runs, or when it is not kept any more."""
        return await self.history.terminal_event()

    async def progress(self) -> ProgressEvent | None:
        """The newest progress among the newest 256 events; if they are long, fewer."""
        return await self.history.progress()

    def dismiss(self) -> None:
        """Send the viewers away, since the process stops; they reconnect."""
        self.watchers.dismiss()

    def abandon(self) -> None:
        """Stop recording: the process stops."""
        self._run.abandon()

    def _drop_unwatched(self, log: StoredLog) -> None:
        if not self.watchers:
            log.skip_to(log.last + 1)


async def _events(
    watchers: Viewers, last_event_id: str | None, counts: bool, decoder: EventDecoder
) -> AsyncGenerator[AnyEvent, None]:
    cursor = watchers.attach(last_event_id, counts=counts)
    sse, waiter = Decoder(), Waiter(cursor.on_ready)
    try:
        while (chunk := cursor.take()) is not None:
            if not chunk:
                await waiter.sleep()
            for block in sse.feed(chunk):
                event = decoder.from_sse(block)
                if event is not None:
                    yield event
    finally:
        cursor.close()
