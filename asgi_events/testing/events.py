"""Actors without a server: what they return, and what they publish."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import ParamSpec, TypeVar

from pydantic import BaseModel

from asgi_events.actors.cache import CacheBackend
from asgi_events.actors.state import ExecutionState, current
from asgi_events.bus import EventBus

P = ParamSpec("P")
R = TypeVar("R")


async def run(
    actor: Callable[P, Awaitable[R]], *args: P.args, **kwargs: P.kwargs
) -> tuple[R, list[BaseModel]]:
    """Call an actor as the root of an execution.

    Returns:
        What the actor returned, and the events that it and the actors it called have
        published, in order. The first and the last one are about the call itself.

    Raises:
        Exception: What the actor raised. To see the events of a call that fails, use
            ``capture_events``.
    """
    with capture_events() as events:
        result = await actor(*args, **kwargs)
    return result, events


@contextmanager
def capture_events(
    *, cache_backend: CacheBackend | None = None
) -> Iterator[list[BaseModel]]:
    """Collect all events of the actors that are called inside of the block.

    Args:
        cache_backend: The cache of those actors that are cacheable and have no own.
    """
    events: list[BaseModel] = []
    bus = EventBus()
    bus.subscribe(events.append)
    token = current.set(ExecutionState(event_bus=bus, cache_backend=cache_backend))
    try:
        yield events
    finally:
        current.reset(token)
