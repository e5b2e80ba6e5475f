"""Quart: a stream as the response of a view."""

from quart import Response, request

from asgi_events.adapters.body import ASGIBody
from asgi_events.types import ASGIApp


async def asgi_response(app: ASGIApp) -> Response:
    """Return an ASGI application as the response of a view.

    In the view: ``return await asgi_response(ExecutionResponse(execution))``.
    """
    body = await ASGIBody.of(app, request.scope)
    response = Response(body, status=body.status, headers=body.headers)
    response.timeout = None  # otherwise Quart ends the response after 60 s
    return response
