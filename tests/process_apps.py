"""The applications of the worker processes, which share ``ASGI_EVENTS_STORE``."""

from __future__ import annotations

import asyncio
import os
from typing import Any

from asgi_events import EventsApp, current_state, tool
from asgi_events.stores import EventStore, open_store
from tests.apps import HEARTBEAT, RETRY, Numbered, count, endless
from tests.executions.asking import confirm

LEASE = 1.0  # seconds
BOUND = 50  # events that may wait for the store


@tool
async def noted(pace: float = 0.01) -> None:
    """Publish numbered events, print each number, and print when it stops."""
    number = 0
    try:
        while True:
            number += 1
            await current_state().publish(Numbered(number=number))
            print(f"published {number}", flush=True)
            await asyncio.sleep(pace)
    finally:
        print("stopped", flush=True)


@tool
def mark(path: str, text: str) -> None:
    """Append a line to a file."""
    with open(path, "a") as file:
        file.write(f"{text}\n")


class Stalling:
    """A store in which a start opens the marker of its key and then waits forever."""

    def __init__(self, store: EventStore) -> None:
        self._store = store

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def open(self, key: str, **options: Any) -> Any:
        if ":" not in key:
            print("marked", flush=True)
            await asyncio.Event().wait()
        return await self._store.open(key, **options)


def _store() -> EventStore:
    return open_store(os.environ["ASGI_EVENTS_STORE"])


app = EventsApp(
    endless,
    noted,
    mark,
    store=_store(),
    retry=RETRY,
    heartbeat_interval=HEARTBEAT,
    lease=LEASE,
    drain_grace=0.1,
)

patient = EventsApp(
    count,
    store=_store(),
    retry=RETRY,
    heartbeat_interval=HEARTBEAT,
    drain_grace=0.1,
)
"""Its lease is longer than any test keeps the store away."""

bounded = EventsApp(
    noted,
    store=_store(),
    retry=RETRY,
    heartbeat_interval=HEARTBEAT,
    max_events=BOUND,
    drain_grace=0.1,
)

stalling: Any = Stalling(_store())
dying = EventsApp(mark, store=stalling, drain_grace=0.1)
"""The test kills it before it has started anything."""


def _caller(scope: Any, action: str, execution: Any) -> str | None:
    """Believe what the header ``user`` says."""
    return dict(scope["headers"]).get(b"user", b"").decode() or None


fed = EventsApp(
    noted,
    mark,
    confirm,
    store=_store(),
    authorize=_caller,
    retry=RETRY,
    heartbeat_interval=HEARTBEAT,
    lease=LEASE,
    drain_grace=0.1,
)
