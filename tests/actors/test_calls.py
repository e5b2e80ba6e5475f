"""Actors: addresses, how calls end, the state."""

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest
from asgiref.sync import async_to_sync

from asgi_events import (
    EventType,
    ExecutionEvent,
    ExecutionResult,
    ExecutionState,
    Message,
    agent,
    current_state,
    llm,
    tool,
)
from asgi_events.actors import actor_of
from asgi_events.events import Event, LogEvent, ProgressEvent, TextDelta
from asgi_events.memory_cache import MemoryCache
from tests import TIMEOUT
from tests.actors.heard import Boom, Heard, execute, leaf, on_other_thread

NOON = datetime(2026, 1, 2, 12, 0, tzinfo=UTC)


# Addresses


@tool
async def branch(times: int) -> None:
    for _ in range(times):
        await leaf()


async def test_numbers_nested_and_repeated_calls(
    state: ExecutionState, heard: Heard
) -> None:
    @agent
    async def root() -> None:
        await branch(2)
        await leaf()
        await branch(1)

    await execute(root, state)
    assert heard.calls == [
        ("root", "started"),
        ("root/branch", "started"),
        ("root/branch/leaf", "started"),
        ("root/branch/leaf", "completed"),
        ("root/branch/leaf#2", "started"),
        ("root/branch/leaf#2", "completed"),
        ("root/branch", "completed"),
        ("root/leaf", "started"),
        ("root/leaf", "completed"),
        ("root/branch#2", "started"),
        ("root/branch#2/leaf", "started"),
        ("root/branch#2/leaf", "completed"),
        ("root/branch#2", "completed"),
        ("root", "completed"),
    ]


async def _gather(n: int) -> None:
    await asyncio.gather(*(branch(1) for _ in range(n)))


async def _task_group(n: int) -> None:
    async with asyncio.TaskGroup() as group:
        for _ in range(n):
            group.create_task(branch(1))


@pytest.mark.parametrize("concurrently", [_gather, _task_group])
async def test_keeps_concurrent_calls_apart(
    concurrently: Any, state: ExecutionState, heard: Heard
) -> None:
    @agent
    async def root() -> None:
        await concurrently(3)
        await leaf()

    await execute(root, state)
    names = ["root/branch", "root/branch#2", "root/branch#3"]
    expected = [
        (address, status)
        for name in names
        for address in (name, f"{name}/leaf")
        for status in ("started", "completed")
    ]
    assert heard.calls[0] == ("root", "started")
    assert heard.calls[-3:] == [
        ("root/leaf", "started"),
        ("root/leaf", "completed"),
        ("root", "completed"),
    ]
    assert sorted(heard.calls[1:-3]) == sorted(expected)


async def test_keeps_the_address_in_the_thread_of_a_sync_actor(
    state: ExecutionState, heard: Heard
) -> None:
    @tool
    def sync_branch() -> str:
        async_to_sync(leaf)()
        async_to_sync(leaf)()
        return current_state().address

    @agent
    async def root() -> list[str]:
        return list(await asyncio.gather(sync_branch(), sync_branch()))

    result = await execute(root, state)
    assert result.result == ["root/sync_branch", "root/sync_branch#2"]
    assert sorted(heard.calls) == sorted(
        (address, status)
        for address in (
            "root",
            "root/sync_branch",
            "root/sync_branch/leaf",
            "root/sync_branch/leaf#2",
            "root/sync_branch#2",
            "root/sync_branch#2/leaf",
            "root/sync_branch#2/leaf#2",
        )
        for status in ("started", "completed")
    )


async def test_nests_what_a_generator_calls(
    state: ExecutionState, heard: Heard
) -> None:
    @llm
    async def write() -> AsyncIterator[str]:
        yield "a"
        await leaf()
        yield "b"

    @agent
    async def root() -> Any:
        text = await write()
        await leaf()
        return text

    await execute(root, state)
    assert [
        e.address if isinstance(e, ExecutionEvent) else e.delta for e in heard.events
    ] == [
        "root",
        "root/write",
        "a",
        "root/write/leaf",
        "root/write/leaf",
        "b",
        "root/write",
        "root/leaf",
        "root/leaf",
        "root",
    ]


async def test_numbers_the_executions_of_one_state(
    state: ExecutionState, heard: Heard
) -> None:
    await execute(leaf, state)
    await execute(leaf, state)
    assert [address for address, _ in heard.calls] == ["leaf"] * 2 + ["leaf#2"] * 2


# How calls end


