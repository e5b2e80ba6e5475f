"""Asks people whether a framework may call a tool."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, TypeAlias, TypeVar

from pydantic import BaseModel, Field

from asgi_events.actors.asking import ask
from asgi_events.actors.shown import shown
from asgi_events.actors.state import ExecutionState
from asgi_events.exceptions import InputDeclined, InputExpired

T = TypeVar("T")

ApprovalMessage: TypeAlias = Callable[[str, Any], str]
"""Says what is asked about a tool, of its name and its arguments."""


class Approval(BaseModel):
    """May the tool be called?"""

    approved: bool = Field(title="Approved")
    reason: str | None = Field(None, title="Reason")


def with_arguments(name: str, arguments: Any) -> str:
    """Ask about a tool, and show its arguments to all viewers."""
    return f"Call {name} with {json.dumps(shown(arguments), ensure_ascii=False)}?"


async def approvals(
    state: ExecutionState,
    calls: Iterable[tuple[str, Any]],
    *,
    timeout: float | None,
    to: str | None,
    message: ApprovalMessage,
) -> list[Approval]:
    """Ask about several calls of tools at once, each a name and its arguments."""
    return await together(
        approval(state, message(*call), timeout=timeout, to=to) for call in calls
    )


async def approval(
    state: ExecutionState,
    message: str,
    *,
    timeout: float | None,
    to: str | None,
) -> Approval:
    """Ask whether a tool may be called; any other answer than yes denies it."""
    try:
        answer = await ask(state, message, Approval, timeout=timeout, to=to, echo=False)
    except InputDeclined:
        return Approval(approved=False, reason="Declined.")
    except InputExpired:
        return Approval(
            approved=False, reason=f"Nobody has decided within {timeout} s."
        )
    assert isinstance(answer, Approval)
    return answer


async def together(asking: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """Ask several questions at once, and return all answers.

    What the first one raises is raised, and the other questions are cancelled.
    """
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(each) for each in asking]
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from None
    return [task.result() for task in tasks]
