"""OpenAI Agents: agents, tools, an agent inside of a tool, and the text, live.

pip install "asgi-events[server]" openai-agents
hypercorn --workers 0 with_openai_agents:app
curl -N localhost:8000/research --json '{"topic": "tea"}' \\
    -H 'Accept: text/event-stream'

Without a key scripted models answer. To ask a real one, set OPENAI_API_KEY, and MODEL
to its name.
"""

import asyncio
import os
from collections.abc import AsyncIterator
from typing import Any

from agents import Agent, Runner, function_tool, set_trace_processors
from agents.testing import ScriptedModel, assistant_message, function_call

from asgi_events import EventsApp, agent, current_state, tool
from asgi_events.bridges.openai_agents import install, stream

set_trace_processors([])  # uploads nothing to OpenAI
install()


@function_tool
async def search(place: str) -> str:
    """Search for what grows in a place."""
    return f"tea grows in {place}"


@tool
async def measure(place: str) -> str:
    """Measure the temperature. An actor is one call too when an agent calls it."""
    for step in range(1, 4):
        await asyncio.sleep(0.1)
        await current_state().progress(step, 3)
    return f"20 degrees in {place}"


class FakeModel(ScriptedModel):
    """Says what its script says, word by word."""

    async def stream_response(self, *args: Any, **options: Any) -> AsyncIterator[Any]:
        async for event in super().stream_response(*args, **options):
            if event.type != "response.output_text.delta":
                yield event
                continue
            for word in event.delta.split():
                await asyncio.sleep(0.05)
                yield event.model_copy(update={"delta": f"{word} "})


def model(*script: Any) -> Any:
    return os.environ.get("MODEL") or FakeModel(script, emit_traces=True)


def ask(name: str, **arguments: str) -> Any:
    return function_call(name, arguments, call_id=name)


def make_guide() -> Agent[Any]:
    farmer = Agent(
        name="farmer",
        instructions="Find out what grows in a place, and how warm it is.",
        tools=[search, function_tool(measure)],
        model=model(
            [ask("search", place="Kenya"), ask("measure", place="Kenya")],
            [assistant_message("Tea grows in Kenya, at 20 degrees.")],
        ),
    )
    return Agent(
        name="guide",
        instructions="Ask the farmer, then answer.",
        tools=[farmer.as_tool("ask_farmer", "Asks a farmer.")],
        model=model(
            [ask("ask_farmer", input="Where does tea grow?")],
            [assistant_message("I know: tea grows in Kenya, at 20 degrees.")],
        ),
    )


@agent
async def research(topic: str) -> str:
    result = Runner.run_streamed(make_guide(), f"What do you know about {topic}?")
    async for _ in stream(result):
        pass
    return str(result.final_output)


app = EventsApp(research)
