"""How long do an end, a cancel, and another request take?

    python -m benchmarks.latency [hypercorn|uvicorn]

* end: from the last event, published just before the actor returns, until the client
  has the terminal event and the end of the stream, with heartbeats every 15 s
* cancel: from sending DELETE until the actor's ``finally`` runs
* other requests: GET / while an actor publishes 100,000 events without ever waiting
  and the client that started it has gone
"""

import asyncio
import json
import sys
import time

from asgi_events import EventsApp, current_state, tool
from asgi_events.events import LogEvent
from benchmarks.client import blocks, fetch, send, server
from benchmarks.report import machine, milliseconds

STREAM = "text/event-stream"


@tool
async def brief() -> None:
    await asyncio.sleep(0.005)
    await current_state().log(str(time.monotonic()))


@tool
async def endless() -> None:
    state = current_state()
    await state.log("started")
    try:
        await asyncio.sleep(3600)
    finally:
        told = LogEvent(message=str(time.monotonic()))
        state.event_bus.publish_nowait(told)


@tool
async def flood(count: int) -> None:
    state = current_state()
    for number in range(count):
        await state.progress(number, count)


app = EventsApp(brief, endless, flood, cancel_after=None)


def logged(block: bytes) -> float | None:
    """Return the time that an actor has logged, if the block has one."""
    if b'"event_type":"log"' not in block or b"started" in block:
        return None
    message: str = json.loads(block[block.index(b"{") : block.rindex(b"}") + 1])[
        "message"
    ]
    return float(message)


async def end(port: int) -> float:
    reader, writer = await send(port, "POST", "/brief", {}, STREAM)
    last = 0.0
    async for block in blocks(reader):
        last = logged(block) or last
    arrived = time.monotonic()
    writer.close()
    return arrived - last


async def cancel(port: int) -> float:
    reader, writer = await send(port, "POST", "/endless", {}, STREAM)
    began = reached = 0.0
    async for block in blocks(reader):
        if b"started" in block and b'"log"' in block:
            id = block.partition(b"id: ")[2].partition(b":")[0].decode()
            began = time.monotonic()
            await fetch(port, "DELETE", f"/executions/{id}")
        reached = logged(block) or reached
    writer.close()
    return reached - began


async def others(port: int) -> list[float]:
    reader, writer = await send(port, "POST", "/flood", {"count": 100_000}, STREAM)
    block = await anext(blocks(reader))
    id = block.partition(b"id: ")[2].partition(b":")[0].decode()
    writer.transport.abort()
    times = []
    status = "started"
    while status == "started":
        began = time.monotonic()
        status = (await fetch(port, "GET", f"/executions/{id}"))["status"]
        times.append(time.monotonic() - began)
    return times


async def measure(port: int) -> None:
    milliseconds("last event to end of stream", [await end(port) for _ in range(300)])
    milliseconds(
        "DELETE to the actor's finally", [await cancel(port) for _ in range(300)]
    )
    milliseconds("another request during the flood", await others(port))


def main() -> None:
    kind = sys.argv[1] if len(sys.argv) > 1 else "hypercorn"
    machine(kind)
    with server("benchmarks.latency:app", kind) as port:
        asyncio.run(measure(port))


if __name__ == "__main__":
    main()
