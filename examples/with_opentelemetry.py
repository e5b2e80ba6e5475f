"""OpenTelemetry: whatever library emits spans of agents, tools and models, live.

pip install "asgi-events[server]" opentelemetry-sdk pydantic-ai-slim
hypercorn --workers 0 with_opentelemetry:app
curl -N localhost:8000/research --json '{"topic": "tea"}' \\
    -H 'Accept: text/event-stream'

Without a key a fake model answers. To ask a real one, install its provider and set
MODEL to its name, such as openai:gpt-5-mini.
"""

import asyncio
import os

from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from pydantic_ai import Agent
from pydantic_ai.models.test import TestModel

from asgi_events import EventsApp, agent
from asgi_events.bridges.otel import EventsSpanProcessor

provider = TracerProvider()
provider.add_span_processor(EventsSpanProcessor())
trace.set_tracer_provider(provider)
Agent.instrument_all()

guide = Agent(os.environ.get("MODEL") or TestModel(), name="guide")


@guide.tool_plain
async def search(query: str) -> str:
    """Search for what grows where."""
    await asyncio.sleep(0.2)
    return "tea grows in Kenya"


@guide.tool_plain
async def measure(place: str) -> str:
    """Measure the temperature."""
    with trace.get_tracer("with_opentelemetry").start_as_current_span(
        "execute_tool read", attributes={"gen_ai.operation.name": "execute_tool"}
    ):
        await asyncio.sleep(0.3)
    return "20 degrees"


@agent
async def research(topic: str) -> str:
    answer = await guide.run(f"What do you know about {topic}?")
    return answer.output


app = EventsApp(research)
