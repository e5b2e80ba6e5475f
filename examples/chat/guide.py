"""The agent of the chat, with two tools. It knows nothing of the web."""

import asyncio
import os
from collections.abc import AsyncIterator

from pydantic_ai import Agent
from pydantic_ai.messages import ModelMessage, ToolReturnPart, UserPromptPart
from pydantic_ai.models.function import AgentInfo, DeltaToolCall, FunctionModel

from asgi_events.bridges.pydantic_ai import PydanticAIEvents


async def fake(
    messages: list[ModelMessage], info: AgentInfo
) -> AsyncIterator[str | dict[int, DeltaToolCall]]:
    """Call both tools, then answer word by word."""
    parts = [part for message in messages for part in message.parts]
    if not isinstance(parts[-1], ToolReturnPart):
        for number, tool in enumerate(("weather", "trains")):
            yield {number: DeltaToolCall(tool, '{"city": "Rome"}')}
        return
    questions = sum(isinstance(part, UserPromptPart) for part in parts)
    answer = "It is sunny in Rome, and the next train goes at 14:05."
    for word in f"{answer} That was your question {questions}.".split():
        yield f"{word} "
        await asyncio.sleep(0.05)


guide = Agent(
    os.environ.get("MODEL") or FunctionModel(stream_function=fake, model_name="fake"),
    name="guide",
    capabilities=[PydanticAIEvents(show=("input", "output"))],
)


@guide.tool_plain
async def weather(city: str) -> str:
    """Tell the weather in a city."""
    await asyncio.sleep(0.2)
    return "sunny"


@guide.tool_plain
async def trains(city: str) -> list[str]:
    """List the next trains to a city."""
    await asyncio.sleep(0.4)
    return ["14:05", "15:05"]
