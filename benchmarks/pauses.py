"""How long does one call hold the event loop up?

    python -m benchmarks.pauses

* the publish that wakes many viewers, with and without garbage collection, and the
  longest turn of the loop until all have been sent the event
* the longest turn in which as many viewers get heartbeats, whom the same event had
  woken
* the append at which a log drops some of 1,000,000 frames
* the longest turn of the loop while an execution of 1,000,000 frames is forgotten

It runs in one process, without a server. Figures are CPU time of this thread, medians.
"""

import asyncio
import gc
from statistics import median
from time import thread_time

from asgi_events import Executions, current_state, tool
from asgi_events.log.log import Log
from asgi_events.wire.window import BLOCK
from benchmarks.growth import DATA, NAME, TICK, Viewers
from benchmarks.report import machine

COUNTS = (1_000, 10_000)
FRAMES = 1_000_000


async def waking(count: int) -> tuple[float, float]:
    """Return the seconds of a publish that wakes that many viewers, and of a turn.

    The turn is the longest one of the loop from the publish to the last delivery.
    """
    async with Viewers(count) as audience:
        turns = Turns()
        publishes, longest = [], []
        for _ in range(50):
            await audience.rest()
            turns.longest = 0.0
            publishes.append((await audience.publish())[0])
            longest.append(turns.longest)
        turns.stop()
        return median(publishes), median(longest)


class Turns:
    """Measures how long each turn of the loop takes."""

    def __init__(self) -> None:
        self.longest = 0.0
        self._loop = asyncio.get_running_loop()
        self._last = thread_time()
        self._next = self._loop.call_soon(self._turn)

    def stop(self) -> None:
        self._next.cancel()

    def _turn(self) -> None:
        now = thread_time()
        self.longest = max(self.longest, now - self._last)
        self._last = now
        self._next = self._loop.call_soon(self._turn)


async def beating(count: int) -> float:
    """Return the longest turn while that many viewers get three heartbeats each."""
    async with Viewers(count, heartbeat_interval=1.0) as audience:
        await audience.publish()
        before = audience.comments
        turns = Turns()
        while audience.comments < before + 3 * count:  # noqa: ASYNC110, as below
            await asyncio.sleep(0)
        turns.stop()
        return turns.longest


def dropping() -> float:
    """Return the seconds of an append to a log that has as many frames as it may."""
    log = Log(NAME, keeps="newest", max_events=FRAMES, max_bytes=2**40)
    for _ in range(FRAMES):
        log.append(DATA)
    began = thread_time()
    log.append(DATA)
    took = thread_time() - began
    assert log.count < FRAMES
    return took


async def forgetting() -> float:
    """Return the longest turn while a long execution is forgotten and freed."""

    @tool
    async def count() -> None:
        publish = current_state().publish
        for _ in range(FRAMES):
            await publish(TICK)

    executions = Executions(
        count, retention=1.0, max_bytes=2**40, max_retained_bytes=2**40
    )
    execution = await executions.start("count")
    await execution.wait()
    turns = Turns()
    while execution.log.count > 1:  # noqa: ASYNC110, to keep the core awake
        await asyncio.sleep(0)
    for _ in range(2 * FRAMES // BLOCK):
        await asyncio.sleep(0)
    turns.stop()
    await executions.drain()
    return turns.longest


def main() -> None:
    machine()
    for count in COUNTS:
        for collects in (True, False):
            gc.collect()
            if not collects:
                gc.disable()
            publish, turn = asyncio.run(waking(count))
            beats = median(asyncio.run(beating(count)) for _ in range(3))
            gc.enable()
            print(
                f"waking {count:6,} viewers: publish {publish * 1e3:5.1f} ms,"
                f" longest turn {turn * 1e3:5.1f} ms, of heartbeats"
                f" {beats * 1e3:5.1f} ms"
                + ("" if collects else ", without garbage collection")
            )
    took = median(dropping() for _ in range(5))
    print(f"dropping some of {FRAMES:,} frames: {took * 1e3:5.1f} ms")
    took = median(asyncio.run(forgetting()) for _ in range(3))
    print(f"forgetting {FRAMES:,} frames: longest turn {took * 1e3:5.1f} ms")


if __name__ == "__main__":
    main()
