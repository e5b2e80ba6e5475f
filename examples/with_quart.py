"""Quart: around it, and from a view. Quart mounts nothing below itself.

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
    ExecutionEvent,
    ExecutionState,
)
from asgi_events.adapters.quart import asgi_response

views = Quart(__name__)


@views.post("/stream")
async def stream() -> Response:
    """A stream of its own."""
    topic = Topic.model_validate_json(await request.get_data())
    bus = EventBus()
    streamer = EventStreamer()
    bus.subscribe(streamer)
    call = ExecutionEvent[str](actor=research)(topic, "", ExecutionState(bus))
    return await asgi_response(
        streamer.response(execution_task=asyncio.create_task(call))
    )


app = EventsMiddleware(views, actors=[research])
