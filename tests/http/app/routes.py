"""Actors to start over HTTP, and what the routes answer."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from asgi_events import EventsApp, agent, current_state, tool
from asgi_events.actors import Actor
from asgi_events.exceptions import Unavailable
from asgi_events.executions import Execution
from asgi_events.stores import Grant
from asgi_events.stores.memory import MemoryStore
from tests import TIMEOUT

Make = Callable[..., EventsApp]

STREAM = {"accept": "text/event-stream"}

JSON = {"content-type": "application/json"}

START = STREAM | JSON

SECRET = "the password is hunter2"


@tool
async def count(to: int) -> int:
    """Count.

    And more that nobody needs to know.
    """
    for number in range(to):
        await current_state().progress(number, to)
    return to


@agent
async def idle() -> None:
    pass


class Gate:
    """An actor that says it has begun, and ends when it is let go."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.open = asyncio.Event()
        self.ended: list[str] = []

        @agent
        async def work() -> None:
            self.begun.set()
            try:
                await self.open.wait()
            except asyncio.CancelledError:
                self.ended.append("cancelled")
                raise
            self.ended.append("returned")

        self.actor: Actor[..., Any] = work


class SlowStore(MemoryStore):
    """Can hold ``open`` up."""

    def __init__(self) -> None:
        super().__init__()
        self.opens = 0
        self.opening = asyncio.Event()
        self.openable = asyncio.Event()

    async def open(
        self,
        key: str,
        *,
        writer: str,
        lease: float,
        ttl: float,
        meta: Mapping[str, str],
    ) -> Grant:
        self.opens += ":" not in key  # the log of the key itself does not count
        self.opening.set()
        await self.openable.wait()
        return await super().open(key, writer=writer, lease=lease, ttl=ttl, meta=meta)


class AwayStore(MemoryStore):
    """Answers no read and no list."""

    async def read(self, key: str, after: int, max_bytes: int) -> Any:
        raise Unavailable("away")

    async def list(self, *_: Any, **__: Any) -> Any:
        raise Unavailable("away")


async def soon(waiting: Awaitable[Any]) -> Any:
    return await asyncio.wait_for(waiting, TIMEOUT)


def started(app: EventsApp) -> list[Execution]:
    return list(app.executions)


def about(execution: Execution, **changes: Any) -> dict[str, Any]:
    """What the routes say of an execution, by way of its own attributes."""
    link = f"/executions/{execution.id}"
    # What the terminal event says, which is the same in every process.
    ended = execution.ended and "2026-01-02T03:04:05Z"
    return {
        "id": execution.id,
        "actor": execution.actor,
        "thread": execution.thread,
        "status": str(execution.status),
        "created": execution.created.isoformat().replace("+00:00", "Z"),
        "ended": ended,
        "result": None,
        "error": None,
        "progress": None,
        "last": execution.log.committed,
        "waiting": [],
        "viewers": 0,
        "links": {"self": link, "events": f"{link}/events", "cancel": link},
    } | changes


def counted_to(current: float, total: float) -> dict[str, Any]:
    """What ``count`` has said of its progress."""
    said = {"current": current, "total": total, "message": None}
    return {"address": "count"} | said


def problem(status: int, title: str, detail: str, **more: Any) -> dict[str, Any]:
    return {
        "type": "about:blank",
        "title": title,
        "status": status,
        "detail": detail,
    } | more


def whoever(scope: Any, action: str, execution: Execution | None) -> str | None:
    """An ``authorize`` hook that believes what the header ``user`` says."""
    return dict(scope["headers"]).get(b"user", b"").decode() or None


def unknown(id: str) -> str:
    return (
        f"No execution {id!r}: it never was, its retention is over, it belongs to "
        "another owner, or it is held in the memory of another process, or of one "
        "that has gone: processes that share executions need a store=."
    )
