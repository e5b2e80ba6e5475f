"""A worker that starts one execution after another in a thread that others share.

Each execution tries to lock a file, and appends its id; the system unlocks the file
when the worker dies. It prints the id of each execution that ran, and "overlap" if
another one held the lock.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import random
import sys

from asgi_events import Executions, agent, current_state
from asgi_events.exceptions import Refused, Unavailable
from asgi_events.executions import Execution

LEASE = 3.0  # seconds
OUTSTANDING = 3  # executions of a worker, of which one may run


async def turn(path: str, seconds: float = 0.0) -> None:
    id = current_state().execution_id or ""
    print(f"began {id}", flush=True)
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.write(file, f"{id}\n".encode())
        await asyncio.sleep(seconds)
    except BlockingIOError:
        print("overlap", flush=True)
    finally:
        os.close(file)


reject = agent(name="reject")(turn)
queue = agent(name="queue", when_busy="queue")(turn)
replace = agent(name="replace", when_busy="replace")(turn)


async def main(url: str, path: str, seconds: str, actor: str) -> None:
    executions = Executions(reject, queue, replace, store=url, lease=LEASE)
    started: list[Execution] = []
    while True:
        try:
            execution = await executions.start(
                actor, {"path": path, "seconds": float(seconds)}, thread="t"
            )
        except (Refused, Unavailable):
            await asyncio.sleep(random.random() * 0.01)
            continue
        started.append(execution)
        if actor == "replace":
            await asyncio.sleep(random.random() * 0.05)
        elif actor == "reject" or len(started) >= OUTSTANDING:
            await started.pop(0).wait()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
