"""Every run of LangChain that has started ends once, whatever LangChain tells."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from contextlib import suppress
from typing import Any

import pytest
from langchain_core.runnables import RunnableLambda
from langchain_core.tools import ToolException
from langchain_core.tools import tool as langchain_tool
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode
from langgraph.types import Command, RetryPolicy
from pydantic import PrivateAttr

from asgi_events import Executions, agent
from asgi_events.bridges import langchain
from asgi_events.bridges.langchain import LangChainEvents
from asgi_events.testing import capture_events
from tests.bridges.golden import cancelled_at, heard, lines, tree
from tests.bridges.graphs import (
    Model,
    asking,
    calls,
    config,
    model,
    one_node,
    react,
    search,
)
from tests.servers import ROOT, TIMEOUT


@langchain_tool
async def fail(q: str) -> str:
    """Fail."""
    raise ValueError(f"no {q}")


@langchain_tool
async def wait(q: str) -> str:
    """Wait."""
    await asyncio.sleep(3600)
    return q


class SlowModel(Model):
    """A model that never answers."""

    _asked: asyncio.Event = PrivateAttr(default_factory=asyncio.Event)

    async def given_up(self, **options: Any) -> None:
        """Ask it, and give it up as soon as it has begun."""
        answer = asyncio.ensure_future(self.ainvoke("tea", **options))
        async with asyncio.timeout(TIMEOUT):
            await self._asked.wait()
        answer.cancel()

    async def _agenerate(self, *args: Any, **options: Any) -> Any:
        self._asked.set()
        await asyncio.sleep(3600)


def slow_model() -> SlowModel:
    return SlowModel(messages=iter([]), name="model")


async def test_shows_a_tool_that_fails() -> None:
    graph = react(model(calls("fail", "search")), [search, fail])

    assert await heard(asking(graph)()) == tree(
        """
        agent research started
        agent research/react started
        agent research/react/think started
        llm research/react/think/model started
        llm research/react/think/model completed
        agent research/react/think completed
        agent research/react/tools started
        tool research/react/tools/fail started
        tool research/react/tools/search started
        tool research/react/tools/fail failed message="no tea"
        tool research/react/tools/search completed
        agent research/react/tools failed message="no tea"
        agent research/react failed message="no tea"
        agent research failed message="no tea"
        """
    )


async def test_shows_a_failure_that_the_graph_handles() -> None:
    llm = model(calls("fail"), "No tea")
    graph = react(llm, [fail], handle_tool_errors=True)

    assert await heard(asking(graph)()) == tree(
        """
        agent research started
        agent research/react started
        agent research/react/think started
        llm research/react/think/model started
        llm research/react/think/model completed
        agent research/react/think completed
        agent research/react/tools started
        tool research/react/tools/fail started
        tool research/react/tools/fail failed message="no tea"
        agent research/react/tools completed
        agent research/react/think#2 started
        llm research/react/think#2/model started
        text research/react/think#2/model 'No tea'
        llm research/react/think#2/model completed
        agent research/react/think#2 completed
        agent research/react completed
        agent research completed
        """
    )


async def test_shows_a_failure_that_the_tool_handles() -> None:
    @langchain_tool
    async def pour(q: str) -> str:
        """Pour."""
        raise ToolException(f"no {q}")

    pour.handle_tool_error = True
    graph = react(model(calls("pour"), "No tea"), [pour])

    assert await heard(asking(graph)()) == tree(
        """
        agent research started
        agent research/react started
        agent research/react/think started
        llm research/react/think/model started
        llm research/react/think/model completed
        agent research/react/think completed
        agent research/react/tools started
        tool research/react/tools/pour started
        tool research/react/tools/pour failed message="no tea"
        agent research/react/tools completed
        agent research/react/think#2 started
        llm research/react/think#2/model started
        text research/react/think#2/model 'No tea'
        llm research/react/think#2/model completed
        agent research/react/think#2 completed
        agent research/react completed
        agent research completed
        """
    )


async def test_shows_each_attempt_of_a_tool() -> None:
    attempts = iter([OSError("gone"), "hot tea"])

    @langchain_tool
    async def pour(q: str) -> str:
        """Pour."""
        poured = next(attempts)
        if isinstance(poured, Exception):
            raise poured
        return poured

    @agent
    async def research() -> None:
        await pour.with_retry(wait_exponential_jitter=False).ainvoke("tea", config())

    assert await heard(research()) == tree(
        """
        agent research started
        agent research/pour started
        tool research/pour/pour started
        tool research/pour/pour failed message="gone"
        tool research/pour/pour#2 started
        tool research/pour/pour#2 completed
        agent research/pour completed
        agent research completed
        """
    )


async def test_shows_each_attempt_of_a_node() -> None:
    attempts = iter([OSError("gone"), {}])

    async def think(state: MessagesState) -> Any:
        thought = next(attempts)
        if isinstance(thought, Exception):
            raise thought
        return thought

    policy = RetryPolicy(initial_interval=0, jitter=False, retry_on=OSError)
    graph = StateGraph(MessagesState)
    graph.add_node("think", think, retry_policy=policy)
    graph.add_edge(START, "think")

    assert await heard(asking(graph.compile(name="simple"))()) == tree(
        """
        agent research started
        agent research/simple started
        agent research/simple/think started
        agent research/simple/think failed message="gone"
        agent research/simple/think#2 started
        agent research/simple/think#2 completed
        agent research/simple completed
        agent research completed
        """
    )


async def test_cancels_each_open_call_once() -> None:
    graph = react(model(calls("wait", "search")), [search, wait])

    got = await cancelled_at(
        "tool research/react/tools/search completed", asking(graph)()
    )

    assert got == tree(
        """
        agent research started
        agent research/react started
        agent research/react/think started
        llm research/react/think/model started
        llm research/react/think/model completed
        agent research/react/think completed
        agent research/react/tools started
        tool research/react/tools/wait started
        tool research/react/tools/search started
        tool research/react/tools/search completed
        tool research/react/tools/wait cancelled
        agent research/react/tools cancelled
        agent research/react cancelled
        agent research cancelled
        """
    )


@pytest.mark.parametrize("streams", [False, True])
async def test_cancels_a_model_that_langchain_forgets(streams: bool) -> None:
    graph = react(slow_model(), [])

    got = await cancelled_at(
        "llm research/react/think/model started", asking(graph, stream=streams)()
    )

    assert got == tree(
        """
        agent research started
        agent research/react started
        agent research/react/think started
        llm research/react/think/model started
        llm research/react/think/model cancelled
        agent research/react/think cancelled
        agent research/react cancelled
        agent research cancelled
        """
    )


async def test_cancels_a_model_in_a_chain_that_is_not_shown() -> None:
    chain = RunnableLambda(lambda text: text) | slow_model()

    @agent
    async def research() -> None:
        await chain.ainvoke("tea", config())

    assert await cancelled_at("llm research/model started", research()) == tree(
        """
        agent research started
        llm research/model started
        llm research/model cancelled
        agent research cancelled
        """
    )


async def test_cancels_what_a_node_gives_up() -> None:
    async def think(state: MessagesState) -> Any:
        await slow_model().given_up()
        return {}

    assert await heard(asking(one_node(think))()) == tree(
        """
        agent research started
        agent research/simple started
        agent research/simple/think started
        llm research/simple/think/model started
        llm research/simple/think/model cancelled
        agent research/simple/think completed
        agent research/simple completed
        agent research completed
        """
    )


async def test_cancels_a_stream_that_nobody_reads_to_its_end() -> None:
    @agent
    async def research() -> None:
        stream = model("Hot tea").astream("tea", config())
        await anext(stream)
        await stream.aclose()

    assert await heard(research()) == tree(
        """
        agent research started
        llm research/model started
        text research/model 'Hot'
        llm research/model cancelled
        agent research completed
        """
    )


async def test_cancels_at_the_end_of_the_execution_what_nobody_ends() -> None:
    @agent
    async def research() -> None:
        await slow_model().given_up(config=config())

    events: list[Any] = []
    executions = Executions(research, handlers=[events.append])
    await (await executions.start(research)).wait()
    await executions.drain(0)

    assert lines(events[:-1]) == tree(
        """
        agent research started
        llm research/model started
        llm research/model cancelled
        agent research completed
        """
    )


async def test_ends_a_node_that_passes_on_to_another_graph() -> None:
    async def think(state: MessagesState) -> Any:
        return Command(goto="after", graph=Command.PARENT)

    async def after(state: MessagesState) -> Any:
        return {}

    graph = StateGraph(MessagesState)
    graph.add_node("inner", one_node(think), destinations=("after",))
    graph.add_node("after", after)
    graph.add_edge(START, "inner")

    assert await heard(asking(graph.compile(name="outer"))()) == tree(
        """
        agent research started
        agent research/outer started
        agent research/outer/inner started
        agent research/outer/inner/simple started
        agent research/outer/inner/simple/think started
        agent research/outer/inner/simple/think completed
        agent research/outer/inner/simple completed
        agent research/outer/inner completed
        agent research/outer/after started
        agent research/outer/after completed
        agent research/outer completed
        agent research completed
        """
    )


async def test_forgets_runs_that_langchain_forgets() -> None:
    handler = LangChainEvents()

    @agent
    async def research() -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(0.001):
                await slow_model().ainvoke("tea", {"callbacks": [handler]})

    executions = Executions(research)
    for _ in range(100):
        await (await executions.start(research)).wait()
    await executions.drain(0)

    assert 0 < handler.open_runs <= 64


async def test_logs_its_first_fault_and_disturbs_nothing(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*args: Any, **options: Any) -> Any:
        raise LookupError("broken")

    monkeypatch.setattr(langchain, "begin", broken)
    graph = react(model(calls("search"), "Hot tea"), [search])

    with capture_events() as events:
        assert await asking(graph)() == "Hot tea"

    assert lines(events) == ["agent research started", "agent research completed"]
    assert [(record.name, record.message) for record in caplog.records] == [
        ("asgi_events.bridges.langchain", "LangChainEvents failed; the run goes on.")
    ]


@pytest.mark.parametrize("show", ["input", ["inputs"]])
def test_refuses_to_show_what_it_does_not_know(show: Any) -> None:
    with pytest.raises(ValueError, match="^show takes a tuple of"):
        LangChainEvents(show)


@pytest.mark.parametrize(
    ("missing", "told"),
    [
        (
            "langchain_core",
            "ImportError: asgi_events.bridges.langchain needs lang",
        ),
        ("langgraph.callbacks", "UserWarning: This version of langgraph does not tell"),
    ],
)
def test_names_the_versions_of_what_is_missing(missing: str, told: str) -> None:
    code = f"import sys; sys.modules[{missing!r}] = None\n"
    code += "import asgi_events.bridges.langchain"
    command = [sys.executable, "-W", "error", "-c", code]

    failed = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)

    assert failed.stderr.splitlines()[-1].startswith(told)


# In threads


async def test_works_in_the_thread_of_a_sync_actor() -> None:
    @langchain_tool
    def pour(q: str) -> str:
        """Pour."""
        return f"poured {q}"

    def think(state: MessagesState) -> Any:
        return {"messages": [llm.invoke(state["messages"])]}

    def after(state: MessagesState) -> str:
        last: Any = state["messages"][-1]
        return "tools" if last.tool_calls else END

    llm = model(calls("pour"), "Hot tea")
    graph = StateGraph(MessagesState)
    graph.add_node("think", think)
    graph.add_node("tools", ToolNode([pour]))
    graph.add_edge(START, "think")
    graph.add_conditional_edges("think", after)
    graph.add_edge("tools", "think")
    made: Any = graph.compile(name="react")

    @agent
    def research() -> str:
        found = made.invoke({"messages": [("user", "tea")]}, config(stream=True))
        return str(found["messages"][-1].content)

    assert await heard(research()) == tree(
        """
        agent research started
        agent research/react started
        agent research/react/think started
        llm research/react/think/model started
        llm research/react/think/model completed
        agent research/react/think completed
        agent research/react/tools started
        tool research/react/tools/pour started
        tool research/react/tools/pour completed
        agent research/react/tools completed
        agent research/react/think#2 started
        llm research/react/think#2/model started
        text research/react/think#2/model 'Hot'
        text research/react/think#2/model ' tea'
        llm research/react/think#2/model completed
        agent research/react/think#2 completed
        agent research/react completed
        agent research completed
        """
    )


async def test_nests_runs_of_many_threads() -> None:
    @langchain_tool
    def pour(q: str) -> str:
        """Pour."""
        return f"poured {q}"

    @agent
    def research() -> list[Any]:
        return pour.batch([{"q": str(number)} for number in range(20)], config())

    got = await heard(research())

    poured = ["tool research/pour"] + [f"tool research/pour#{n}" for n in range(2, 21)]
    assert got[0] == "agent research started"
    assert sorted(got[1:-1]) == sorted(
        f"{call} {status}" for call in poured for status in ("started", "completed")
    )
    assert got[-1] == "agent research completed"
