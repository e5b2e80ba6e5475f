"""The smallest application: one agent, one tool, one model.

pip install "asgi-events[server]"
hypercorn --workers 0 hello:app
curl -N localhost:8000/research --json '{"topic": "tea"}' \\
    -H 'Accept: text/event-stream'
"""

import asyncio
from collections.abc import AsyncIterator

from pydantic import BaseModel

from asgi_events import EventsApp, agent, current_state, llm, tool


class Topic(BaseModel):
    topic: str


@tool
async def search(query: str) -> list[str]:
    await asyncio.sleep(0.1)
    return [f"{query} in {place}" for place in ("China", "India", "Kenya")]


@llm
async def write(prompt: str) -> AsyncIterator[str]:
    for word in prompt.split():
        yield f"{word} "
        await asyncio.sleep(0.02)


@agent
async def research(topic: Topic) -> str:
    hits = await search(topic.topic)
    state = current_state()
    await state.log("reading")
    for number, _ in enumerate(hits, 1):
        await asyncio.sleep(0.1)
        await state.progress(number, len(hits))
    return await write(f"There is {', '.join(hits)}.")


app = EventsApp(research)
