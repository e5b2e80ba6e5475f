"""What do the heartbeats of 5,000 idle streams cost?

    python -m benchmarks.heartbeats [viewers]

It runs in one process, with a ``send`` that does nothing, so without the server's own
share. Figures are CPU time of this thread.
"""

import asyncio
import sys
from time import thread_time

from benchmarks.growth import Viewers
from benchmarks.report import machine

VIEWERS = 5000
INTERVALS = (0.25, 15.0)  # seconds
SECONDS = 10.0


async def cost(viewers: int, interval: float) -> tuple[float, float]:
    """Return the cores that are used, and the microseconds of each comment."""
    seconds = max(SECONDS, 2 * interval)
    async with Viewers(viewers, heartbeat_interval=interval) as audience:
        await asyncio.sleep(2 * interval)
        comments, began = audience.comments, thread_time()
        await asyncio.sleep(seconds)
        took, comments = thread_time() - began, audience.comments - comments
    return took / seconds, took / comments * 1e6


async def main(viewers: int) -> None:
    machine()
    for interval in INTERVALS:
        cores, each = await cost(viewers, interval)
        print(
            f"a comment every {interval:5.2f} s to {viewers} streams:"
            f" {cores:6.2%} of a core, {each:4.1f} us each"
        )


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else VIEWERS))
