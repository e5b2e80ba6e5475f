"""How long does one call hold the event loop up?

    python -m benchmarks.pauses

* the publish that wakes many viewers, with and without garbage collection
* the append at which a log drops a quarter of 1,000,000 frames

It runs in one process, without a server. Figures are CPU time of this thread, medians.
"""

import asyncio
import gc
from statistics import median
from time import thread_time

from asgi_events.log.log import Log
from benchmarks.growth import DATA, NAME, Viewers
from benchmarks.report import machine

COUNTS = (1_000, 10_000)
FRAMES = 1_000_000


async def waking(count: int) -> float:
    """Return the seconds of a publish that wakes that many viewers."""
    async with Viewers(count) as audience:
        return median([(await audience.publish())[0] for _ in range(50)])


def dropping() -> float:
    """Return the longest append to a log that has just as many frames as it may."""
    log = Log(NAME, keeps="newest", max_events=FRAMES, max_bytes=2**40)
    for _ in range(FRAMES):
        log.append(DATA)
    began = thread_time()
    log.append(DATA)
    took = thread_time() - began
    assert len(log.frames) < FRAMES
    return took


def main() -> None:
    machine()
    for count in COUNTS:
        for collects in (True, False):
            gc.collect()
            if not collects:
                gc.disable()
            took = asyncio.run(waking(count))
            gc.enable()
            without = "" if collects else ", without garbage collection"
            print(f"waking {count:6,} viewers: {took * 1e3:5.1f} ms{without}")
    took = median(dropping() for _ in range(5))
    print(f"dropping a quarter of {FRAMES:,} frames: {took * 1e3:5.1f} ms")


if __name__ == "__main__":
    main()
