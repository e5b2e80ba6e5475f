"""When an execution of a thread ends, how long until the next one runs?

    python -m benchmarks.threads

From the return of one actor to the first line of the next, which waits in a queue: in
one process without a store, and in another process on SQLite and on Valkey. There the
turns are those of two processes by turns.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time

from asgi_events import Executions, agent
from asgi_events.executions import Execution
from benchmarks.report import machine, milliseconds
from tests.servers import ROOT
from tests.valkey import Valkey

ROUNDS, TURNS = 10, 20
TAKES = 0.02  # seconds of each turn, so that nothing else is going on


@agent(when_busy="queue")
async def turn() -> tuple[float, float]:
    """Return when it began and when it returned."""
    began = time.monotonic()
    await asyncio.sleep(TAKES)
    return began, time.monotonic()


async def in_one_process() -> list[float]:
    """Return the waits where no store is between them."""
    times = []
    async with Executions(turn, max_queued=TURNS) as executions:
        for number in range(ROUNDS):
            started = [
                await executions.start(turn, thread=f"{number}") for _ in range(TURNS)
            ]
            times += await waits(started)
    return times


async def across_processes(url: str) -> list[float]:
    """Return the waits where another process has each second turn."""
    times = []
    async with Executions(turn, store=url, max_queued=TURNS) as executions:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-W", "ignore", "-m", "benchmarks.threads", url),
            cwd=ROOT,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        for number in range(ROUNDS):
            started = []
            for _ in range(TURNS // 2):
                started.append(await executions.start(turn, thread=f"{number}"))
                process.stdin.write(f"{number}\n".encode())
                id = (await process.stdout.readline()).decode().strip()
                started.append(await executions.get(id))
            times += await waits(started)
        process.stdin.close()
        await process.wait()
    return times


async def waits(started: list[Execution]) -> list[float]:
    """Return the seconds between each two turns that follow each other."""
    turns = [await execution.result() for execution in started]
    return [
        began - returned
        for (_, returned), (began, _) in zip(turns, turns[1:], strict=False)
    ]


async def start_elsewhere(url: str) -> None:
    """Be the other process: start a turn in each thread that the input names."""
    loop = asyncio.get_running_loop()
    async with Executions(turn, store=url, max_queued=TURNS) as executions:
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            execution = await executions.start(turn, thread=line.strip())
            print(execution.id, flush=True)


async def main() -> None:
    """Measure all, and print a line each."""
    machine()
    milliseconds("one process", await in_one_process())
    with tempfile.TemporaryDirectory() as folder, Valkey() as valkey:
        sqlite = f"sqlite:///{folder}/events.db"
        milliseconds("two processes, SQLite", await across_processes(sqlite))
        milliseconds("two processes, Valkey", await across_processes(valkey.url))


if __name__ == "__main__":
    asyncio.run(main() if len(sys.argv) < 2 else start_elsewhere(sys.argv[1]))
