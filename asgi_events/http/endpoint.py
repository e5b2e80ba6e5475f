"""The ASGI application around the answers to requests about executions."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from asgi_events.checks import check_callables, check_counts, check_seconds, check_texts
from asgi_events.exceptions import Refused
from asgi_events.executions.executions import Executions
from asgi_events.http.authorize import Authorize, Owners
from asgi_events.http.exchange import Exchange, Terms
from asgi_events.http.origins import Origins
from asgi_events.http.problems import Problem, problem_of
from asgi_events.http.request import Body, ClientGone, Request
from asgi_events.types import ASGIApp, Receive, Scope, Send


class Endpoint:
    """Passes each request to ``answer``, and sends what that returns.

    If ``answer`` raises, the client gets the problem: see ``problem_of``. The lifespan
    of the server opens and drains the executions.

    Args:
        executions: The executions that are served.
        answer: Returns the response to a request.
        authorize: Decides who may do what; see ``Authorize``.
        allowed_origins: See ``Origins``.
        max_body: Bytes that a request body may have.
        body_timeout: Seconds in which the whole body must arrive; None for any time.
        prefix: The path below which the routes are.

    Attributes:
        executions: The executions that are served.

    Raises:
        TypeError: A value is of a wrong type.
        ValueError: A value is out of range.
    """

    def __init__(
        self,
        executions: Executions,
        answer: Callable[[Exchange], Awaitable[ASGIApp]],
        *,
        authorize: Authorize | None = None,
        allowed_origins: Sequence[str] = (),
        max_body: int = 1024 * 1024,
        body_timeout: float | None = 30.0,
        prefix: str = "",
    ) -> None:
        if not isinstance(executions, Executions):
            raise TypeError(f"executions must be an Executions, got {executions!r}")
        check_counts(required=True, max_body=max_body)
        check_seconds(body_timeout=body_timeout)
        check_callables(authorize=authorize)
        check_texts(prefix=prefix)
        if prefix and not prefix.startswith("/"):
            raise ValueError(f'prefix must start with "/", got {prefix!r}')
        self.executions = executions
        self._respond = answer
        self._origins = Origins(allowed_origins)
        self._terms = Terms(
            executions=executions,
            owners=Owners(authorize),
            max_body=max_body,
            body_timeout=body_timeout,
        )
        self._prefix = prefix

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            # A stream may last for hours, so nothing here may refer to the request, or
            # hold what the response itself has let go.
            try:
                await (await self._response(scope, receive))(scope, receive, send)
            except Refused as error:  # no place is left for a viewer; nothing was sent
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

    async def _response(self, scope: Scope, receive: Receive) -> ASGIApp:
        self.executions.hear_signals()
        body = Body(receive)
        try:
            request = Request(scope, prefix=self._prefix)
            if not request.is_below:
                raise Problem(404, f"There is nothing at {scope['path']!r}.")
            self._origins.check(request)
            return await self._respond(Exchange(self._terms, request, body.receive))
        except ClientGone:
            return _no_answer
        except Exception as error:
            if scope.get("http_version") == "2":
                await body.discard()
            return error if isinstance(error, Problem) else problem_of(error)


async def _no_answer(scope: Scope, receive: Receive, send: Send) -> None:
    """Send nothing: the client has gone."""
