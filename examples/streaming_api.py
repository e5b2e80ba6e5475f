"""The streamer in code that has its task and its response already; here FastAPI.

pip install "asgi-events[cache,server]" fastapi
hypercorn --workers 0 streaming_api:app
curl -N localhost:8000/stream --json '{"query": "tea"}'
"""

import asyncio
from collections.abc import AsyncIterator

from fastapi import FastAPI
from fastapi.responses import Response, StreamingResponse
from pydantic import BaseModel

from asgi_events import (
    EventBus,
    EventPrinter,
    EventStreamer,
    ExecutionEvent,
    ExecutionState,
    Message,
    agent,
    llm,
    tool,
)
from asgi_events.adapters.starlette import ASGIResponse
from asgi_events.memory_cache import MemoryCache

cache_backend = MemoryCache()


@tool(cacheable=True)
async def search(query: str) -> list[str]:
    await asyncio.sleep(0.1)
    return [f"{query} in {place}" for place in ("China", "India", "Kenya")]


@llm
async def write(prompt: str) -> AsyncIterator[str]:
    for word in prompt.split():
        yield f"{word} "
        await asyncio.sleep(0.02)


@agent
async def omni_agent(message: Message, context: str, state: ExecutionState) -> Message:
    hits = await search(message.content)
    await state.log(f"{len(hits)} hits")
    return Message(content=await write(f"There is {', '.join(hits)}."))


class Query(BaseModel):
    query: str


app = FastAPI()


def run(query: Query) -> tuple[EventStreamer, asyncio.Task[object]]:
    bus = EventBus()
    streamer = EventStreamer(include_cache_stats=True, heartbeat_interval=0.25)
    bus.subscribe(streamer)
    bus.subscribe(EventPrinter(show_timestamp=True, show_address=True))
    state = ExecutionState(event_bus=bus, cache_backend=cache_backend)
    message = Message(content=query.query)
    execution_task = asyncio.create_task(
        ExecutionEvent[Message](actor=omni_agent)(message, "", state)
    )
    return streamer, execution_task


@app.post("/stream")
async def stream(query: Query) -> StreamingResponse:
    """With the framework's own response."""
    streamer, execution_task = run(query)
    return StreamingResponse(
        streamer.stream(execution_task=execution_task, cache_backend=cache_backend),
        media_type="text/event-stream",
    )


@app.post("/response")
async def response(query: Query) -> Response:
    """With ours, which drops a client that reads nothing, and has the right headers."""
    streamer, execution_task = run(query)
    return ASGIResponse(
        streamer.response(execution_task=execution_task, cache_backend=cache_backend)
    )
