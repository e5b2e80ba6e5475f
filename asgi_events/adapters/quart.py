"""Quart: a stream as the response of a view."""

from quart import Response, request

from asgi_events.adapters.body import ASGIBody
from asgi_events.types import ASGIApp


async def asgi_response(app: ASGIApp) -> Response:
    """``return await asgi_response(streamer.response(execution_task=task))``."""
    body = await ASGIBody.of(app, request.scope)
    response = Response(body, status=body.status, headers=body.headers)
    response.timeout = None  # Quart ends responses after 60 s otherwise
    return response
