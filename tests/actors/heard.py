"""The calls that a bus has heard of."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import Any

from pydantic import BaseModel

from asgi_events import (
    ExecutionEvent,
    ExecutionState,
    tool,
)
from tests import TIMEOUT

Call = tuple[str, str]
"""The address of a call, and what became of it."""


class Heard:
    """All that is published in the executions of a state."""

    def __init__(self, state: ExecutionState) -> None:
        self.events: list[Any] = []
        self._came = asyncio.Event()
        state.event_bus.subscribe(self)

    def __call__(self, event: BaseModel) -> None:
        self.events.append(event)
        self._came.set()

    @property
    def calls(self) -> list[Call]:
        return [
            (event.address, str(event.execution_status))
            for event in self.events
            if isinstance(event, ExecutionEvent)
        ]

    @property
    def said(self) -> list[Any]:
        return [e for e in self.events if not isinstance(e, ExecutionEvent)]

    async def until(self, happened: Callable[[], bool]) -> None:
        async with asyncio.timeout(TIMEOUT):
            while not happened():
                self._came.clear()
                await self._came.wait()

    async def until_call(self, *call: str) -> None:
        await self.until(lambda: call in self.calls)


def execute(actor: Any, state: ExecutionState, value: Any = None) -> Awaitable[Any]:
    return ExecutionEvent[Any](actor=actor)(value, "", state)


def on_other_thread() -> bool:
    return threading.current_thread() is not threading.main_thread()


@tool
async def leaf() -> None:
    await asyncio.sleep(0)


class Boom(Exception):
    pass
