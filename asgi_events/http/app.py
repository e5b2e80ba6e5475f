"""The HTTP routes of executions, as one ASGI application.

| request | answer |
|---|---|
| ``GET /`` | the actors, their input as JSON Schema, links |
| ``POST /{actor}`` | start: 202 and links, or the stream if ``Accept`` names it |
| ``GET /executions/{id}`` | its status, or the stream if ``Accept`` names it |
| ``GET /executions/{id}/events`` | the stream, from ``Last-Event-ID`` or the start |
| ``DELETE /executions/{id}`` | cancel: 202; 200 if it has ended |
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any, Unpack

from asgi_events.actors.actor import ActorFunction
from asgi_events.checks import check_callables, check_counts, check_seconds, check_texts
from asgi_events.exceptions import (
    Refused,
)
from asgi_events.executions.executions import Executions
from asgi_events.executions.options import ExecutionsOptions
from asgi_events.http.authorize import Authorize, Owners
from asgi_events.http.origins import Origins
from asgi_events.http.problems import Problem, problem_of
from asgi_events.http.request import Body, ClientGone, Request
from asgi_events.http.routes import Exchange, Routes, no_answer
from asgi_events.types import ASGIApp, Receive, Scope, Send

logger = logging.getLogger(__name__)


class EventsApp:
    """Starts, streams and cancels executions over HTTP.

    Args:
        actors: The actors that can be started.
        executions: The ``Executions`` to serve. Without it the application makes one of
            ``actors`` and ``options``.
        authorize: Decides who may do what; see ``Authorize``. Without it, everybody
            who knows the id of an execution, or the ``Idempotency-Key`` that started
            it, may read and cancel it.
        allowed_origins: The other origins (``https://example.com``) whose pages may
            start and cancel; ``"*"`` allows all. The browser decides who may read:
            without CORS it shows no response to a page of another origin.
        max_body: Bytes that a request body may have.
        body_timeout: Seconds in which the whole body must arrive; None for any time.
        prefix: The path below which the routes are.
        options: The options of ``Executions``; see ``ExecutionsOptions``.

    Raises:
        TypeError: A value is of a wrong type, or there is no such option.
        ValueError: A value is out of range, or ``executions`` was given with ``actors``
            or ``options``.
    """

    def __init__(
        self,
        *actors: ActorFunction[..., Any],
        executions: Executions | None = None,
        authorize: Authorize | None = None,
        allowed_origins: Sequence[str] = (),
        max_body: int = 1024 * 1024,
        body_timeout: float | None = 30.0,
        prefix: str = "",
        **options: Unpack[ExecutionsOptions],
    ) -> None:
        if executions is not None and (actors or options):
            raise ValueError(
                "Give either executions, or actors and options to make them of."
            )
        if executions is not None and not isinstance(executions, Executions):
            raise TypeError(f"executions must be an Executions, got {executions!r}")
        check_counts(required=True, max_body=max_body)
        check_seconds(body_timeout=body_timeout)
        check_callables(authorize=authorize)
        check_texts(prefix=prefix)
        if prefix and not prefix.startswith("/"):
            raise ValueError(f'prefix must start with "/", got {prefix!r}')
        self.executions = executions or Executions(*actors, **options)
        self._routes = Routes(
            executions=self.executions,
            owners=Owners(authorize),
            origins=Origins(allowed_origins),
            max_body=max_body,
            body_timeout=body_timeout,
        )
        self._prefix = prefix

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            # A stream may last for hours, so nothing here may refer to the request.
            answer = await self._answer(scope, receive)
            try:
                await answer(scope, receive, send)
            except (
                Refused
            ) as error:  # no place is left for a viewer; nothing was sent yet
                await problem_of(error)(scope, receive, send)
        elif scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1000})
        else:
            raise RuntimeError(f"There is no answer to a {scope['type']!r} scope.")

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                self.executions.open()
                await send({"type": "lifespan.startup.complete"})
            elif message["type"] == "lifespan.shutdown":
                await self.executions.drain()
                await send({"type": "lifespan.shutdown.complete"})
                return

    async def _answer(self, scope: Scope, receive: Receive) -> ASGIApp:
        self.executions.hear_signals()
        body = Body(receive)
        try:
            request = Request(scope, prefix=self._prefix)
            return await Exchange(self._routes, request, body.receive).answer()
        except ClientGone:
            return no_answer
        except Exception as error:
            if scope.get("http_version") == "2":
                await body.discard()
            return error if isinstance(error, Problem) else problem_of(error)
