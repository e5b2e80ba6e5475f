"""What viewers see of the calls of an MCP client: whole trees, in order."""

import asyncio
import runpy
import sys
from contextvars import Context
from types import SimpleNamespace
from typing import Any

import pytest
from mcp import ClientSession

from asgi_events import EventBus, ExecutionState, agent, current_state, tool
from asgi_events.bridges import mcp as bridge
from asgi_events.bridges.mcp import call_tool, progress_callback
from asgi_events.testing import capture_events, run
from tests import TIMEOUT
from tests.bridges.golden import lines
from tests.bridges.mcp_server import IS_VERSION_2, Hall, connected


async def test_shows_a_call_with_its_progress() -> None:
    @agent
    async def research() -> str:
        async with connected(Hall()) as session:
            result = await call_tool(session, "index", {"pages": 2})
        return str(result.content[0].text)

    result, events = await run(research)

    assert result == "2 pages"
    assert lines(events) == [
        "agent research started",
        "tool research/index started",
        'progress research/index current=1.0 total=2.0 message="page 1"',
        'progress research/index current=2.0 total=2.0 message="page 2"',
        "tool research/index completed",
        "agent research completed",
    ]


async def test_shows_content_if_it_is_asked_to() -> None:
    async with connected(Hall()) as session:
        with capture_events() as events:
            await call_tool(session, "index", {"pages": 0}, show=("input", "output"))

    assert [line.partition(" output=")[0] for line in lines(events)] == [
        'tool index started input={"pages": 0}',
        "tool index completed",
    ]
    assert "0 pages" in lines(events)[-1]


async def test_publishes_the_progress_of_a_plain_call_where_it_was_made() -> None:
    @agent
    async def research(session: ClientSession) -> None:
        await session.call_tool(
            "index", {"pages": 1}, progress_callback=progress_callback()
        )

    async with connected(Hall()) as session:
        _, events = await run(research, session)

    assert lines(events) == [
        "agent research started",
        'progress research current=1.0 total=1.0 message="page 1"',
        "agent research completed",
    ]


async def test_publishes_the_progress_of_the_state_that_it_is_given() -> None:
    with capture_events() as events:
        state = ExecutionState(EventBus())
        state.event_bus.subscribe(events.append)
        await progress_callback(state)(1, None, None)
        await progress_callback()(2, 3, "here")

    assert lines(events) == [
        "progress current=1.0",
        'progress current=2.0 total=3.0 message="here"',
    ]


class Elsewhere:
    """A session that calls back in a task which knows nothing of the call."""

    async def call_tool(self, *_: Any, progress_callback: Any) -> Any:
        callback = progress_callback(1, None, None)
        await asyncio.create_task(callback, context=Context())
        return SimpleNamespace()


async def test_needs_no_context_to_publish_progress() -> None:
    @agent
    async def research() -> None:
        await call_tool(Elsewhere(), "index")
        await Elsewhere().call_tool(progress_callback=progress_callback())

    _, events = await run(research)

    assert lines(events) == [
        "agent research started",
        "tool research/index started",
        "progress research/index current=1.0",
        "tool research/index completed",
        "progress research current=1.0",
        "agent research completed",
    ]


async def test_calls_the_callback_of_the_caller_too() -> None:
    told = []

    async def tell(*progress: Any) -> None:
        told.append(progress)

    async with connected(Hall()) as session:
        with capture_events() as events:
            await call_tool(session, "index", {"pages": 1}, progress_callback=tell)

    assert told == [(1.0, 1.0, "page 1")]
    assert len(events) == 3


@pytest.mark.skipif(
    not IS_VERSION_2, reason="mcp 1 runs tools in the context of the server's start"
)
async def test_takes_a_tool_of_ours_in_a_server_in_memory_for_one_call() -> None:
    @tool
    async def search(query: str) -> str:
        await current_state().log("searching")
        return f"About {query}"

    @agent
    async def research(session: ClientSession) -> None:
        await call_tool(session, "search", {"query": "tea"})

    hall = Hall()
    hall.server.tool()(search)
    async with connected(hall) as session:
        _, events = await run(research, session)

    assert lines(events) == [
        "agent research started",
        "tool research/search started",
        'log research/search level="info" message="searching"',
        "tool research/search completed",
        "agent research completed",
    ]


