"""Actors: every kind of function, the address and the fate of each call, cancelling."""

import asyncio
import functools
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from time import monotonic, sleep
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from pydantic import BaseModel

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

NOON = datetime(2026, 1, 2, 12, 0, tzinfo=UTC)
WAIT = 10.0  # seconds; whoever waits this long has failed

Call = tuple[str, str]
"""The address of a call, and what became of it."""


class Heard:
    """All that is published in the executions of a state."""

    def __init__(self, state: ExecutionState) -> None:
        self.events: list[Any] = []
        self._came = asyncio.Event()
        state.event_bus.subscribe(self)

    def __call__(self, event: BaseModel) -> None:
        self.events.append(event)
        self._came.set()

    @property
    def calls(self) -> list[Call]:
        return [
            (event.address, str(event.execution_status))
            for event in self.events
            if isinstance(event, ExecutionEvent)
        ]

    @property
    def said(self) -> list[Any]:
        return [e for e in self.events if not isinstance(e, ExecutionEvent)]

    async def until(self, happened: Callable[[], bool]) -> None:
        async with asyncio.timeout(WAIT):
            while not happened():
                self._came.clear()
                await self._came.wait()

    async def until_call(self, *call: str) -> None:
        await self.until(lambda: call in self.calls)


@pytest.fixture
def state() -> ExecutionState:
    return ExecutionState()


@pytest.fixture
async def heard(state: ExecutionState) -> Heard:
    return Heard(state)


def execute(actor: Any, state: ExecutionState, value: Any = None) -> Awaitable[Any]:
    return ExecutionEvent[Any](actor=actor)(value, "", state)


def on_other_thread() -> bool:
    return threading.current_thread() is not threading.main_thread()


# Every kind of function


async def _async(x: int) -> tuple[int, bool]:
    await asyncio.sleep(0)
    return x, on_other_thread()


def _sync(x: int) -> tuple[int, bool]:
    return x, on_other_thread()


class _AsyncObject:
    async def __call__(self, x: int) -> tuple[int, bool]:
        return x, on_other_thread()


class _SyncObject:
    def __call__(self, x: int) -> tuple[int, bool]:
        return x, on_other_thread()

    async def async_method(self, x: int) -> tuple[int, bool]:
        return x, on_other_thread()

    def sync_method(self, x: int) -> tuple[int, bool]:
        return x, on_other_thread()


@pytest.mark.parametrize("observed", [True, False], ids=["observed", "bare"])
@pytest.mark.parametrize(
    ("function", "in_thread"),
    [
        pytest.param(_async, False, id="async"),
        pytest.param(_sync, True, id="sync"),
        pytest.param(_AsyncObject(), False, id="async object"),
        pytest.param(_SyncObject(), True, id="sync object"),
        pytest.param(_SyncObject().async_method, False, id="async method"),
        pytest.param(_SyncObject().sync_method, True, id="sync method"),
        pytest.param(functools.partial(_async), False, id="async partial"),
        pytest.param(functools.partial(_sync), True, id="sync partial"),
    ],
)
async def test_runs(
    function: Any, in_thread: bool, observed: bool, state: ExecutionState, heard: Heard
) -> None:
    actor: Any = tool(name="it")(function)
    if not observed:
        assert await actor(7) == (7, in_thread)
        assert heard.events == []
        return
    result = await execute(actor, state, 7)
    assert result.result == (7, in_thread)
    assert heard.calls == [("it", "started"), ("it", "completed")]


async def _async_generator(x: str) -> AsyncIterator[str]:
    for letter in x:
        await asyncio.sleep(0)
        yield letter


def _generator(x: str) -> Iterator[str]:
    yield from x


class _AsyncGeneratorObject:
    async def __call__(self, x: str) -> AsyncIterator[str]:
        for letter in x:
            yield letter


class _GeneratorObject:
    def __call__(self, x: str) -> Iterator[str]:
        yield from x


@pytest.mark.parametrize("observed", [True, False], ids=["observed", "bare"])
@pytest.mark.parametrize(
    "function",
    [
        pytest.param(_async_generator, id="async generator"),
        pytest.param(_generator, id="generator"),
        pytest.param(functools.partial(_async_generator), id="async partial"),
        pytest.param(functools.partial(_generator), id="partial"),
        pytest.param(_AsyncGeneratorObject(), id="async generator object"),
        pytest.param(_GeneratorObject(), id="generator object"),
    ],
)
async def test_streams(
    function: Any, observed: bool, state: ExecutionState, heard: Heard
) -> None:
    actor: Any = llm(name="it")(function)
    if not observed:
        assert await actor("abc") == "abc"
        return
    result = await execute(actor, state, "abc")
    assert result.result == "abc"
    assert [(type(e), e.address, e.delta) for e in heard.said] == [
        (TextDelta, "it", "a"),
        (TextDelta, "it", "b"),
        (TextDelta, "it", "c"),
    ]
    assert heard.calls == [("it", "started"), ("it", "completed")]


