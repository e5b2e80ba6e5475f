"""What does a bridge cost for each event of its framework?

    python -m benchmarks.bridges [NAME …] [--rounds N]

It runs the same work of a framework, with a fake model, with and without the bridge:
inside an execution without a store that nobody watches, and outside of executions. It
prints the microseconds that an event of the framework takes without the bridge, and how
many more it takes with it, as medians of the differences of neighbouring runs.

To add a framework, add a function to ``FRAMEWORKS``, by the name of its package. It
returns a coroutine function that takes whether the bridge is on, runs the work once,
and returns how many events that were.
"""

import argparse
import asyncio
import gc
import statistics
from collections.abc import AsyncIterator, Awaitable, Callable
from time import process_time
from typing import Any

from asgi_events import Executions, agent
from benchmarks.report import machine

Work = Callable[[bool], Awaitable[int]]

EVENTS = 400


def langchain() -> Work:
    """A streamed answer; an event is a token."""
    from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
    from langchain_core.messages import AIMessageChunk
    from langchain_core.outputs import ChatGenerationChunk

    from asgi_events.bridges.langchain import LangChainEvents

    class Model(GenericFakeChatModel):
        async def _astream(
            self, *args: object, **options: object
        ) -> AsyncIterator[ChatGenerationChunk]:
            for _ in range(EVENTS):
                yield ChatGenerationChunk(message=AIMessageChunk(content="word "))

    llm = Model(messages=iter([]))
    events = LangChainEvents()

    async def work(with_bridge: bool) -> int:
        callbacks = [events] if with_bridge else []
        count = 0
        async for _ in llm.astream("hi", {"callbacks": callbacks}):
            count += 1
        return count

    return work


def langgraph() -> Work:
    """A node that calls tools; an event is the start or the end of one."""
    from langchain_core.messages import AIMessage, ToolCall
    from langchain_core.tools import tool
    from langgraph.graph import START, MessagesState, StateGraph
    from langgraph.prebuilt import ToolNode

    from asgi_events.bridges.langchain import LangChainEvents

    @tool
    async def double(number: int) -> int:
        """Double a number."""
        return 2 * number

    made = [ToolCall(name="double", args={"number": 1}, id=str(n)) for n in range(50)]
    graph = StateGraph(MessagesState)
    graph.add_node("tools", ToolNode([double]))
    graph.add_edge(START, "tools")
    compiled = graph.compile()
    events = LangChainEvents()

    async def work(with_bridge: bool) -> int:
        callbacks = [events] if with_bridge else []
        question = {"messages": [AIMessage("", tool_calls=made)]}
        await compiled.ainvoke(question, {"callbacks": callbacks})
        return 2 * len(made)

    return work


def pydantic_ai() -> Work:
    """A streamed answer; an event is one of those that the framework streams."""
    from pydantic_ai import Agent
    from pydantic_ai.models.function import FunctionModel

    from asgi_events.bridges.pydantic_ai import PydanticAIEvents

    async def answer(messages: object, info: object) -> AsyncIterator[str]:
        for _ in range(EVENTS):
            yield "word "

    model = FunctionModel(stream_function=answer)
    guides = {
        False: Agent(model),
        True: Agent(model, capabilities=[PydanticAIEvents()]),
    }

    async def work(with_bridge: bool) -> int:
        count = 0
        async with guides[with_bridge].run_stream_events("hi") as stream:
            async for _ in stream:
                count += 1
        return count

    return work


