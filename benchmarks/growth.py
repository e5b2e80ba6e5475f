"""What grows with the viewers, and with the history?

    python -m benchmarks.growth

In one process, without a server: CPU time of the publisher's call alone, of a delivery
to a ``send`` that does nothing, and of a replay from the store in memory.
"""

import asyncio
from time import thread_time
from typing import Any

from asgi_events import EventBus, EventStreamer
from asgi_events.cursor import Cursor
from asgi_events.log import Log, frame
from asgi_events.sse import MAX_CHUNK
from asgi_events.stores.memory import MemoryStore
from benchmarks.report import machine
from benchmarks.rivals import Tick

TICK = Tick(number=1, text="~1234567890123 of about 100 bytes")
SCOPE: Any = {"type": "http", "method": "GET", "asgi": {"spec_version": "2.4"}}


async def viewers(count: int) -> tuple[float, float]:
    """Microseconds of a publish, and of a delivery, one write each."""
    bus, streamer = EventBus(), EventStreamer(on_disconnect="continue")
    bus.subscribe(streamer)
    stop = asyncio.Event()
    task = asyncio.create_task(stop.wait())
    sent = 0

    async def send(message: Any) -> None:
        nonlocal sent
        sent += message.get("body", b"").count(b"~")

    async def receive() -> Any:
        await asyncio.Event().wait()

    watching: list[asyncio.Task[None]] = [
        asyncio.create_task(
            streamer.response(execution_task=task)(SCOPE, receive, send)  # type: ignore[arg-type]  # Any
        )
        for _ in range(count)
    ]
    await asyncio.sleep(0.1)
    events, published, began = max(20, 20_000 // max(count, 1)), 0.0, thread_time()
    for number in range(1, events + 1):
        before = thread_time()
        await bus.publish(TICK)
        published += thread_time() - before
        while sent < number * count:  # noqa: ASYNC110, to be the only one measured
            await asyncio.sleep(0.0001 if count >= 8 else 0)
    whole = thread_time() - began
    stop.set()
    await asyncio.gather(*watching)
    return published / events * 1e6, whole / events / max(count, 1) * 1e6


def history(count: int) -> tuple[float, float]:
    """Microseconds of an append after so many, and MB/s of giving them all again."""
    log = Log("growth", max_events=count + 2_000, max_bytes=2**40)
    data = TICK.model_dump_json().encode()
    Cursor(log)
    for _ in range(count):
        log.append(data)
    began = thread_time()
    for _ in range(1_000):
        log.append(data)
    append = (thread_time() - began) / 1_000
    cursor, size, began = Cursor(log), 0, thread_time()
    while chunk := cursor.take():
        size += len(chunk)
    return append * 1e6, size / max(thread_time() - began, 1e-6) / 1e6


async def replay(count: int) -> float:
    """MB/s of all pages of the store in memory."""
    store = MemoryStore()
    grant = await store.open("growth", writer="w", lease=60, ttl=60, meta={})
    data = TICK.model_dump_json().encode()
    frames = [frame(b"growth", number, data) for number in range(1, count + 1)]
    await store.append("growth", grant, 0, frames)
    after, size, began = 0, 0, thread_time()
    while after < count:
        page = await store.read("growth", after, MAX_CHUNK)
        assert page is not None
        size += len(b"".join(page.frames))
        after += len(page.frames)
    return size / max(thread_time() - began, 1e-6) / 1e6


async def measure() -> None:
    history(1_000)  # warms up
    for count in (1, 10, 100, 1_000):
        publish, delivery = await viewers(count)
        print(
            f"{count:7,} viewers: publish {publish:6.2f} us,"
            f" delivery {delivery:4.1f} us"
        )
    for count in (10, 1_000, 100_000, 500_000):
        append, again = history(count)
        print(
            f"{count:9,} events: append {append:5.2f} us, replay {again:6,.0f} MB/s"
            f" from the log, {await replay(count):6,.0f} MB/s from the store in memory"
        )


def main() -> None:
    machine()
    asyncio.run(measure())


if __name__ == "__main__":
    main()
