"""What viewers see of a real library that emits spans: pydantic-ai."""

import asyncio
from collections.abc import Iterable, Iterator

import pytest
from opentelemetry.sdk.trace import TracerProvider
from pydantic import BaseModel
from pydantic_ai import Agent, ModelRetry
from pydantic_ai.messages import ModelMessage, ModelResponse
from pydantic_ai.models.function import AgentInfo, FunctionModel
from pydantic_ai.models.instrumented import InstrumentationSettings
from pydantic_ai.models.test import TestModel

from asgi_events import agent, current_state, tool
from asgi_events.bridges.otel import EventsSpanProcessor
from asgi_events.testing import capture_events, run
from tests import TIMEOUT
from tests.bridges.golden import lines


@pytest.fixture(autouse=True)
def spans() -> Iterator[None]:
    """All agents emit spans, which are shown."""
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(EventsSpanProcessor())
    Agent.instrument_all(InstrumentationSettings(tracer_provider=provider))
    yield
    Agent.instrument_all(False)


def guide(name: str = "guide") -> Agent:
    return Agent(TestModel(custom_output_text="done"), name=name)


def seen(events: Iterable[BaseModel]) -> list[str]:
    """What viewers saw, without the usage, which is not the same in all versions."""
    return [line.partition(" usage=")[0] for line in lines(events)]


async def test_shows_an_agent_in_a_tool_of_an_agent_and_two_tools_in_parallel() -> None:
    inner, root = guide("inner"), guide("root")
    added = asyncio.Event()

    @root.tool_plain
    async def ask() -> str:
        await added.wait()
        return (await inner.run("hi")).output

    @root.tool_plain
    async def add() -> int:
        added.set()
        return 3

    async def saw() -> list[str]:
        added.clear()
        with capture_events() as events:
            await root.run("hi")
        return seen(events)

    assert [await saw(), await saw()] == [
        [
            "agent root started",
            "llm root/test started",
            "llm root/test completed",
            "tool root/ask started",
            "tool root/add started",
            "tool root/add completed",
            "agent root/ask/inner started",
            "llm root/ask/inner/test started",
            "llm root/ask/inner/test completed",
            "agent root/ask/inner completed",
            "tool root/ask completed",
            "llm root/test#2 started",
            "llm root/test#2 completed",
            "agent root completed",
        ]
    ] * 2


async def test_shows_the_usage_of_each_answer_of_a_model() -> None:
    with capture_events() as events:
        result = await guide().run("hi")

    usage = result.usage
    assert lines(events) == [
        "agent guide started",
        "llm guide/test started",
        "llm guide/test completed "
        f'usage={{"input_tokens": {usage.input_tokens}, "output_tokens": 1}}',
        "agent guide completed",
    ]


async def test_shows_a_tool_that_fails() -> None:
    root = guide()

    @root.tool_plain
    async def add() -> int:
        raise ValueError("no disk")

    with capture_events() as events, pytest.raises(ValueError, match="no disk"):
        await root.run("hi")

    assert seen(events) == [
        "agent guide started",
        "llm guide/test started",
        "llm guide/test completed",
        "tool guide/add started",
        'tool guide/add failed message="no disk"',
        'agent guide failed message="no disk"',
    ]


async def test_shows_a_tool_that_is_tried_again() -> None:
    root = guide()
    tried = []

    @root.tool_plain
    async def add() -> int:
        tried.append(1)
        if len(tried) == 1:
            raise ModelRetry("once more")
        return 3

    with capture_events() as events:
        await root.run("hi")

    assert seen(events) == [
        "agent guide started",
        "llm guide/test started",
        "llm guide/test completed",
        "tool guide/add started",
        'tool guide/add failed message="once more"',
        "llm guide/test#2 started",
        "llm guide/test#2 completed",
        "tool guide/add#2 started",
        "tool guide/add#2 completed",
        "llm guide/test#3 started",
        "llm guide/test#3 completed",
        "agent guide completed",
    ]


async def test_shows_a_cancel_in_the_middle_once_for_each_open_call() -> None:
    root = guide()
    both = asyncio.Barrier(3)

    @root.tool_plain
    async def wait() -> None:
        await both.wait()
        await asyncio.Event().wait()

    @root.tool_plain
    async def wait_too() -> None:
        await both.wait()
        await asyncio.Event().wait()

    with capture_events() as events:
        task = asyncio.create_task(root.run("hi"))
        async with asyncio.timeout(TIMEOUT):
            await both.wait()
        task.cancel()
        await asyncio.wait([task])

    assert seen(events)[:5] == [
        "agent guide started",
        "llm guide/test started",
        "llm guide/test completed",
        "tool guide/wait started",
        "tool guide/wait_too started",
    ]
    # pydantic-ai does not say which of them ends first.
    assert sorted(seen(events)[5:]) == [
        "agent guide cancelled",
        "tool guide/wait cancelled",
        "tool guide/wait_too cancelled",
    ]


async def test_takes_a_tool_of_ours_for_one_call() -> None:
    root = guide()

    @tool
    async def search(query: str) -> str:
        await current_state().log("searching")
        return "Assam"

    root.tool_plain(search)

    @agent
    async def research() -> str:
        return (await root.run("hi")).output

    _, events = await run(research)

    assert seen(events) == [
        "agent research started",
        "agent research/guide started",
        "llm research/guide/test started",
        "llm research/guide/test completed",
        "tool research/guide/search started",
        'log research/guide/search level="info" message="searching"',
        "tool research/guide/search completed",
        "llm research/guide/test#2 started",
        "llm research/guide/test#2 completed",
        "agent research/guide completed",
        "agent research completed",
    ]


async def test_shows_a_run_in_a_thread() -> None:
    @agent
    def research() -> str:
        return asyncio.run(guide().run("hi")).output

    _, events = await run(research)

    assert seen(events) == [
        "agent research started",
        "agent research/guide started",
        "llm research/guide/test started",
        "llm research/guide/test completed",
        "agent research/guide completed",
        "agent research completed",
    ]


async def test_shows_an_answer_that_streams() -> None:
    with capture_events() as events:
        async with guide().run_stream("hi") as result:
            await result.get_output()

    assert seen(events) == [
        "agent guide started",
        "llm guide/test started",
        "llm guide/test completed",
        "agent guide completed",
    ]


async def test_shows_a_model_that_breaks_down() -> None:
    def breaks(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        raise ConnectionError("gone")

    broken = Agent(FunctionModel(breaks, model_name="gpt"), name="guide")
    with capture_events() as events, pytest.raises(ConnectionError):
        await broken.run("hi")

    assert seen(events) == [
        "agent guide started",
        "llm guide/gpt started",
        'llm guide/gpt failed message="gone"',
        'agent guide failed message="gone"',
    ]
