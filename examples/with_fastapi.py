"""FastAPI: mounted, around it, and from an endpoint.

pip install "asgi-events[server]" fastapi
hypercorn --workers 0 with_fastapi:app
"""

import asyncio

from fastapi import FastAPI
from fastapi.responses import Response
from hello import Topic, research

from asgi_events import (
    EventBus,
    EventsApp,
    EventsMiddleware,
    EventStreamer,
    ExecutionEvent,
    ExecutionState,
)
from asgi_events.adapters.starlette import ASGIResponse

api = FastAPI()


@api.post("/stream")
async def stream(topic: Topic) -> Response:
    """A stream of its own.

    A dependency that holds something (a database session) needs
    ``Depends(…, scope="function")``: by default FastAPI gives it back when the stream
    is over, not when this returns.
    """
    bus = EventBus()
    streamer = EventStreamer()
    bus.subscribe(streamer)
    call = ExecutionEvent[str](actor=research)(topic, "", ExecutionState(bus))
    return ASGIResponse(streamer.response(execution_task=asyncio.create_task(call)))


api.mount("/mounted", EventsApp(research))
app = EventsMiddleware(api, actors=[research])
