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
from asgi_events.executions.thread_log import thread_of
from tests import TIMEOUT
from tests.processes.turns import LEASE, OUTSTANDING, queue, reject, replace
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
    async def begin(
        cls, url: str, path: Path, seconds: float, actor: str = "reject"
    ) -> Worker:
        """Begin one whose executions take so long."""
        what = ("-m", "tests.processes.turns", url, str(path), str(seconds), actor)
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


async def order_of(executions: Executions) -> list[str]:
    """The ids of all turns of the thread, in their order."""
    assert executions.store is not None
    page = await executions.store.read(thread_of(None, "t"), 0, 10_000_000)
    return [frame.decode().split(" ")[0] for frame in page.frames] if page else []


async def test_runs_one_at_a_time_while_processes_are_killed(
    url: str, tmp_path: Path, workers: AsyncExitStack
) -> None:
    async def begin(actor: str) -> Worker:
        worker = await Worker.begin(url, tmp_path / "lock", 0.01, actor)
        workers.push_async_callback(worker.kill)
        return worker

    all = [await begin(actor) for actor in ("queue", "replace", "queue")]
    await all[0].turns(3)
    await all[0].kill()
    all.append(await begin("queue"))
    for worker in all[1:]:
        await worker.turns(4)
    for worker in all[1:]:
        await worker.kill()
    here = Executions(store=url, lease=LEASE)
    order = await order_of(here)
    ran = (tmp_path / "lock").read_text().split()
    await here.drain(0)

    began = [id for worker in all for id in worker.began]
    assert sum(worker.overlaps for worker in all) == 0
    assert len(began) == len(set(began)) >= 15
    assert ran == [id for id in order if id in ran]
    assert set(ran) <= set(began)


async def test_goes_on_when_those_that_run_and_wait_are_killed(
    url: str, tmp_path: Path, workers: AsyncExitStack
) -> None:
    lock = {"path": str(tmp_path / "lock")}
    here = Executions(reject, queue, store=url, lease=LEASE)
    both: list[Worker] = []
    for number in (1, 2):  # the first one of the first one runs, all others wait
        both.append(await Worker.begin(url, tmp_path / "lock", 600.0, "queue"))
        workers.push_async_callback(both[-1].kill)
        async with asyncio.timeout(6 * TIMEOUT):
            while len(ids := await order_of(here)) < number * OUTSTANDING:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
    last = await here.start(queue, lock, thread="t")
    for worker in reversed(both):
        await worker.kill()
    with pytest.raises(ThreadBusy) as busy:
        await here.start(reject, lock, thread="t")
    ended = await asyncio.wait_for(last.wait(), 6 * TIMEOUT)
    statuses = [await (await here.get(id)).wait() for id in ids]
    await here.drain(0)

    assert [worker.began for worker in both] == [ids[:1], []]
    assert busy.value.execution_id == ids[0]
    assert statuses == ["lost"] * 2 * OUTSTANDING
    assert ended == "completed"


async def test_replaces_what_another_process_runs(
    url: str, tmp_path: Path, workers: AsyncExitStack
) -> None:
    worker = await Worker.begin(url, tmp_path / "lock", 600.0)
    workers.push_async_callback(worker.kill)
    here = Executions(replace, store=url, lease=LEASE)
    await worker.turns(1)
    second = await here.start(replace, {"path": str(tmp_path / "lock")}, thread="t")
    ended = await asyncio.wait_for(second.wait(), 6 * TIMEOUT)
    first = await here.get(worker.began[0])
    event = await first.terminal_event()
    await here.drain(0)

    assert ended == "completed"
    assert event is not None
    assert getattr(event, "message", "") == (
        f"Execution cancelled: replaced by {second.id}"
    )
    assert worker.overlaps == 0
