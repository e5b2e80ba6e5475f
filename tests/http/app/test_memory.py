"""What an execution with a viewer takes in memory while nothing happens."""

import asyncio
import gc
import tracemalloc
from typing import Any

from asgi_events import tool
from tests.http.app.routes import Make

MANY = 200
BOUND = 15_000  # bytes: it is 13,500 on 3.11 to 3.13, and was 18,300


async def test_takes_little_for_an_idle_execution_with_a_viewer(make: Make) -> None:
    over = asyncio.Event()

    @tool
    async def idle() -> None:
        await over.wait()

    app = make(idle, max_executions=None)

    async def start_watched() -> "asyncio.Task[None]":
        execution = await app.executions.start(idle)
        path, watched = f"/executions/{execution.id}/events", asyncio.Event()

        async def receive() -> Any:
            await over.wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            if b"id: " in message.get("body", b""):  # its first event
                watched.set()

        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": "GET",
            "path": path,
            "query_string": b"",
            "headers": [],
        }
        viewer = asyncio.create_task(app(scope, receive, send))
        await watched.wait()
        return viewer

    viewers = [await start_watched() for _ in range(20)]  # what all of them share
    gc.collect()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        viewers += [await start_watched() for _ in range(MANY)]
        gc.collect()
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    over.set()
    await asyncio.gather(*viewers)
    assert after - before < MANY * BOUND, f"{(after - before) / MANY:.0f} bytes each"
