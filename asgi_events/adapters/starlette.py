"""Starlette and FastAPI: a stream as the response of an endpoint.

Starlette sends whatever an endpoint returns that is callable as an ASGI application;
FastAPI wants an instance of ``Response``.
"""

from starlette.responses import Response

from asgi_events.types import ASGIApp, Receive, Scope, Send


class ASGIResponse(Response):
    """A ``Response`` that is another ASGI application.

    ``return ASGIResponse(streamer.response(execution_task=task))``. Background tasks
    run when the stream is over.
    """

    def __init__(self, app: ASGIApp) -> None:
        super().__init__()
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.app(scope, receive, send)
        if self.background is not None:
            await self.background()