async def test_runs_a_generator_in_a_thread(state: ExecutionState) -> None:
    where: list[bool] = []

    @llm
    def write() -> Iterator[str]:
        where.append(on_other_thread())
        yield "a"

    await execute(write, state)
    assert where == [True]


async def test_publishes_models_that_a_generator_yields(
    state: ExecutionState, heard: Heard
) -> None:
    @llm
    async def write() -> AsyncIterator[Any]:
        yield "a"
        yield Message(content="m")
        yield "b"

    result = await execute(write, state)
    assert result.result == "ab"
    assert [e.delta if isinstance(e, TextDelta) else e for e in heard.said] == [
        "a",
        Message(content="m"),
        "b",
    ]


async def _yields_bytes() -> AsyncIterator[Any]:
    yield "a"
    yield b"b"


def _yields_bytes_sync() -> Iterator[Any]:
    yield "a"
    yield b"b"


@pytest.mark.parametrize("function", [_yields_bytes, _yields_bytes_sync])
async def test_fails_a_call_that_yields_something_else(
    function: Any, state: ExecutionState, heard: Heard
) -> None:
    result = await execute(llm(name="it")(function), state)
    message = (
        "A generator actor yields str (text deltas) or pydantic models, got bytes."
    )
    assert (result.ok, result.error_message) == (False, message)
    assert heard.calls == [("it", "started"), ("it", "failed")]
    with pytest.raises(TypeError, match="got bytes"):
        await llm(name="it")(function)()


async def test_closes_an_async_generator_that_it_does_not_finish() -> None:
    closed: list[str] = []

    @llm
    async def write() -> AsyncIterator[Any]:
        try:
            yield b"wrong"
        finally:
            closed.append("closed")

    with pytest.raises(TypeError):
        await write()
    assert closed == ["closed"]


async def test_runs_sync_actors_side_by_side(
    state: ExecutionState, heard: Heard
) -> None:
    together = threading.Barrier(3)

    @tool
    def meet(n: int) -> int:
        together.wait(WAIT)
        return n

    @agent
    async def host() -> list[int]:
        return list(await asyncio.gather(*map(meet, range(3))))

    result = await execute(host, state)
    assert result.result == [0, 1, 2]


# Decorating


@pytest.mark.parametrize(
    ("decorator", "event_type"),
    [
        pytest.param(agent, EventType.AGENT_CALL, id="agent"),
        pytest.param(tool, EventType.TOOL_CALL, id="tool"),
        pytest.param(llm, EventType.LLM_CALL, id="llm"),
    ],
)
async def test_decorates_bare_and_with_options(decorator: Any, event_type: Any) -> None:
    def function(x: int) -> int:
        """Does it.

        And more.
        """
        return x

    bare = decorator(function)
    called = decorator()(function)
    named = decorator(name="other")(function)
    actors = [actor_of(each) for each in (bare, called, named)]
    assert [(a.name, a.event_type, a.description) for a in actors] == [
        ("function", event_type, "Does it."),
        ("function", event_type, "Does it."),
        ("other", event_type, "Does it."),
    ]
    assert bare.__wrapped__ is function
    assert repr(actor_of(named)) == f"<{event_type.removesuffix('_call')} other>"
    assert await named(3) == 3


@pytest.mark.parametrize(
    "name",
    [
        "a/b",
        "a#2",
        "a:1",
        "a?b",
        "a%20",
        "a b",
        "a\tb",
        "a\rb",
        "a\nb",
        "a\0b",
        "a\x0bb",
        "a\x0cb",
        "a\x85b",
        "a\xa0b",
        "a\u2028b",
        "a\x1bb",
        "a\x9bb",
        "a\ud800b",
        "executions",
    ],
    ids=ascii,
)
def test_refuses_a_name_that_no_url_or_address_can_hold(name: str) -> None:
    with pytest.raises(ValueError, match="An actor's name is part of addresses and"):
        tool(name=name)(_sync)


@pytest.mark.parametrize("name", ["a", "a-b_c.d~1", "naïve", "查找"], ids=ascii)
def test_accepts_a_name(name: str) -> None:
    assert actor_of(tool(name=name)(_sync)).name == name


def test_refuses_a_function_without_a_name() -> None:
    with pytest.raises(ValueError, match="must not be empty"):
        tool(functools.partial(_sync))


