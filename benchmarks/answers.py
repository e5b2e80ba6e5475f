"""How long does a coroutine wait after somebody has answered its question?

    python -m benchmarks.answers

From before the call of ``Execution.answer`` until ``state.ask`` has returned: in one
process without a store, and from another process on SQLite and on Valkey. Each
execution asks ten questions, one after another.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time

from asgi_events import Executions, agent, current_state
from asgi_events.events import InputRequestEvent
from asgi_events.executions import Execution
from benchmarks.report import machine, milliseconds
from tests.servers import ROOT
from tests.valkey import Valkey

EXECUTIONS, QUESTIONS = 20, 10
PAUSE = 0.02  # seconds before each answer, so that nothing else is going on


@agent
async def ask() -> list[float]:
    """Ask again and again; return when each answer was there."""
    state = current_state()
    times = []
    for _ in range(QUESTIONS):
        await state.ask("Now?", int)
        times.append(time.monotonic())
    return times


async def answer_all(execution: Execution) -> list[float]:
    """Answer each question; return when that was begun."""
    times = []
    async for event in execution.events():
        if isinstance(event, InputRequestEvent):
            await asyncio.sleep(PAUSE)
            times.append(time.monotonic())
            await execution.answer(event.n, 1)
    return times


async def in_one_process() -> list[float]:
    """Return the waits where no store is between them."""
    times = []
    async with Executions(ask) as executions:
        for _ in range(EXECUTIONS):
            execution = await executions.start(ask)
            answered = await answer_all(execution)
            times += waits(answered, await execution.result())
    return times


async def across_processes(url: str) -> list[float]:
    """Return the waits where another process answers."""
    times = []
    async with Executions(ask, store=url) as executions:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-W", "ignore", "-m", "benchmarks.answers", url),
            cwd=ROOT,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        for _ in range(EXECUTIONS):
            execution = await executions.start(ask)
            process.stdin.write(f"{execution.id}\n".encode())
            answered = map(float, (await process.stdout.readline()).split())
            times += waits(list(answered), await execution.result())
        process.stdin.close()
        await process.wait()
    return times


def waits(answered: list[float], returned: list[float]) -> list[float]:
    """Return the seconds between each two."""
    return [then - now for now, then in zip(answered, returned, strict=True)]


async def answer_elsewhere(url: str) -> None:
    """Be the other process, and answer all executions that the standard input names."""
    loop = asyncio.get_running_loop()
    async with Executions(store=url) as executions:
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            print(*await answer_all(await executions.get(line.strip())), flush=True)


async def main() -> None:
    """Measure all, and print a line each."""
    machine()
    milliseconds("one process", await in_one_process())
    with tempfile.TemporaryDirectory() as folder, Valkey() as valkey:
        sqlite = f"sqlite:///{folder}/events.db"
        milliseconds("two processes, SQLite", await across_processes(sqlite))
        milliseconds("two processes, Valkey", await across_processes(valkey.url))


if __name__ == "__main__":
    asyncio.run(main() if len(sys.argv) < 2 else answer_elsewhere(sys.argv[1]))
