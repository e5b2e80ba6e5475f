"""Runs of LangChain and LangGraph become calls: whole trees, by the fakes of both."""

from __future__ import annotations

import asyncio
from importlib.metadata import version
from typing import Any

import pytest
from langchain_core.callbacks import adispatch_custom_event
from langchain_core.documents import Document
from langchain_core.language_models.fake import FakeStreamingListLLM
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage
from langchain_core.retrievers import BaseRetriever
from langchain_core.tools import tool as langchain_tool
from langgraph.checkpoint.memory import MemorySaver
from langgraph.graph import MessagesState
from langgraph.types import Command, interrupt

from asgi_events import ExecutionEvent, agent, tool
from asgi_events.bridges.langchain import LangChainEvents
from asgi_events.events import TextDelta
from asgi_events.testing import capture_events
from tests.bridges.golden import heard, lines, tree
from tests.bridges.graphs import (
    Model,
    asking,
    calls,
    config,
    fetch,
    model,
    one_node,
    react,
    search,
)

CORE = tuple(int(part) for part in version("langchain-core").split(".")[:2])
USAGE = {"input_tokens": 3, "output_tokens": 5, "total_tokens": 8}


async def test_shows_an_agent_with_two_tools_in_parallel() -> None:
    graph = react(model(calls("search", "fetch"), "Hot tea"), [search, fetch])

    assert await heard(asking(graph)()) == tree(
        """
        agent research started
        agent research/react started
        agent research/react/think started
        llm research/react/think/model started
        llm research/react/think/model completed
        agent research/react/think completed
        agent research/react/tools started
        tool research/react/tools/search started
        tool research/react/tools/fetch started
        tool research/react/tools/search completed
        tool research/react/tools/fetch completed
        agent research/react/tools completed
        agent research/react/think#2 started
        llm research/react/think#2/model started
        text research/react/think#2/model 'Hot tea'
        llm research/react/think#2/model completed
        agent research/react/think#2 completed
        agent research/react completed
        agent research completed
        """
    )


async def test_shows_an_agent_in_a_tool_of_an_agent() -> None:
    expert = react(model(calls("search"), "Tea from China"), [search], name="expert")

    @langchain_tool
    async def ask(q: str) -> str:
        """Ask."""
        found = await expert.ainvoke({"messages": [("user", q)]})
        return str(found["messages"][-1].content)

    graph = react(model(calls("ask"), "Hot tea"), [ask])

    assert await heard(asking(graph)()) == tree(
        """
        agent research started
        agent research/react started
        agent research/react/think started
        llm research/react/think/model started
        llm research/react/think/model completed
        agent research/react/think completed
        agent research/react/tools started
        tool research/react/tools/ask started
        agent research/react/tools/ask/expert started
        agent research/react/tools/ask/expert/think started
        llm research/react/tools/ask/expert/think/model started
        llm research/react/tools/ask/expert/think/model completed
        agent research/react/tools/ask/expert/think completed
        agent research/react/tools/ask/expert/tools started
        tool research/react/tools/ask/expert/tools/search started
        tool research/react/tools/ask/expert/tools/search completed
        agent research/react/tools/ask/expert/tools completed
        agent research/react/tools/ask/expert/think#2 started
        llm research/react/tools/ask/expert/think#2/model started
        text research/react/tools/ask/expert/think#2/model 'Tea from China'
        llm research/react/tools/ask/expert/think#2/model completed
        agent research/react/tools/ask/expert/think#2 completed
        agent research/react/tools/ask/expert completed
        tool research/react/tools/ask completed
        agent research/react/tools completed
        agent research/react/think#2 started
        llm research/react/think#2/model started
        text research/react/think#2/model 'Hot tea'
        llm research/react/think#2/model completed
        agent research/react/think#2 completed
        agent research/react completed
        agent research completed
        """
    )