async def test_tells_a_call_whole(state: ExecutionState, heard: Heard) -> None:
    @tool(detail=lambda x: f"x is {x}")
    async def look(x: int) -> int:
        return x

    result = await execute(look, state, 7)
    started, completed = heard.events
    assert started.model_dump() == {
        "event_type": EventType.TOOL_CALL,
        "address": "look",
        "timestamp": started.timestamp,
        "actor": "look",
        "execution_status": "started",
        "execution_time": None,
        "detail": "x is 7",
        "message": None,
        "from_cache": False,
        "input": None,
        "output": None,
        "usage": None,
        "attempt": None,
        "delay": None,
    }
    assert completed.model_dump() == started.model_dump() | {
        "timestamp": completed.timestamp,
        "execution_status": "completed",
        "execution_time": completed.execution_time,
    }
    assert 0 <= completed.execution_time <= TIMEOUT
    assert 0 <= result.execution_time <= TIMEOUT
    assert result == ExecutionResult[Any](
        result=7, execution_time=result.execution_time
    )


async def test_passes_an_exception_through_nested_actors_unchanged(
    state: ExecutionState, heard: Heard
) -> None:
    boom = Boom("too hot")
    caught: list[BaseException] = []

    @tool
    def inner() -> None:
        raise boom

    @tool
    async def middle() -> None:
        await inner()

    @agent
    async def root() -> None:
        try:
            await middle()
        except Boom as error:
            caught.append(error)
            raise

    result = await execute(root, state)
    assert caught[0] is boom
    assert result == ExecutionResult[Any](
        ok=False, error_message="too hot", execution_time=result.execution_time
    )
    assert heard.calls == [
        ("root", "started"),
        ("root/middle", "started"),
        ("root/middle/inner", "started"),
        ("root/middle/inner", "failed"),
        ("root/middle", "failed"),
        ("root", "failed"),
    ]
    assert [e.message for e in heard.events] == [None] * 3 + ["too hot"] * 3


async def test_goes_on_after_a_failure_that_its_caller_caught(
    state: ExecutionState, heard: Heard
) -> None:
    @tool
    async def inner() -> None:
        raise Boom

    @agent
    async def root() -> str:
        with suppress(Boom):
            await inner()
        await leaf()
        return "saved"

    result = await execute(root, state)
    assert (result.ok, result.result) == (True, "saved")
    assert heard.calls == [
        ("root", "started"),
        ("root/inner", "started"),
        ("root/inner", "failed"),
        ("root/leaf", "started"),
        ("root/leaf", "completed"),
        ("root", "completed"),
    ]


async def test_raises_unchanged_outside_an_execution() -> None:
    boom = Boom("too hot")

    @tool
    def fail() -> None:
        raise boom

    with pytest.raises(Boom) as caught:
        await fail()
    assert caught.value is boom


async def test_tells_viewers_what_error_message_says() -> None:
    state = ExecutionState(error_message=lambda error: f"{type(error).__name__}!")
    heard = Heard(state)

    @tool
    async def fail() -> None:
        raise Boom("secret")

    @agent
    async def root() -> None:
        await fail()

    result = await execute(root, state)
    assert result.error_message == "Boom!"
    assert [e.message for e in heard.events] == [None, None, "Boom!", "Boom!"]


async def test_tells_a_call_as_recovered(state: ExecutionState, heard: Heard) -> None:
    @tool(cacheable=True)
    async def look(x: int) -> int:
        return x

    @agent
    async def root() -> list[int]:
        return [await look(1), await look(1), await look(2)]

    result = await execute(root, state)
    assert result.result == [1, 1, 2]
    assert heard.calls == [
        ("root", "started"),
        ("root/look", "started"),
        ("root/look", "completed"),
        ("root/look#2", "started"),
        ("root/look#2", "recovered"),
        ("root/look#3", "started"),
        ("root/look#3", "completed"),
        ("root", "completed"),
    ]


