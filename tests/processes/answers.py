"""Many people answer one question at the same time, in processes that are killed.

    python -m tests.processes.answers [ROUNDS]

races 200 answers from three processes, of which one is killed in each round, on SQLite
and on Valkey, and prints what it has seen. With more arguments it is such a process.
"""

from __future__ import annotations

import asyncio
import random
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from time import perf_counter

from asgi_events import Executions, agent, current_state
from asgi_events.events import InputAnswerEvent
from asgi_events.exceptions import AlreadyAnswered, Unavailable
from asgi_events.executions import Execution
from tests.executions.asking import asked
from tests.servers import ROOT
from tests.valkey import Valkey

_SAME = 2  # so many give the same answer
_LATEST = 0.05  # seconds after which one is killed


@agent
async def choose() -> int:
    return await current_state().ask("Which one?", int)


class Answerers:
    """A process that answers, as often as it is told to."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @classmethod
    async def begin(cls, url: str) -> Answerers:
        command = (sys.executable, "-m", "tests.processes.answers", url, "answer")
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(
            *command, cwd=ROOT, stdin=pipe, stdout=pipe
        )
        assert process.stdout is not None
        assert await process.stdout.readline() == b"ready\n"
        return cls(process)

    async def answer(self, id: str, first: int, count: int) -> list[tuple[str, int]]:
        """What each was told: all of them, or those before it was killed."""
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        told: list[tuple[str, int]] = []
        process.stdin.write(f"{id} {first} {count}\n".encode())
        while len(told) < count and (line := await process.stdout.readline()):
            how, _, number = line.decode().strip().partition(" ")
            if number:  # not cut off by the kill
                told.append((how, int(number)))
        return told

    async def kill(self, delay: float = 0.0) -> None:
        await asyncio.sleep(delay)
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()


async def race(
    executions: Executions, processes: Sequence[Answerers], answers: int, delay: float
) -> Counter[str]:
    """Let them all answer one question, and kill the last of them after ``delay``.

    Raises:
        AssertionError: Not one answer has won.
    """
    execution = await executions.start(choose)
    await asked(execution)
    each = answers // len(processes)
    racing = [
        process.answer(execution.id, 1000 * number, each)
        for number, process in enumerate(processes)
    ]
    *told, _ = await asyncio.gather(*racing, processes[-1].kill(delay))
    known = Counter(how for some in told for how, _ in some)
    if not known["first"]:  # the one that was killed has won, or none yet
        await _answer_last(execution)
    result = await asyncio.wait_for(execution.result(), 10)
    events = [event async for event in execution.events()]
    (event,) = (event for event in events if isinstance(event, InputAnswerEvent))
    winners = {number for some in told for how, number in some if how == "first"}
    same = {number for some in told for how, number in some if how == "again"}
    refused = {number for some in told for how, number in some if how == "refused"}

    assert event.action == "accept"
    assert len(winners) <= 1
    assert winners | same <= {result}
    assert result not in refused
    assert all(len(some) == each for some in told[:-1])
    assert not await execution.answer(1, result)  # the same again
    return known + Counter({"by the killed one": int(not winners and result >= 0)})


async def _answer_last(execution: Execution) -> None:
    try:
        await execution.answer(1, -1)
    except AlreadyAnswered:
        pass


async def _serve(url: str) -> None:
    """Answer what the standard input says."""
    async with Executions(store=url) as executions:
        print("ready", flush=True)
        loop = asyncio.get_running_loop()
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            id, first, count = line.split()
            execution = await executions.get(id)
            numbers = [int(first) + n // _SAME for n in range(int(count))]
            random.shuffle(numbers)
            await asyncio.gather(*(_answer(execution, number) for number in numbers))


async def _answer(execution: Execution, number: int) -> None:
    try:
        is_first = await execution.answer(1, number, by=str(number))
    except AlreadyAnswered:
        print(f"refused {number}", flush=True)
    except Unavailable:
        await _answer(execution, number)
    else:
        print(f"{'first' if is_first else 'again'} {number}", flush=True)


async def _race_all(name: str, url: str, rounds: int) -> None:
    began, told = perf_counter(), Counter[str]()
    async with Executions(choose, store=url) as executions:
        processes = [await Answerers.begin(url) for _ in range(3)]
        for _ in range(rounds):
            delay = random.random() * _LATEST
            told += await race(executions, processes, 201, delay)
            processes[-1] = await Answerers.begin(url)
            random.shuffle(processes)
        for process in processes:
            await process.kill()
    took = perf_counter() - began
    print(f"{name}: {rounds} rounds in {took:.0f} s: {dict(told)}", flush=True)


async def _main(rounds: int) -> None:
    with tempfile.TemporaryDirectory() as folder, Valkey() as valkey:
        await _race_all("SQLite", f"sqlite:///{folder}/events.db", rounds)
        await _race_all("Valkey", valkey.url, rounds)


if __name__ == "__main__":
    match sys.argv[1:]:
        case [url, "answer"]:
            asyncio.run(_serve(url))
        case [rounds]:
            asyncio.run(_main(int(rounds)))
        case _:
            asyncio.run(_main(100))
