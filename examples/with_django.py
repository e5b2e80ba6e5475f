"""Django: around it, and from an async view. Django mounts nothing below itself.

pip install "asgi-events[server]" django
hypercorn --workers 0 with_django:app
"""

import asyncio

import django
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.http import HttpRequest, StreamingHttpResponse
from django.urls import path
from hello import Topic, research

from asgi_events import (
    EventBus,
    EventsMiddleware,
    EventStreamer,
    ExecutionEvent,
    ExecutionState,
)
from asgi_events.adapters.django import asgi_response


async def stream(request: HttpRequest) -> StreamingHttpResponse:
    """A stream of its own.

    Database connections belong to threads here: none is held by an async view that
    has left its ``sync_to_async`` calls.
    """
    topic = Topic.model_validate_json(request.body)
    bus = EventBus()
    streamer = EventStreamer()
    bus.subscribe(streamer)
    call = ExecutionEvent[str](actor=research)(topic, "", ExecutionState(bus))
    return await asgi_response(
        request, streamer.response(execution_task=asyncio.create_task(call))
    )


urlpatterns = [path("stream", stream)]
if not settings.configured:
    settings.configure(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"], SECRET_KEY="example")
    django.setup()
app = EventsMiddleware(get_asgi_application(), actors=[research])
