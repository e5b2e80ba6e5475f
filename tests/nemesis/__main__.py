"""One run: workers up, clients in, faults on, and then the judge.

Exits with 1 when there was a violation; logs are kept then.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import re
import shutil
import sys
import tempfile
import time
from contextlib import AsyncExitStack
from itertools import cycle
from pathlib import Path

from tests.nemesis import RETENTION
from tests.nemesis.clients import Clients
from tests.nemesis.cluster import WORKERS, SQLiteFile, ValkeyServer, Worker
from tests.nemesis.faults import (
    Fault,
    SQLiteFaults,
    ValkeyFaults,
    WorkerFaults,
    schedule,
)
from tests.nemesis.judge import Judge
from tests.valkey import held_port

_ABOUT = "Breaks processes and stores while clients watch, and judges what they saw."

_RATE = 1.5  # executions started in a second
_LIST = 0.5  # seconds between two lists of all executions
_FINISH = 45.0  # seconds for everybody to see the end, once the faults are over
_MOST_TASKS = 25  # of a worker that has nothing to do
_QUIET = 20.0  # seconds until nothing may be left
_TROUBLE = re.compile("never retrieved|never awaited|was destroyed but it is pending")


async def run(store: str, seconds: float, seed: int, directory: Path) -> Judge:
    """Break things for ``seconds``; the judge has seen it all."""
    (directory / "runs").touch()
    judge = Judge(directory / "runs", rewrites=store == "valkey")
    workers = [Worker(number, directory, judge) for number in range(WORKERS)]
    async with AsyncExitStack() as stack:
        kept: SQLiteFile | ValkeyServer
        if store == "sqlite":
            kept = stack.enter_context(SQLiteFile(directory))
        else:
            kept = await stack.enter_async_context(ValkeyServer())
        faults: list[Fault] = WorkerFaults(workers, judge).all
        if isinstance(kept, SQLiteFile):
            faults += SQLiteFaults(kept, directory / "clock", judge).all
        else:
            faults += ValkeyFaults(kept, workers, judge).all
        try:
            for worker in workers:
                worker.port = stack.enter_context(held_port())
                worker.url = kept.url(worker.number)
                await worker.start()
            clients = Clients([w.port for w in workers], judge, random.Random(seed))
            listing = asyncio.create_task(_keep_listing(workers, judge))
            await _break(faults, seconds, seed, clients, judge)
            print("the faults are over", flush=True)
            await clients.finish(RETENTION * 1.5 + _FINISH)
            if not listing.cancel():
                listing.result()  # it has failed
            await _look_for_leaks(workers, judge)
        finally:
            for worker in workers:
                await worker.kill()
    judge.judge()
    for worker in workers:
        if trouble := _TROUBLE.search(worker.log.read_text()):
            judge.accuse(f"{worker.log} says {trouble[0]!r}")
    return judge


async def _break(
    faults: list[Fault], seconds: float, seed: int, clients: Clients, judge: Judge
) -> None:
    began = time.monotonic()
    starting = asyncio.create_task(_keep_starting(clients))

    async def do(fault: Fault, dice: random.Random) -> None:
        try:
            done = await fault(dice)
        except Exception as error:  # the nemesis itself has failed
            judge.accuse(f"{fault.__name__} could not be done: {error!r}")
            return
        print(f"{time.monotonic() - began:7.1f} {done}", flush=True)

    try:
        async with asyncio.TaskGroup() as doing:
            for at, fault, dice in schedule(faults, seconds, seed):
                await asyncio.sleep(max(began + at - time.monotonic(), 0))
                doing.create_task(do(fault, dice))
    finally:
        starting.cancel()


async def _keep_starting(clients: Clients) -> None:
    while True:
        clients.go()
        await asyncio.sleep(1 / _RATE)


async def _keep_listing(workers: list[Worker], judge: Judge) -> None:
    for worker in cycle(workers):
        began = time.monotonic()
        listed = await worker.listed()
        if listed is not None:
            judge.saw_list(listed, began)
        await asyncio.sleep(_LIST)


async def _look_for_leaks(workers: list[Worker], judge: Judge) -> None:
    for worker in workers:
        deadline = time.monotonic() + _QUIET  # what was started last may run for 8 s
        while _is_too_much(left := await worker.left()):
            if time.monotonic() > deadline:
                judge.accuse(f"worker {worker.number} has left {left}")
                break
            await asyncio.sleep(0.5)
        print(f"worker {worker.number}: {left}", flush=True)


def _is_too_much(left: dict[str, int] | None) -> bool:
    if left is None:  # it does not answer
        return True
    return bool(left["running"] or left["viewers"] or left["tasks"] > _MOST_TASKS)


def main() -> int:
    """Parse the command line, run, and report."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.nemesis",
        description=_ABOUT,
    )
    parser.add_argument("--store", choices=["sqlite", "valkey"], required=True)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    directory = Path(tempfile.mkdtemp(prefix="nemesis-"))
    judge = asyncio.run(run(given.store, given.seconds, given.seed, directory))
    print(f"{given.store} seed {given.seed}: {judge.summary()}")
    print(f"{len(judge.violations)} violations")
    if judge.violations:
        print(f"the logs are in {directory}")
        return 1
    shutil.rmtree(directory)
    return 0


if __name__ == "__main__":
    sys.exit(main())
