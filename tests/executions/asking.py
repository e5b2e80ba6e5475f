"""Actors that ask, for the tests of questions."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from pydantic import BaseModel, field_validator

from asgi_events import agent, current_state
from asgi_events.events import InputAnswerEvent, InputRequestEvent
from asgi_events.exceptions import InputDeclined, InputExpired, Unavailable
from asgi_events.executions import Execution
from asgi_events.executions.questions import Questions
from tests import TIMEOUT


class Choice(BaseModel):
    seat: str
    bags: int = 1

    @field_validator("seat")
    @classmethod
    def _exists(cls, value: str) -> str:
        if value == "13":
            raise ValueError("there is no row 13")
        return value


def outcome_of(error: Exception) -> str:
    if isinstance(error, InputDeclined):
        return f"declined by {error.by}"
    if isinstance(error, InputExpired):
        return f"expired after {error.timeout}"
    return f"{type(error).__name__}"


@agent
async def book(timeout: float | None = None, to: str | None = None) -> str:
    try:
        choice = await current_state().ask("Book?", Choice, timeout=timeout, to=to)
    except (InputDeclined, InputExpired, ValueError) as error:
        return outcome_of(error)
    return f"{choice!r}"


@agent
def book_sync(timeout: float | None = None) -> str:
    try:
        choice: Any = current_state().ask("Book?", Choice, timeout=timeout)
    except (InputDeclined, InputExpired, ValueError) as error:
        return outcome_of(error)
    return f"{choice!r}"


@agent
def book_in_its_loop() -> str:
    async def ask() -> str:
        return f"{await current_state().ask('Book?', Choice)!r}"

    return asyncio.run(ask())


@agent
async def confirm(echo: bool = False, count: int = 1) -> list[bool]:
    state = current_state()
    asked = (state.ask(f"Sure {n}?", echo=echo) for n in range(1, count + 1))
    return list(await asyncio.gather(*asked))


@agent
async def approve() -> list[bool]:
    """Asks two people, at the same time."""
    state = current_state()
    first = state.ask("To the approver?", to="approver")
    return list(await asyncio.gather(first, state.ask("To nobody else?")))


def waiting_in(monkeypatch: pytest.MonkeyPatch) -> list[asyncio.AbstractEventLoop]:
    """The event loops in which questions wait for their answers, from now on."""
    loops: list[asyncio.AbstractEventLoop] = []
    answer_to = Questions.answer_to

    async def spy(self: Questions, *args: Any) -> InputAnswerEvent:
        loops.append(asyncio.get_running_loop())
        return await answer_to(self, *args)

    monkeypatch.setattr(Questions, "answer_to", spy)
    return loops


async def asked(execution: Execution, count: int = 1) -> list[InputRequestEvent]:
    """Wait until it has asked so many questions."""
    found: list[InputRequestEvent] = []
    async with asyncio.timeout(TIMEOUT):
        async for event in execution.events(counts=False):
            if isinstance(event, InputRequestEvent):
                found.append(event)
            if len(found) == count:
                return found
    raise AssertionError(f"It has ended, and has asked {found}.")


async def answer(execution: Execution, content: Any, by: str) -> bool:
    """Answer question 1 as clients do: again, while its process seems to be silent."""
    async with asyncio.timeout(TIMEOUT):
        while True:
            try:
                return await execution.answer(1, content, by=by)
            except Unavailable:
                await asyncio.sleep(0.01)


async def answers(execution: Execution) -> list[tuple[Any, ...]]:
    """What viewers are told of the answers, until it ends."""
    async with asyncio.timeout(TIMEOUT):
        return [
            (event.n, event.action, event.by, event.content)
            async for event in execution.events()
            if isinstance(event, InputAnswerEvent)
        ]
