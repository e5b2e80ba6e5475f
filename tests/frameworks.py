"""Checks that agent frameworks take actors as tools, as they are.

The test extra has the frameworks:

    python -m tests.frameworks

For each framework it hands over a coroutine function, a sync function, a generator and
a method, compares the schema that the framework reads with the one of the undecorated
function, calls the tool as the framework does, and prints a line. It exits with 1 if a
check fails or a framework is missing. Nothing is sent over the network.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import sys
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable
from importlib.metadata import version
from typing import Any

from pydantic import BaseModel

from asgi_events import ExecutionState, agent, llm, tool


class Place(BaseModel):
    """Where it is."""

    city: str


async def plain(place: Place, days: int = 3) -> str:
    """Forecast the weather.

    Args:
        place: Where.
        days: How many days ahead.
    """
    return f"{place.city}: {days} days of rain"


forecast = agent(plain)


@tool
def sync_forecast(city: str, days: int = 3) -> str:
    """Forecast the weather in a thread."""
    return f"{city}: {days} days of rain"


@llm
async def write(city: str) -> AsyncIterator[str]:
    """Write about the weather."""
    for word in (city, ": ", "rain"):
        yield word


class Station:
    """A weather station."""

    def __init__(self, unit: str) -> None:
        self.unit = unit

    @tool
    async def measure(self, city: str) -> str:
        """Measure the temperature."""
        return f"{city}: 7 {self.unit}"


station = Station("K")

CALLS: list[tuple[Any, dict[str, Any], str]] = [
    (forecast, {"place": {"city": "Kobe"}, "days": 2}, "Kobe: 2 days of rain"),
    (forecast, {"place": {"city": "Kobe"}}, "Kobe: 3 days of rain"),
    (sync_forecast, {"city": "Kobe", "days": 1}, "Kobe: 1 days of rain"),
    (write, {"city": "Kobe"}, "Kobe: rain"),
    (station.measure, {"city": "Kobe"}, "Kobe: 7 K"),
]


def check(got: object, expected: object) -> None:
    """Raise if ``got`` is not as ``expected``."""
    if got != expected:
        raise AssertionError(f"expected {expected!r}, got {got!r}")


async def openai_agents() -> None:
    """``function_tool`` of the OpenAI Agents SDK."""
    from agents import function_tool
    from agents.tool_context import ToolContext

    for actor, arguments, expected in CALLS:
        made = function_tool(actor)
        check(made.name, actor.__name__)
        check(made.description, (inspect.getdoc(actor) or "").partition("\n\n")[0])
        text = json.dumps(arguments)
        context = ToolContext(
            context=None, tool_name=made.name, tool_call_id="1", tool_arguments=text
        )
        check(await made.on_invoke_tool(context, text), expected)
    schema = function_tool(plain).params_json_schema | {"title": ""}
    check(function_tool(forecast).params_json_schema | {"title": ""}, schema)


async def pydantic_ai() -> None:
    """``Agent(tools=[…])`` and ``agent.tool_plain`` of pydantic-ai."""
    from pydantic_ai import Agent, Tool
    from pydantic_ai.messages import (
        ModelMessage,
        ModelResponse,
        TextPart,
        ToolCallPart,
        ToolReturnPart,
    )
    from pydantic_ai.models.function import AgentInfo, FunctionModel

    seen: dict[str, Any] = {}

    def answer(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        seen.update({each.name: each for each in info.function_tools})
        returned = [
            part.content
            for part in messages[-1].parts
            if isinstance(part, ToolReturnPart)
        ]
        if returned:
            return ModelResponse(parts=[TextPart(json.dumps(returned))])
        return ModelResponse(
            parts=[ToolCallPart(actor.__name__, given) for actor, given, _ in CALLS]
        )

    actors = list({id(actor.__name__): actor for actor, *_ in CALLS}.values())
    given = Agent(FunctionModel(answer), tools=actors)
    decorated = Agent(FunctionModel(answer))
    for actor in actors:
        decorated.tool_plain(actor)
    for asked in (given, decorated):
        result = await asked.run("?")
        check(json.loads(result.output), [expected for *_, expected in CALLS])
    schema = Tool(plain, takes_ctx=False).tool_def.parameters_json_schema
    check(seen["plain"].parameters_json_schema, schema)


async def langchain() -> None:
    """``@tool`` and ``StructuredTool.from_function`` of LangChain."""
    from langchain_core.tools import StructuredTool
    from langchain_core.tools import tool as langchain_tool

    for actor, arguments, expected in CALLS:
        for made in (
            langchain_tool(actor),
            StructuredTool.from_function(coroutine=actor),
        ):
            check(made.name, actor.__name__)
            check(await made.ainvoke(arguments), expected)
    check(langchain_tool(forecast).args, langchain_tool(plain).args)


async def mcp() -> None:
    """``tool()`` of FastMCP, which is ``MCPServer`` since version 2 of ``mcp``."""
    try:
        from mcp.server import MCPServer as Server
    except ImportError:
        from mcp.server.fastmcp import FastMCP as Server

    server = Server("weather")
    for actor in {actor.__name__: actor for actor, *_ in CALLS}.values():
        server.tool()(actor)
    for actor, arguments, expected in CALLS:
        result: Any = await server.call_tool(actor.__name__, arguments)
        content = getattr(result, "content", None) or result[0]
        check([each.text for each in content], [expected])
    tools = {each.name: each for each in await server.list_tools()}
    undecorated = Server("plain")
    undecorated.tool()(plain)
    schema = _schema((await undecorated.list_tools())[0])
    check(_schema(tools["plain"]), schema)


def _schema(listed: Any) -> Any:
    return getattr(listed, "input_schema", None) or listed.inputSchema


FRAMEWORKS: dict[str, Callable[[], Awaitable[None]]] = {
    "openai-agents": openai_agents,
    "pydantic-ai-slim": pydantic_ai,
    "langchain-core": langchain,
    "mcp": mcp,
}


async def main() -> int:
    """Check all frameworks, outside of an execution and as a part of one."""
    failed = 0
    for name, run in FRAMEWORKS.items():
        addresses: set[str] = set()

        @agent(name="root")
        async def root(run: Callable[[], Awaitable[None]] = run) -> None:
            await run()

        state = ExecutionState()
        state.event_bus.subscribe(lambda event, seen=addresses: seen.add(event.address))
        try:
            await run()
            result = await state.run(root)
            check((result.ok, result.error_message), (True, None))
            check(
                {address.partition("#")[0] for address in addresses},
                {"root"} | {f"root/{actor.__name__}" for actor, *_ in CALLS},
            )
        except Exception:
            failed += 1
            print(f"{name}: FAILED\n{traceback.format_exc()}")
        else:
            print(f"{name} {version(name)}: takes every kind of actor as a tool")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
