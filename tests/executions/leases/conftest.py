"""The fixtures of these tests."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import pytest

from asgi_events import Executions
from asgi_events.stores.memory import MemoryStore
from tests.executions.leases.processes import LEASE, Dictation, Link, Lossy, Process


@pytest.fixture
def dictation() -> Dictation:
    return Dictation()


@pytest.fixture
def store() -> Lossy:
    return Lossy()


@pytest.fixture
async def process(dictation: Dictation) -> AsyncIterator[Process]:
    """Makes one more process on a store; at the end its link is whole again."""
    async with AsyncExitStack() as stack:

        def make(
            store: MemoryStore, *actors: Any, **options: Any
        ) -> tuple[Executions, Link]:
            link = Link(store)
            made = Executions(
                dictation.actor,
                *actors,
                store=link,
                **{"lease": LEASE, "heartbeat_interval": 0.05, "retry": 20} | options,
            )

            async def close() -> None:
                link.cut = False
                link.faults.clear()
                await made.drain(0)

            stack.push_async_callback(close)
            return made, link

        yield make
