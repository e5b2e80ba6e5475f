"""Asks people something in the middle of a call, and waits for the answer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from pydantic import BaseModel, TypeAdapter
from pydantic_core import to_json

from asgi_events.actors.forms import form_of
from asgi_events.bus import EventBus
from asgi_events.checks import check_flags, check_seconds, check_texts
from asgi_events.events import InputAction, InputAnswerEvent, InputRequestEvent
from asgi_events.exceptions import EventTooLarge, InputDeclined, InputExpired


class Questions(Protocol):
    """Where the questions of an execution wait for their answers."""

    def next_number(self) -> int:
        """The number of a new question."""

    def opened(self) -> AbstractContextManager[None]:
        """In this block a question is open."""

    def stored(self, request: InputRequestEvent) -> InputRequestEvent:
        """A new question as it is stored, which the other methods take.

        Raises:
            EventTooLarge: It has more bytes than ``max_event_bytes``.
        """

    async def ask(self, request: InputRequestEvent) -> None:
        """Make a question known to all processes."""

    async def answer_to(
        self, request: InputRequestEvent, is_over: Callable[[], bool]
    ) -> InputAnswerEvent:
        """Wait until a question is closed, and return what has closed it."""

    async def close(
        self, request: InputRequestEvent, action: InputAction
    ) -> InputAnswerEvent:
        """Close a question that nobody has answered; return what has closed it."""

    def cancel(
        self, request: InputRequestEvent, tell: Callable[[InputAnswerEvent], None]
    ) -> None:
        """Close a question whose call does not wait any more, and wait for nothing.

        Args:
            request: The question.
            tell: Called with what has closed it, once that is known.
        """


class Asker(Protocol):
    """The members of the state of a call that asks; see ``ExecutionState``."""

    event_bus: EventBus
    questions: Questions | None
    address: str

    @property
    def cancelled(self) -> bool: ...

    def publish(self, event: BaseModel) -> Awaitable[None]: ...


async def ask(
    state: Asker,
    message: str,
    type: Any,
    *,
    timeout: float | None,
    to: str | None,
    echo: bool,
) -> Any:
    """Ask, wait, and return the answer; see ``ExecutionState.ask``."""
    form = form_of(type)
    content = await ask_form(state, message, form, timeout=timeout, to=to, echo=echo)
    # From JSON, since a strict model takes a date or an Enum from nothing else.
    return TypeAdapter(type).validate_json(to_json(content))


async def ask_form(
    state: Asker,
    message: str,
    form: dict[str, Any],
    *,
    timeout: float | None = None,
    to: str | None = None,
    echo: bool = False,
) -> Any:
    """Ask with a form that is there already, and return the answer as it was given.

    Args:
        state: The call that asks.
        message: What is asked.
        form: What ``form_of`` or ``form_from`` has returned.
        timeout: As for ``ExecutionState.ask``.
        to: As there.
        echo: As there.
    """
    _check_not_blank(message=message)
    check_seconds(timeout=timeout)
    check_flags(echo=echo)
    if to is not None:
        _check_not_blank(to=to)
    questions = state.questions
    if questions is None:
        raise RuntimeError(
            "Nobody can answer here: only an execution that Executions runs can ask. "
            "Start the actor with executions.start, or over HTTP."
        )
    expires = None if timeout is None else _moment_in(timeout)
    request = InputRequestEvent(
        address=state.address,
        n=questions.next_number(),
        message=message,
        response_schema=form,
        expires=expires,
        to=to,
    )
    with questions.opened():
        answer = await _closed(state, questions, request, timeout, echo)
    await _tell(state, answer, echo)
    if answer.action == "accept":
        return answer.content
    if answer.action == "decline":
        raise InputDeclined(request.n, message, answer.by)
    raise InputExpired(request.n, message, timeout)


async def _closed(
    state: Asker,
    questions: Questions,
    request: InputRequestEvent,
    timeout: float | None,
    echo: bool,
) -> InputAnswerEvent:
    """Ask, and wait for what closes the question."""
    stored = questions.stored(request)
    is_told = False  # to viewers
    try:
        try:
            async with asyncio.timeout(timeout):
                await questions.ask(stored)
                published = state.publish(request)
                is_told = True
                await published
                return await questions.answer_to(stored, lambda: state.cancelled)
        except TimeoutError:
            answer = await questions.close(stored, "expired")
            if not is_told:
                await state.publish(request)
            return answer
    except BaseException:
        # It may have been answered just now, by somebody who was told that it counts.
        def tell(answer: InputAnswerEvent) -> None:
            if is_told:
                state.event_bus.publish_nowait(
                    _told(answer, echo), too_large=lambda *_: _told(answer, False)
                )

        questions.cancel(stored, tell)
        raise


async def _tell(state: Asker, answer: InputAnswerEvent, echo: bool) -> None:
    """Tell viewers what has closed a question."""
    try:
        await state.publish(_told(answer, echo))
    except EventTooLarge:
        await state.publish(_told(answer, False))


def _told(answer: InputAnswerEvent, echo: bool) -> InputAnswerEvent:
    """What viewers are told when a question is closed."""
    return InputAnswerEvent(
        address=answer.address,
        n=answer.n,
        action=answer.action,
        by=answer.by,
        content=answer.content if echo else None,
    )


def _check_not_blank(**texts: Any) -> None:
    check_texts(**texts)
    for name, text in texts.items():
        if not text.strip():
            raise ValueError(f"{name} must not be blank, got {text!r}")


def _moment_in(timeout: float) -> datetime:
    try:
        return datetime.now(UTC) + timedelta(seconds=timeout)
    except OverflowError:
        raise ValueError(
            f"timeout={timeout!r} is beyond the calendar; None waits for ever."
        ) from None
