"""LangGraph: each node, model, token and tool of a graph, live.

pip install "asgi-events[server]" langgraph
hypercorn --workers 0 with_langchain:app
curl -N localhost:8000/research --json '{"topic": "tea"}' \\
    -H 'Accept: text/event-stream'

Without a key a fake model answers. To ask a real one, install langchain and the package
of its provider, and set MODEL to its name, such as openai:gpt-5-mini.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Sequence
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessageChunk, BaseMessage, HumanMessage, ToolCall
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_core.tools import tool as langchain_tool
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode, tools_condition

from asgi_events import EventsApp, agent, current_state, tool
from asgi_events.bridges.langchain import LangChainEvents


@langchain_tool
async def search(place: str) -> str:
    """Search for what grows in a place."""
    await asyncio.sleep(0.1)
    return f"tea grows in {place}"


@tool
async def measure(place: str) -> str:
    """Measure the temperature. An actor is one call too when LangChain calls it."""
    for step in range(1, 4):
        await asyncio.sleep(0.1)
        await current_state().progress(step, 3)
    return f"20 degrees in {place}"


class FakeModel(BaseChatModel):
    """Calls both tools, then writes down what it got."""

    _llm_type = "fake"

    def bind_tools(self, tools: Sequence[Any], **options: Any) -> Any:
        return self

    async def _astream(
        self, messages: list[BaseMessage], *args: Any, **options: Any
    ) -> AsyncIterator[ChatGenerationChunk]:
        if isinstance(messages[-1], HumanMessage):
            made = [
                ToolCall(name=name, args={"place": "Kenya"}, id=name)
                for name in ("search", "measure")
            ]
            answer = AIMessageChunk(content="", tool_calls=made)
            yield ChatGenerationChunk(message=answer)
            return
        for word in f"I know: {messages[-2].text}, {messages[-1].text}.".split():
            await asyncio.sleep(0.02)
            yield ChatGenerationChunk(message=AIMessageChunk(content=f"{word} "))

    def _generate(self, *args: Any, **options: Any) -> ChatResult:
        raise NotImplementedError("This model streams.")


def make_model() -> Any:
    if name := os.environ.get("MODEL"):
        from langchain import chat_models  # optional

        return chat_models.init_chat_model(name)
    return FakeModel(name="model")


tools = [search, langchain_tool(measure)]
llm = make_model().bind_tools(tools)


async def think(state: MessagesState) -> Any:
    return {"messages": [await llm.ainvoke(state["messages"])]}


graph = StateGraph(MessagesState)
graph.add_node("think", think)
graph.add_node("tools", ToolNode(tools))
graph.add_edge(START, "think")
graph.add_conditional_edges("think", tools_condition)
graph.add_edge("tools", "think")
react = graph.compile(name="react")


@agent
async def research(topic: str) -> str:
    question: Any = {"messages": [("user", f"What do you know about {topic}?")]}
    answer = await react.ainvoke(
        question, {"callbacks": [LangChainEvents(stream=True)]}
    )
    return str(answer["messages"][-1].text)


app = EventsApp(research)
