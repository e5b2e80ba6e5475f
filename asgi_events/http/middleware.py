"""The routes of executions around an application of the user."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any, Unpack

from asgi_events.actors.actor import ActorFunction
from asgi_events.checks import check_callables, check_iterables, check_texts
from asgi_events.executions.executions import Executions
from asgi_events.executions.options import ExecutionsOptions
from asgi_events.http.app import EventsApp
from asgi_events.http.authorize import Authorize
from asgi_events.http.request import below, route_path
from asgi_events.types import ASGIApp, Receive, Scope, Send

logger = logging.getLogger(__name__)


class EventsMiddleware:
    """Serves executions below ``prefix`` and leaves everything else to ``app``.

    Inside ``app``, ``scope["asgi_events"]`` is the ``Executions``.

    Lifespan and websocket messages pass through. When the server shuts down, the
    executions drain before ``app`` gets the message. If ``app`` has no lifespan, the
    middleware answers for it. Servers that never send a lifespan work too.

    Args:
        app: The application.
        actors: The actors that can be started.
        prefix: The path below which the routes are; not ``/``.
        executions, authorize, allowed_origins, max_body, body_timeout, options: See
            ``EventsApp``.

    Attributes:
        executions: The ``Executions`` that are served.

    Raises:
        TypeError, ValueError: See ``EventsApp``.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        actors: Sequence[ActorFunction[..., Any]] = (),
        prefix: str = "/events",
        executions: Executions | None = None,
        authorize: Authorize | None = None,
        allowed_origins: Sequence[str] = (),
        max_body: int = 1024 * 1024,
        body_timeout: float | None = 30.0,
        **options: Unpack[ExecutionsOptions],
    ) -> None:
        check_callables(app=app)
        check_iterables(actors=actors)
        check_texts(prefix=prefix)
        if not prefix.strip("/"):
            raise ValueError(
                'prefix must name a path, "/events" say: below "/" nothing would be '
                "left to the application."
            )
        self.app = app
        self.events = EventsApp(
            *actors,
            executions=executions,
            authorize=authorize,
            allowed_origins=allowed_origins,
            max_body=max_body,
            body_timeout=body_timeout,
            prefix=prefix,
            **options,
        )
        self.executions = self.events.executions
        self._prefix = prefix

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(scope, receive, send)
        elif scope["type"] == "http" and self._is_ours(scope):
            await self.events(scope, receive, send)
        else:
            await self.app({**scope, "asgi_events": self.executions}, receive, send)

    async def _lifespan(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the application's lifespan, or ours if it has none, like Django."""
        asked = answered = False

        async def ask() -> Any:
            nonlocal asked
            asked = True
            return await receive()

        async def answer(message: Any) -> None:
            nonlocal answered
            answered = True
            await send(message)

        try:
            await self.app(scope, self._draining(ask), answer)
        except Exception as error:
            # ASGI lifespan protocol: an error before any answer means "not supported".
            if answered:
                raise
            logger.info("The application supports no lifespan: %s", error)
        if answered:
            return
        if asked:  # the server sends the startup once
            await send({"type": "lifespan.startup.complete"})
        await self.events(scope, receive, send)

    def _is_ours(self, scope: Scope) -> bool:
        return below(route_path(scope), self._prefix) is not None

    def _draining(self, receive: Receive) -> Receive:
        async def drain_before_shutdown() -> Any:
            message = await receive()
            if message["type"] == "lifespan.startup":
                self.executions.open()
            elif message["type"] == "lifespan.shutdown":
                await self.executions.drain()
            return message

        return drain_before_shutdown
