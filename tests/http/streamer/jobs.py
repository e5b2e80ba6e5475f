"""Executions that publish and clean up, for the tests of ``EventStreamer``."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from pydantic import BaseModel

from asgi_events import (
    EventBus,
    EventStreamer,
    Message,
    agent,
)
from asgi_events.testing import Connection
from tests import TIMEOUT
from tests.payloads import PLACE


def terminal(kind: bytes, message: bytes, more: bytes = b"") -> bytes:
    """The frame of a terminal event."""
    return b'data: {"event_type":"%b","message":"%b",%b%b}\n\n' % (
        kind,
        message,
        PLACE,
        more,
    )


COMPLETE = terminal(b"complete", b"Execution completed successfully")


class Number(BaseModel):
    n: int


def numbers(*values: int) -> bytes:
    return b"".join(b'data: {"n":%d}\n\n' % value for value in values)


async def settle() -> None:
    """Some turns of the loop, in which everything that can go on has gone on."""
    for _ in range(20):
        await asyncio.sleep(0)


async def read(stream: AsyncIterator[str]) -> bytes:
    """The whole stream."""
    async with asyncio.timeout(TIMEOUT):
        return "".join([chunk async for chunk in stream]).encode()


async def finish(task: asyncio.Future[Any]) -> None:
    """Wait for the end of a task, whatever it is."""
    await asyncio.wait({task}, timeout=TIMEOUT)
    assert task.done()


class Job:
    """An execution that publishes what it is told to, and tells its life."""

    def __init__(
        self,
        streamer: EventStreamer,
        *values: int,
        cleanup: Callable[["Job"], Awaitable[None]] | None = None,
    ) -> None:
        self.bus = EventBus()
        self.bus.subscribe(streamer)
        self.life: list[str] = []
        self.published = 0
        self._orders: asyncio.Queue[int | None] = asyncio.Queue()
        self._cleanup = cleanup
        self.tell(*values)
        self.task = asyncio.create_task(self._run())

    def tell(self, *values: int | None) -> None:
        for value in values:
            self._orders.put_nowait(value)

    async def publish(self, value: int) -> None:
        await self.bus.publish(Number(n=value))
        self.published += 1

    async def _run(self) -> str:
        self.life.append("started")
        try:
            while (value := await self._orders.get()) is not None:
                await self.publish(value)
            return "result"
        except asyncio.CancelledError:
            self.life.append("cancelled")
            raise
        finally:
            for _ in range(5):  # it takes a while, or waiting for it would not show
                await asyncio.sleep(0)
            if self._cleanup is not None:
                await self._cleanup(self)
            self.life.append("cleaned up")


CUT_SHORT = ["started", "cancelled", "cleaned up"]

IN_FULL = ["started", "cleaned up"]


class Cache:
    def __init__(self, answer: Any) -> None:
        self._answer = answer

    def get_stats(self) -> Any:
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer


@agent
async def omni_agent(message: Message) -> str:
    return message.content.upper()


async def _returns(result: Any) -> Any:
    return result


async def _by_its_response(streamer: EventStreamer, job: Job) -> None:
    async with Connection(streamer.response(execution_task=job.task)) as c:
        await c.until(numbers(1))
        c.disconnect()
        await c.end()


async def _by_aclose(streamer: EventStreamer, job: Job) -> None:
    stream = streamer.stream(execution_task=job.task)
    await anext(stream)
    await anext(stream)
    await stream.aclose()


Leaves = Callable[[EventStreamer, Job], Awaitable[None]]
