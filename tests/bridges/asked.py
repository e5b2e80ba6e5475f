"""Runs an actor whose framework asks, and says what was asked."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from asgi_events import Executions
from asgi_events.executions import Execution
from tests.executions.asking import answers, asked
from tests.executions.scenes import end_of, soon

__all__ = ["answers", "asked", "end_of", "messages", "running", "soon"]

APPROVED = {"approved": True}
DENIED = {"approved": False, "reason": "too much"}


@asynccontextmanager
async def running(actor: Any, **input: Any) -> AsyncIterator[Execution]:
    """An execution of the actor, until the block ends."""
    executions = Executions(actor)
    try:
        yield await executions.start(actor, input)
    finally:
        await executions.drain(0)


async def messages(execution: Execution, count: int = 1) -> list[str]:
    """What it has asked, once it has asked so many questions."""
    return [request.message for request in await asked(execution, count)]
