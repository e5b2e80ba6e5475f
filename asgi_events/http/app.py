"""The HTTP routes of executions, as one ASGI application.

| request | answer |
|---|---|
| ``GET /`` | the actors, their input as JSON Schema, links |
| ``GET /openapi.json`` | the OpenAPI document; ``?version=3.1`` for OpenAPI 3.1 |
| ``POST /{actor}`` | start: 202 and links, or the stream if ``Accept`` names it; |
| | ``?thread=`` names the thread that it continues |
| ``GET /executions`` | the caller's executions, the newest first, page by page |
| ``GET /feed`` | a stream: what happens to the caller's executions from now on |
| ``GET /executions/{id}`` | its status, or the stream if ``Accept`` names it |
| ``GET /executions/{id}/events`` | the stream, from ``Last-Event-ID`` or the start |
| ``DELETE /executions/{id}`` | cancel: 202; 200 if it has ended |
| ``GET /executions/{id}/inputs/{n}`` | a question, and what has closed it |
| ``POST /executions/{id}/inputs/{n}`` | answer: 201 the first, 200 the same again |
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Unpack

from asgi_events.actors.actor import ActorFunction
from asgi_events.executions.executions import Executions
from asgi_events.executions.options import ExecutionsOptions
from asgi_events.http.authorize import Authorize
from asgi_events.http.endpoint import Endpoint
from asgi_events.http.openapi import openapi
from asgi_events.http.routes import answer


class EventsApp(Endpoint):
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
        if executions is None:
            executions = Executions(*actors, **options)
        super().__init__(
            executions,
            answer,
            authorize=authorize,
            allowed_origins=allowed_origins,
            max_body=max_body,
            body_timeout=body_timeout,
            prefix=prefix,
        )

    def openapi(
        self,
        prefix: str | None = None,
        version: str = "3.2.0",
        *,
        into: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Return the OpenAPI document of the routes, also as part of another one.

        Args:
            prefix: The path where the client finds the routes; the application's own
                ``prefix`` by default.
            version, into: See ``openapi`` in ``asgi_events.http.openapi``.

        Raises:
            ValueError: There is no such version.
        """
        if prefix is None:
            prefix = self._prefix
        return openapi(self.executions, prefix, version, into=into)
