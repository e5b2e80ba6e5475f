"""One thread in many processes, some of which are killed."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from asgi_events import Executions
from asgi_events.exceptions import ThreadBusy
from tests import TIMEOUT
from tests.processes.turns import LEASE, turn
from tests.servers import ROOT


class Worker:
    """A process of ``tests.processes.turns``.

    Attributes:
        began: The ids of the executions that it ran.
        overlaps: How many of them found another one running.
    """

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.began: list[str] = []
        self.overlaps = 0
        self._process = process
        self._changed = asyncio.Event()
        self._reading = asyncio.create_task(self._read())

    @classmethod
    async def begin(cls, url: str, path: Path, seconds: float) -> Worker:
        """Begin one whose executions take so long."""
        what = ("-m", "tests.processes.turns", url, str(path), str(seconds))
        return cls(
            await asyncio.create_subprocess_exec(
                sys.executable, *what, cwd=ROOT, stdout=asyncio.subprocess.PIPE
            )
        )

    async def turns(self, count: int) -> None:
        """Wait until it has begun so many more turns."""
        wanted = len(self.began) + count
        async with asyncio.timeout(6 * TIMEOUT):
            while len(self.began) < wanted:
                self._changed.clear()
                await self._changed.wait()

    async def kill(self) -> None:
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()
        await self._reading

    async def _read(self) -> None:
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            match line.decode().split():
                case ["began", id]:
                    self.began.append(id)
                case ["overlap"]:
                    self.overlaps += 1
            self._changed.set()


@pytest.fixture
async def workers() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as stack:
        yield stack


async def test_runs_one_at_a_time_while_processes_are_killed(
    url: str, tmp_path: Path, workers: AsyncExitStack
) -> None:
    async def begin() -> Worker:
        worker = await Worker.begin(url, tmp_path / "lock", 0.01)
        workers.push_async_callback(worker.kill)
        return worker

    all = [await begin() for _ in range(3)]
    await all[0].turns(3)
    await all[0].kill()
    all.append(await begin())
    for worker in all[1:]:
        await worker.turns(5)
    for worker in all[1:]:
        await worker.kill()
    here = Executions(turn, store=url, lease=LEASE)
    newest = await here.newest("t")
    assert newest is not None
    status = await asyncio.wait_for(newest.wait(), 6 * TIMEOUT)
    last = await here.start(turn, {"path": str(tmp_path / "lock")}, thread="t")
    ended = await asyncio.wait_for(last.wait(), TIMEOUT)
    await here.drain(0)

    began = [id for worker in all for id in worker.began]
    assert sum(worker.overlaps for worker in all) == 0
    assert len(began) == len(set(began)) >= 18
    assert (status in ("lost", "completed"), ended) == (True, "completed")


async def test_is_busy_until_the_killed_execution_is_lost(
    url: str, tmp_path: Path, workers: AsyncExitStack
) -> None:
    worker = await Worker.begin(url, tmp_path / "lock", 600.0)
    workers.push_async_callback(worker.kill)
    here = Executions(turn, store=url, lease=LEASE)
    await worker.turns(1)
    await worker.kill()
    with pytest.raises(ThreadBusy) as busy:
        await here.start(turn, {"path": str(tmp_path / "lock")}, thread="t")
    newest = await here.newest("t")
    assert newest is not None
    status = await asyncio.wait_for(newest.wait(), 6 * TIMEOUT)
    second = await here.start(turn, {"path": str(tmp_path / "lock")}, thread="t")
    ended = await asyncio.wait_for(second.wait(), TIMEOUT)
    await here.drain(0)

    assert [busy.value.execution_id] == worker.began == [newest.id]
    assert (status, ended) == ("lost", "completed")
