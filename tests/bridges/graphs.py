"""Models, tools and graphs of LangChain and LangGraph that need no network."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, ToolCall
from langchain_core.outputs import ChatGenerationChunk
from langchain_core.tools import BaseTool
from langchain_core.tools import tool as langchain_tool
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode

from asgi_events import agent
from asgi_events.bridges.langchain import LangChainEvents


class Model(GenericFakeChatModel):
    """Gives its answers in turn; as a stream word by word, and then the rest."""

    def _stream(self, *args: Any, **options: Any) -> Iterator[ChatGenerationChunk]:
        answer = next(self.messages)
        words = answer.content.split(" ") if answer.content else []
        for number, word in enumerate(words):
            text = word if number == 0 else f" {word}"
            yield ChatGenerationChunk(message=AIMessageChunk(content=text))
        rest = AIMessageChunk(
            content="",
            tool_calls=answer.tool_calls,
            usage_metadata=answer.usage_metadata,
            chunk_position="last",
        )
        yield ChatGenerationChunk(message=rest)


def model(*answers: str | AIMessage) -> Model:
    messages = [AIMessage(each) if isinstance(each, str) else each for each in answers]
    return Model(messages=iter(messages), name="model")


def calls(*tools: str, q: str = "tea") -> AIMessage:
    """The answer of a model that calls tools."""
    made = [
        ToolCall(name=name, args={"q": q}, id=str(number))
        for number, name in enumerate(tools)
    ]
    return AIMessage("", tool_calls=made)


def react(
    llm: BaseChatModel,
    tools: list[BaseTool],
    name: str = "react",
    **options: Any,
) -> Any:
    """The graph of an agent that calls tools until its model has an answer."""

    async def think(state: MessagesState) -> Any:
        return {"messages": [await llm.ainvoke(state["messages"])]}

    def after(state: MessagesState) -> str:
        last: Any = state["messages"][-1]
        return "tools" if last.tool_calls else END

    graph = StateGraph(MessagesState)
    graph.add_node("think", think)
    graph.add_node("tools", ToolNode(tools, **options))
    graph.add_edge(START, "think")
    graph.add_conditional_edges("think", after)
    graph.add_edge("tools", "think")
    return graph.compile(name=name)


def one_node(node: Any, **options: Any) -> Any:
    """The graph of one node."""
    graph = StateGraph(MessagesState)
    graph.add_node("think", node)
    graph.add_edge(START, "think")
    return graph.compile(name="simple", **options)


def config(*show: Any, **options: Any) -> Any:
    return {"callbacks": [LangChainEvents(show, **options)]}


@langchain_tool
async def search(q: str) -> str:
    """Search."""
    return f"found {q}"


@langchain_tool
async def fetch(q: str) -> str:
    """Fetch."""
    return f"fetched {q}"


def asking(graph: Any, *show: Any, **options: Any) -> Any:
    """An actor that asks a graph."""

    @agent
    async def research(topic: str = "tea") -> str:
        found = await graph.ainvoke(
            {"messages": [("user", topic)]}, config(*show, **options)
        )
        return str(found["messages"][-1].content)

    return research


@langchain_tool
async def fail(q: str) -> str:
    """Fail."""
    raise ValueError(f"no {q}")


@langchain_tool
async def wait(q: str) -> str:
    """Wait."""
    await asyncio.sleep(3600)
    return q
