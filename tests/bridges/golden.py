"""The events of an execution as lines, one for each, to compare whole trees."""

import asyncio
import json
from collections.abc import Awaitable, Iterable
from contextlib import suppress
from textwrap import dedent
from typing import Any

from asgi_events import current_state
from asgi_events.testing import capture_events
from tests import TIMEOUT


def lines(events: Iterable[Any]) -> list[str]:
    """Return a line for each event: its kind, address and status, then what it says.

    Times are left out, since they differ from run to run.
    """
    return [line(event.model_dump(mode="json", exclude_none=True)) for event in events]


def line(event: dict[str, Any]) -> str:
    """Return the line of an event that is JSON."""
    said = {
        name: value
        for name, value in event.items()
        if value is not None and value is not False
    }
    kind = said.pop("event_type").removesuffix("_call").removesuffix("_delta")
    parts = [kind, said.pop("address", ""), said.pop("execution_status", "")]
    said.pop("timestamp", None)
    said.pop("execution_time", None)
    if kind in ("agent", "tool", "llm"):
        said.pop("actor")
    if "delta" in said:
        parts.append(repr(said.pop("delta")))
    parts += [f"{name}={json.dumps(value)}" for name, value in said.items()]
    return " ".join(filter(None, parts))


def tree(text: str) -> list[str]:
    """Return the lines of an indented text; those indented further continue a line."""
    return dedent(text).strip().replace("\n    ", " ").splitlines()


async def heard(execution: Awaitable[Any]) -> list[str]:
    """Return the lines of an execution, however it ends."""
    with capture_events() as events, suppress(Exception, asyncio.CancelledError):
        await execution
    return lines(events)


async def cancelled_at(line: str, execution: Awaitable[Any]) -> list[str]:
    """Return the lines of an execution that is cancelled once it has published one."""
    return lines(await events_until_cancelled(line, execution))


async def events_until_cancelled(line: str, execution: Awaitable[Any]) -> list[Any]:
    """Cancel an execution once it has published a line; return its events.

    What it publishes later is added to them.
    """
    published = asyncio.Event()

    def look(event: Any) -> None:
        if lines([event]) == [line]:
            published.set()

    with capture_events() as events:
        current_state().event_bus.subscribe(look)
        task = asyncio.ensure_future(execution)
        async with asyncio.timeout(TIMEOUT):
            await published.wait()
        task.cancel()
        await asyncio.wait([task])
    return events
