"""Litestar: a stream from an endpoint, the routes mounted, and the middleware.

pip install "asgi-events[server]" litestar
hypercorn --workers 0 with_litestar:app
"""

import asyncio

from hello import Topic, research
from litestar import Litestar, asgi, post
from litestar.params import JSONBody
from litestar.types import ASGIApp

from asgi_events import (
    EventBus,
    EventsApp,
    EventsMiddleware,
    EventStreamer,
    ExecutionState,
)


@post("/stream", status_code=200)
async def stream(data: JSONBody[Topic]) -> ASGIApp:
    """Stream one execution. Litestar calls the ASGI application that this returns."""
    bus = EventBus()
    streamer = EventStreamer()
    bus.subscribe(streamer)
    task = asyncio.create_task(ExecutionState(bus).run(research, data))
    return streamer.response(execution_task=task)


mounted = asgi("/mounted", is_mount=True, copy_scope=True)(EventsApp(research))
app = EventsMiddleware(Litestar([stream, mounted]), actors=[research])
