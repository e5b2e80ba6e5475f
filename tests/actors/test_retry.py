"""Actors: ``retry=``, the attempts of a call that fails."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
import tenacity
from tenacity import (
    AsyncRetrying,
    RetryCallState,
    retry_if_exception_type,
    retry_if_not_exception_type,
    retry_if_result,
    stop_after_attempt,
    wait_fixed,
)

from asgi_events import (
    Executions,
    ExecutionState,
    agent,
    begin,
    call,
    current_state,
    tool,
)
from asgi_events.actors import actor_of
from asgi_events.memory_cache import MemoryCache
from asgi_events.testing import run
from tests import TIMEOUT
from tests.actors.heard import Boom, Heard, execute

THREE = AsyncRetrying(stop=stop_after_attempt(3))


class Flaky:
    """Fails as often as it is told to."""

    def __init__(self, failures: int, error: BaseException | None = None) -> None:
        self.failures = failures
        self.error = error if error is not None else Boom("no")
        self.attempts = 0

    def __call__(self) -> str:
        self.attempts += 1
        if self.attempts <= self.failures:
            raise self.error
        return f"attempt {self.attempts}"


def told(events: list[Any]) -> list[tuple[Any, ...]]:
    """What is said of each change of a call, and each text."""
    return [
        (event.delta,)
        if hasattr(event, "delta")
        else (
            event.address,
            str(event.execution_status),
            *(v for v in (event.message, event.attempt, event.delay) if v is not None),
        )
        for event in events
    ]


def coroutine(flaky: Flaky) -> Any:
    async def work() -> str:
        return flaky()

    return work


def sync(flaky: Flaky) -> Any:
    def work() -> str:
        return flaky()

    return work


def async_generator(flaky: Flaky) -> Any:
    async def work() -> AsyncIterator[str]:
        yield "begun "
        yield flaky()

    return work


def generator(flaky: Flaky) -> Any:
    def work() -> Iterator[str]:
        yield "begun "
        yield flaky()

    return work


@pytest.mark.parametrize("kind", [coroutine, sync])
async def test_tries_a_call_again(kind: Callable[[Flaky], Any]) -> None:
    work = tool(retry=AsyncRetrying(wait=wait_fixed(0.001)))(kind(Flaky(2)))
    result, events = await run(work)
    assert result == "attempt 3"
    assert told(events) == [
        ("work", "started"),
        ("work", "retrying", "no", 1, 0.001),
        ("work", "retrying", "no", 2, 0.001),
        ("work", "completed"),
    ]


@pytest.mark.parametrize("kind", [async_generator, generator])
async def test_streams_the_text_of_each_attempt(kind: Callable[[Flaky], Any]) -> None:
    result, events = await run(tool(retry=THREE)(kind(Flaky(1))))
    assert result == "begun attempt 2"
    assert told(events) == [
        ("work", "started"),
        ("begun ",),
        ("work", "retrying", "no", 1, 0.0),
        ("begun ",),
        ("attempt 2",),
        ("work", "completed"),
    ]


async def test_raises_what_the_last_attempt_raised(
    state: ExecutionState, heard: Heard
) -> None:
    errors = iter([Boom("one"), Boom("two"), Boom("three")])

    @tool(retry=THREE)
    async def work() -> None:
        raise next(errors)

    @agent
    async def root() -> str:
        with pytest.raises(Boom, match="three"):
            await work()
        return "done"

    assert (await execute(root, state)).result == "done"
    assert told(heard.events) == [
        ("root", "started"),
        ("root/work", "started"),
        ("root/work", "retrying", "one", 1, 0.0),
        ("root/work", "retrying", "two", 2, 0.0),
        ("root/work", "failed", "three"),
        ("root", "completed"),
    ]


async def test_makes_the_message_of_an_attempt_as_that_of_a_failure(
    heard: Heard, state: ExecutionState
) -> None:
    state.error_message = lambda error: "hidden"
    await execute(tool(retry=THREE)(coroutine(Flaky(1))), state)
    assert told(heard.events)[1] == ("work", "retrying", "hidden", 1, 0.0)


async def test_says_that_a_result_was_not_accepted() -> None:
    again = AsyncRetrying(retry=retry_if_result(lambda value: value == "attempt 1"))
    result, events = await run(tool(retry=again)(coroutine(Flaky(0))))
    assert result == "attempt 2"
    message = "The result was not accepted"
    assert told(events)[1] == ("work", "retrying", message, 1, 0.0)


async def test_gives_each_call_attempts_of_its_own() -> None:
    @tool(retry=THREE)
    async def work(flaky: Flaky) -> str:
        await asyncio.sleep(0)
        return flaky()

    @agent
    async def root() -> list[str]:
        return await asyncio.gather(*(work(Flaky(2)) for _ in range(20)))

    result, events = await run(root)
    assert result == ["attempt 3"] * 20
    assert sum(call[1] == "retrying" for call in told(events)) == 40


async def test_numbers_the_calls_of_all_attempts() -> None:
    @tool
    async def part() -> None:
        pass

    flaky = Flaky(1)

    @agent(retry=THREE)
    async def root() -> None:
        await part()
        flaky()

    _, events = await run(root)
    assert told(events) == [
        ("root", "started"),
        ("root/part", "started"),
        ("root/part", "completed"),
        ("root", "retrying", "no", 1, 0.0),
        ("root/part#2", "started"),
        ("root/part#2", "completed"),
        ("root", "completed"),
    ]


async def test_tries_again_as_the_call_that_a_framework_made_for_the_actor() -> None:
    work = tool(retry=THREE)(coroutine(Flaky(1)))

    @agent
    async def root() -> str:
        async with call("tool", "work", adopt=True):
            return str(await work())

    result, events = await run(root)
    assert result == "attempt 2"
    assert told(events)[1:-1] == [
        ("root/work", "started"),
        ("root/work", "retrying", "no", 1, 0.0),
        ("root/work", "completed"),
    ]


async def test_is_said_of_any_open_call() -> None:
    @agent
    async def root() -> None:
        made = begin("tool", "work")
        made.retry(Boom("no"), attempt=1, delay=0.0)
        made.retry("busy", attempt=2, delay=0.5)
        made.end()
        made.retry("late", attempt=3, delay=0.0)

    _, events = await run(root)
    assert told(events)[1:-1] == [
        ("root/work", "started"),
        ("root/work", "retrying", "no", 1, 0.0),
        ("root/work", "retrying", "busy", 2, 0.5),
        ("root/work", "completed"),
    ]


async def test_tries_again_outside_of_executions() -> None:
    flaky = Flaky(2)
    assert await tool(retry=THREE)(coroutine(flaky))() == "attempt 3"
    with pytest.raises(Boom):
        await tool(retry=THREE)(coroutine(Flaky(9)))()


async def test_tries_a_method_again_with_its_object() -> None:
    class Service:
        def __init__(self) -> None:
            self.flaky = Flaky(1)

        @tool(retry=THREE)
        async def work(self, word: str) -> str:
            return f"{word} {self.flaky()}"

    assert (await run(Service().work, "at"))[0] == "at attempt 2"


async def test_keeps_the_result_of_the_attempt_that_succeeded() -> None:
    flaky = Flaky(1)
    work = tool(retry=THREE, cache_backend=MemoryCache())(coroutine(flaky))
    await run(work)
    result, events = await run(work)
    assert [result, flaky.attempts] == ["attempt 2", 2]
    assert told(events) == [("work", "started"), ("work", "recovered")]


async def test_calls_the_callbacks_of_the_user(
    caplog: pytest.LogCaptureFixture,
) -> None:
    called: list[Any] = []

    async def before_sleep(attempted: RetryCallState) -> None:
        called.append(("before_sleep", attempted.attempt_number))

    retrying = AsyncRetrying(
        stop=stop_after_attempt(2),
        before=lambda attempted: called.append(("before", attempted.attempt_number)),
        before_sleep=before_sleep,
        retry_error_callback=lambda attempted: "gave up",
    )
    result, events = await run(tool(retry=retrying)(coroutine(Flaky(9))))
    assert result == "gave up"
    assert called == [("before", 1), ("before_sleep", 1), ("before", 2)]
    assert told(events)[-1] == ("work", "completed")

    logger = logging.getLogger("of_the_test")
    retrying = AsyncRetrying(
        before_sleep=tenacity.before_sleep_log(logger, logging.WARNING)
    )
    await run(tool(retry=retrying)(coroutine(Flaky(1))))
    assert "coroutine.<locals>.work" in caplog.text


async def test_asks_an_async_condition_of_the_user() -> None:
    async def once(attempted: RetryCallState) -> bool:
        return attempted.attempt_number == 1

    with pytest.raises(Boom):
        await run(tool(retry=AsyncRetrying(retry=once))(coroutine(flaky := Flaky(9))))
    assert flaky.attempts == 2


# Cancelling

EVERYTHING: list[Any] = [
    retry_if_exception_type(BaseException),
    retry_if_not_exception_type(ValueError),
    tenacity.retry_always,
]


@pytest.mark.parametrize("condition", EVERYTHING)
async def test_does_not_try_a_cancelled_call_again(
    state: ExecutionState, heard: Heard, condition: Any
) -> None:
    @tool(retry=AsyncRetrying(retry=condition))
    async def endless() -> None:
        await asyncio.Event().wait()

    task = asyncio.ensure_future(execute(endless, state))
    await heard.until_call("endless", "started")
    await asyncio.sleep(0)
    task.cancel()
    async with asyncio.timeout(TIMEOUT):
        with pytest.raises(asyncio.CancelledError):
            await task
    assert heard.calls == [("endless", "started"), ("endless", "cancelled")]


async def test_is_cancelled_while_it_waits_for_the_next_attempt(
    state: ExecutionState, heard: Heard
) -> None:
    flaky = Flaky(9)
    again = AsyncRetrying(wait=wait_fixed(3600))
    work = tool(retry=again)(coroutine(flaky))
    task = asyncio.ensure_future(execute(work, state))
    await heard.until_call("work", "retrying")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert [flaky.attempts, heard.calls[-1]] == [1, ("work", "cancelled")]


async def test_does_not_try_again_in_an_execution_that_is_cancelled(
    state: ExecutionState, heard: Heard
) -> None:
    @tool(retry=AsyncRetrying())
    async def work() -> None:
        current_state().cancel()
        raise Boom

    assert not (await execute(work, state)).ok
    assert heard.calls == [("work", "started"), ("work", "failed")]


async def test_ends_an_execution_that_is_cancelled_between_two_attempts() -> None:
    retrying = AsyncRetrying(retry=tenacity.retry_always, wait=wait_fixed(3600))
    work = tool(retry=retrying)(coroutine(Flaky(9)))
    executions = Executions(work)
    execution = await executions.start(work)
    async for event in execution.events():
        if getattr(event, "execution_status", "") == "retrying":
            await execution.cancel()
    assert await execution.wait() == "cancelled"
    await executions.drain(0)


# What is no AsyncRetrying


@pytest.mark.parametrize(
    "wrong",
    [3, True, AsyncRetrying, tenacity.Retrying(), tenacity.retry(), lambda f: f],
    ids=["int", "bool", "class", "sync", "decorator", "function"],
)
def test_refuses_anything_else(wrong: Any) -> None:
    with pytest.raises(TypeError) as refused:
        tool(retry=wrong)(coroutine(Flaky(0)))
    assert str(refused.value) == (
        "retry must be an AsyncRetrying of tenacity, version 8.4.2 or later, got "
        f"{wrong!r}: write retry=AsyncRetrying(stop=stop_after_attempt(3), "
        "wait=wait_exponential(max=10))."
    )


def test_takes_a_subclass_and_none() -> None:
    class Mine(AsyncRetrying):
        pass

    assert actor_of(tool(retry=Mine())(coroutine(Flaky(0)))).name == "work"
    assert actor_of(tool(retry=None)(coroutine(Flaky(0)))).name == "work"