async def test_fails_the_call_of_a_tool_that_answers_an_error() -> None:
    async with connected(Hall()) as session:
        with capture_events() as events:
            result = await call_tool(session, "refuse", show=["output"])

    assert result.content[0].text == "Error executing tool refuse: no disk"
    assert [line.partition(" output=")[0] for line in lines(events)] == [
        "tool refuse started",
        'tool refuse failed message="Error executing tool refuse: no disk"',
    ]


async def test_fails_the_call_of_a_session_that_raises() -> None:
    class Broken:
        async def call_tool(self, *_: Any, **__: Any) -> None:
            raise ConnectionError("gone")

    with capture_events() as events, pytest.raises(ConnectionError):
        await call_tool(Broken(), "index")

    assert lines(events) == [
        "tool index started",
        'tool index failed message="gone"',
    ]


async def test_cancels_the_call_once() -> None:
    hall = Hall()

    @agent
    async def research(session: ClientSession) -> None:
        await call_tool(session, "wait")

    async with connected(hall) as session:
        with capture_events() as events:
            task = asyncio.create_task(research(session))
            async with asyncio.timeout(TIMEOUT):
                await hall.waits.wait()
            task.cancel()
            await asyncio.wait([task])

    assert lines(events) == [
        "agent research started",
        "tool research/wait started",
        "tool research/wait cancelled",
        "agent research cancelled",
    ]


async def test_cancels_the_call_of_an_actor_that_goes_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    hall = Hall()

    @agent
    async def research(session: ClientSession) -> None:
        task = asyncio.create_task(call_tool(session, "wait"))
        async with asyncio.timeout(TIMEOUT):
            await hall.waits.wait()
        task.cancel()
        await asyncio.wait([task])
        await current_state().log("goes on")

    async with connected(hall) as session:
        _, events = await run(research, session)

    assert lines(events) == [
        "agent research started",
        "tool research/wait started",
        "tool research/wait cancelled",
        'log research level="info" message="goes on"',
        "agent research completed",
    ]
    assert [record for record in caplog.records if "ended" in record.message] == []


async def test_never_mixes_two_executions_of_one_session() -> None:
    hall = Hall()

    @agent
    async def research(session: ClientSession, pages: int) -> None:
        await asyncio.gather(
            call_tool(session, "wait"), call_tool(session, "index", {"pages": pages})
        )

    async def let_go() -> None:
        async with asyncio.timeout(TIMEOUT):
            await hall.waits.wait()
        hall.goes_on.set()

    async with connected(hall) as session:
        *both, _ = await asyncio.gather(
            run(research, session, 1), run(research, session, 2), let_go()
        )

    for pages, (_, events) in enumerate(both, 1):
        told = [line for line in lines(events) if line.startswith("progress")]
        assert told == [
            f"progress research/index current={page}.0 total={pages}.0 "
            f'message="page {page}"'
            for page in range(1, pages + 1)
        ]
        assert len(events) == 6 + pages


async def test_does_nothing_outside_executions() -> None:
    options: list[Any] = []

    class Session:
        async def call_tool(self, *given: Any, **more: Any) -> str:
            options.append((given, more))
            return "result"

    result: Any = await call_tool(Session(), "index", {"pages": 1}, meta={})
    await progress_callback()(1, None, None)

    assert result == "result"
    assert options == [(("index", {"pages": 1}), {"meta": {}})]


async def test_harms_no_call_with_its_own_errors(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Session:
        async def call_tool(
            self, *given: Any, progress_callback: Any, **more: Any
        ) -> str:
            await progress_callback("not a number", None, None)
            return "no result of MCP"

    with capture_events() as events:
        result: Any = await call_tool(Session(), "index", show=["output"])

    assert result == "no result of MCP"
    assert lines(events) == ["tool index started", "tool index completed"]
    assert [record.message for record in caplog.records] == [
        "The progress of an MCP request cannot be shown.",
        "The result of an MCP tool cannot be shown.",
    ]


async def test_names_the_fix_if_mcp_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mcp", None)

    with pytest.raises(ImportError, match=r'pip install "mcp>=1\.9"'):
        runpy.run_path(bridge.__file__)


async def test_names_the_fix_if_mcp_is_too_old(monkeypatch: pytest.MonkeyPatch) -> None:
    async def call_tool(name: str) -> None:
        raise NotImplementedError

    monkeypatch.setattr(ClientSession, "call_tool", call_tool)

    with pytest.raises(ImportError, match=r"was tried with 1\.9 to 2\.3"):
        runpy.run_path(bridge.__file__)
