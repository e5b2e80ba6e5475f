"""Actors: every kind of function, decorating, the contract."""

import asyncio
import functools
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

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
from asgi_events.events import TextDelta
from tests import TIMEOUT
from tests.actors.heard import Heard, execute, leaf, on_other_thread

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
        together.wait(TIMEOUT)
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
