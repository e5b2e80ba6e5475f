"""Quart: a stream from a view, and the middleware. Quart cannot mount applications.

pip install "asgi-events[server]" quart
hypercorn --workers 0 with_quart:app
"""

import asyncio

from hello import Topic, research
from quart import Quart, Response, request

from asgi_events import (
    EventBus,
    EventsMiddleware,
    EventStreamer,
    ExecutionState,
)
from asgi_events.adapters.quart import asgi_response

views = Quart(__name__)


@views.post("/stream")
async def stream() -> Response:
    """Stream one execution."""
    topic = Topic.model_validate_json(await request.get_data())
    bus = EventBus()
    streamer = EventStreamer()
    bus.subscribe(streamer)
    task = asyncio.create_task(ExecutionState(bus).run(research, topic))
    return await asgi_response(streamer.response(execution_task=task))


app = EventsMiddleware(views, actors=[research])
