"""What each worker process runs: one actor that walks, and a page that counts."""

from __future__ import annotations

import asyncio
import json
import os
import time

from asgi_events import EventsApp, agent, current_state
from asgi_events.exceptions import StoreError
from asgi_events.executions import ANY_OWNER
from asgi_events.stores.sqlite import logs
from asgi_events.types import Receive, Scope, Send
from tests.nemesis import LEASE, RETENTION

_RUNS = os.open(os.environ["NEMESIS_RUNS"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
_CLOCK = os.environ["NEMESIS_CLOCK"]


def _stepped_time() -> float:
    """The wall clock of a machine whose clock somebody sets."""
    try:
        with open(_CLOCK) as clock:
            return time.time() + float(clock.read() or 0)
    except FileNotFoundError:
        return time.time()


assert logs.clock is time.time  # the one clock that the store reads
logs.clock = _stepped_time


@agent
async def walk(key: str, steps: int = 20, pace: float = 0.1, size: int = 10) -> str:
    """Note that ``key`` runs here, and take so many steps."""
    os.write(_RUNS, f"{os.getpid()} {time.monotonic()} {key}\n".encode())
    for step in range(steps):
        await current_state().log(f"{key} {step} {'x' * size}")
        await asyncio.sleep(pace)
    return key


app = EventsApp(
    walk,
    store=os.environ["NEMESIS_STORE"],
    lease=LEASE,
    retention=RETENTION,
    cancel_after=None,
    heartbeat_interval=1.0,
    retry=100,
    drain_grace=1.0,
    max_stream_duration=30.0,
)


async def counted(scope: Scope, receive: Receive, send: Send) -> None:
    """``app``, what is left in this process at ``/left``, and the list at ``/list``."""
    if scope["type"] != "http" or scope["path"] not in ("/left", "/list"):
        await app(scope, receive, send)
        return
    status, body = 200, json.dumps(_left())
    if scope["path"] == "/list":
        try:
            body = json.dumps(await _listed())
        except StoreError as error:
            status, body = 503, str(error)
    await send({"type": "http.response.start", "status": status, "headers": []})
    await send({"type": "http.response.body", "body": body.encode()})


def _left() -> dict[str, int]:
    running = [e for e in app.executions if e.ended is None]
    return {
        "tasks": len(asyncio.all_tasks()),
        "running": len(running),
        "viewers": sum(e.viewers for e in app.executions),
        "rss": _resident(),
    }


async def _listed() -> list[tuple[str, str]]:
    """The id and the status of each execution, page by page."""
    found: list[tuple[str, str]] = []
    after: str | None = None
    while True:
        page = await app.executions.list(owner=ANY_OWNER, after=after, limit=10)
        found += [(each.id, each.status) for each in page.items]
        after = page.next
        if after is None:
            return found


def _resident() -> int:
    """Bytes of memory of this process; 0 where there is no /proc."""
    try:
        with open("/proc/self/statm") as statm:
            return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except FileNotFoundError:
        return 0