def openai_agents() -> Work:
    """A streamed answer, and functions; an event is a streamed one, or of a span."""
    from agents import Agent, Runner, function_tool, set_trace_processors
    from agents.testing import ScriptedModel, assistant_message, function_call

    from asgi_events.bridges import openai_agents

    class Model(ScriptedModel):
        async def stream_response(self, *args: Any, **options: Any) -> Any:
            async for event in super().stream_response(*args, **options):
                words = EVENTS if event.type == "response.output_text.delta" else 1
                for _ in range(words):
                    yield event

    @function_tool
    async def double(number: int) -> int:
        return 2 * number

    async def work(with_bridge: bool) -> int:
        processors = [openai_agents._processor] if with_bridge else []
        set_trace_processors(processors)  # as install does
        calls = [
            function_call("double", {"number": n}, call_id=str(n))
            for n in range(EVENTS // 4)
        ]
        model = Model([calls, [assistant_message("word ")]], emit_traces=True)
        result = Runner.run_streamed(Agent("guide", model=model, tools=[double]), "hi")
        stream = openai_agents.stream if with_bridge else type(result).stream_events
        count = 2 * (len(calls) + len(["task", "agent"]) + 2 * len(["turn", "model"]))
        async for _ in stream(result):
            count += 1
        return count

    return work


def mcp() -> Work:
    """A tool of a server in memory; an event is a start, an end or a progress."""
    from mcp.client import Client
    from mcp.server.mcpserver import Context, MCPServer

    from asgi_events.bridges.mcp import call_tool

    server = MCPServer("library")

    @server.tool()
    async def index(ctx: Context) -> None:
        for page in range(8):
            await ctx.report_progress(page, 8)

    async def ignore(*progress: object) -> None:
        """Make the server report, as the bridge does."""

    async def work(with_bridge: bool) -> int:
        async with Client(server) as client:
            for _ in range(EVENTS // 10):
                if with_bridge:
                    await call_tool(client, "index")
                else:
                    await client.call_tool("index", progress_callback=ignore)
        return EVENTS

    return work


def opentelemetry() -> Work:
    """Agents that call a model and a tool; an event is the start or end of a span."""
    from opentelemetry.sdk.trace import SpanProcessor, TracerProvider

    from asgi_events.bridges.otel import EventsSpanProcessor

    def spans(processor: SpanProcessor) -> Callable[[str], Any]:
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(processor)
        start = provider.get_tracer("benchmark").start_as_current_span

        def span(operation: str) -> Any:
            attributes = {"gen_ai.operation.name": operation}
            return start(f"{operation} name", attributes=attributes)

        return span

    without, bridged = spans(SpanProcessor()), spans(EventsSpanProcessor())

    async def work(with_bridge: bool) -> int:
        span = bridged if with_bridge else without
        for _ in range(EVENTS):
            with span("invoke_agent"):
                with span("chat") as chat:
                    chat.set_attribute("gen_ai.usage.input_tokens", 3)
                with span("execute_tool"):
                    pass
        return 6 * EVENTS

    return work


FRAMEWORKS: dict[str, Callable[[], Work]] = {
    "langchain-core": langchain,
    "langgraph": langgraph,
    "mcp": mcp,
    "openai-agents": openai_agents,
    "opentelemetry-sdk": opentelemetry,
    "pydantic-ai-slim": pydantic_ai,
}


async def compare(work: Work, rounds: int) -> tuple[float, float]:
    """Return the time of an event alone, and what the bridge adds, in us."""
    alone, added = [], []
    for _ in range(rounds + 1):  # the first warms up
        times = []
        for with_bridge in (False, True):
            gc.collect()
            began = process_time()
            events = await work(with_bridge)
            times.append(1e6 * (process_time() - began) / events)
        alone.append(times[0])
        added.append(times[1] - times[0])
    return statistics.median(alone[1:]), statistics.median(added[1:])


async def measure(name: str, rounds: int) -> None:
    work = FRAMEWORKS[name]()
    found: list[tuple[float, float]] = []

    @agent
    async def inside() -> None:
        found.append(await compare(work, rounds))

    executions = Executions(inside)
    await (await executions.start(inside)).wait()
    await executions.drain(0)
    found.append(await compare(work, rounds))
    (alone, added), (_, outside) = found
    print(f"{name:17} alone {alone:7.2f}  adds {added:6.2f}  outside {outside:6.2f} us")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("names", nargs="*", default=FRAMEWORKS, metavar="NAME")
    parser.add_argument("--rounds", type=int, default=30)
    asked = parser.parse_args()
    machine(*asked.names)
    for name in asked.names:
        asyncio.run(measure(name, asked.rounds))


if __name__ == "__main__":
    main()
