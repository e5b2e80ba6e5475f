"""An agent of pydantic-ai, live: its text, its tool, Stop, and a stream that resumes.

pip install "asgi-events[server]" pydantic-ai-slim
hypercorn --workers 0 with_pydantic_ai:app
curl -N localhost:8000/chat --json '{"question": "Is it warm in Rome?"}' \\
    -H 'Accept: text/event-stream'

A fake model answers; MODEL=openai:gpt-5 asks a real one, with pydantic-ai-slim[openai]
and OPENAI_API_KEY.
"""

import asyncio
import os
from collections.abc import AsyncIterator

from pydantic import BaseModel
from pydantic_ai import Agent
from pydantic_ai.messages import ModelMessage, ModelResponse
from pydantic_ai.models.function import AgentInfo, DeltaToolCall, FunctionModel

from asgi_events import EventsApp, agent, current_state
from asgi_events.bridges.pydantic_ai import PydanticAIEvents


async def fake(
    messages: list[ModelMessage], info: AgentInfo
) -> AsyncIterator[str | dict[int, DeltaToolCall]]:
    """Call the tool, then answer word by word."""
    if not any(isinstance(message, ModelResponse) for message in messages):
        yield {0: DeltaToolCall("weather", '{"city": "Rome"}')}
        return
    for word in "It is warm in Rome, so take a hat with you.".split():
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
    await current_state().log("asking the satellite")
    await asyncio.sleep(0.1)
    return "sunny, 31 °C"


class Question(BaseModel):
    question: str


@agent
async def chat(question: Question) -> str:
    return (await guide.run(question.question)).output


app = EventsApp(chat)
