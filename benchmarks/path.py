"""Where does the time of one event go, between ``publish`` and ``send``?

    python -m benchmarks.path

It runs in one process, on uvloop, with a ``send`` that does nothing. It prints medians
in us of

* publish: the call, which wakes the viewer
* await: the await of what ``publish`` returns
* turn: the turn of the loop in which the viewer takes the event, sends, and sleeps

``bound`` has a future and a ``send`` and nothing else; the difference to it is the cost
of asgi-events. Three more rows show asgi-events without heartbeats, with at most 100
frames held, and without garbage collection. Then it prints the parts of ``publish``,
each with the parts below it. Each measurement itself takes about 0.1 us.
"""

import asyncio
import contextlib
import gc
import statistics
from collections.abc import AsyncIterator, Callable
from functools import partial
from time import perf_counter_ns
from typing import Any

import uvloop

from asgi_events.aio.waiter import Waiter
from asgi_events.aio.wakeups import Wakeups
from asgi_events.log import writer
from asgi_events.log.log import Log
from benchmarks.report import machine
from benchmarks.rivals import RIVALS, Bare, tick

EVENTS = 20_000
PARTS: tuple[tuple[str, Any, str], ...] = (
    ("LogWriter.write", writer.LogWriter, "write"),
    ("  encode_json", writer, "encode_json"),
    ("  Log.append", Log, "append"),
    ("    Wakeups.wake", Wakeups, "wake"),
    ("      Waiter.wake", Waiter, "wake"),
)


class Viewer:
    """Counts what it is sent.

    Attributes:
        events: How many events.
    """

    def __init__(self) -> None:
        self.events = 0
        self._wanted = 0
        self._has_them = asyncio.Event()

    async def send(self, message: Any) -> None:
        self.events += message.get("body", b"").count(b"~")
        if self._wanted and self.events >= self._wanted:
            self._has_them.set()

    async def until(self, events: int) -> None:
        """Wait until it was sent so many."""
        self._wanted = events
        if self.events < events:
            await self._has_them.wait()


@contextlib.asynccontextmanager
async def viewed(rival: Any) -> AsyncIterator[Viewer]:
    """Open a stream with a viewer."""
    path = await rival.open()
    scope = {
        "type": "http",
        "method": "GET",
        "path": path,
        "headers": [],
        "asgi": {"spec_version": "2.4"},
    }
    viewer = Viewer()

    async def receive() -> Any:
        await asyncio.Event().wait()

    watching = asyncio.create_task(rival.app(scope, receive, viewer.send))
    await asyncio.sleep(0.05)
    yield viewer
    rival.finish()
    await watching


async def events(rival: Any) -> tuple[list[float], ...]:
    """Return the nanoseconds of each publish, await and turn."""
    times: tuple[list[float], ...] = ([], [], [])
    async with viewed(rival) as viewer:
        for number in range(1, EVENTS + 1):
            event = tick(number)
            began = perf_counter_ns()
            answer = rival.publish(event)
            published = perf_counter_ns()
            if answer is not None:
                await answer
            awaited = perf_counter_ns()
            while viewer.events < number:  # noqa: ASYNC110, it is what is measured
                await asyncio.sleep(0)
            over = perf_counter_ns()
            steps = (published - began, awaited - published, over - awaited)
            for column, step in zip(times, steps, strict=True):
                column.append(step)
    return times


def timed(call: Callable[..., Any], times: list[float]) -> Callable[..., Any]:
    """Return ``call`` such that it adds the nanoseconds of each call to ``times``."""

    def measured(*args: Any, **options: Any) -> Any:
        began = perf_counter_ns()
        result = call(*args, **options)
        times.append(perf_counter_ns() - began)
        return result

    return measured


async def row(name: str, make: Callable[[], Any]) -> None:
    """Measure and print one line of the table."""
    for _ in range(2):  # the first warms up
        times = await events(make())
    publish, answer, turn = (statistics.median(column) / 1e3 for column in times)
    print(f"{name:14} publish {publish:.2f}  await {answer:.2f}  turn {turn:.2f}")


async def measure() -> None:
    for name in ("bound", "asgi-events", "retained"):
        await row(name, RIVALS[name])
    await row("no heartbeat", partial(Bare, heartbeat_interval=None))
    await row("100 held", partial(Bare, max_events=100))
    gc.disable()
    await row("no collection", Bare)
    gc.enable()
    for name, owner, attribute in PARTS:
        taken: list[float] = []
        original = getattr(owner, attribute)
        setattr(owner, attribute, timed(original, taken))
        await events(RIVALS["asgi-events"]())
        setattr(owner, attribute, original)
        print(f"{name:26} {statistics.median(taken) / 1e3:5.2f}")


if __name__ == "__main__":
    machine("uvloop")
    uvloop.run(measure())