def test_refuses_what_is_not_a_function() -> None:
    with pytest.raises(TypeError, match="An actor is made from a function, got 3"):
        tool(3)  # type: ignore[call-overload]  # that is the point


# Addresses


@tool
async def leaf() -> None:
    await asyncio.sleep(0)


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
    }
    assert completed.model_dump() == started.model_dump() | {
        "timestamp": completed.timestamp,
        "execution_status": "completed",
        "execution_time": completed.execution_time,
    }
    assert 0 <= completed.execution_time <= WAIT
    assert 0 <= result.execution_time <= WAIT
    assert result == ExecutionResult[Any](
        result=7, execution_time=result.execution_time
    )


class Boom(Exception):
    pass


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


# Cancelling


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
        await asyncio.wait_for(asyncio.shield(task), WAIT)
    assert heard.calls == [("endless", "started"), ("endless", "cancelled")]
    full.set()
    await asyncio.sleep(0)


async def test_lets_a_sync_actor_see_that_it_was_cancelled(
    state: ExecutionState, heard: Heard
) -> None:
    seen = threading.Event()

    @tool
    def work() -> None:
        until = monotonic() + WAIT
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
    assert await asyncio.to_thread(seen.wait, WAIT)
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
            until = monotonic() + WAIT
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
    assert await asyncio.to_thread(stopped.wait, WAIT)
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
        await asyncio.to_thread(thread.join, WAIT)

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


# The contract: ExecutionEvent[Message](actor=omni_agent)(message, "", state)


async def _takes_none() -> tuple[Any, ...]:
    return ()


async def _takes_message(message: Message) -> tuple[Any, ...]:
    return (message,)


async def _takes_two(message: Message, context: str) -> tuple[Any, ...]:
    return message, context


async def _takes_three(
    message: Message, context: str, state: ExecutionState
) -> tuple[Any, ...]:
    return message, context, state


async def _takes_any(*args: Any) -> tuple[Any, ...]:
    return args


async def _takes_keywords(message: Message, *, k: int = 1) -> tuple[Any, ...]:
    return message, k


async def _takes_positions(message: Message, /, context: str) -> tuple[Any, ...]:
    return message, context


@pytest.mark.parametrize(
    ("function", "given"),
    [
        pytest.param(_takes_none, lambda m, s: (), id="0"),
        pytest.param(_takes_message, lambda m, s: (m,), id="1"),
        pytest.param(_takes_two, lambda m, s: (m, ""), id="2"),
        pytest.param(_takes_three, lambda m, s: (m, "", s), id="3"),
        pytest.param(_takes_any, lambda m, s: (m, "", s), id="any"),
        pytest.param(_takes_keywords, lambda m, s: (m, 1), id="keyword"),
        pytest.param(_takes_positions, lambda m, s: (m, ""), id="positional"),
    ],
)
async def test_gives_an_actor_as_many_arguments_as_it_takes(
    function: Any, given: Any, state: ExecutionState
) -> None:
    message = Message(content="hello")
    actor = agent(function)
    result = await ExecutionEvent[Message](actor=actor)(message, "", state)
    assert isinstance(result, ExecutionResult)
    assert result.result == given(message, state)


async def test_fails_an_actor_that_takes_more(
    state: ExecutionState, heard: Heard
) -> None:
    @agent
    async def four(a: Any, b: Any, c: Any, d: Any) -> None: ...

    result = await execute(four, state)
    assert not result.ok
    assert "missing 1 required positional argument: 'd'" in (result.error_message or "")
    assert heard.calls == [("four", "started"), ("four", "failed")]


async def test_refuses_a_state_that_is_none_of_ours() -> None:
    with pytest.raises(TypeError, match="state must be an ExecutionState, got {}"):
        await ExecutionEvent[Message](actor=leaf)("", "", {})


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

    outcome = await asyncio.wait_for(actor_of(root).run(state), WAIT)

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


# What cannot be an actor


def test_is_not_made_from_a_class() -> None:
    class Tool:
        def __call__(self) -> None: ...

    with pytest.raises(TypeError, match="An actor is made from a function, got <class"):
        tool(Tool)


async def test_says_how_to_take_its_state_into_a_thread(state: ExecutionState) -> None:
    said: list[str] = []

    def look() -> str:
        try:
            return current_state().address
        except RuntimeError as error:
            said.append(str(error))
            return ""

    @agent
    async def root() -> list[str]:
        loop = asyncio.get_running_loop()
        return [await asyncio.to_thread(look), await loop.run_in_executor(None, look)]

    result = await execute(root, state)
    assert result.result == ["root", ""]
    assert "asyncio.to_thread" in said[0]
