"""Starlette: a stream from an endpoint, the routes mounted, and the middleware.

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
    ExecutionState,
)
from asgi_events.types import ASGIApp


async def stream(request: Request) -> ASGIApp:
    """Stream one execution. Starlette calls the ASGI application that this returns.

    Read the body and close the database session before you return: the stream does not
    need the request.
    """
    topic = Topic.model_validate_json(await request.body())
    bus = EventBus()
    streamer = EventStreamer()
    bus.subscribe(streamer)
    task = asyncio.create_task(ExecutionState(bus).run(research, topic))
    return streamer.response(execution_task=task)


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
