"""The statistics of a cache, which the ``complete`` event may have."""

import asyncio
import logging
from collections.abc import Callable
from typing import Any, Protocol

from asgi_events.aio.awaitables import resolved
from asgi_events.events import TerminalEvent

logger = logging.getLogger(__name__)

_TIMEOUT = 1.0  # seconds; the end must not wait for a figure


class HasStats(Protocol):
    """A cache whose statistics the ``complete`` event has; sync or async."""

    def get_stats(self) -> Any: ...


async def end_with_stats(
    end: Callable[[TerminalEvent], None], event: TerminalEvent, cache_backend: HasStats
) -> None:
    """Call ``end`` with ``event`` and the statistics, once these are known."""
    stats = await _stats(cache_backend)
    end(event.model_copy(update={"cache_stats": stats}))


async def _stats(cache_backend: HasStats) -> Any:
    try:
        async with asyncio.timeout(_TIMEOUT):
            return await resolved(cache_backend.get_stats())
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        logger.exception("get_stats() of %r was cancelled.", cache_backend)
    except Exception:
        logger.exception("get_stats() of %r failed.", cache_backend)
    return None
