"""One thread, and many processes that reject, queue and replace in it and are killed.

    python -m tests.processes.thread_race sqlite:////tmp/race.db 60

It prints how many executions ran, and stops with an error if two of them ran at once or
in another order than that of their turns.
"""

from __future__ import annotations

import asyncio
import random
import sys
import tempfile
from pathlib import Path

from asgi_events import Executions
from tests.processes.test_threads import Worker, order_of
from tests.processes.turns import LEASE

ACTORS = ("queue", "queue", "replace", "reject")


async def main(url: str, seconds: str) -> None:
    """Race for so many seconds; a worker is killed every few."""
    with tempfile.TemporaryDirectory() as folder:
        lock = Path(folder) / "lock"
        all = [await Worker.begin(url, lock, 0.005, actor) for actor in ACTORS]
        alive = dict(zip(ACTORS, all, strict=False))
        until = asyncio.get_running_loop().time() + float(seconds)
        while asyncio.get_running_loop().time() < until:
            await asyncio.sleep(2 * LEASE * random.random())
            actor = random.choice(list(alive))
            await alive[actor].kill()
            alive[actor] = await Worker.begin(url, lock, 0.005, actor)
            all.append(alive[actor])
        for worker in all:
            await worker.kill()
        here = Executions(store=url, lease=LEASE)
        order = await order_of(here)
        await here.drain(0)
        ran = lock.read_text().split()
    print(f"{len(order)} turns, {len(ran)} runs, {len(all)} processes")
    if any(worker.overlaps for worker in all):
        raise SystemExit("Two ran at the same time.")
    if ran != [id for id in order if id in set(ran)]:
        raise SystemExit("They ran in another order.")


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
