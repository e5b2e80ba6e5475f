"""Type checks only, never run: actors, as their callers see them.

A line with ``# type: ignore`` must be an error: mypy and pyright report an ignore that
nothing needs.
"""

from collections.abc import AsyncIterator, Iterator
from typing import assert_type

from tenacity import AsyncRetrying, stop_after_attempt

from asgi_events import (
    Execution,
    ExecutionEvent,
    ExecutionResult,
    Executions,
    ExecutionState,
    agent,
    current_state,
    llm,
    tool,
)


@agent
async def coroutine(topic: str, depth: int = 1) -> dict[str, int]:
    return {topic: depth}


@tool
def sync(topic: str) -> int:
    return len(topic)


@llm
async def async_generator(topic: str) -> AsyncIterator[str]:
    yield topic


@tool(name="words", cacheable=True)
def sync_generator(topic: str) -> Iterator[str]:
    yield topic


@tool(retry=AsyncRetrying(stop=stop_after_attempt(3)))
async def flaky(topic: str) -> int:
    return len(topic)


class Library:
    @tool
    async def search(self, topic: str) -> list[str]:
        return [topic]


async def calls() -> None:
    assert_type(await coroutine("a", depth=2), dict[str, int])
    assert_type(await sync("a"), int)
    assert_type(await async_generator("a"), str)
    assert_type(await sync_generator("a"), str)
    assert_type(await flaky("a"), int)
    assert_type(await Library().search("a"), list[str])


async def wrong_calls() -> None:
    await coroutine(1)  # type: ignore[arg-type]
    await coroutine("a", dept=2)  # type: ignore[call-arg]
    await sync()  # type: ignore[call-arg]
    await async_generator(1)  # type: ignore[arg-type]
    await sync_generator(1)  # type: ignore[arg-type]
    await Library().search(1)  # type: ignore[arg-type]
    agent(1)  # type: ignore[call-overload]
    tool(named="x")  # type: ignore[call-overload]
    tool(retry=3)  # type: ignore[call-overload]


async def events(state: ExecutionState) -> None:
    result = await ExecutionEvent[int](actor=sync)("a", "", state)
    assert_type(result, ExecutionResult[int])
    assert_type(result.ok, bool)
    assert_type(current_state(), ExecutionState)


async def starts(executions: Executions) -> None:
    assert_type(await executions.start(coroutine, {"topic": "a"}), Execution)
    assert_type(await executions.start("coroutine", id="a"), Execution)
    await executions.start(coroutine, ownr="a")  # type: ignore[call-arg]


async def questions(state: ExecutionState) -> None:
    assert_type(await state.ask("Sure?", bool), bool)
    assert_type(await state.ask("How many?", int, timeout=1, to="ann", echo=True), int)
    await state.ask("?", bool, 1.0)  # type: ignore[call-overload]
