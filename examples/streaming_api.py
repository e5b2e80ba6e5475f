"""An ``EventStreamer`` in endpoints that make their own task and response (FastAPI).

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
    current_state,
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
    """A call of an actor raises its error; ``run`` returns it with the result."""
    hits = await search(message.content)
    await state.log(f"{len(hits)} hits")
    written = await current_state().run(write, f"There is {', '.join(hits)}.")
    return Message(content=written.result or f"No summary: {written.error_message}")


class Query(BaseModel):
    query: str


app = FastAPI()


def listen() -> tuple[EventStreamer, ExecutionState]:
    """A streamer for one execution, and the state in which to run it."""
    bus = EventBus()
    streamer = EventStreamer(include_cache_stats=True, heartbeat_interval=0.25)
    bus.subscribe(streamer)
    bus.subscribe(EventPrinter(show_timestamp=True, show_address=True))
    return streamer, ExecutionState(event_bus=bus, cache_backend=cache_backend)


@app.post("/stream")
async def stream(query: Query) -> StreamingResponse:
    """The long form, and the response of the framework."""
    streamer, state = listen()
    message = Message(content=query.query)
    execution_task = asyncio.create_task(
        ExecutionEvent[Message](actor=omni_agent)(message, "", state)
    )
    return StreamingResponse(
        streamer.stream(execution_task=execution_task, cache_backend=cache_backend),
        media_type="text/event-stream",
    )


@app.post("/response")
async def response(query: Query) -> Response:
    """The short form, and our response: it drops a client that reads nothing."""
    streamer, state = listen()
    message = Message(content=query.query)
    execution_task = asyncio.create_task(state.run(omni_agent, message, "", state))
    return ASGIResponse(
        streamer.response(execution_task=execution_task, cache_backend=cache_backend)
    )
