"""Starlette: mounted, around it, and from an endpoint.

pip install "asgi-events[server]" starlette
hypercorn --workers 0 with_starlette:app
"""

import asyncio

from hello import Topic, research
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.routing import Mount, Route

from asgi_events import (
    EventBus,
    EventsApp,
    EventsMiddleware,
    EventStreamer,
    ExecutionEvent,
    ExecutionState,
)
from asgi_events.types import ASGIApp


async def stream(request: Request) -> ASGIApp:
    """A stream of its own: what an endpoint returns is called as an application.

    Read the body, and give back the database connection, before this returns: nothing
    of the request is needed while it streams.
    """
    topic = Topic.model_validate_json(await request.body())
    bus = EventBus()
    streamer = EventStreamer()
    bus.subscribe(streamer)
    call = ExecutionEvent[str](actor=research)(topic, "", ExecutionState(bus))
    return streamer.response(execution_task=asyncio.create_task(call))


mounted = EventsApp(research)
app = EventsMiddleware(
    Starlette(
        routes=[
            Route("/stream", stream, methods=["POST"]),
            Mount("/mounted", mounted),
        ],
    ),
    actors=[research],
)
