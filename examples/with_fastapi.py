"""FastAPI: a stream from an endpoint, the routes mounted, and the middleware.

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
    ExecutionState,
)
from asgi_events.adapters.starlette import ASGIResponse

api = FastAPI()


@api.post("/stream")
async def stream(topic: Topic) -> Response:
    """Stream one execution.

    Give a dependency that holds a resource, such as a database session,
    ``Depends(…, scope="function")``. By default FastAPI closes it when the stream ends,
    not when this function returns.
    """
    bus = EventBus()
    streamer = EventStreamer()
    bus.subscribe(streamer)
    task = asyncio.create_task(ExecutionState(bus).run(research, topic))
    return ASGIResponse(streamer.response(execution_task=task))


api.mount("/mounted", EventsApp(research))
app = EventsMiddleware(api, actors=[research])
