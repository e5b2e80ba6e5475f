"""A worker that starts one execution after another in a thread that others share.

Each execution tries to lock a file; the system unlocks it when the worker dies. It
prints the id of each execution that ran, and "overlap" if another one held the lock.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import random
import sys

from asgi_events import Executions, agent, current_state
from asgi_events.exceptions import ThreadBusy, Unavailable

LEASE = 3.0  # seconds


@agent
async def turn(path: str, seconds: float = 0.0) -> None:
    print(f"began {current_state().execution_id}", flush=True)
    file = os.open(path, os.O_RDWR | os.O_CREAT)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        await asyncio.sleep(seconds)
    except BlockingIOError:
        print("overlap", flush=True)
    finally:
        os.close(file)


async def main(url: str, path: str, seconds: str) -> None:
    executions = Executions(turn, store=url, lease=LEASE)
    while True:
        try:
            execution = await executions.start(
                turn, {"path": path, "seconds": float(seconds)}, thread="t"
            )
        except (ThreadBusy, Unavailable):
            await asyncio.sleep(random.random() * 0.01)
        else:
            await execution.wait()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
