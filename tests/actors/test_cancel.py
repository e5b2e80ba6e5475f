"""Actors: cancelling."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from time import monotonic, sleep

import pytest

from asgi_events import (
    ExecutionState,
    agent,
    current_state,
    llm,
    tool,
)
from asgi_events.actors import actor_of
from tests import TIMEOUT
from tests.actors.heard import Boom, Call, Heard, execute


async def test_tells_a_cancelled_call_after_its_cleanup(
    state: ExecutionState, heard: Heard
) -> None:
    cleaned: list[list[Call]] = []

    @tool
    async def endless() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            cleaned.append(heard.calls)

    @agent
    async def root() -> None:
        await endless()

    task = asyncio.ensure_future(execute(root, state))
    await heard.until_call("root/endless", "started")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    before = [("root", "started"), ("root/endless", "started")]
    assert cleaned == [before]
    assert heard.calls == [
        *before,
        ("root/endless", "cancelled"),
        ("root", "cancelled"),
    ]


async def test_tells_only_the_calls_that_were_cancelled(
    state: ExecutionState, heard: Heard
) -> None:
    @tool
    async def endless() -> None:
        await asyncio.Event().wait()

    @tool
    async def fail() -> None:
        await heard.until_call("root/endless", "started")
        raise Boom

    @agent
    async def root() -> str:
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(endless())
                group.create_task(fail())
        except* Boom:
            pass
        return f"cancelled: {current_state().cancelled}"

    result = await execute(root, state)
    assert result.result == "cancelled: False"
    assert heard.calls == [
        ("root", "started"),
        ("root/endless", "started"),
        ("root/fail", "started"),
        ("root/fail", "failed"),
        ("root/endless", "cancelled"),
        ("root", "completed"),
    ]


@pytest.mark.parametrize("end", ["completed", "failed", "recovered"])
async def test_tells_each_call_one_end_although_its_publish_is_cancelled(
    end: str, state: ExecutionState, heard: Heard
) -> None:
    @tool(cacheable=True)
    async def look() -> None:
        if end == "failed":
            raise Boom

    if end == "recovered":
        await actor_of(look).run(ExecutionState())
    full = asyncio.Event()
    state.event_bus.subscribe(
        lambda event: full.wait() if ("look", end) in heard.calls else None
    )
    task = asyncio.ensure_future(execute(look, state))
    await heard.until_call("look", end)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    full.set()
    await asyncio.sleep(0)
    assert heard.calls == [("look", "started"), ("look", end)]


async def test_is_not_held_up_by_a_full_log_when_it_is_cancelled(
    state: ExecutionState, heard: Heard
) -> None:
    full = asyncio.Event()

    @tool
    async def endless() -> None:
        state.event_bus.subscribe(lambda event: full.wait())
        await asyncio.Event().wait()

    task = asyncio.ensure_future(execute(endless, state))
    await heard.until_call("endless", "started")
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(asyncio.shield(task), TIMEOUT)
    assert heard.calls == [("endless", "started"), ("endless", "cancelled")]
    full.set()
    await asyncio.sleep(0)


async def test_lets_a_sync_actor_see_that_it_was_cancelled(
    state: ExecutionState, heard: Heard
) -> None:
    seen = threading.Event()

    @tool
    def work() -> None:
        until = monotonic() + TIMEOUT
        while not current_state().cancelled and monotonic() < until:
            sleep(0.001)
        if current_state().cancelled:
            seen.set()

    @agent
    async def root() -> None:
        await work()

    task = asyncio.ensure_future(execute(root, state))
    await heard.until_call("root/work", "started")
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await asyncio.to_thread(seen.wait, TIMEOUT)
    assert heard.calls == [
        ("root", "started"),
        ("root/work", "started"),
        ("root/work", "cancelled"),
        ("root", "cancelled"),
    ]


async def test_lets_a_call_see_that_the_whole_execution_was_cancelled(
    state: ExecutionState,
) -> None:
    @tool
    async def look() -> tuple[bool, bool]:
        before = current_state().cancelled
        state.cancel()
        return before, current_state().cancelled

    result = await execute(look, state)
    assert result.result == (False, True)


async def test_stops_and_closes_a_sync_generator_that_was_cancelled(
    state: ExecutionState, heard: Heard
) -> None:
    stopped = threading.Event()

    @llm
    def write() -> Iterator[str]:
        try:
            until = monotonic() + TIMEOUT
            while monotonic() < until:
                sleep(0.001)
                yield "a"
        finally:
            if monotonic() < until:
                stopped.set()

    task = asyncio.ensure_future(execute(write, state))
    await heard.until(lambda: len(heard.said) > 2)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await asyncio.to_thread(stopped.wait, TIMEOUT)
    assert heard.calls == [("write", "started"), ("write", "cancelled")]


async def test_closes_an_async_generator_that_was_cancelled(
    state: ExecutionState, heard: Heard
) -> None:
    cleaned: list[str] = []

    @llm
    async def write() -> AsyncIterator[str]:
        try:
            yield "a"
            await asyncio.Event().wait()
        finally:
            cleaned.append("cleaned")

    task = asyncio.ensure_future(execute(write, state))
    await heard.until(lambda: len(heard.said) == 1)
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert cleaned == ["cleaned"]
    assert heard.calls == [("write", "started"), ("write", "cancelled")]


async def test_tells_of_a_cancelled_call_on_another_loop_on_the_bus_s_own(
    state: ExecutionState, heard: Heard
) -> None:
    threads: set[str] = set()
    state.event_bus.subscribe(
        lambda event: threads.add(threading.current_thread().name)
    )

    @tool
    async def endless() -> None:
        running.set()
        await asyncio.Event().wait()

    running = asyncio.Event()  # of the other loop

    async def own_loop() -> None:
        task = asyncio.ensure_future(endless())
        await running.wait()
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task

    @agent
    def root() -> None:
        asyncio.run(own_loop())

    await execute(root, state)
    await heard.until_call("root/endless", "cancelled")
    assert threads == {threading.main_thread().name}
