"""The feed of executions that run in several processes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import pytest

from asgi_events import Executions, tool
from asgi_events.executions import feed_log
from tests.executions.asking import asked, book
from tests.executions.feeds import by_execution, watching
from tests.processes.sharing import Process, Share

WHOLE = ["started", "ended"]


@tool
async def quick() -> int:
    return 1


@pytest.fixture
async def process(share: Share) -> AsyncIterator[Process]:
    """Makes the executions of one more process."""
    async with AsyncExitStack() as stack:

        def make(**options: Any) -> Executions:
            store = share()
            stack.push_async_callback(store.aclose)
            made = Executions(quick, book, store=store, **options)
            stack.push_async_callback(made.drain, 0)
            return made

        yield make


async def test_says_what_happens_in_other_processes(process: Process) -> None:
    here, there, elsewhere = process(), process(), process()
    async with watching(elsewhere) as ann, watching(elsewhere, "boss") as boss:
        first = await here.start(quick, owner="ann")
        second = await there.start(book, {"to": "boss"}, owner="ann", thread="t")
        await asked(second)
        answering = await here.get(second.id)
        await answering.answer(1, {"seat": "1A"}, by="boss")
        await ann.until_ended(first.id, second.id)
        await boss.until(lambda w: len(w.events) == 2)

    asks = ["started", "waiting", "answered", "ended"]
    assert by_execution(ann.events) == {first.id: WHOLE, second.id: asks}
    assert by_execution(boss.events) == {second.id: ["waiting", "answered"]}
    assert ann.resets == boss.resets == ["new"]


async def test_says_each_thing_once_though_many_write_at_once(
    process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed_log, "PART", 20)  # so several parts are filled
    processes = [process() for _ in range(3)]

    async def run(executions: Executions) -> list[str]:
        ids = []
        for _ in range(10):
            started = [await executions.start(quick, owner="ann") for _ in range(2)]
            for each in started:
                await each.wait()
                ids.append(each.id)
            await asyncio.sleep(0)
        return ids

    async with watching(processes[0]) as ann, watching(process()) as also:
        found = await asyncio.gather(*map(run, processes))
        ids = [id for some in found for id in some]
        await ann.until_ended(*ids)
        await also.until_ended(*ids)
    expected = dict.fromkeys(ids, WHOLE)
    assert by_execution(ann.events) == by_execution(also.events) == expected
    assert ann.told == also.told
