"""Django: a stream as the response of an async view.

This needs an ASGI server, because WSGI does not tell when a client leaves. Middleware
that compresses (``GZipMiddleware``) must not compress ``text/event-stream``.
"""

from django.http import HttpRequest, StreamingHttpResponse

from asgi_events.adapters.body import ASGIBody
from asgi_events.types import ASGIApp


async def asgi_response(request: HttpRequest, app: ASGIApp) -> StreamingHttpResponse:
    """Return an ASGI application as the response of a view.

    In the view: ``return await asgi_response(request, ExecutionResponse(execution))``.

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