async def test_logs_a_failing_detail_and_goes_on(
    state: ExecutionState, heard: Heard, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(x: int) -> str:
        raise Boom

    @tool(detail=fail)
    async def look(x: int) -> int:
        return x

    result = await execute(look, state, 7)
    assert (result.ok, result.result) == (True, 7)
    assert [e.detail for e in heard.events] == [None, None]
    assert [r.getMessage() for r in caplog.records] == [
        "The detail of <tool look> failed; the call goes on."
    ]


# The state


async def test_is_only_its_function_outside_an_execution() -> None:
    @tool(detail=lambda: "never asked", cacheable=True)
    async def look() -> bool:
        with pytest.raises(RuntimeError, match="No actor is running here"):
            current_state()
        return True

    assert await look() is True


def test_has_no_state_outside_an_actor() -> None:
    with pytest.raises(RuntimeError, match="^No actor is running here: "):
        current_state()


async def test_has_no_state_after_an_execution(state: ExecutionState) -> None:
    await execute(leaf, state)
    with pytest.raises(RuntimeError, match="^No actor is running here: "):
        current_state()


async def test_speaks_under_its_own_address(
    state: ExecutionState, heard: Heard
) -> None:
    @tool
    async def speak() -> None:
        here = current_state()
        await here.log("l", level="warning")
        await here.progress(1, 4, "p")
        await here.text("t")
        await here.publish(Message(content="m"))

    @agent
    async def root() -> None:
        await speak()
        await current_state().log("after")

    await execute(root, state)
    speaking: dict[str, Any] = {"address": "root/speak", "timestamp": NOON}
    assert [
        e.model_copy(update={"timestamp": NOON}) if isinstance(e, Event) else e
        for e in heard.said
    ] == [
        LogEvent(**speaking, level="warning", message="l"),
        ProgressEvent(**speaking, current=1, total=4, message="p"),
        TextDelta(**speaking, delta="t"),
        Message(content="m"),
        LogEvent(address="root", timestamp=NOON, message="after"),
    ]


async def test_speaks_in_a_sync_actor_without_await(
    state: ExecutionState, heard: Heard
) -> None:
    threads: list[bool] = []
    state.event_bus.subscribe(lambda event: threads.append(on_other_thread()))

    @tool
    def speak() -> int:
        here = current_state()
        here.log("first")
        so_far = len(heard.said)
        here.log("second")
        return so_far

    result = await execute(speak, state)
    assert result.result == 1  # it had been heard when log() returned
    assert [e.message for e in heard.said] == ["first", "second"]
    assert threads == [False] * 4


async def test_speaks_in_a_thread_of_nobody(
    state: ExecutionState, heard: Heard
) -> None:
    @agent
    async def root() -> None:
        here = current_state()
        thread = threading.Thread(target=lambda: here.log("from afar"))
        thread.start()
        await heard.until(lambda: bool(heard.said))
        await asyncio.to_thread(thread.join, TIMEOUT)

    await execute(root, state)
    assert [(e.address, e.message) for e in heard.said] == [("root", "from afar")]


async def test_speaks_and_calls_in_another_event_loop(
    state: ExecutionState, heard: Heard
) -> None:
    @tool
    async def speak() -> None:
        await current_state().log("from afar")

    @agent
    def root() -> None:
        asyncio.run(speak())

    result = await execute(root, state)
    assert result.ok
    assert heard.calls == [
        ("root", "started"),
        ("root/speak", "started"),
        ("root/speak", "completed"),
        ("root", "completed"),
    ]
    assert [(e.address, e.message) for e in heard.said] == [("root/speak", "from afar")]


# What nothing may hold up, share or lose


async def test_runs_nested_sync_actors_however_many(state: ExecutionState) -> None:
    @tool
    def leaf() -> int:
        return 1

    @tool
    def branch() -> int:
        return async_to_sync(leaf)()

    @agent
    async def root() -> int:
        return sum(await asyncio.gather(*(branch() for _ in range(40))))

    outcome = await asyncio.wait_for(actor_of(root).run(state), TIMEOUT)

    assert outcome.result == 40


async def test_fails_when_its_function_exits(
    state: ExecutionState, heard: Heard
) -> None:
    @tool
    async def leave() -> None:
        raise SystemExit(3)

    outcome = await actor_of(leave).run(state)

    assert not outcome.ok
    assert heard.calls == [("leave", "started"), ("leave", "failed")]


async def test_went_as_the_result_says_that_it_returns(state: ExecutionState) -> None:
    @tool
    async def broken() -> None:
        raise ValueError("broken")

    @agent
    async def root() -> ExecutionResult[None]:
        return await actor_of(broken).run(current_state())

    outcome = await actor_of(root).run(state)

    assert (outcome.ok, outcome.error_message) == (False, "broken")


async def test_shares_no_cache_between_functions_of_one_definition(
    state: ExecutionState,
) -> None:
    def make(factor: int) -> Any:
        @tool(cache_backend=backend)
        async def times(number: int) -> int:
            return number * factor

        return times

    backend = MemoryCache()
    outcomes = [await actor_of(make(factor)).run(state, (1,)) for factor in (2, 3, 2)]

    assert [outcome.result for outcome in outcomes] == [2, 3, 2]
