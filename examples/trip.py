"""The agent of two chats: it thinks, calls tools, and asks another agent.

It knows nothing of the web, so the servers of both chats use it as it is. A fake model
answers; MODEL=openai:gpt-5 asks a real one, with pydantic-ai-slim[openai] and
OPENAI_API_KEY.
"""

import asyncio
import os
from collections.abc import AsyncIterator
from typing import Any

from pydantic_ai import Agent
from pydantic_ai.messages import (
    ModelMessage,
    ModelRequest,
    ModelResponse,
    TextPart,
    ToolReturnPart,
    UserPromptPart,
)
from pydantic_ai.models.function import (
    AgentInfo,
    DeltaThinkingPart,
    DeltaToolCall,
    FunctionModel,
)

from asgi_events import agent
from asgi_events.bridges.pydantic_ai import PydanticAIEvents

Pieces = AsyncIterator[str | dict[int, DeltaToolCall] | dict[int, DeltaThinkingPart]]
CITY = '{"city": "Rome"}'
WORD = 0.05  # seconds for each word of the fake model


async def words(text: str) -> AsyncIterator[str]:
    for word in text.split():
        yield f"{word} "
        await asyncio.sleep(WORD)


async def fake(messages: list[ModelMessage], info: AgentInfo) -> Pieces:
    """Think, call two tools, then the one that asks the packer, then answer."""
    parts = [part for message in messages for part in message.parts]
    last = parts[-1]
    if not isinstance(last, ToolReturnPart):
        async for word in words("For a day in Rome I need the weather and the trains."):
            yield {0: DeltaThinkingPart(content=word)}
        yield {1: DeltaToolCall("weather", CITY), 2: DeltaToolCall("trains", CITY)}
    elif last.tool_name != "pack":
        yield {0: DeltaToolCall("pack", '{"weather": "sunny, 31 °C"}')}
    else:
        asked = sum(isinstance(part, UserPromptPart) for part in parts)
        async for word in words(
            "It will be sunny in Rome, with 31 °C. Take the train at 14:05, and pack "
            f"a hat and water. This was your question {asked}."
        ):
            yield word


async def fake_packer(messages: list[ModelMessage], info: AgentInfo) -> Pieces:
    async for word in words("A hat, sunscreen and a bottle of water."):
        yield word


def model(stream: Any) -> str | FunctionModel:
    return os.environ.get("MODEL") or FunctionModel(stream_function=stream)


shown = PydanticAIEvents(show=("input", "output"))
guide = Agent(model(fake), name="guide", capabilities=[shown])
packer = Agent(model(fake_packer), name="packer", capabilities=[shown])


@guide.tool_plain
async def weather(city: str) -> str:
    """Tell the weather in a city."""
    await asyncio.sleep(8 * WORD)
    return "sunny, 31 °C"


@guide.tool_plain
async def trains(city: str) -> list[str]:
    """List the next trains to a city."""
    await asyncio.sleep(16 * WORD)
    return ["14:05", "15:05"]


@guide.tool_plain
async def pack(weather: str) -> str:
    """Ask the packer what to take along."""
    return (await packer.run(f"What do I pack? It is {weather}.")).output


@agent
async def chat(messages: list[dict[str, Any]]) -> str:
    """Answer the last message; the front end sends all of them each time."""
    said = [(message["role"], text_of(message)) for message in messages]
    *before, (_, question) = said
    history: list[ModelMessage] = [
        ModelRequest.user_text_prompt(text)
        if role == "user"
        else ModelResponse(parts=[TextPart(text)])
        for role, text in before
        if role in ("user", "assistant") and text
    ]
    return (await guide.run(question, message_history=history)).output


def text_of(message: dict[str, Any]) -> str:
    """Return the text: the AI SDK has it in ``parts``, and AG-UI in ``content``."""
    parts = message.get("parts") or message.get("content") or ""
    if isinstance(parts, str):
        return parts
    return "".join(part["text"] for part in parts if part["type"] == "text")
