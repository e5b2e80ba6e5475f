"""The applications that the real servers of the tests run."""

from __future__ import annotations

import asyncio
from collections import Counter

from pydantic import BaseModel

from asgi_events import EventsApp, EventsMiddleware, current_state, tool
from asgi_events.types import Receive, Scope, Send

RETRY = 20  # milliseconds
HEARTBEAT = 0.2  # seconds

_runs: Counter[str] = Counter()


class Numbered(BaseModel):
    """An event with its number."""

    number: int
    text: str = ""


@tool
async def count(to: int, pace: float = 0.0, text: str = "", run: str = "") -> int:
    """Publish ``to`` numbered events, ``pace`` seconds apart."""
    _runs[run] += 1
    for number in range(1, to + 1):
        await current_state().publish(Numbered(number=number, text=text))
        await asyncio.sleep(pace)
    return to


@tool
async def runs(of: str) -> int:
    """Return how often ``count`` has run under that name."""
    return _runs[of]


@tool
async def endless(pace: float = 0.01) -> None:
    """Publish numbered events until cancelled."""
    number = 0
    while True:
        number += 1
        await current_state().publish(Numbered(number=number))
        await asyncio.sleep(pace)


@tool
async def quiet() -> None:
    """Publish one event, and then nothing until cancelled."""
    await current_state().publish(Numbered(number=1))
    await asyncio.Event().wait()


@tool
async def flood(to: int) -> int:
    """Publish ``to`` numbered events and never wait for anything else."""
    for number in range(1, to + 1):
        await current_state().publish(Numbered(number=number))
    return to


app = EventsApp(
    count,
    runs,
    endless,
    quiet,
    flood,
    retry=RETRY,
    heartbeat_interval=HEARTBEAT,
    drain_grace=0.1,
)

fleeting = EventsApp(endless, quiet, cancel_after=0, drain_grace=0.1)
"""Its executions end when their last viewer leaves."""

_PAGE = b"""<!doctype html>
<link rel="icon" href="data:,">
<title>watch</title>
<script>
"use strict";
window.seen = [];
window.states = [];
window.watch = (url, { close }) => {
  const source = (window.source = new EventSource(url));
  for (const type of ["message", "reset", "goodbye", "end"]) {
    source.addEventListener(type, ({ lastEventId, data }) =>
      window.seen.push({ event: type, id: lastEventId, data }));
  }
  source.onerror = () => window.states.push(source.readyState);
  if (close) source.addEventListener("end", () => source.close());
};
</script>
"""


async def page(scope: Scope, receive: Receive, send: Send) -> None:
    """A page with a function ``watch(url, {close})``."""
    if scope["type"] == "lifespan":
        for phase in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{phase}.complete"})
        return
    found = scope["path"] == "/"
    headers = [(b"content-type", b"text/html; charset=utf-8")]
    await send(
        {
            "type": "http.response.start",
            "status": 200 if found else 404,
            "headers": headers,
        }
    )
    await send({"type": "http.response.body", "body": _PAGE if found else b""})


site = EventsMiddleware(
    page,
    actors=[count, quiet],
    retry=RETRY,
    heartbeat_interval=HEARTBEAT,
    drain_grace=0.1,
)
"""The page, with the executions below /events."""
