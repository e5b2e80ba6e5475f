"""The demo in a process of its own, and pages of it in Chromium."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.servers import Server

if TYPE_CHECKING:
    from playwright.async_api import Browser, ConsoleMessage, Page, Route


class DemoServer(Server):
    """The command ``asgi-events demo``, in a process of its own."""

    def __init__(self, tree: Path, port: int = 0, store: str = "") -> None:
        super().__init__(f"demo of {tree}")
        store = store or f"sqlite:///{tree.parent}/demo.db"
        self._arguments = ["demo", str(tree), "--port", str(port), "--store", store]

    def command(self) -> list[str]:
        return [sys.executable, "-W", "error", "-m", "asgi_events", *self._arguments]


@contextlib.asynccontextmanager
async def opened(browser: Browser, url: str) -> AsyncIterator[Page]:
    """A page that broke no rule of its Content-Security-Policy and raised nothing."""
    context = await browser.new_context()
    page = await context.new_page()
    wrong: list[str] = []

    def hear(message: ConsoleMessage) -> None:
        if "Content Security Policy" in message.text:
            wrong.append(message.text)

    page.on("console", hear)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    await page.goto(url)
    try:
        yield page
    finally:
        await context.close()
    assert wrong == []


class Told:
    """What pages are told of an execution, in place of what the server knows of it."""

    def __init__(self) -> None:
        self._events: list[dict[str, Any]] = []
        self._more = asyncio.Event()

    def tell(self, *events: dict[str, Any]) -> None:
        """Tell some more events."""
        self._events += events
        self._more.set()

    async def stream(self, route: Route) -> None:
        """Answer with the events that a page does not have, once there are some."""
        last = route.request.headers.get("last-event-id", "x:0")
        seen = int(last.rpartition(":")[2])
        while len(self._events) == seen:
            self._more.clear()
            await self._more.wait()
        body = "".join(
            f"retry: 1\ndata: {json.dumps(event)}\nid: x:{number}\n\n"
            for number, event in enumerate(self._events[seen:], seen + 1)
        )
        await route.fulfill(content_type="text/event-stream", body=body)
