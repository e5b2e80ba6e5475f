"""Executions of several processes on one store."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeAlias

import pytest

from asgi_events import Executions, current_state, tool
from asgi_events.actors import Actor
from asgi_events.stores import EventStore
from asgi_events.testing import Connection
from asgi_events.wire.sse import ServerSentEvent
from tests import TIMEOUT
from tests.apps import Numbered

Share: TypeAlias = Callable[[], EventStore]

KINDS = ["memory", "sqlite", pytest.param("valkey", marks=pytest.mark.server)]


class Dictation:
    """An actor that publishes a number when the test says so.

    Attributes:
        runs: How often it was started.
    """

    def __init__(self) -> None:
        self.runs = 0
        self._numbers: asyncio.Queue[int | Exception | None] = asyncio.Queue()

        @tool
        async def dictated(text: str = "") -> str:
            self.runs += 1
            while (number := await self._numbers.get()) is not None:
                if isinstance(number, Exception):
                    raise number
                await current_state().publish(Numbered(number=number))
            return text

        self.actor: Actor[..., Any] = dictated

    def say(self, *numbers: int) -> None:
        for number in numbers:
            self._numbers.put_nowait(number)

    def fail(self, error: Exception) -> None:
        self._numbers.put_nowait(error)

    def stop(self) -> None:
        self._numbers.put_nowait(None)


Process: TypeAlias = Callable[..., Executions]


async def seen(connection: Connection, count: int) -> list[ServerSentEvent]:
    """The next ``count`` events, without the ``retry`` that the first one has."""
    return [replace(await connection.event(), retry=None) for _ in range(count)]


async def rest(connection: Connection) -> list[ServerSentEvent]:
    """Likewise all further events."""
    async with asyncio.timeout(TIMEOUT):  # heartbeats may go on for ever
        events = await connection.events()
    return [replace(event, retry=None) for event in events]


async def until(look: Callable[[], bool]) -> None:
    """Wait for what gives no sign of itself."""
    async with asyncio.timeout(TIMEOUT):
        while not look():  # noqa: ASYNC110
            await asyncio.sleep(0.005)
