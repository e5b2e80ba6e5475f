"""Litestar: mounted, around it, and from an endpoint.

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
    ExecutionEvent,
    ExecutionState,
)


@post("/stream", status_code=200)
async def stream(data: JSONBody[Topic]) -> ASGIApp:
    """A stream of its own: Litestar sends an ASGI application that is returned."""
    bus = EventBus()
    streamer = EventStreamer()
    bus.subscribe(streamer)
    call = ExecutionEvent[str](actor=research)(data, "", ExecutionState(bus))
    return streamer.response(execution_task=asyncio.create_task(call))


mounted = asgi("/mounted", is_mount=True, copy_scope=True)(EventsApp(research))
app = EventsMiddleware(Litestar([stream, mounted]), actors=[research])
