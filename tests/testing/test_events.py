"""``asgi_events.testing``: actors without a server."""

import pytest
from pydantic import BaseModel

from asgi_events import ExecutionStatus, agent, current_state, llm, tool
from asgi_events.events import ExecutionEvent, ProgressEvent, TextDelta
from asgi_events.memory_cache import MemoryCache
from asgi_events.testing import capture_events, run


class Found(BaseModel):
    event_type: str = "found"
    title: str


@tool
def search(query: str) -> list[str]:
    state = current_state()
    state.publish(Found(title=query))
    return [query]


@llm
async def write(prompt: str):
    yield "a "
    yield prompt


@agent
async def research(topic: str, *, pages: int = 1) -> str:
    await current_state().progress(1, pages)
    hits = await search(topic)
    return await write(hits[0])


@agent
async def fail() -> None:
    await current_state().progress(1)
    raise ValueError("broken")


@tool(cacheable=True)
async def lookup(key: str) -> str:
    return key


def calls(events: list[BaseModel]) -> list[tuple[str, str]]:
    return [
        (event.address, event.execution_status)
        for event in events
        if isinstance(event, ExecutionEvent)
    ]


async def test_returns_the_result_and_the_typed_events() -> None:
    result, events = await run(research, "sse", pages=2)
    assert result == "a sse"
    assert calls(events) == [
        ("research", "started"),
        ("research/search", "started"),
        ("research/search", "completed"),
        ("research/write", "started"),
        ("research/write", "completed"),
        ("research", "completed"),
    ]
    progress = next(event for event in events if isinstance(event, ProgressEvent))
    assert (progress.current, progress.total) == (1, 2)
    assert [event.delta for event in events if isinstance(event, TextDelta)] == (
        ["a ", "sse"]
    )
    assert Found(title="sse") in events


async def test_raises_what_the_actor_raises() -> None:
    with pytest.raises(ValueError, match="broken"):
        await run(fail)


async def test_captures_the_events_of_a_call_that_fails() -> None:
    with capture_events() as events, pytest.raises(ValueError, match="broken"):
        await fail()
    assert calls(events) == [("fail", "started"), ("fail", "failed")]
    assert events[-1].message == "broken"


async def test_captures_nothing_after_the_block() -> None:
    with capture_events() as events:
        await lookup("one")
    count = len(events)
    await lookup("two")
    assert len(events) == count


async def test_takes_the_cache_of_the_execution() -> None:
    with capture_events(cache_backend=MemoryCache()) as events:
        await lookup("a")
        await lookup("a")
    assert calls(events)[-1] == ("lookup#2", ExecutionStatus.RECOVERED)
