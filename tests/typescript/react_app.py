"""A server for pages of React: ``PAGES`` names the folder of their scripts.

It counts the streams of each execution, so that tests can see how many connections the
hooks of a page have, and where each began.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections import defaultdict
from pathlib import Path
from typing import Any, Literal

from asgi_events import EventsApp, agent, current_state
from asgi_events.exceptions import InputDeclined
from asgi_events.http.problems import send_bytes
from asgi_events.types import Receive, Scope, Send

PAGE = b"""<!doctype html>
<title>executions</title>
<link rel="icon" href="data:,">
<div id="root"></div>
<script src="/%s.js"></script>
"""
SCRIPTS = {each.name: each.read_bytes() for each in Path(os.environ["PAGES"]).iterdir()}
WORDS = ["Tea ", "grows ", "in ", "Kenya."]

_begun: dict[str, list[str | None]] = defaultdict(list)  # Last-Event-ID of each stream
_open: dict[str, int] = defaultdict(int)
_may_go: dict[str, asyncio.Event] = defaultdict(asyncio.Event)


@agent
async def talk(wait: bool = True) -> str:
    """Say two words, wait for ``/go/<id>``, and say two more."""
    state = current_state()
    for number, word in enumerate(WORDS):
        if wait and number == 2:
            await _may_go[str(state.execution_id)].wait()
        await state.text(word)
    return "".join(WORDS)


@agent
async def pour(count: int, rate: float = 0.0) -> int:
    """Publish many events: so many a second, or all as fast as possible."""
    state = current_state()
    loop = asyncio.get_running_loop()
    begun = loop.time()
    for number in range(count):
        await state.text(f"{number} ")
        if rate and (early := begun + number / rate - loop.time()) > 0.002:
            await asyncio.sleep(early)
    return count


@agent
async def book() -> str:
    """Ask for a seat."""
    state = current_state()
    try:
        seat = await state.ask("Which seat?", Literal["window", "aisle"])
    except InputDeclined:
        return "no seat"
    return f"a seat at the {seat}"


events = EventsApp(talk, pour, book, retry=20, prefix="/events")


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """The routes below ``/events``, the pages, and what tests ask and say."""
    if scope["type"] != "http" or scope["path"].startswith("/events"):
        await _counted(scope, receive, send)
        return
    kind, body = "application/json", b"{}"
    match scope["path"].split("/")[1:]:
        case ["streams", id]:
            body = json.dumps({"begun": _begun[id], "open": _open[id]}).encode()
        case ["executions"]:
            body = json.dumps([each.id for each in events.executions]).encode()
        case ["go", id]:
            _may_go[id].set()
        case [name] if name.endswith(".js"):
            kind = "text/javascript"
            body = SCRIPTS[name]
        case [name]:
            kind, body = "text/html", PAGE % name.encode()
    headers = {"content-type": f"{kind}; charset=utf-8"}
    await send_bytes(send, 200, body, headers)


async def _counted(scope: Scope, receive: Receive, send: Send) -> None:
    parts: list[Any] = scope["path"].split("/") if scope["type"] == "http" else []
    if parts[-1:] != ["events"] or len(parts) != 5:
        await events(scope, receive, send)
        return
    id = parts[-2]
    last = dict(scope["headers"]).get(b"last-event-id")
    _begun[id].append(last and last.decode())
    _open[id] += 1
    try:
        await events(scope, receive, send)
    finally:
        _open[id] -= 1
