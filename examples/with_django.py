"""Django: a stream from an async view, and the middleware.

Django cannot mount applications.

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
    ExecutionState,
)
from asgi_events.adapters.django import asgi_response


async def stream(request: HttpRequest) -> StreamingHttpResponse:
    """Stream one execution.

    Django binds database connections to threads, so this view holds none while no
    ``sync_to_async`` call runs.
    """
    topic = Topic.model_validate_json(request.body)
    bus = EventBus()
    streamer = EventStreamer()
    bus.subscribe(streamer)
    task = asyncio.create_task(ExecutionState(bus).run(research, topic))
    return await asgi_response(request, streamer.response(execution_task=task))


urlpatterns = [path("stream", stream)]
if not settings.configured:
    settings.configure(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"], SECRET_KEY="example")
    django.setup()
app = EventsMiddleware(get_asgi_application(), actors=[research])
