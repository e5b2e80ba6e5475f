"""Actors that wait and clean up, and viewers that read, for the tests of executions."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from asgi_events import Executions, agent, current_state, tool
from asgi_events.actors import Actor
from asgi_events.executions import Execution
from asgi_events.http.viewing import ExecutionResponse
from asgi_events.stores import Grant
from asgi_events.stores.memory import MemoryStore
from asgi_events.testing import Connection
from tests import TIMEOUT
from tests.payloads import data

Make = Callable[..., Executions]

SECRET = "the password is hunter2"


@tool
async def count(to: int) -> int:
    for number in range(to):
        await current_state().progress(number, to)
    return to


class Gate:
    """An actor that says it has begun, and ends when it is let go."""

    def __init__(self, name: str = "work") -> None:
        self.begun = asyncio.Event()
        self.open = asyncio.Event()
        self.ended: list[str] = []

        @agent(name=name)
        async def work() -> str:
            self.begun.set()
            try:
                await self.open.wait()
            except asyncio.CancelledError:
                self.ended.append("cancelled")
                raise
            self.ended.append("returned")
            return "done"

        self.actor: Actor[..., Any] = work


class Cleaner:
    """An actor whose cleanup takes until it is let go."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.cleaning = asyncio.Event()
        self.open = asyncio.Event()
        self.over = asyncio.Event()

        @agent
        async def clean() -> None:
            self.begun.set()
            try:
                await asyncio.Event().wait()
            finally:
                self.cleaning.set()
                await self.open.wait()
                self.over.set()

        self.actor: Actor[..., Any] = clean


class SpyStore(MemoryStore):
    """Says which methods were called, and can hold ``open`` up."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[str] = []
        self.opening = asyncio.Event()
        self.openable = asyncio.Event()
        self.openable.set()
        self.deleted = asyncio.Event()

    async def open(
        self,
        key: str,
        *,
        writer: str,
        lease: float,
        ttl: float,
        meta: Mapping[str, str],
    ) -> Grant:
        self.calls.append("open")
        self.opening.set()
        await self.openable.wait()
        return await super().open(key, writer=writer, lease=lease, ttl=ttl, meta=meta)

    async def delete(self, key: str) -> None:
        self.calls.append("delete")
        await super().delete(key)
        self.deleted.set()

    async def aclose(self) -> None:
        self.calls.append("aclose")
        await super().aclose()


async def soon(waiting: Awaitable[Any]) -> Any:
    return await asyncio.wait_for(waiting, TIMEOUT)


async def end_of(execution: Execution) -> str:
    return str(await soon(execution.wait()))


def viewer(
    executions: Executions, execution: Execution, last_event_id: str | None = None
) -> Connection:
    headers = {} if last_event_id is None else {"last-event-id": last_event_id}
    return Connection(ExecutionResponse(execution), headers=headers)


async def seen(executions: Executions, execution: Execution) -> list[Any]:
    """What a viewer of it is told, from the first event to the last."""
    async with viewer(executions, execution) as connection:
        return data(await connection.events())


@agent
async def idle() -> None:
    pass


@tool
async def inner() -> None:
    raise RuntimeError(SECRET)


@agent
async def outer() -> None:
    await inner()


def kinds_of(told: list[Any]) -> list[str]:
    return [event["event_type"] for event in told]


def say(size: int) -> Actor[..., Any]:
    @agent(name="say")
    async def say() -> str:
        return "x" * size

    return say
