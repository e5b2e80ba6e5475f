"""Django: a stream as the response of an async view.

Below an ASGI server only: WSGI has no way to see a client leave. Middleware that
compresses (``GZipMiddleware``) must let ``text/event-stream`` pass.
"""

from django.http import HttpRequest, StreamingHttpResponse

from asgi_events.adapters.body import ASGIBody
from asgi_events.types import ASGIApp


async def asgi_response(request: HttpRequest, app: ASGIApp) -> StreamingHttpResponse:
    """``return await asgi_response(request, streamer.response(execution_task=task))``.

    Raises:
        TypeError: The request came through WSGI.
    """
    scope = getattr(request, "scope", None)
    if scope is None:
        raise TypeError(
            "An event stream needs an ASGI server (uvicorn, hypercorn, daphne, "
            "granian); this request came through WSGI."
        )
    body = await ASGIBody.of(app, scope)
    return StreamingHttpResponse(body, status=body.status, headers=body.headers)