async def test_streams_text_where_the_application_streams() -> None:
    @agent
    async def research() -> None:
        llm = model(AIMessage("Hot tea", usage_metadata=USAGE), "Cold tea")
        async for _ in llm.astream("tea", config()):
            pass
        await llm.ainvoke("tea", config())

    assert await heard(research()) == tree(
        """
        agent research started
        llm research/model started
        text research/model 'Hot'
        text research/model ' tea'
        llm research/model completed usage={"input_tokens": 3, "output_tokens": 5}
        llm research/model#2 started
        text research/model#2 'Cold tea'
        llm research/model#2 completed
        agent research completed
        """
    )


async def test_streams_text_in_a_graph_if_asked() -> None:
    graph = react(model(calls("search"), "Hot tea"), [search])

    assert await heard(asking(graph, stream=True)()) == tree(
        """
        agent research started
        agent research/react started
        agent research/react/think started
        llm research/react/think/model started
        llm research/react/think/model completed
        agent research/react/think completed
        agent research/react/tools started
        tool research/react/tools/search started
        tool research/react/tools/search completed
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


async def test_streams_the_text_of_models_that_do_not_chat() -> None:
    @agent
    async def research() -> None:
        llm = FakeStreamingListLLM(responses=["tea"])
        async for _ in llm.astream("tea", config()):
            pass
        await llm.ainvoke("tea", config())

    assert await heard(research()) == tree(
        """
        agent research started
        llm research/FakeStreamingListLLM started
        text research/FakeStreamingListLLM 'tea'
        llm research/FakeStreamingListLLM completed
        llm research/FakeStreamingListLLM#2 started
        text research/FakeStreamingListLLM#2 'tea'
        llm research/FakeStreamingListLLM#2 completed
        agent research completed
        """
    )


@pytest.mark.skipif(CORE < (1, 4), reason="this langchain-core has no such events")
@pytest.mark.filterwarnings("ignore::langchain_core._api.LangChainBetaWarning")
@pytest.mark.parametrize("kind", [GenericFakeChatModel, Model])
async def test_streams_text_once_that_langchain_tells_of_twice(kind: Any) -> None:
    llm = kind(messages=iter([AIMessage("Hot tea")]), name="model")

    @agent
    async def research() -> str:
        stream = await llm.astream_events("tea", config=config(), version="v3")
        return str((await stream).text)

    with capture_events() as events:
        assert await research() == "Hot tea"

    said = [event.delta for event in events if isinstance(event, TextDelta)]
    calls = [event for event in events if not isinstance(event, TextDelta)]
    assert "".join(said) == "Hot tea"
    assert lines(calls) == tree(
        """
        agent research started
        llm research/model started
        llm research/model completed
        agent research completed
        """
    )


@pytest.mark.parametrize(
    "answer",
    [
        AIMessage([{"type": "reasoning", "reasoning": "Hm"}, "Tea"]),
        AIMessage("Tea", additional_kwargs={"reasoning_content": "Hm"}),
        AIMessage(
            [{"type": "thinking", "thinking": "Hm"}, {"type": "text", "text": "Tea"}],
            response_metadata={"model_provider": "anthropic"},
        ),
    ],
    ids=["standard", "additional", "of a provider"],
)
async def test_shows_reasoning(answer: AIMessage) -> None:
    @agent
    async def research() -> None:
        await model(answer).ainvoke("tea", config())

    assert await heard(research()) == tree(
        """
        agent research started
        llm research/model started
        reasoning research/model 'Hm'
        text research/model 'Tea'
        llm research/model completed
        agent research completed
        """
    )


async def test_shows_retrievers_as_tools() -> None:
    class Library(BaseRetriever):
        def _get_relevant_documents(self, query: str, **options: Any) -> list[Document]:
            return [Document(f"All about {query}")]

    @agent
    async def research() -> None:
        await Library().ainvoke("tea", config("output"))

    assert await heard(research()) == tree(
        """
        agent research started
        tool research/Library started
        tool research/Library completed output=[{"id": null, "metadata":
            {}, "page_content": "All about tea", "type": "Document"}]
        agent research completed
        """
    )


async def test_shows_custom_events() -> None:
    async def think(state: MessagesState) -> Any:
        await adispatch_custom_event("kettle", {"degrees": {100}, "of": object()})
        return {}

    assert await heard(asking(one_node(think))()) == tree(
        """
        agent research started
        agent research/simple started
        agent research/simple/think started
        custom research/simple/think name="kettle" data={"degrees": [100],
            "of": "<object>"}
        agent research/simple/think completed
        agent research/simple completed
        agent research completed
        """
    )


async def test_shows_interrupts_and_what_follows() -> None:
    @langchain_tool
    async def ask(q: str) -> str:
        """Ask."""
        return str(interrupt({"question": q}))

    inner = react(model(calls("ask"), "Hot tea"), [ask], name="think")
    graph = one_node(inner, checkpointer=MemorySaver())

    @agent
    async def research() -> str:
        once = {"configurable": {"thread_id": "1"}, **config()}
        await graph.ainvoke({"messages": [("user", "tea")]}, once)
        answer = await graph.ainvoke(Command(resume="yes"), once)
        return str(answer["messages"][-2].content)

    with capture_events() as events:
        assert await research() == "yes"

    asked = [event for event in events if event.event_type == "custom"]
    number = asked[0].data["interrupts"][0].pop("id")
    assert isinstance(number, str)
    assert lines(events) == tree(
        """
        agent research started
        agent research/simple started
        agent research/simple/think started
        agent research/simple/think/think started
        llm research/simple/think/think/model started
        llm research/simple/think/think/model completed
        agent research/simple/think/think completed
        agent research/simple/think/tools started
        tool research/simple/think/tools/ask started
        tool research/simple/think/tools/ask cancelled
        agent research/simple/think/tools cancelled
        agent research/simple/think cancelled
        custom research/simple name="interrupt" data={"status": "pending",
            "interrupts": [{"value": {"question": "tea"}}]}
        agent research/simple completed
        agent research/simple#2 started
        agent research/simple#2/think started
        agent research/simple#2/think/tools started
        tool research/simple#2/think/tools/ask started
        tool research/simple#2/think/tools/ask completed
        agent research/simple#2/think/tools completed
        agent research/simple#2/think/think started
        llm research/simple#2/think/think/model started
        text research/simple#2/think/think/model 'Hot tea'
        llm research/simple#2/think/think/model completed
        agent research/simple#2/think/think completed
        agent research/simple#2/think completed
        agent research/simple#2 completed
        agent research completed
        """
    )


async def test_shows_where_a_graph_is_set_to_stop() -> None:
    async def think(state: MessagesState) -> Any:
        return {}

    graph = one_node(think, checkpointer=MemorySaver(), interrupt_before=["think"])

    @agent
    async def research() -> None:
        once = {"configurable": {"thread_id": "1"}, **config()}
        await graph.ainvoke({"messages": [("user", "tea")]}, once)

    assert await heard(research()) == tree(
        """
        agent research started
        agent research/simple started
        custom research/simple name="interrupt" data={"status": "interrupt_before",
            "interrupts": []}
        agent research/simple completed
        agent research completed
        """
    )


async def test_shows_input_and_output_if_asked() -> None:
    async def think(state: MessagesState) -> Any:
        await search.ainvoke({"q": "tea"})
        return {"messages": [await llm.ainvoke(state["messages"])]}

    llm = model(calls("search"))

    assert await heard(asking(one_node(think), "input", "output")()) == tree(
        """
        agent research started
        agent research/simple started input={"messages": [["user", "tea"]]}
        agent research/simple/think started input={"messages": [{"role": "user",
            "content": "tea"}]}
        tool research/simple/think/search started input={"q": "tea"}
        tool research/simple/think/search completed output="found tea"
        llm research/simple/think/model started input=[{"role": "user", "content":
            "tea"}]
        llm research/simple/think/model completed output={"role": "assistant",
            "content": "", "tool_calls": [{"name": "search", "args": {"q": "tea"},
            "id": "0", "type": "tool_call"}]}
        agent research/simple/think completed output={"messages": [{"role":
            "assistant", "content": "", "tool_calls": [{"name": "search", "args":
            {"q": "tea"}, "id": "0", "type": "tool_call"}]}]}
        agent research/simple completed output={"messages": [{"role": "user",
            "content": "tea"}, {"role": "assistant", "content": "", "tool_calls":
            [{"name": "search", "args": {"q": "tea"}, "id": "0", "type":
            "tool_call"}]}]}
        agent research completed
        """
    )


async def test_shows_the_name_of_the_model() -> None:
    class Named(Model):
        model_name: str = "tea-5"

    @agent
    async def research() -> None:
        await Named(messages=iter([AIMessage("Hot tea")])).ainvoke("tea", config())

    assert await heard(research()) == tree(
        """
        agent research started
        llm research/Named started detail="tea-5"
        text research/Named 'Hot tea'
        llm research/Named completed detail="tea-5"
        agent research completed
        """
    )


async def test_has_the_same_addresses_each_time() -> None:
    async def addresses() -> list[str]:
        graph = react(model(calls("search", "fetch", "search"), "Tea"), [search, fetch])
        with capture_events() as events:
            await asking(graph)()
        return [event.address for event in events if isinstance(event, ExecutionEvent)]

    assert await addresses() == await addresses()


async def test_does_not_mix_two_executions_of_one_handler() -> None:
    shared = config()

    def execution() -> Any:
        graph = react(model(calls("search", "fetch"), "Hot tea"), [search, fetch])

        @agent
        async def research() -> None:
            await graph.ainvoke({"messages": [("user", "tea")]}, shared)

        return heard(research())

    one, other = await asyncio.gather(execution(), execution())

    assert one == other
    assert one == await execution()


async def test_does_nothing_outside_an_execution() -> None:
    handler = LangChainEvents()
    open_runs = []

    @langchain_tool
    async def look(q: str) -> str:
        """Look."""
        open_runs.append(handler.open_runs)
        return q

    graph = react(model(calls("look"), "Hot tea"), [look])
    config: Any = {"callbacks": [handler]}
    answer = await graph.ainvoke({"messages": [("user", "tea")]}, config)

    assert answer["messages"][-1].content == "Hot tea"
    assert open_runs == [0]


# Actors inside of LangChain


@tool
async def brew(q: str) -> str:
    """Brew."""
    return f"brewed {q}"


async def test_takes_an_actor_that_is_a_tool_for_one_call() -> None:
    graph = react(model(calls("brew", "brew"), "Hot tea"), [langchain_tool(brew)])

    assert await heard(asking(graph)()) == tree(
        """
        agent research started
        agent research/react started
        agent research/react/think started
        llm research/react/think/model started
        llm research/react/think/model completed
        agent research/react/think completed
        agent research/react/tools started
        tool research/react/tools/brew started
        tool research/react/tools/brew#2 started
        tool research/react/tools/brew completed
        tool research/react/tools/brew#2 completed
        agent research/react/tools completed
        agent research/react/think#2 started
        llm research/react/think#2/model started
        text research/react/think#2/model 'Hot tea'
        llm research/react/think#2/model completed
        agent research/react/think#2 completed
        agent research/react completed
        agent research completed
        """
    )


async def test_takes_an_actor_that_is_a_node_for_one_call() -> None:
    @agent
    async def think(state: MessagesState) -> Any:
        await brew("tea")
        return {}

    assert await heard(asking(one_node(think))()) == tree(
        """
        agent research started
        agent research/simple started
        agent research/simple/think started
        tool research/simple/think/brew started
        tool research/simple/think/brew completed
        agent research/simple/think completed
        agent research/simple completed
        agent research completed
        """
    )


async def test_nests_what_an_actor_in_a_tool_runs() -> None:
    expert = react(model(calls("search"), "Tea from China"), [search], name="expert")

    @agent
    async def consult(q: str) -> str:
        found = await expert.ainvoke({"messages": [("user", q)]})
        return str(found["messages"][-1].content)

    @langchain_tool
    async def ask(q: str) -> str:
        """Ask."""
        return await consult(q)

    graph = react(model(calls("ask"), "Hot tea"), [ask])

    assert await heard(asking(graph)()) == tree(
        """
        agent research started
        agent research/react started
        agent research/react/think started
        llm research/react/think/model started
        llm research/react/think/model completed
        agent research/react/think completed
        agent research/react/tools started
        tool research/react/tools/ask started
        agent research/react/tools/ask/consult started
        agent research/react/tools/ask/consult/expert started
        agent research/react/tools/ask/consult/expert/think started
        llm research/react/tools/ask/consult/expert/think/model started
        llm research/react/tools/ask/consult/expert/think/model completed
        agent research/react/tools/ask/consult/expert/think completed
        agent research/react/tools/ask/consult/expert/tools started
        tool research/react/tools/ask/consult/expert/tools/search started
        tool research/react/tools/ask/consult/expert/tools/search completed
        agent research/react/tools/ask/consult/expert/tools completed
        agent research/react/tools/ask/consult/expert/think#2 started
        llm research/react/tools/ask/consult/expert/think#2/model started
        text research/react/tools/ask/consult/expert/think#2/model 'Tea from China'
        llm research/react/tools/ask/consult/expert/think#2/model completed
        agent research/react/tools/ask/consult/expert/think#2 completed
        agent research/react/tools/ask/consult/expert completed
        agent research/react/tools/ask/consult completed
        tool research/react/tools/ask completed
        agent research/react/tools completed
        agent research/react/think#2 started
        llm research/react/think#2/model started
        text research/react/think#2/model 'Hot tea'
        llm research/react/think#2/model completed
        agent research/react/think#2 completed
        agent research/react completed
        agent research completed
        """
    )


async def test_leaves_an_execution_that_a_tool_starts_alone() -> None:
    inner: list[str] = []

    @agent
    async def research() -> None:
        await model("Cold tea").ainvoke("tea")

    @langchain_tool
    async def ask(q: str) -> str:
        """Ask."""
        inner.extend(await heard(research()))
        return q

    graph = react(model(calls("ask"), "Hot tea"), [ask])

    outer = await heard(asking(graph)())

    assert not [line for line in outer if "Cold" in line]
    assert inner == tree(
        """
        agent research started
        llm research/model started
        text research/model 'Cold tea'
        llm research/model completed
        agent research completed
        """
    )


async def test_nests_nothing_in_a_graph_from_the_loop_over_its_stream() -> None:
    async def think(state: MessagesState) -> Any:
        async for _ in model("Hot tea").astream("tea"):
            await brew("tea")
        return {}

    @agent
    async def research() -> None:
        async for _ in one_node(think).astream({"messages": []}, config()):
            await brew("tea")

    assert await heard(research()) == tree(
        """
        agent research started
        agent research/simple started
        agent research/simple/think started
        llm research/simple/think/model started
        text research/simple/think/model 'Hot'
        tool research/simple/think/brew started
        tool research/simple/think/brew completed
        text research/simple/think/model ' tea'
        tool research/simple/think/brew#2 started
        tool research/simple/think/brew#2 completed
        tool research/simple/think/brew#3 started
        tool research/simple/think/brew#3 completed
        llm research/simple/think/model completed
        agent research/simple/think completed
        tool research/brew started
        tool research/brew completed
        agent research/simple completed
        agent research completed
        """
    )
