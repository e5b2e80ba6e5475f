"""Starlette and FastAPI: a stream as the response of an endpoint.

A Starlette endpoint may return any ASGI application. A FastAPI endpoint must return an
instance of ``Response``.
"""

from starlette.responses import Response

from asgi_events.types import ASGIApp, Receive, Scope, Send


class ASGIResponse(Response):
    """A ``Response`` that calls another ASGI application.

    In the endpoint: ``return ASGIResponse(ExecutionResponse(execution))``. Background
    tasks run when the stream has ended.
    """

    def __init__(self, app: ASGIApp) -> None:
        super().__init__()
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.app(scope, receive, send)
        if self.background is not None:
            await self.background()
