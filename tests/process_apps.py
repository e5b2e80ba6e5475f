"""What the worker processes of the tests run; they share ``ASGI_EVENTS_STORE``."""

from __future__ import annotations

import asyncio
import os

from asgi_events import EventsApp, current_state, tool
from asgi_events.stores import EventStore, open_store
from tests.apps import HEARTBEAT, RETRY, Numbered, count, endless

LEASE = 1.0  # seconds
BOUND = 50  # events that may wait for the store


@tool
async def noted(pace: float = 0.01) -> None:
    """Publish numbered events, print which, and print when it stops."""
    number = 0
    try:
        while True:
            number += 1
            await current_state().publish(Numbered(number=number))
            print(f"published {number}", flush=True)
            await asyncio.sleep(pace)
    finally:
        print("stopped", flush=True)


def _store() -> EventStore:
    return open_store(os.environ["ASGI_EVENTS_STORE"])


app = EventsApp(
    endless,
    noted,
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
"""No store of a test is away for as long as its lease."""

bounded = EventsApp(
    noted,
    store=_store(),
    retry=RETRY,
    heartbeat_interval=HEARTBEAT,
    max_events=BOUND,
    drain_grace=0.1,
)
